"""One process to a folder, on every file system."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from jaxline_lite import locks
from jaxline_lite.errors import BadInput, Stopped
from jaxline_lite.ownership import hold, owner
from tests.faults import failing, needs_faults
from tests.jaxline_lite.dummy import configured, left_by, train

US = f'process {os.getpid()} on {socket.gethostname()}'
NO_FLOCK = [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL]


@pytest.fixture(params=['flock', 'no flock'])
def with_and_without_flock(request, monkeypatch):
  """Both kinds of file systems."""
  if request.param == 'no flock':
    refuse_flock(monkeypatch)
  return request.param


def refuse_flock(monkeypatch, number=errno.ENOLCK):
  def refuse(descriptor, is_exclusive):
    raise OSError(number, os.strerror(number))

  monkeypatch.setattr(locks, 'flock', refuse)


def shorten(monkeypatch, touch=0.05, stale=0.5):
  monkeypatch.setattr(locks, 'TOUCH', touch)
  monkeypatch.setattr(locks, 'STALE', stale)


def test_a_folder_has_one_owner(tmp_path, with_and_without_flock):
  folder = tmp_path / 'run'
  assert owner(folder) is None
  with hold(folder, 'trained') as ours:
    assert owner(folder) == US
    with (
      pytest.raises(BadInput, match=f'^{folder}: already trained by {US}; wait for it or choose'),
      hold(folder, 'trained'),
    ):
      pass
    ours.check()
    assert bool(ours.note) == (with_and_without_flock == 'no flock')
    (folder / 'file').touch()
  assert owner(folder) is None
  assert [path.name for path in folder.iterdir()] == ['file']


def test_an_owner_that_lives_stays_the_owner(tmp_path, monkeypatch, with_and_without_flock):
  """Its file is touched, whatever its main thread does."""
  shorten(monkeypatch)
  with hold(tmp_path, 'trained') as ours:
    time.sleep(1.2)
    assert owner(tmp_path) == US
    ours.check()


def test_lock_goes_with_its_process(tmp_path):
  """However the process ends, at once, where there is flock."""
  program = f"""
import pathlib, time
from jaxline_lite.ownership import hold
with hold(pathlib.Path({str(tmp_path)!r}), 'trained'):
  print('held', flush=True)
  time.sleep(60)
"""
  with subprocess.Popen(
    [sys.executable, '-c', program], stdout=subprocess.PIPE, text=True
  ) as process:
    assert process.stdout.readline() == 'held\n'
    with (
      pytest.raises(BadInput, match=f'already trained by process {process.pid} on'),
      hold(tmp_path, 'trained'),
    ):
      pass
    process.send_signal(signal.SIGKILL)
    process.wait(30)
  assert owner(tmp_path) is None
  with hold(tmp_path, 'trained'):
    assert (tmp_path / '.lock').read_text().startswith(US)
  assert not list(tmp_path.iterdir())


def test_the_lock_of_an_earlier_version_is_understood(tmp_path):
  """It is one where a process has a flock on it, and none where that process is gone."""
  import fcntl

  (tmp_path / '.lock').write_text('process 1 on earth')
  with (tmp_path / '.lock').open() as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    assert owner(tmp_path) == 'process 1 on earth'
    with pytest.raises(BadInput, match='by process 1 on earth'), hold(tmp_path, 'trained'):
      pass
  with hold(tmp_path, 'trained'):
    assert owner(tmp_path) == US


@pytest.mark.parametrize('number', NO_FLOCK)
def test_whatever_a_file_system_says_that_has_no_flock(tmp_path, monkeypatch, number):
  """The folder has one owner, and the log a line with the reason."""
  refuse_flock(monkeypatch, number)
  train(configured(tmp_path, training_steps=20, final_eval=False))
  first = (tmp_path / 'log.txt').read_text().splitlines()[0]
  assert f'{tmp_path}: its file system has no flock ({os.strerror(number)})' in first
  with hold(tmp_path, 'trained'):
    assert owner(tmp_path) == US


def leave(folder: Path, seconds: float) -> None:
  """What a process without flock leaves that was killed some seconds ago."""
  path = folder / '.lock'
  path.write_text('process 1 on earth\n0123 touched\n')
  then = time.time() - seconds
  os.utime(path, (then, then))


def test_without_flock_an_owner_is_gone_when_its_file_is_no_longer_touched(
  tmp_path, with_and_without_flock
):
  """Also in the eyes of a process that has flock."""
  leave(tmp_path, seconds=60)
  assert owner(tmp_path) == 'process 1 on earth'
  with pytest.raises(BadInput, match='by process 1 on earth'), hold(tmp_path, 'trained'):
    pass
  leave(tmp_path, seconds=130)
  assert owner(tmp_path) is None
  with hold(tmp_path, 'trained') as ours:
    ours.check()
    assert [path.name for path in tmp_path.iterdir()] == ['.lock']


def test_only_the_clock_of_the_file_system_counts(tmp_path, monkeypatch):
  """A machine whose clock is an hour ahead takes nothing over."""
  refuse_flock(monkeypatch)
  clock = time.time
  with hold(tmp_path, 'trained'):
    monkeypatch.setattr(time, 'time', lambda: clock() + 3600)
    assert owner(tmp_path) == US


def test_who_loses_the_folder_ends(tmp_path, monkeypatch, with_and_without_flock):
  """With status 75 and the name of the process that has it now, whatever else fails then."""

  def lose():
    with hold(tmp_path, 'trained') as ours:
      (tmp_path / '.lock').unlink()
      (tmp_path / '.lock').write_text('process 7 on mars\n99 touched\n')
      with pytest.raises(Stopped, match='belongs to process 7 on mars now'):
        ours.check()
      raise FileNotFoundError('a file that the new owner has deleted')

  with pytest.raises(Stopped, match='belongs to process 7 on mars now') as caught:
    lose()
  assert caught.value.status == 75
  assert (tmp_path / '.lock').read_text().startswith('process 7 on mars')  # not ours to delete


def test_a_lock_that_was_deleted_ends_its_owner(tmp_path):
  with hold(tmp_path, 'trained') as ours:
    (tmp_path / '.lock').unlink()
    with pytest.raises(Stopped, match=r'its \.lock is gone'):
      ours.check()


def test_of_many_that_take_over_one_succeeds(tmp_path, monkeypatch):
  """At least one, and whoever believes to be another finds out before it writes."""
  refuse_flock(monkeypatch)
  leave(tmp_path, seconds=130)
  start, taken, lost, end = threading.Barrier(8), [], [], threading.Barrier(8)

  def take():
    start.wait(30)
    try:
      with hold(tmp_path, 'trained') as ours:
        end.wait(30)
        ours.check()
        taken.append(ours)
        return
    except BadInput:
      end.wait(30)
    except Stopped:
      pass
    lost.append(1)

  threads = [threading.Thread(target=take) for _ in range(8)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join(60)
  assert len(taken) <= 1
  assert len(taken) + len(lost) == 8
  with hold(tmp_path, 'trained'):  # nothing is left that is in anybody's way
    assert [path.name for path in tmp_path.iterdir()] == ['.lock']


def test_who_waits_may_give_up(tmp_path, with_and_without_flock):
  calls = []

  def wait():
    calls.append(1)
    if len(calls) == 3:
      raise KeyError

  with (
    hold(tmp_path, 'evaluated'),
    pytest.raises(KeyError),
    hold(tmp_path, 'evaluated', wait=wait),
  ):
    pass
  assert len(calls) == 3


def test_a_file_system_without_hard_links(tmp_path, monkeypatch, with_and_without_flock):
  """As on memory cards: the lock is made at once under its name."""

  def refuse(*_):
    raise PermissionError(errno.EPERM, 'Operation not permitted')

  monkeypatch.setattr(os, 'link', refuse)
  with hold(tmp_path, 'trained') as ours:
    ours.check()
    assert owner(tmp_path) == US
    with pytest.raises(BadInput, match=f'by {US}'), hold(tmp_path, 'trained'):
      pass
    assert [path.name for path in tmp_path.iterdir()] == ['.lock']
  assert not list(tmp_path.iterdir())


def test_folders_that_stay_empty_are_deleted(tmp_path):
  with hold(tmp_path / 'a' / 'b', 'trained'):
    assert (tmp_path / 'a' / 'b').is_dir()
  assert not list(tmp_path.iterdir())
  (tmp_path / 'a').mkdir()
  with hold(tmp_path / 'a' / 'b', 'trained'):
    pass
  assert [path.name for path in tmp_path.iterdir()] == ['a']


def test_the_permissions_of_a_lock_follow_the_umask(tmp_path):
  before = os.umask(0o002)
  try:
    with hold(tmp_path, 'trained'):
      assert (tmp_path / '.lock').stat().st_mode & 0o777 == 0o664
  finally:
    os.umask(before)


DRIVER = """
import os, signal, sys
from pathlib import Path
from jaxline_lite import files, locks
from jaxline_lite.errors import CommandError
from tests.jaxline_lite.dummy import Dummy, configured, train
locks.TOUCH, locks.STALE = 0.1, 1.5
folder, phase = Path(sys.argv[1]), sys.argv[2]

def stop():
  os.kill(os.getpid(), signal.SIGSTOP)

def on_step(step):
  if phase == 'step' and step == 33:
    stop()

def on_batch(batch):
  if phase == 'evaluation' and batch == 1:
    stop()

sync = files.sync
def stopping_sync(path):
  if phase == 'save' and path.name == 'manifest.json' and path.parent.name == '.40.writing':
    stop()
  sync(path)
files.sync = stopping_sync

check_training = Dummy.check_training
def build(experiment):
  if phase == 'build':
    stop()
  check_training(experiment)
Dummy.check_training = build

try:
  config = configured(folder, log_train_data_interval=1)
  train(config, on_step=on_step, on_batch=on_batch, most_steps=1)
except CommandError as error:
  print(error, file=sys.stderr)
  sys.exit(error.status)
"""


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
  """Every file below a folder, with its time."""
  files = [path for path in sorted(folder.rglob('*')) if path.is_file()]
  return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@needs_faults
@pytest.mark.parametrize('phase', ['step', 'save', 'evaluation'])
def test_a_process_that_slept_while_its_run_was_taken_over_writes_nothing_more(tmp_path, phase):
  """Two real processes on a file system without flock; the run is to the bit that of one."""
  train(configured(tmp_path / 'alone', log_train_data_interval=1))
  run = tmp_path / 'run'
  environment = failing(('flock', errno.ENOLCK, f'{tmp_path}*'))
  start = [sys.executable, '-c', DRIVER, str(run)]
  sleeper = subprocess.Popen(
    [*start, phase], env=environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
  )
  try:
    os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED | os.WNOWAIT)
    time.sleep(1.6)
    other = subprocess.run(
      [*start, 'none'], env=environment, text=True, capture_output=True, timeout=120
    )
    assert (other.returncode, other.stderr) == (0, '')
    assert 'its file system has no flock (No locks available)' in (run / 'log.txt').read_text()
    before = contents(run)
    sleeper.send_signal(signal.SIGCONT)
    told = sleeper.communicate(timeout=60)[1]
  finally:
    sleeper.kill()
    sleeper.wait()
  assert sleeper.returncode == 75, told
  assert told.count('\n') == 1
  assert f'{run}: its .lock is gone, and this process writes nothing more' in told
  assert contents(run) == before
  assert left_by(run) == left_by(tmp_path / 'alone')


@needs_faults
def test_who_slept_before_its_first_save_writes_nothing_either(tmp_path):
  """While it built its experiment: config, log and records are those of who took over."""
  run, environment = tmp_path / 'run', failing(('flock', errno.ENOLCK, f'{tmp_path}*'))
  start = [sys.executable, '-c', DRIVER, str(run)]
  sleeper = subprocess.Popen(
    [*start, 'build'], env=environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
  )
  try:
    os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED | os.WNOWAIT)
    time.sleep(1.6)
    subprocess.run([*start, 'none'], env=environment, check=True, capture_output=True, timeout=120)
    before = contents(run)
    sleeper.send_signal(signal.SIGCONT)
    told = sleeper.communicate(timeout=60)[1]
  finally:
    sleeper.kill()
    sleeper.wait()
  assert sleeper.returncode == 75, told
  assert contents(run) == before
