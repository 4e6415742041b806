"""Whether a sweep gives what its points give alone: trained by one process, by two, and by two that
are killed again and again.

    python -m benchmarks.sweeps             # twelve points of two shapes, ten kills
    python -m benchmarks.sweeps --kills 50

Of every point parameters, optimizer state, metrics.jsonl and evaluations have to be those of its
single run to the bit (SHA-256). Prints a line for each way, with its seconds, and how long a worker
outlived a launcher that was killed. Exit status 1 if anything differs, or a worker lived for over
10 seconds.
"""

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.kills import SMALL, fingerprints

ROOT = Path(__file__).resolve().parent.parent
AXES = {'model.width': (16, 32), 'task.scale': (0.4, 0.6, 0.8), 'random_seed': (0, 1)}
SPEC = '; '.join(f'{field}={",".join(map(str, values))}' for field, values in AXES.items())
FIELDS = SMALL | {'training_steps': 300, 'keep_checkpoints': 'log:3'}
OUTLIVED = 10.0  # seconds that a worker may outlive its launcher
PROMPT = 0.2  # seconds between two looks


def command(folder: Path, mode: str, **fields) -> list[str]:
  overrides = [f'--config.{name}={value}' for name, value in (FIELDS | fields).items()]
  config = '--config=configs/glm.py:poisson'
  return [
    sys.executable, 'run.py', config, f'--jaxline_mode={mode}', *overrides,
    f'--config.checkpoint_dir={folder}',
  ]  # fmt: skip


def launch(arguments: list[str], output: Path) -> subprocess.Popen:
  with output.open('a') as file:
    return subprocess.Popen(arguments, cwd=ROOT, stdout=file, stderr=file)


def finish(arguments: list[str], output: Path) -> float:
  """Runs a command to its end; its seconds."""
  began = time.perf_counter()
  if launch(arguments, output).wait() != 0:
    raise RuntimeError(f'{" ".join(arguments)} failed: {output.read_text()[-2000:]}')
  return time.perf_counter() - began


def sweep_command(folder: Path, workers: int) -> list[str]:
  return [*command(folder, 'sweep', sweep_workers=workers), f'--config.sweep={SPEC}']


def train_alone(folder: Path) -> dict[str, dict]:
  """The fingerprints of every point's single run, by the values of its fields."""
  prints = {}
  for values in itertools.product(*AXES.values()):
    point = json.dumps(dict(zip(AXES, values)), sort_keys=True)
    run = folder / f'{len(prints)}'
    overrides = [f'--config.{field}={value}' for field, value in zip(AXES, values)]
    finish([*command(run, 'train'), *overrides], folder / 'alone.out')
    prints[point] = fingerprints(run)
  return prints


def prints_of(folder: Path) -> dict[str, dict]:
  """The same of a sweep's points."""
  points = json.loads((folder / 'sweep.json').read_text())['points']
  return {
    json.dumps(point['fields'], sort_keys=True): fingerprints(folder / point['name'])
    for point in points
  }


def children(pid: int) -> list[int]:
  path = Path(f'/proc/{pid}/task/{pid}/children')
  return [int(child) for child in path.read_text().split()] if path.exists() else []


def is_alive(pid: int) -> bool:
  stat = Path(f'/proc/{pid}/stat')
  return stat.exists() and stat.read_text().rpartition(')')[2].split()[0] != 'Z'


def kill_again_and_again(folder: Path, kills: int) -> float:
  """Kills the launcher or a worker at random, so many times, and starts the command again whenever
  the launcher is gone; the most seconds that a worker outlived its launcher.
  """
  random, output, longest = np.random.default_rng(0), folder.parent / 'killed.out', 0.0
  running = None
  for _ in range(kills):
    if running is None or running.poll() is not None:
      running = launch(sweep_command(folder, workers=2), output)
    time.sleep(random.uniform(4, 10))  # from before the first import to some hundred steps
    pids = [running.pid, *children(running.pid)]
    victim = int(random.choice(pids))
    if is_alive(victim):
      os.kill(victim, signal.SIGKILL)
    if victim == running.pid:
      running.wait()
      longest = max(longest, seconds_until_gone(pids[1:]))
  if running is not None:
    running.wait()
  return longest


def seconds_until_gone(pids: list[int]) -> float:
  began = time.perf_counter()
  while any(map(is_alive, pids)):
    time.sleep(PROMPT)
  return time.perf_counter() - began


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--kills', type=int, default=10, help='of launcher and workers')
  kills, good = parser.parse_args().kills, True
  with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    alone = train_alone(folder)
    for title, workers in (('one process', 1), ('two processes', 2), ('killed', 2)):
      where, outlived = folder / title.replace(' ', '_'), 0.0
      if title == 'killed':
        outlived = kill_again_and_again(where, kills)
      seconds = finish(sweep_command(where, workers), folder / f'{where.name}.out')
      same = prints_of(where) == alone
      good &= same and outlived <= OUTLIVED
      told = f', {kills} kills, a worker outlived its launcher by {outlived:.1f} s at most'
      print(
        f'{title}: {len(alone)} points, {"the same bits" if same else "DIFFERENT"}, '
        f'{seconds:.0f} s{told if title == "killed" else ""}',
        flush=True,
      )
  sys.exit(0 if good else 1)


if __name__ == '__main__':
  main()
