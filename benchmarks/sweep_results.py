"""Puts what the README's sweeps have found into the README and docs/, from their folders.

    python run.py --config=configs/linear_regression.py --jaxline_mode sweep
    python run.py --config=configs/glm.py --jaxline_mode sweep
    python -m benchmarks.sweep_results

The first sweep's `eval_diversity` gives the table `pools` and `docs/pools.png`; the `eval` of the
second, over dispersion, is compared with the table of `benchmarks/results.py`, number by number.
Exit status 1 if a number of it differs.
"""

import json
import shutil
import sys
from pathlib import Path

import pandas as pd

from benchmarks.results import between

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / 'README.md'
POOLS = ROOT / 'runs' / 'linear_regression_sweep' / 'eval_diversity'
DISPERSION = ROOT / 'runs' / 'glm_sweep' / 'eval' / 'points.csv'
# Of the sweep, and what the runs of the README's results call it.
SAME = ('nats', 'regret', 'nats_bayes', 'family_accuracy_read_out', 'family_accuracy_bayes')
COLUMNS = {
  ('eval_latent', 'error'): 'error on new tasks',
  ('eval_latent', 'error_dmmse'): 'of dMMSE',
  ('eval_latent', 'error_ridge'): 'of ridge',
  ('eval_latent', 'delta_ridge'): 'distance to ridge',
  ('eval_latent', 'delta_dmmse'): 'distance to dMMSE',
  ('eval_pretrain', 'error'): "error on the pool's tasks",
  ('eval_pretrain', 'error_dmmse'): 'of dMMSE',
}


def pools_table() -> str:
  """A row for each M: means over seeds, with the least and the most."""
  frame = pd.read_csv(POOLS / 'diversity.csv', dtype={'M': str})
  head = ['M', *COLUMNS.values()]
  lines = [' | '.join(head), ' | '.join('---' for _ in head)]
  for size in dict.fromkeys(frame.M):
    cells = [size.replace('inf', '∞')]
    for mode, metric in COLUMNS:
      rows = frame[(size == frame.M) & (frame['mode'] == mode)]
      cells.append(_spread(rows[metric].dropna() if metric in rows else rows.M.iloc[:0]))
    lines.append(' | '.join(cells))
  findings = json.loads((POOLS / 'diversity.json').read_text())['groups']
  parts = ('memorisation', 'crossing', 'regime')
  sentences = [group[part]['sentence'] for group in findings for part in parts]
  return '\n'.join([*(f'| {line} |' for line in lines), '', *(f'* {text}' for text in sentences)])


def _spread(values: pd.Series) -> str:
  """The mean, and the least and the most of several."""
  if not len(values):
    return ''
  least, most = f'{values.min():.3f}', f'{values.max():.3f}'
  return f'{values.mean():.3f}' + (f' ({least} to {most})' if least != most else '')


def differing() -> list[str]:
  """Where the sweep over dispersion is not what the README's results say."""
  swept = pd.read_csv(DISPERSION).set_index(['task.r', 'random_seed'])
  recorded = json.loads((ROOT / 'benchmarks' / 'results.json').read_text())
  wrong = []
  for (r, seed), row in swept.iterrows():
    name = f'joint, r = {r}, seed {seed}'
    for metric in SAME:
      if metric in recorded[name] and f'{row[metric]:.3f}' != f'{recorded[name][metric]:.3f}':
        wrong.append(f'{name}: {metric} {row[metric]:.4f} here, {recorded[name][metric]:.4f} there')
  return wrong


def main() -> None:
  if POOLS.exists():
    before, _, after = between(README.read_text(), 'pools')
    README.write_text(f'{before}\n{pools_table()}\n{after}')
    shutil.copy(POOLS / 'diversity.png', ROOT / 'docs' / 'pools.png')
  if not DISPERSION.exists():
    sys.exit(f'{DISPERSION} is not there: the sweep over dispersion was not made')
  wrong = differing()
  print('\n'.join(wrong) or 'the sweep over dispersion has the numbers of the README')
  sys.exit(1 if wrong else 0)


if __name__ == '__main__':
  main()
