"""Ctrl+C in a notebook: a real kernel trains the dummy experiment and is interrupted."""

import os
import queue
import signal
import time
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

from tests.jaxline_lite import dummy
from tests.jaxline_lite.dummy import configured, left_by, train

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 120  # seconds, for a machine that does much else
FROM_STEP = """
import time
from pathlib import Path
from jaxline_lite import modes
from jaxline_lite.signals import StopFlag
from tests.jaxline_lite.dummy import configured, train

flag = StopFlag()
modes.StopFlag = lambda: flag

def on_step(step):
  if step == 30:
    print('at step 30', flush=True)
    while {waits}:
      time.sleep(0.01)

train(configured(Path({folder!r})), on_step=on_step, most_steps=1)
"""
GO_ON = """
modes.StopFlag = StopFlag
train(configured(Path({folder!r})))
"""


class Kernel:
  """A kernel of a notebook, and a client that talks to it."""

  def __init__(self):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # children inherit SIG_IGN
    try:
      environment = os.environ | {'PYTHONPATH': str(ROOT)}
      self.manager, self.client = start_new_kernel(
        kernel_name='python3', startup_timeout=PATIENCE, cwd=str(ROOT), env=environment
      )
    finally:
      signal.signal(signal.SIGINT, before)

  def close(self) -> None:
    self.client.stop_channels()
    self.manager.shutdown_kernel(now=True)

  def wait_for_text(self, text: str) -> None:
    """Returns when the kernel has printed this."""
    printed, end = '', time.monotonic() + PATIENCE
    while text not in printed:
      assert time.monotonic() < end, printed
      try:
        printed += self.client.get_iopub_msg(timeout=1)['content'].get('text', '')
      except queue.Empty:
        continue

  def result_of(self, request: str) -> dict:
    """What a cell that was sent ended with."""
    while True:
      reply = self.client.get_shell_msg(timeout=PATIENCE)
      if reply['parent_header']['msg_id'] == request:
        return reply['content']

  def run(self, code: str) -> dict:
    return self.result_of(self.client.execute(code))


@pytest.fixture(scope='module')
def kernel():
  kernel = Kernel()
  yield kernel
  kernel.close()


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  folder = tmp_path_factory.mktemp('whole')
  train(configured(folder))
  return left_by(folder)


@pytest.mark.parametrize(
  ('interrupts', 'error', 'saved'), [(1, 'Stopped', [20, 31]), (2, 'KeyboardInterrupt', [20])]
)
def test_an_interrupted_kernel_lives_and_the_run_goes_on(
  tmp_path, kernel, whole, interrupts, error, saved
):
  folder = str(tmp_path)
  waits = 'True' if interrupts == 2 else 'flag.received is None'
  request = kernel.client.execute(FROM_STEP.format(folder=folder, waits=waits))
  kernel.wait_for_text('at step 30')
  for number in range(interrupts):
    kernel.manager.interrupt_kernel()
    if number == 0:
      kernel.wait_for_text('once more')
  assert kernel.result_of(request)['ename'] == error
  assert dummy.steps(tmp_path) == saved
  ask = {'code': 'pass', 'user_expressions': {'sum': '1 + 1'}, 'timeout': PATIENCE}
  while (reply := kernel.client.execute_interactive(**ask))['content']['status'] == 'aborted':
    pass  # for a moment after an error a kernel refuses what was already asked
  assert reply['content']['user_expressions']['sum']['data']['text/plain'] == '2'
  assert kernel.run(GO_ON.format(folder=folder))['status'] == 'ok'
  assert left_by(tmp_path) == whole
