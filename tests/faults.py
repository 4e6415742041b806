"""Processes whose system calls fail on demand: see `faults.c`."""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_suffix('.c')
needs_faults = pytest.mark.skipif(
  sys.platform != 'linux' or shutil.which('cc') is None,
  reason='a C compiler makes system calls fail, and the linker of Linux puts them in',
)


@functools.cache
def _library() -> str:
  """The compiled library; its folder goes with this process."""
  folder = tempfile.TemporaryDirectory(prefix='icljax-faults-')
  _library.folder = folder
  path = Path(folder.name) / 'faults.so'
  options = ['-shared', '-fPIC', '-O1', '-Wall', '-Werror']
  subprocess.run(['cc', *options, '-o', path, SOURCE, '-ldl'], check=True)
  return str(path)


def failing(*rules: tuple[str, int, str]) -> dict[str, str]:
  """The environment of a process in which calls fail, by (call, errno, pattern of the path)."""
  faults = ';'.join(f'{call}:{number}:{pattern}' for call, number, pattern in rules)
  return {**os.environ, 'LD_PRELOAD': _library(), 'FAULTS': faults} if rules else dict(os.environ)


def command(
  experiment: str, *arguments: str, rules: tuple[tuple[str, int, str], ...] = ()
) -> subprocess.CompletedProcess[str]:
  """Runs the command for 'dummy' or 'icljax' in a process of its own, to its end."""
  module = {'dummy': 'tests.jaxline_lite.dummy', 'icljax': 'icljax.experiment'}[experiment]
  checks = {'dummy': 'tests.jaxline_lite.dummy', 'icljax': 'icljax.checks'}[experiment]
  name = {'dummy': 'Dummy', 'icljax': 'Experiment'}[experiment]
  program = f'from jaxline_lite import platform\nplatform.main({module + ":" + name!r}, {checks!r})'
  return subprocess.run(
    [sys.executable, '-c', program, *arguments],
    env=failing(*rules),
    capture_output=True,
    text=True,
    timeout=300,
  )
