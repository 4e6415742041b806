"""Whether what JAX is set to elsewhere reaches a number: short runs under each setting, compared
byte for byte with those without.

    python -m benchmarks.ambient                     # every case under every setting
    python -m benchmarks.ambient --cases poisson     # some of the cases
    python -m benchmarks.ambient --settings rbg x64  # some of the settings

Each case is a quick preset at its size, trained for 40 steps and evaluated on 64 episodes; the
presets that need files are left out. Settings are set as a user sets them for a whole machine, by
JAX's environment variables, in a process of their own. The lines of `metrics.jsonl`, predictions,
and the records and arrays of every evaluation have to be the same bytes. Exit status 1 if anything
differs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np

import icljax
from benchmarks import bits

ROOT = Path(__file__).resolve().parent.parent
STEPS = 40
PLAIN = 'plain'
SETTINGS = {
  'rbg': {'JAX_DEFAULT_PRNG_IMPL': 'rbg'},
  'x64': {'JAX_ENABLE_X64': '1'},
  'threefry': {'JAX_THREEFRY_PARTITIONABLE': '0'},
  'bfloat16': {'JAX_DEFAULT_MATMUL_PRECISION': 'bfloat16'},
  'strict': {'JAX_NUMPY_DTYPE_PROMOTION': 'strict'},
}
CASES = bits.CASES | {'symbolic': ('omniglot:symbolic', bits.SHORT)}


def make_run(case: str, folder: Path) -> None:
  """Trains and evaluates a case in this process; `predictions.npz` holds answers of its model."""
  words, fields = CASES[case]
  file, _, preset = words.partition(':')
  config = icljax.config(file, preset)
  fields = fields | {'training_steps': STEPS, 'checkpoint_dir': str(folder)}
  config.update_from_flattened_dict(fields)
  model = icljax.load(icljax.train(config))
  # Whole numbers are items of every kind: vectors, drawings and symbols.
  x = np.random.default_rng(0).integers(0, 2, (4, *model.item.shape))
  answer = model.at(x[:2], np.ones(2), x[2:])
  leaves = {f'leaf {i}': np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(answer))}
  np.savez(folder / 'predictions.npz', allow_pickle=False, **leaves)


def run_all(setting: str, cases: list[str], folder: Path) -> bool:
  """Makes the runs of a setting in one process below a folder; whether that went well."""
  # A program is found again by what it computes: one that a setting has changed is another.
  environment = os.environ | SETTINGS.get(setting, {})
  environment['JAX_COMPILATION_CACHE_DIR'] = str(folder / 'programs')
  environment['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0.2'
  command = [sys.executable, '-m', 'benchmarks.ambient', '--cases', *cases]
  done = subprocess.run(
    [*command, '--into', str(folder / setting)],
    cwd=ROOT, env=environment, capture_output=True, text=True,
  )  # fmt: skip
  if done.returncode:
    print(f'{setting}: failed with status {done.returncode}\n{done.stdout}{done.stderr}')
  return done.returncode == 0


def contents(run: Path) -> dict[str, bytes]:
  """Everything that a run computes: lines by file, arrays by file and name, with their types."""
  values = {}
  for path in sorted([run / 'metrics.jsonl', *run.glob('eval*/metrics.jsonl')]):
    values[str(path.relative_to(run))] = path.read_bytes()
  for path in sorted([run / 'predictions.npz', *run.glob('eval*/*.npz')]):
    with np.load(path) as arrays:
      for name in arrays.files:
        described = f'{path.relative_to(run)}: {name} {arrays[name].dtype} {arrays[name].shape}'
        values[described] = arrays[name].tobytes()
  return values


def differences(plain: Path, other: Path) -> list[str]:
  """What differs between two runs, by name."""
  before, after = contents(plain), contents(other)
  names = sorted(before.keys() | after.keys())
  return [name for name in names if before.get(name) != after.get(name)]


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--cases', nargs='+', choices=CASES, default=list(CASES))
  parser.add_argument('--settings', nargs='+', choices=SETTINGS, default=list(SETTINGS))
  parser.add_argument('--into', type=Path, help='only make the runs here, in this process')
  options = parser.parse_args()
  if options.into:
    for case in options.cases:
      make_run(case, options.into / case)
    return
  failed = False
  with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    for setting in (PLAIN, *options.settings):
      if not run_all(setting, options.cases, folder):
        sys.exit(1)
      if setting == PLAIN:
        continue
      for case in options.cases:
        different = differences(folder / PLAIN / case, folder / setting / case)
        compared = len(contents(folder / PLAIN / case))
        failed = failed or bool(different)
        verdict = f'DIFFERENT {", ".join(different)}' if different else 'the same bytes'
        print(f'{setting}, {case}: {verdict} ({compared} files and arrays)', flush=True)
  sys.exit(int(failed))


if __name__ == '__main__':
  main()
