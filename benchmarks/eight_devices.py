"""Whether every stock command runs on a host of eight devices: a few steps and an evaluation each.

    python -m benchmarks.eight_devices                      # every quick preset, 3 steps
    python -m benchmarks.eight_devices --size paper         # every paper preset, 1 step
    python -m benchmarks.eight_devices glm:poisson          # some of them
    python -m benchmarks.eight_devices --small1 DIR         # those that read Omniglot, too

Each preset is `run.py` in a process of its own with eight fake devices of the CPU and the stock
batch sizes; only steps and evaluation episodes are few. Presets of real Omniglot read its split
small1 out of DIR/images_background_small1.zip, of whose characters they train on fewer classes;
without DIR they are left out, and named. Prints a line for each preset: exit status, seconds and
the most memory. Exit status 1 if one failed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from configs import glm, linear_regression, omniglot
from icljax.glm.checks import DIVERSITY_MODES

ROOT = Path(__file__).resolve().parent.parent
DEVICES = 8
CONFIGS = {'glm': glm, 'linear_regression': linear_regression, 'omniglot': omniglot}
STEPS = {'quick': 3, 'paper': 1}
SHORT = {'log_train_data_interval': 1, 'eval.episodes': 16}
# So that the modes of pools are evaluated too.
POOL = {'task.n_tasks': 4, 'eval_modes': ('eval', *DIVERSITY_MODES)}
# Small1 has 136 characters, of which `augmented` makes 8 classes each.
SMALL1 = {'data.omniglot_config.omniglot_split': 'small1'}
PLAIN = {'n_rare_classes': 116, 'n_common_classes': 10, 'n_holdout_classes': 10}
AUGMENTED = {'n_rare_classes': 900, 'n_common_classes': 100, 'n_holdout_classes': 88}
CLASSES = {'all_exemplars': PLAIN, 'identical': PLAIN, 'augmented': AUGMENTED}


def cases() -> list[str]:
  """Every preset, as FILE:PRESET."""
  return [f'{file}:{preset}' for file, module in CONFIGS.items() for preset in module.PRESETS]


def command(case: str, size: str, folder: Path, small1: str) -> list[str]:
  """The command that makes the run of a case."""
  file, _, preset = case.partition(':')
  steps = STEPS[size]
  fields: dict[str, object] = SHORT | {'training_steps': steps}
  fields['optimizer.warmup_steps'] = min(1, steps - 1)
  if file == 'linear_regression':
    fields |= POOL
  if file == 'omniglot':
    fields['data.cache_dir'] = folder / 'drawings'
  if preset in CLASSES:
    fields |= SMALL1 | {'data.manual_dir': small1, 'data.data_dir': folder / 'tfds'}
    fields |= {f'data.generator_config.{name}': count for name, count in CLASSES[preset].items()}
  fields['checkpoint_dir'] = folder / f'{file}_{preset}_{size}'
  overrides = [f'--config.{name}={value}' for name, value in fields.items()]
  return [sys.executable, 'run.py', f'--config=configs/{file}.py:{preset},{size}', *overrides]


def results(chosen: list[str], size: str, folder: Path, small1: str) -> Iterator[tuple[str, int]]:
  """Runs the cases; yields a line about each and its exit status."""
  environment = os.environ | {
    'XLA_FLAGS': f'--xla_force_host_platform_device_count={DEVICES}',
    'JAX_PLATFORMS': 'cpu',
  }
  for case in chosen:
    if case.partition(':')[2] in CLASSES and not small1:
      yield f'{case},{size}: left out, it reads Omniglot; give --small1 DIR', 0
      continue
    began = time.perf_counter()
    with (folder / 'output').open('w+') as output:
      process = subprocess.Popen(
        command(case, size, folder, small1),
        cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT,
      )  # fmt: skip
      _, status, usage = os.wait4(process.pid, 0)
      process.returncode = os.waitstatus_to_exitcode(status)
      output.seek(0)
      printed = output.read()
    line = (
      f'{case},{size}: exit status {process.returncode}, {time.perf_counter() - began:.0f} s, '
      f'{usage.ru_maxrss / 1e6:.1f} GB'
    )
    is_whole = process.returncode == 0 and f'on {DEVICES} cpu device(s)' in printed
    yield line if is_whole else f'{line}\n{printed}', process.returncode or int(not is_whole)


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('cases', nargs='*', help=f'some of {", ".join(cases())}')
  parser.add_argument('--size', choices=STEPS, default='quick')
  parser.add_argument('--small1', default='', help='the folder of images_background_small1.zip')
  options = parser.parse_args()
  if unknown := set(options.cases) - set(cases()):
    parser.error(f'there is no {", ".join(sorted(unknown))}; there are {", ".join(cases())}')
  failed = False
  with tempfile.TemporaryDirectory() as folder:
    chosen = options.cases or cases()
    for line, status in results(chosen, options.size, Path(folder), options.small1):
      failed = failed or status != 0
      print(line, flush=True)
  sys.exit(int(failed))


if __name__ == '__main__':
  main()
