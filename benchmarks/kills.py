"""Kills one small run again and again, at every kind of moment, and compares it with the run left
alone.

    python -m benchmarks.kills              # twenty kills
    python -m benchmarks.kills --rounds 1   # five

Parameters, optimizer state, metrics.jsonl and every evaluation have to be the same to the bit
(SHA-256). Exit status 1 if they are not, or if the run ended before all kills were delivered.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np

from icljax import build, checks
from jaxline_lite.checkpoint import Checkpoints
from jaxline_lite.files import digest, read_lines
from jaxline_lite.run_folder import read_config

ROOT = Path(__file__).resolve().parent.parent
EVAL_INTERVAL = 100
SMALL = {
  'task.K': 12, 'model.layers': 2, 'model.width': 32, 'training.batch_size': 64,
  'optimizer.warmup_steps': 20, 'log_train_data_interval': 10, 'save_checkpoint_interval': 50, 'keep_checkpoints': 'log:3',
  'eval_interval': EVAL_INTERVAL, 'eval.episodes': 640, 'eval.batch_size': 64,
}  # fmt: skip
STEPS = 150  # for each round of kills, so that the run outlives them
TURN = 0.002  # seconds between two looks at the folder
PATIENCE = 300  # seconds after which a moment will not come


def command(folder: Path, words: str, fields: dict) -> list[str]:
  """The command that trains and evaluates along."""
  overrides = [f'--config.{name}={value}' for name, value in fields.items()]
  config, mode = f'--config=configs/glm.py:{words}', '--jaxline_mode=train_eval'
  where = f'--config.checkpoint_dir={folder}'
  return [sys.executable, 'run.py', config, mode, *overrides, where]


def launch(folder: Path, words: str, fields: dict) -> subprocess.Popen:
  """Starts the command; what it says goes to `<folder>.out`."""
  with (folder.parent / f'{folder.name}.out').open('a') as output:
    return subprocess.Popen(command(folder, words, fields), cwd=ROOT, stdout=output, stderr=output)


def log_lines(folder: Path) -> int:
  log = folder / 'log.txt'
  return len(log.read_text().splitlines()) if log.exists() else 0


def evaluating(folder: Path) -> bool:
  """Whether the newest checkpoint is due for an evaluation that is not recorded."""
  saved = {
    int(path.name) for path in (folder / 'checkpoints').glob('[0-9]*') if path.name.isdecimal()
  }
  done = {record['step'] for record in read_lines(folder / 'eval' / 'metrics.jsonl')}
  return any(step % EVAL_INTERVAL == 0 for step in saved - done - {0})


def moment(kind: str, folder: Path) -> Callable[[], bool]:
  """Whether the moment of a kind has come, to be asked repeatedly from the start of the command on."""
  began, lines = time.perf_counter(), log_lines(folder)
  logged = len(list(read_lines(folder / 'metrics.jsonl')))
  return {
    # It has not looked at the folder yet.
    'between commands': lambda: time.perf_counter() - began > 0.5,
    # It has said where it starts, and its first step is to come.
    'compiling': lambda: log_lines(folder) > lines,
    'stepping': lambda: len(list(read_lines(folder / 'metrics.jsonl'))) > logged,
    'saving': lambda: any((folder / 'checkpoints').glob('.*.writing')),
    'evaluating': lambda: log_lines(folder) > lines and evaluating(folder),
    'drawing': lambda: log_lines(folder) > lines and any((folder / 'eval').glob('.*.undrawn')),
  }[kind]


def kill(folder: Path, kind: str, words: str, fields: dict, delay: float) -> bool:
  """Starts the command and kills it `delay` seconds after the moment has come; whether it came, and
  the command lived on.
  """
  has_come, process, began = (
    moment(kind, folder),
    launch(folder, words, fields),
    time.perf_counter(),
  )
  while (
    not (came := has_come()) and process.poll() is None and time.perf_counter() - began < PATIENCE
  ):
    time.sleep(TURN)
  time.sleep(delay)
  alive = came and process.poll() is None
  process.kill()
  process.wait()
  return alive


def fingerprints(folder: Path) -> dict[str, str]:
  """SHA-256 of everything that a run computes."""
  checkpoints = Checkpoints(folder / 'checkpoints', print)
  step, state = checkpoints.read_any(
    checkpoints.steps()[::-1], build.init_state(read_config(folder, checks))
  )
  prints = {
    f'state after step {step}': digest(b''.join(leaf.tobytes() for leaf in jax.tree.leaves(state)))
  }
  for path in (folder / 'metrics.jsonl', folder / 'eval' / 'metrics.jsonl'):
    prints[str(path.relative_to(folder))] = digest(path.read_bytes())
  for path in sorted((folder / 'eval').glob('*.npz')):
    arrays = np.load(path)
    prints[f'eval/{path.name}'] = digest(
      b''.join(name.encode() + arrays[name].tobytes() for name in sorted(arrays))
    )
  return prints


def compare(
  folder: Path, kinds: Sequence[str], words: str, fields: dict
) -> tuple[dict, dict, list[bool]]:
  """Fingerprints of a run left alone and of one killed at moments of these kinds, and which kills
  were delivered.
  """
  alone, killed = folder / 'alone', folder / 'killed'
  if launch(alone, words, fields).wait() != 0:
    raise RuntimeError(f'the run left alone failed: see {alone}.out')
  delays = np.random.default_rng(0).uniform(0, 0.3, len(kinds))
  delivered = []
  for kind, delay in zip(kinds, delays):
    delivered.append(kill(killed, kind, words, fields, 0.0 if kind == 'saving' else delay))
    print(f'{kind}: {"killed" if delivered[-1] else "had ended before"}', flush=True)
  if launch(killed, words, fields).wait() != 0:
    raise RuntimeError(f'the killed run did not go on: see {killed}.out')
  return fingerprints(alone), fingerprints(killed), delivered


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--rounds', type=int, default=4, help='kills of each kind')
  rounds = parser.parse_args().rounds
  kinds = ('between commands', 'compiling', 'stepping', 'saving', 'evaluating') * rounds
  # So that there is something to kill while compiling.
  os.environ['JAX_ENABLE_COMPILATION_CACHE'] = 'false'
  with tempfile.TemporaryDirectory() as folder:
    alone, killed, delivered = compare(
      Path(folder), kinds, 'poisson', SMALL | {'training_steps': STEPS * rounds}
    )
  print(
    json.dumps(
      {name: 'same' if killed.get(name) == value else 'DIFFERENT' for name, value in alone.items()},
      indent=1,
    )
  )
  print(f'{sum(delivered)} of {len(kinds)} kills delivered')
  sys.exit(0 if alone == killed and all(delivered) else 1)


if __name__ == '__main__':
  main()
