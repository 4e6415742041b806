"""Trains everything that the README's table of results names, and writes the table.

    python benchmarks/results.py                 # whatever is not in results.json yet
    python benchmarks/results.py --again joint   # once more, every row whose name has `joint` in it

Each row is one command on a fresh folder below `runs/results/`, timed from start to end without
compiled programs from earlier runs. `results.json` keeps the numbers; `README.md` gets the tables,
`docs/joint.png` is the picture of the first joint run, and `docs/dispersion.png` shows all of them:
who knows the family, and what that is worth.
"""

import argparse
import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
RESULTS, README = ROOT / 'benchmarks' / 'results.json', ROOT / 'README.md'
EARLY = 6  # positions k = 0..5, where plugging in one estimate costs most

FAMILIES = ('linear', 'logistic', 'poisson', 'neg_binomial', 'exponential', 'multinomial')
DISPERSIONS, SEEDS = (1.2, 2.5, 5.0), (0, 1, 2)
COMMANDS = {
  **{family: f'--config=configs/glm.py:{family}' for family in FAMILIES},
  **{
    f'joint, r = {r}, seed {seed}': f'--config=configs/glm.py --config.task.r={r} --config.random_seed={seed}'
    for r in DISPERSIONS
    for seed in SEEDS
  },
  'poisson, eta': '--config=configs/glm.py:poisson --config.model.head=eta',
}


def run_folder(name: str) -> Path:
  return ROOT / 'runs' / 'results' / name.replace(' = ', '').replace(', ', '_').replace(' ', '_')


def run(name: str) -> dict:
  """Trains and evaluates one row in a fresh folder; what the table shows of it."""
  folder = run_folder(name)
  shutil.rmtree(folder, ignore_errors=True)
  began, cpu_before = time.perf_counter(), cpu()
  command = [
    sys.executable,
    'run.py',
    *shlex.split(COMMANDS[name]),
    f'--config.checkpoint_dir={folder}',
  ]
  subprocess.run(
    command, cwd=ROOT, check=True, env=os.environ | {'JAX_ENABLE_COMPILATION_CACHE': 'false'}
  )
  seconds, cpu_seconds = time.perf_counter() - began, cpu() - cpu_before
  if name == 'joint, r = 1.2, seed 0':
    shutil.copy(folder / 'eval' / 'curves.png', ROOT / 'docs' / 'joint.png')
  return {'seconds': round(seconds), 'cpu_seconds': round(cpu_seconds), **measured(folder)}


def cpu() -> float:
  """Seconds that the commands run so far kept a core busy."""
  used = resource.getrusage(resource.RUSAGE_CHILDREN)
  return used.ru_utime + used.ru_stime


def measured(folder: Path) -> dict:
  """The record of a run's evaluation, and the model's excess over other predictors on the same
  episodes.
  """
  record = json.loads((folder / 'eval' / 'metrics.jsonl').read_text().splitlines()[-1])
  arrays = np.load(folder / 'eval' / f'{record["step"]}.npz')
  above = lambda name, points, axis=1: (
    (arrays['nats/model'] - arrays[f'nats/{name}'])[:, :points].astype(np.float64).mean(axis)
  )
  for key, rows in (('early', above('map', EARLY)), ('above_plugin', above('plugin', None))):
    record |= {key: rows.mean(), f'{key}_se': rows.std(ddof=1) / np.sqrt(len(rows))}
  if 'family/read_out' in arrays:  # over k, for the picture
    true = arrays['family'][:, None]
    record |= {
      f'accuracy/{who}': (arrays[f'family/{who}'].argmax(-1) == true).mean(0).tolist()
      for who in ('read_out', 'bayes')
    }
    record |= {'regret_over_k': above('bayes', None, axis=0).tolist()}
  return {key: value for key, value in record.items() if key != 'settings'}


def row(name: str, result: dict) -> str:
  """One line of the table."""
  told = name.endswith('eta')
  best, above = ('plugin', 'above_plugin') if told else ('bayes', 'regret')
  pair = lambda key: f'{result[key]:.3f} ± {result[key + "_se"]:.3f}'
  share = '' if told else pair('share_of_gap')
  cells = [
    name,
    f'`{COMMANDS[name]}`',
    result['seconds'],
    result.get('cpu_seconds', ''),
    pair('nats'),
    f'{best} {result["nats_" + best]:.3f}',
    pair(above),
    share,
    pair('early'),
  ]
  return '| ' + ' | '.join(map(str, cells)) + ' |'


def table(results: dict[str, dict]) -> str:
  """The README's table in Markdown."""
  head = [
    '| run | `python run.py ...` | seconds | of CPU | nats per target | reference | above it | '
    'share of the gap | above MAP, k = 0..5 |',
    '|---|---|---|---|---|---|---|---|---|',
  ]
  return '\n'.join(head + [row(name, results[name]) for name in COMMANDS if name in results])


def joint(results: dict[str, dict]) -> dict[tuple[float, int], dict]:
  """What was measured of the joint runs, by r and seed."""
  names = {(r, seed): f'joint, r = {r}, seed {seed}' for r in DISPERSIONS for seed in SEEDS}
  return {which: results[name] for which, name in names.items() if name in results}


def dispersion_table(results: dict[str, dict]) -> str:
  """Who knows the family, in Markdown."""
  head = [
    '| r | seed | nats above bayes | family named rightly, mean over k: read-out | bayes | after '
    'the last pair: read-out | bayes | nats for the family: read-out | bayes | calibration error: '
    'read-out | bayes |',
    '|---|---|---|---|---|---|---|---|---|---|---|',
  ]
  rows = []
  for (r, seed), found in joint(results).items():
    cells = [r, seed, f'{found["regret"]:.3f} ± {found["regret_se"]:.3f}']
    for name in ('accuracy', 'accuracy_last', 'nats', 'calibration_error'):
      cells += [f'{found[f"family_{name}_{who}"]:.3f}' for who in ('read_out', 'bayes')]
    rows.append('| ' + ' | '.join(map(str, cells)) + ' |')
  return '\n'.join(head + rows)


def draw_dispersion(results: dict[str, dict]) -> None:
  """`docs/dispersion.png`: accuracy over k for each r, the read-outs of all seeds beside the exact
  posterior; and the regret.
  """
  figure = Figure(figsize=(13, 3.8), layout='constrained')
  FigureCanvasAgg(figure)
  *panels, regret = figure.subplots(1, len(DISPERSIONS) + 1)
  for i, (r, axes) in enumerate(zip(DISPERSIONS, panels)):
    runs = [found for (other, _), found in joint(results).items() if other == r]
    k = np.arange(len(runs[0]['accuracy/bayes']))
    accuracy = np.array([found['accuracy/read_out'] for found in runs])
    axes.plot(k, runs[0]['accuracy/bayes'], color='black', label='exact posterior')
    axes.plot(k, accuracy.mean(0), color=f'C{i}', label=f'read-out, mean of {len(runs)} seeds')
    axes.fill_between(
      k,
      accuracy.min(0),
      accuracy.max(0),
      color=f'C{i}',
      alpha=0.25,
      linewidth=0,
      label='least to most',
    )
    axes.set(title=f'r = {r}', xlabel='pairs seen, k', ylim=(0.45, 0.85))
    above = np.array([found['regret_over_k'] for found in runs])
    regret.plot(k, above.mean(0), color=f'C{i}', label=f'r = {r}')
    regret.fill_between(k, above.min(0), above.max(0), color=f'C{i}', alpha=0.25, linewidth=0)
    axes.legend(frameon=False, fontsize='small')
  panels[0].set_ylabel('share of families named rightly')
  regret.set(title='what not knowing all costs', xlabel='pairs seen, k', ylabel='nats above bayes')
  regret.axhline(0, color='black', linewidth=1)
  regret.legend(frameon=False, fontsize='small')
  figure.savefig(ROOT / 'docs' / 'dispersion.png', dpi=110)


TABLES: dict[str, Callable[[dict[str, dict]], str]] = {
  'results': table,
  'dispersion': dispersion_table,
}


def between(text: str, which: str) -> tuple[str, str, str]:
  """The README up to, within, and from the end of one of its tables."""
  begin, end = f'<!-- {which} -->', f'<!-- end of {which} -->'
  before, rest = text.split(begin)
  within, after = rest.split(end)
  return before + begin, within.strip(), end + after


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument(
    '--again', metavar='NAME', help='measure the rows once more that have NAME in their name'
  )
  again = parser.parse_args().again
  results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
  for name in COMMANDS:
    if name not in results or (again and again in name):
      results[name] = run(name)
      RESULTS.write_text(
        json.dumps({name: results[name] for name in COMMANDS if name in results}, indent=1) + '\n'
      )
      print(row(name, results[name]), flush=True)
  if joint(results):
    draw_dispersion(results)
  for which, make in TABLES.items():
    before, _, after = between(README.read_text(), which)
    README.write_text(f'{before}\n{make(results)}\n{after}')


if __name__ == '__main__':
  main()
