"""Trains everything that the README's table of results names, and writes the table.

    python benchmarks/results.py                 # whatever is not in results.json yet
    python benchmarks/results.py --again joint   # once more, every row whose name has `joint` in it

Each row is one command on a fresh folder below `runs/results/`, timed from start to end without compiled programs from
earlier runs. `results.json` keeps the numbers; `README.md` gets the table and `docs/joint.png` the picture of the joint run.
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

ROOT = Path(__file__).resolve().parent.parent
RESULTS, README = ROOT / 'benchmarks' / 'results.json', ROOT / 'README.md'
BEGIN, END = '<!-- results -->', '<!-- end of results -->'
EARLY = 6  # positions k = 0..5, where plugging in one estimate costs most

FAMILIES = ('linear', 'logistic', 'poisson', 'neg_binomial', 'exponential', 'multinomial')
COMMANDS = {
  **{family: f'--config=configs/glm.py:{family}' for family in FAMILIES},
  **{f'joint, seed {seed}': f'--config=configs/glm.py --config.random_seed={seed}' for seed in range(3)},
  'poisson, eta': '--config=configs/glm.py:poisson --config.model.head=eta',
}


def run(name: str) -> dict:
  """Trains and evaluates one row in a fresh folder; what the table shows of it."""
  folder = ROOT / 'runs' / 'results' / name.replace(', ', '_').replace(' ', '_')
  shutil.rmtree(folder, ignore_errors=True)
  began = time.perf_counter()
  command = [sys.executable, 'run.py', *shlex.split(COMMANDS[name]), f'--config.checkpoint_dir={folder}']
  subprocess.run(command, cwd=ROOT, check=True, env=os.environ | {'JAX_ENABLE_COMPILATION_CACHE': 'false'})
  seconds = time.perf_counter() - began
  if name == 'joint, seed 0':
    (ROOT / 'docs').mkdir(exist_ok=True)
    shutil.copy(folder / 'eval' / 'curves.png', ROOT / 'docs' / 'joint.png')
  return {'seconds': round(seconds), **measured(folder)}


def measured(folder: Path) -> dict:
  """The record of a run's evaluation, and the model's excess over other predictors on the same episodes."""
  record = json.loads((folder / 'eval' / 'metrics.jsonl').read_text().splitlines()[-1])
  arrays = np.load(folder / 'eval' / f'{record["step"]}.npz')
  above = lambda name, points: (arrays['nats/model'] - arrays[f'nats/{name}'])[:, :points].astype(np.float64).mean(1)
  for key, rows in (('early', above('map', EARLY)), ('above_plugin', above('plugin', None))):
    record |= {key: rows.mean(), f'{key}_se': rows.std(ddof=1) / np.sqrt(len(rows))}
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
    '| run | `python run.py ...` | seconds | nats per target | reference | above it | share of the gap | above MAP, k = 0..5 |',
    '|---|---|---|---|---|---|---|---|',
  ]
  return '\n'.join(head + [row(name, results[name]) for name in COMMANDS if name in results])


def between(text: str) -> tuple[str, str, str]:
  """The README before, within and after its results."""
  before, rest = text.split(BEGIN)
  within, after = rest.split(END)
  return before, within.strip(), after


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--again', metavar='NAME', help='measure the rows once more that have NAME in their name')
  again = parser.parse_args().again
  results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
  for name in COMMANDS:
    if name not in results or (again and again in name):
      results[name] = run(name)
      RESULTS.write_text(json.dumps({name: results[name] for name in COMMANDS if name in results}, indent=1) + '\n')
      print(row(name, results[name]), flush=True)
  before, _, after = between(README.read_text())
  README.write_text(f'{before}{BEGIN}\n{table(results)}\n{END}{after}')


if __name__ == '__main__':
  main()
