"""Task diversity of linear, Poisson and logistic regression: trains, and writes docs/diversity.md.

    python -m benchmarks.diversity                  # whatever is not in diversity.json yet
    python -m benchmarks.diversity --again poisson  # once more, rows with `poisson` in their names

Each row is one command on a fresh folder below `runs/diversity/`, timed from start to end without
compiled programs from earlier runs. `diversity.json` keeps the numbers; `docs/diversity.md` gets
the tables and `docs/diversity.png` the picture.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.results import between, cpu
from icljax.figures import figure, own_style, save

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PAGE = ROOT / 'benchmarks' / 'diversity.json', ROOT / 'docs' / 'diversity.md'
SEEDS = (0, 1)
LINEAR_POOLS, OTHER_POOLS = (2, 128), (2, 64, 0)
# The quick size of configs/linear_regression.py, for the other families.
QUICK = (
  '--config.task.K=8 --config.model.layers=2 '
  '--config.training.batch_size=128 --config.training_steps=6000 '
  '--config.optimizer.schedule=triangle --config.optimizer.warmup_steps=3000 '
  '--config.optimizer.clip_norm=inf --config.eval_modes="(\'auto\',)" '
  '--config.best_model_eval_metric=eval_latent/nats'
)
EXACT = {'linear': ('dmmse', 'ridge')}
ROWS = {
  f'{family}, M = {tasks or "infinite"}, seed {seed}': (family, tasks, seed)
  for family, pools in (
    ('linear', LINEAR_POOLS),
    ('poisson', OTHER_POOLS),
    ('logistic', OTHER_POOLS),
  )
  for tasks in pools
  for seed in SEEDS
}


def command(name: str) -> str:
  """What follows `python run.py` for a row."""
  family, tasks, seed = ROWS[name]
  if family == 'linear':
    config = '--config=configs/linear_regression.py'
  else:
    config = f'--config=configs/glm.py:{family} {QUICK}'
  return f'{config} --config.task.n_tasks={tasks} --config.random_seed={seed}'


def run(name: str) -> dict:
  """Trains and evaluates one row in a fresh folder; what its evaluations recorded, by mode."""
  folder = ROOT / 'runs' / 'diversity' / name.replace(' = ', '').replace(', ', '_')
  shutil.rmtree(folder, ignore_errors=True)
  began, cpu_before = time.perf_counter(), cpu()
  arguments = [*shlex.split(command(name)), f'--config.checkpoint_dir={folder}']
  environment = os.environ | {'JAX_ENABLE_COMPILATION_CACHE': 'false'}
  subprocess.run([sys.executable, 'run.py', *arguments], cwd=ROOT, check=True, env=environment)
  result = {
    'seconds': round(time.perf_counter() - began),
    'cpu_seconds': round(cpu() - cpu_before),
    'commit': subprocess.run(
      ['git', 'rev-parse', '--short', 'HEAD'], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip(),
  }
  for path in sorted(folder.glob('eval_*/metrics.jsonl')):
    record = json.loads(path.read_text().splitlines()[-1])
    arrays = np.load(path.parent / f'{record["step"]}.npz')
    record |= _nats_above(arrays)
    result[path.parent.name] = {name: value for name, value in record.items() if name != 'settings'}
  return result


def _nats_above(arrays) -> dict[str, float]:
  """Nats of the model above each baseline, with standard errors, paired over episodes."""
  numbers, model = {}, arrays['nats/model'].astype(np.float64)
  for path in arrays.files:
    group, _, name = path.partition('/')
    if group == 'nats' and name != 'model':
      above = (model - arrays[path]).mean(1)
      numbers[f'above_{name}'] = above.mean()
      numbers[f'above_{name}_se'] = above.std(ddof=1) / np.sqrt(len(above))
  return numbers


def rows_of(results: dict[str, dict], family: str) -> str:
  """A family's table in Markdown: the model's distance to both exact answers, on both tasks."""
  of_pool, of_new = EXACT.get(family, ('bayes_pool', 'bayes'))
  columns = [
    ('error', 'error of the model'),
    (f'error_{of_pool}', f'of {of_pool}'),
    (f'error_{of_new}', f'of {of_new}'),
    (f'delta_{of_pool}', f'delta to {of_pool}'),
    (f'delta_{of_new}', f'delta to {of_new}'),
    (f'above_{of_pool}', f'nats above {of_pool}'),
    (f'above_{of_new}', f'nats above {of_new}'),
  ]
  head = ['M', 'seed', 'CPU seconds', 'commit', 'tasks', *(title for _, title in columns)]
  lines = [' | '.join(head), ' | '.join('---' for _ in head)]
  for name, (of, tasks, seed) in ROWS.items():
    if of == family and name in results:
      result = results[name]
      for mode, title in (('eval_pretrain', 'of the pool'), ('eval_latent', 'new')):
        if mode in result:
          cells = [tasks or '∞', seed, result['cpu_seconds'], result['commit'], title]
          cells += [_cell(result[mode], key) for key, _ in columns]
          lines.append(' | '.join(map(str, cells)))
  return '\n'.join(f'| {line} |' for line in lines)


def _cell(record: dict, key: str) -> str:
  """A mean with its standard error; nothing where there is none."""
  if key not in record:
    return ''
  mean, error = record[key], record[f'{key}_se']
  digits = 4 if abs(mean) < 0.01 else 3
  return f'{mean:.{digits}f} ± {error:.{digits}f}'


@own_style()
def draw(results: dict[str, dict]) -> None:
  """`docs/diversity.png`: on new tasks, nats of the model above each exact answer over M."""
  families = ('poisson', 'logistic')
  drawing, *all_axes = figure(
    'Task diversity, new tasks; two seeds each, bars: ± 2 standard errors',
    *((f'tasks in the pool of {family} regression, M', 'nats above') for family in families),
  )
  for family, axes in zip(families, all_axes):
    for name, color in zip(EXACT.get(family, ('bayes_pool', 'bayes')), ('C0', 'black')):
      points = [
        (OTHER_POOLS.index(tasks), results[row]['eval_latent'])
        for row, (of, tasks, _) in ROWS.items()
        if of == family and row in results and f'above_{name}' in results[row]['eval_latent']
      ]
      axes.errorbar(
        [place for place, _ in points],
        [record[f'above_{name}'] for _, record in points],
        [2 * record[f'above_{name}_se'] for _, record in points],
        fmt='o',
        color=color,
        label=name,
      )
    axes.set_xticks(range(len(OTHER_POOLS)), [str(tasks or '∞') for tasks in OTHER_POOLS])
    axes.axhline(0, color='0.6', linewidth=1)
    axes.legend(frameon=False)
  save(drawing, ROOT / 'docs' / 'diversity.png')


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--again', metavar='NAME', help='measure the rows once more with this NAME')
  again = parser.parse_args().again
  results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
  for name in ROWS:
    if name not in results or (again and again in name):
      results[name] = run(name)
      kept = {name: results[name] for name in ROWS if name in results}
      RESULTS.write_text(json.dumps(kept, indent=1) + '\n')
      print(name, results[name]['cpu_seconds'], flush=True)
  draw(results)
  for family in ('linear', 'poisson', 'logistic'):
    before, _, after = between(PAGE.read_text(), family)
    PAGE.write_text(f'{before}\n{rows_of(results, family)}\n{after}')


if __name__ == '__main__':
  main()
