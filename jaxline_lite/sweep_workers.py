"""Processes of this machine that share a sweep with the one that has started them."""

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

from jaxline_lite import terminal
from jaxline_lite.errors import BadInput, CommandError, Stopped
from jaxline_lite.machine_errors import from_outside
from jaxline_lite.rules import Rules
from jaxline_lite.signals import StopFlag

VISIBLE = 'CUDA_VISIBLE_DEVICES'
PARENT = 'JAXLINE_SWEEP_PARENT'  # the process that has started this one
LOOK = 0.5  # seconds between two looks whether the process that has started us lives
# Seconds to save in after it is gone; a process that is killed after that loses nothing but steps
# since its last checkpoint.
GRACE = 8.0


def accelerators() -> list[str]:
  """The GPUs of this machine that we may use, found without JAX."""
  if os.environ.get('JAX_PLATFORMS', '').startswith('cpu'):
    return []
  chosen = os.environ.get(VISIBLE)
  if chosen is not None:
    return [name for name in chosen.split(',') if name]
  return sorted(path.name.removeprefix('nvidia') for path in Path('/dev').glob('nvidia[0-9]*'))


def check_workers(count: int) -> None:
  """Raises BadInput for more processes than there are accelerators, if there are any."""
  there = len(accelerators())
  if there and count > there:
    raise BadInput(
      f'sweep_workers is {count}, and this machine has {there} accelerator(s), one for each; '
      f'allowed are 1 to {there}'
    )


@contextlib.contextmanager
def one_device_each(count: int) -> Iterator[list[str]]:
  """The accelerators of so many processes, of which this one sees the first alone, if JAX is not
  imported yet; without accelerators, or for one process, nothing changes.
  """
  devices, before = accelerators(), os.environ.get(VISIBLE)
  if not devices or count == 1:
    yield []
    return
  os.environ[VISIBLE] = devices[0]
  try:
    yield devices
  finally:
    os.environ.pop(VISIBLE)
    if before is not None:
      os.environ[VISIBLE] = before


@contextlib.contextmanager
def workers(
  count: int,
  devices: Sequence[str],
  arguments: Sequence[str],
  check: Callable[[], None],
) -> Iterator[None]:
  """Runs so many processes beside us, each of which makes points of a sweep until none is left.

  They end before this does.

  Args:
    devices: as `one_device_each` gives them.
    arguments: of `main`.
    check: called while they work on; raises Stopped after a signal.
  """
  command = [sys.executable, '-m', __name__, *arguments]
  paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
  processes = []
  try:
    for i in range(count):
      environment = os.environ | {'PYTHONPATH': paths, PARENT: str(os.getpid())}
      if devices:
        environment[VISIBLE] = devices[i + 1]
      processes.append(subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL))
    yield
    while any(process.poll() is None for process in processes):
      check()
      time.sleep(LOOK)
  finally:
    for process in processes:
      process.terminate()
    for process in processes:
      process.wait()


def _end_with(parent: int) -> None:
  """Ends this process when the one that has started it is gone: first as a signal does, at last at
  once.
  """
  while os.getppid() == parent:
    time.sleep(LOOK)
  os.kill(os.getpid(), signal.SIGTERM)
  time.sleep(GRACE)
  os._exit(Stopped.status)


def main(experiment: str, checks: str, folder: str) -> int:
  """Works on a sweep until no point is left; the exit status."""
  from jaxline_lite import modes
  from jaxline_lite.sweep import work

  threading.Thread(target=_end_with, args=(int(os.environ[PARENT]),), daemon=True).start()
  rules = cast(Rules, importlib.import_module(checks))
  try:
    with StopFlag() as stop:
      work(lambda config: modes.make(experiment, config), rules, Path(folder), stop)
  except Exception as error:
    told = error if isinstance(error, CommandError) else from_outside(error)
    if told is None:
      raise
    if not isinstance(told, Stopped):
      terminal.show(' '.join(str(told).split()), error=True)
    return told.status
  return 0


if __name__ == '__main__':
  sys.exit(main(*sys.argv[1:]))
