"""Whole commands in shells, whose output nobody reads, or cannot show."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jaxline_lite.files import read_lines
from tests.jaxline_lite import dummy

ROOT = Path(__file__).parents[2]
COMMAND = (
  "from jaxline_lite import platform; platform.main('tests.jaxline_lite.dummy:Dummy', "
  "checks='tests.jaxline_lite.dummy')"
)
PATIENCE = 600  # seconds


@pytest.fixture(scope='module')
def alone(tmp_path_factory) -> dict[str, bytes]:
  """What a run leaves that nobody disturbs."""
  folder = tmp_path_factory.mktemp('alone')
  dummy.train(dummy.configured(folder))
  return dummy.left_by(folder)


def start(line: str, folder: Path, *fields: str, **environment: str) -> subprocess.Popen:
  """A shell's line in a process group of its own; in it `$run` is the command that trains."""
  arguments = [f'--config={dummy.__file__}', f'--config.checkpoint_dir={folder}', *fields]
  run = f'"{sys.executable}" -c "$COMMAND" {" ".join(arguments)}'
  return subprocess.Popen(
    [sys.executable, '-m', 'tests.jaxline_lite.outputs', '', 'bash', '-c', line.format(run=run)],
    cwd=ROOT, env=os.environ | {'COMMAND': COMMAND} | environment, stdout=subprocess.PIPE,
  )  # fmt: skip


def lines_of(path: Path) -> list[str]:
  return path.read_text().splitlines() if path.exists() else []


def wait_for(path: Path) -> list[str]:
  """The lines of a file, once there are some: a shell does not wait for the left of a pipe."""
  end = time.monotonic() + PATIENCE
  while not lines_of(path):
    assert time.monotonic() < end
    time.sleep(0.01)
  return lines_of(path)


def test_a_reader_of_one_line(tmp_path, alone):
  folder, status = tmp_path / 'run', tmp_path / 'status'
  with start(f'( {{run}}; echo $? > {status} ) | head -1', folder) as shell:
    assert shell.communicate(timeout=PATIENCE)[0].count(b'\n') == 1
  assert wait_for(status) == ['0']
  assert dummy.left_by(folder) == alone
  log = '\n'.join(lines_of(folder / 'log.txt'))
  assert 'step 56/60' in log
  assert 'eval at step 60, written to' in log


def test_an_interrupt_of_a_whole_pipeline(tmp_path):
  """Ctrl+C reaches `tee` too, which dies at once; the run saves its last step all the same."""
  folder, status, copy = tmp_path / 'run', tmp_path / 'status', tmp_path / 'copy'
  line = f'trap : INT; ( trap : INT; {{run}}; echo $? > {status} ) 2>&1 | tee {copy}'
  fields = [
    '--config.training_steps=100000000', '--config.keep_checkpoints=every:100000000',
    '--config.save_checkpoint_interval=100000000', '--config.log_train_data_interval=1',
  ]  # fmt: skip
  with start(f'{line} > /dev/null', folder, *fields) as shell:
    wait_for(folder / 'metrics.jsonl')
    os.killpg(shell.pid, signal.SIGINT)
    assert wait_for(status) == ['75']
    shell.communicate(timeout=PATIENCE)
  assert lines_of(folder / 'log.txt')[-1].startswith('stopped by SIGINT; everything is saved')
  assert 'stopped by' not in copy.read_text()
  assert dummy.steps(folder)[-1] == list(read_lines(folder / 'metrics.jsonl'))[-1]['step']


def test_what_a_terminal_cannot_show_is_in_the_log(tmp_path, alone):
  folder, environment = tmp_path / 'Läufe', {'PYTHONIOENCODING': 'ascii', 'LC_ALL': 'C'}
  with start('{run}', folder, **environment) as shell:
    shown = shell.communicate(timeout=PATIENCE)[0].decode('ascii')
  assert shell.returncode == 0, shown
  assert 'L?ufe: from step 0 to 60' in shown
  assert lines_of(folder / 'log.txt')[0] == f'{folder}: from step 0 to 60'
  assert dummy.left_by(folder) == alone


def test_no_stream_at_all(tmp_path, alone):
  with start('{run} <&- >&- 2>&-', tmp_path / 'run') as shell:
    assert shell.wait(PATIENCE) == 0
  assert dummy.left_by(tmp_path / 'run') == alone
  assert any('eval at step 60' in line for line in lines_of(tmp_path / 'run' / 'log.txt'))
