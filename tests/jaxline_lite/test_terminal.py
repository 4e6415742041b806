"""What cannot be shown costs nothing: no exception, no waiting, no exit status."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jaxline_lite import terminal

ROOT = Path(__file__).parents[2]
SHOW = 'from jaxline_lite import terminal; terminal.open_missing_streams(); '


def run(code: str, command: str = '{python} -c "$CODE"', **options):
  """A shell command around a small program."""
  environment = os.environ | {'CODE': SHOW + code} | options.pop('env', {})
  line = command.format(python=sys.executable)
  settings = {'capture_output': True, 'text': True, 'timeout': 60} | options
  return subprocess.run(['bash', '-c', line], cwd=ROOT, env=environment, **settings)


@pytest.mark.parametrize('error', [False, True])
def test_a_reader_that_is_gone_costs_neither_work_nor_status(error, tmp_path):
  """Python itself would end with 120, for what is left in its buffer."""
  code = (
    f'import time; time.sleep(.3); [terminal.show("x" * 99, error={error}) for _ in range(9)]; '
    f'open({str(tmp_path / "work")!r}, "w").write("done"); terminal.end_streams()'
  )
  gone = '2>&1 >/dev/null | true' if error else '| true'
  run(code, f'( {{python}} -c "$CODE"; echo $? > {tmp_path}/status ) {gone}')
  for _ in range(100):  # the shell does not wait for the left side of the pipe
    if (tmp_path / 'status').exists() and (tmp_path / 'status').read_text():
      break
    time.sleep(0.1)
  assert (tmp_path / 'work').read_text() == 'done'
  assert (tmp_path / 'status').read_text() == '0\n'


def test_a_pager_that_has_stopped_reading_is_waited_for_once():
  """A full pipe takes nothing: after a second text is dropped, and later without waiting."""
  reader, writer = os.pipe()
  code = '[terminal.show("x" * 9999) for _ in range(40)]'
  start = time.monotonic()
  done = subprocess.run([sys.executable, '-c', SHOW + code], stdout=writer, cwd=ROOT, timeout=60)
  assert done.returncode == 0
  assert time.monotonic() - start < 20 * terminal.PATIENCE
  os.close(reader)
  os.close(writer)


@pytest.mark.parametrize('closing', ['>&-', '2>&-', '<&-', '>&- 2>&- <&-'])
def test_a_file_never_takes_the_number_of_a_closed_stream(closing):
  """Else what libraries say on standard error would be written into a checkpoint."""
  code = 'import sys, os; f = open(os.devnull); terminal.show("a"); sys.exit(10 + f.fileno())'
  assert run(code, '{python} -c "$CODE" ' + closing).returncode == 13


def test_what_an_encoding_lacks_is_replaced():
  environment = {'PYTHONIOENCODING': 'ascii', 'PYTHONUTF8': '0', 'LC_ALL': 'C'}
  done = run('terminal.show("1 \\u00b1 2")', env=environment)
  assert (done.returncode, done.stdout) == (0, '1 ? 2\n')


def test_lines_come_whole_and_in_order():
  done = run('[terminal.show(str(i) * 2000) for i in range(10)]')
  assert done.stdout.splitlines() == [str(i) * 2000 for i in range(10)]


def test_missing_and_closed_streams_are_passed_over(monkeypatch):
  closed = io.StringIO()
  closed.close()
  for stream in (None, closed):
    monkeypatch.setattr(sys, 'stdout', stream)
    terminal.show('nobody reads this')
    assert not terminal.is_terminal(stream)
