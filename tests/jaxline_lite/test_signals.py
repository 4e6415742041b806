"""Signals stop a run where everything is saved."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from jaxline_lite import modes
from jaxline_lite.errors import Stopped
from jaxline_lite.signals import StopFlag
from tests.jaxline_lite import dummy
from tests.jaxline_lite.dummy import configured, left_by, train

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


@pytest.fixture(scope='module', autouse=True)
def listening():
  """Tests may themselves run in the background or under nohup, where these are ignored, by their
  children too.
  """
  before = {
    number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGHUP)
  }
  signal.signal(signal.SIGINT, signal.default_int_handler)
  yield
  for number, handler in before.items():
    signal.signal(number, handler)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  folder = tmp_path_factory.mktemp('whole')
  train(configured(folder))
  return left_by(folder)


@pytest.fixture
def send(monkeypatch):
  """A hook that sends a signal the first time it is called with a number, and returns when the flag
  has seen it.
  """
  flag = StopFlag()
  monkeypatch.setattr(modes, 'StopFlag', lambda: flag)

  def hook(number, at):
    def on(step):
      if step == at and flag.received is None:
        signal.raise_signal(number)
        wait_for(lambda: flag.received)

    return on

  return hook


def wait_for(condition):
  deadline = time.monotonic() + 30
  while not condition():
    assert time.monotonic() < deadline
    time.sleep(0.001)


@pytest.mark.parametrize('number', SIGNALS, ids=lambda number: number.name)
def test_signal_saves_and_the_same_command_goes_on(tmp_path, monkeypatch, whole, send, number):
  before = [signal.getsignal(caught) for caught in SIGNALS]
  with pytest.raises(Stopped, match=f'stopped by {number.name}; everything is saved') as caught:
    train(configured(tmp_path), on_step=send(number, at=32), most_steps=1)
  assert caught.value.status == 75
  assert dummy.steps(tmp_path) == [20, 33]
  assert [signal.getsignal(caught) for caught in SIGNALS] == before
  assert signal.set_wakeup_fd(-1) == -1
  monkeypatch.undo()
  train(configured(tmp_path))
  assert left_by(tmp_path) == whole


def test_signal_ends_an_evaluation_between_batches(tmp_path, monkeypatch, whole, send):
  batches = []
  stop = send(signal.SIGTERM, at=1)
  with pytest.raises(Stopped):
    train(configured(tmp_path), on_batch=lambda batch: batches.append(batch) or stop(batch))
  assert batches == [0, 1]
  assert dummy.steps(tmp_path) == [40, 60]
  assert not list((tmp_path / 'eval').glob('[!.]*'))
  monkeypatch.undo()
  train(configured(tmp_path))
  assert left_by(tmp_path) == whole


def test_signal_before_an_evaluation_along(tmp_path, monkeypatch, send):
  """That of step 20 is made; at 40 the state is saved, and its evaluation does not begin."""
  batches = []
  with pytest.raises(Stopped):
    train(
      configured(tmp_path),
      evaluates_along=True,
      on_step=send(signal.SIGUSR1, at=39),
      on_batch=batches.append,
    )
  assert batches == [0, 1, 2]
  assert dummy.steps(tmp_path) == [20, 40]
  monkeypatch.undo()
  train(configured(tmp_path), evaluates_along=True)
  assert {path.name for path in (tmp_path / 'eval').glob('*.npz')} == {'20.npz', '40.npz', '60.npz'}


@pytest.mark.parametrize('first', [signal.SIGINT, signal.SIGTERM])
def test_second_interrupt_ends_the_process(first):
  """At once, whatever the main thread is doing and whichever signals came before."""
  program = """
import time
from jaxline_lite.signals import StopFlag
with StopFlag() as stop:
  print('ready', flush=True)
  while not stop.received:
    time.sleep(0.001)
  print('received', flush=True)
  while not stop._interrupted:
    time.sleep(0.001)
  print('interrupted', flush=True)
  time.sleep(60)
"""
  with subprocess.Popen(
    [sys.executable, '-c', program], stdout=subprocess.PIPE, text=True
  ) as process:
    assert process.stdout.readline() == 'ready\n'
    process.send_signal(first)
    assert process.stdout.readline() == 'received\n'
    if first != signal.SIGINT:
      process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == 'interrupted\n'
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130


def test_outside_the_main_thread_nothing_is_caught():
  handlers = []

  def work():
    with StopFlag() as stop:
      handlers.append(signal.getsignal(signal.SIGTERM))
      stop.check()

  before = signal.getsignal(signal.SIGTERM)
  thread = threading.Thread(target=work)
  thread.start()
  thread.join()
  assert handlers == [before]


def test_a_signal_that_was_ignored_stays_ignored():
  """A run under nohup outlives its terminal."""
  before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
  try:
    with StopFlag() as flag:
      signal.raise_signal(signal.SIGHUP)
      signal.raise_signal(signal.SIGUSR1)
      wait_for(lambda: flag.received)
    assert flag.received == signal.SIGUSR1
  finally:
    signal.signal(signal.SIGHUP, before)


DEAF = """
import sys, time
from jaxline_lite.signals import StopFlag
with StopFlag() as stop:
  print('ready', flush=True)
  for _ in range(600):
    if stop.received is not None:
      break
    time.sleep(0.1)
sys.exit(9 if stop.received is None else 40 + stop.received)
"""


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_heard_where_nobody_reads_standard_error(number):
  """It is remembered before it is announced, and the announcement may fail."""
  command = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True}
  process = subprocess.Popen([sys.executable, '-c', DEAF], **command)
  assert process.stdout is not None
  assert process.stderr is not None
  process.stderr.close()
  assert process.stdout.readline() == 'ready\n'
  process.send_signal(number)
  assert process.wait(60) == 40 + number
  process.stdout.close()
