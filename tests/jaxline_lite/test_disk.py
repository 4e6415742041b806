"""Disks that are full, folders that may only be read, file systems that lack something: commands
in processes of their own, whose system calls fail.
"""

import errno
import shutil
import sys
from pathlib import Path

import pytest

from jaxline_lite.files import read_lines
from tests.faults import command, needs_faults
from tests.jaxline_lite import dummy
from tests.jaxline_lite.dummy import configured, left_by, train

pytestmark = needs_faults
ONE_LINE_A_STEP = '--config.log_train_data_interval=1'


def run(folder: Path, *arguments: str, rules: tuple[tuple[str, int, str], ...] = ()):
  """The dummy's command for a folder."""
  config = [f'--config={dummy.__file__}', f'--config.checkpoint_dir={folder}']
  return command('dummy', *config, *arguments, rules=rules)


def refusal(done) -> str:
  """What a refused command says, in one line."""
  assert (done.returncode, done.stderr.count('\n')) == (2, 1), done.stderr
  return done.stderr.strip()


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """What a run leaves on a disk that has room."""
  folder = tmp_path_factory.mktemp('whole')
  train(configured(folder, log_train_data_interval=1))
  return left_by(folder)


@pytest.mark.parametrize(
  ('pattern', 'number'),
  [
    ('/metrics.jsonl', errno.ENOSPC),
    ('/timing.jsonl', errno.EDQUOT),
    ('/log.txt', errno.ENOSPC),
    ('/checkpoints/.40.writing/*', errno.ENOSPC),
    ('/checkpoints/.40.writing/*/d/*', errno.ENOSPC),  # what is written for orbax by tensorstore
    ('/checkpoints/.40.writing/.manifest.json.writing', errno.EDQUOT),
    ('/eval/*', errno.ENOSPC),
    ('/.lock.*', errno.ENOSPC),
    ('/.config.json.writing', errno.ENOSPC),
  ],
)
def test_a_full_disk_is_one_line_and_costs_nothing(tmp_path, whole, pattern, number):
  """The line names a file; what was saved is there; the same command goes on to the same bits."""
  folder = tmp_path / 'run'
  train(configured(folder, log_train_data_interval=1, training_steps=20, final_eval=False))
  told = refusal(run(folder, ONE_LINE_A_STEP, rules=(('write', number, f'{folder}{pattern}'),)))
  file = '/checkpoints/40' if 'checkpoints' in pattern else pattern.partition('*')[0].rstrip('/')
  assert told.startswith(f'{folder}{file}')
  assert 'is full: nothing that was saved is lost; make room, and the same command goes on' in told
  assert dummy.steps(folder)[-1] >= 20
  assert not [path for path in folder.rglob('.*') if path.name != '.lock']
  train(configured(folder, log_train_data_interval=1))
  assert left_by(folder) == whole


def test_a_file_system_that_lacks_flock_and_syncs_no_folders(tmp_path, whole):
  """A line for each, and the run is the same."""
  folder = tmp_path / 'run'
  rules = (('flock', errno.ENOSYS, f'{tmp_path}*'), ('syncdir', errno.EINVAL, f'{tmp_path}*'))
  done = run(folder, ONE_LINE_A_STEP, rules=rules)
  assert (done.returncode, done.stderr) == (0, '')
  lines = (folder / 'log.txt').read_text().splitlines()
  assert lines[0].startswith(
    f'{folder}: its file system has no flock (Function not implemented); the file .lock, touched'
  )
  assert lines[1].startswith(f'{folder}: its file system does not sync folders (Invalid argument)')
  assert left_by(folder) == whole


READ_ONLY = [errno.EACCES, errno.EROFS]


@pytest.mark.parametrize('number', READ_ONLY)
def test_a_run_that_may_only_be_read_is_evaluated_elsewhere(tmp_path, number):
  """Below `eval.output_dir`, under its own name; and nothing of it changes."""
  run_folder, output = tmp_path / 'theirs', tmp_path / 'ours'
  train(configured(run_folder, final_eval=False))
  before = {path: path.stat().st_mtime_ns for path in [run_folder, *run_folder.rglob('*')]}
  done = run(
    run_folder,
    '--jaxline_mode=eval',
    f'--config.eval.output_dir={output}',
    rules=(('change', number, f'{run_folder}*'),),
  )
  assert (done.returncode, done.stderr) == (0, '')
  assert f'written to {output}/theirs/eval' in done.stdout
  assert [line['step'] for line in read_lines(output / 'theirs' / 'eval' / 'metrics.jsonl')] == [60]
  assert {path: path.stat().st_mtime_ns for path in before} == before
  assert not (run_folder / 'eval').exists()


def test_what_cannot_be_written_is_told_before_anything_is_computed(tmp_path):
  """Of one run, of a comparison and of a training; in one line, and nothing is left."""
  train(configured(tmp_path / 'theirs', final_eval=False))
  shutil.copytree(tmp_path / 'theirs', tmp_path / 'others')
  output = tmp_path / 'no' / 'where'
  rules = (('change', errno.EACCES, f'{tmp_path}/theirs*'), ('change', errno.EROFS, f'{output}*'))
  rules += (('change', errno.EROFS, f'{tmp_path}/no*'), ('change', errno.EROFS, f'{tmp_path}/.w*'))
  evaluate = ['--jaxline_mode=eval', f'--config.eval.output_dir={output}']
  told = refusal(run(tmp_path / 'theirs', *evaluate, rules=rules))
  expected = 'cannot be written; choose another folder with --config.eval.output_dir'
  assert told == f'{output}/theirs: {expected}'
  both = f'--config.restore_path={tmp_path}/others,{tmp_path}/others/checkpoints/40'
  assert refusal(run(tmp_path / 'none', *evaluate, both, rules=rules)) == f'{output}: {expected}'
  told = refusal(run(tmp_path / 'no' / 'run', rules=rules))
  assert 'cannot be written (Read-only file system); choose another --config.checkpoint' in told
  assert {path.name for path in tmp_path.iterdir()} == {'theirs', 'others'}
  assert not (tmp_path / 'others' / 'eval').exists()


def test_where_there_is_no_fcntl_one_line_says_so(tmp_path):
  """As on Windows, which has no SIGHUP, SIGUSR1 and SIGUSR2 either."""
  import subprocess

  program = """
import importlib.util, signal, sys
sys.modules['fcntl'] = None
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == 'fcntl' else find_spec(name, *rest)
del signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2
from jaxline_lite import platform
platform.main('tests.jaxline_lite.dummy:Dummy', 'tests.jaxline_lite.dummy')
"""
  config = [f'--config={dummy.__file__}', f'--config.checkpoint_dir={tmp_path}/run']
  done = subprocess.run([sys.executable, '-c', program, *config], capture_output=True, text=True)
  assert refusal(done) == (
    'this program runs on Linux and macOS (on Windows inside WSL): there is no fcntl here'
  )
  assert not list(tmp_path.iterdir())
