"""The dummy's command in processes that pause at a moment of their run: what
`test_signal_matrix.py` starts, signals and looks at.

`python -m tests.jaxline_lite.cells FD` imports everything once and forks a process for each request
that it reads from the socket FD: a process of its own takes seconds to import and nothing to run.
"""

import json
import os
import signal
import socket
import sys
import time
import traceback
from typing import Any, TextIO

import jaxline_lite.train  # noqa: F401  # before any fork
from jaxline_lite import files, modes, platform
from jaxline_lite.signals import StopFlag
from tests.jaxline_lite.dummy import Dummy
from tests.jaxline_lite.outputs import become

PHASES = ('compile', 'step', 'save', 'evaluate', 'draw')
PATIENCE = 60.0  # seconds for a signal to be noticed

_flag: StopFlag | None = None
_save_files = files.sync


class WatchedFlag(StopFlag):
  """The flag of the command that runs in this process."""

  def __enter__(self) -> StopFlag:
    global _flag
    _flag = self
    return super().__enter__()


class Pause:
  """A moment of a run at which it waits, once.

  The other side of its socket is told 'here' and answers 'go', or 'heard' if the run is to go on
  when its flag has seen a signal.
  """

  def __init__(self, phase: str, wire: socket.socket):
    self.phase, self._wire = phase, wire

  def at(self, phase: str) -> None:
    if not phase or phase != self.phase:
      return
    self.phase = ''
    self._wire.send(b'here')
    if self._wire.recv(16) == b'heard':
      end = time.monotonic() + PATIENCE
      while (_flag is None or _flag.received is None) and time.monotonic() < end:
        time.sleep(0.001)


pause: Pause


class Pausing(Dummy):
  """Comes to each moment between the steps 0 and 20 of a run that evaluates every 20."""

  def __init__(self, config):
    super().__init__(config, on_step=self.pause_in_step, on_batch=self.pause_in_batch, most_steps=4)
    files.sync = self.sync

  def pause_in_step(self, step: int) -> None:
    pause.at({0: 'compile', 12: 'step'}.get(step, ''))

  def sync(self, path) -> None:
    if self.state['count'] == 20:
      pause.at('save')
    _save_files(path)

  def pause_in_batch(self, batch: int) -> None:
    if self.state['count'] == 20 and batch == 1:
      pause.at('evaluate')

  def draw_evaluation(self, mode, folder, step, *rest) -> None:
    if (mode, step) == ('eval', 20):
      pause.at('draw')


def _open(number: int) -> TextIO | None:
  """A stream as Python has it at its start: None where it is closed."""
  try:
    return os.fdopen(number, 'rww'[number])
  except OSError:
    return None


def run(request: dict[str, Any], descriptors: list[int]) -> int:
  """Runs a command in this process, as if a shell had started it.

  Args:
    request: `arguments` of the command, the `phase` at which it pauses, and the `kind` of its
      output.
    descriptors: what the three streams and the pause's socket are.
  """
  global pause
  pause = Pause(request['phase'], socket.socket(fileno=os.dup2(descriptors[3], 9)))
  for number, descriptor in enumerate(descriptors[:3]):
    os.dup2(descriptor, number)
  become(request['kind'])
  signal.signal(signal.SIGINT, signal.default_int_handler)  # as Python does at its start
  streams = [_open(number) for number in range(3)]
  sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__ = streams
  os.closerange(10, 1000)
  sys.argv = ['run.py', *request['arguments']]
  modes.StopFlag = WatchedFlag
  try:
    platform.main('tests.jaxline_lite.cells:Pausing', checks='tests.jaxline_lite.dummy')
  except SystemExit as end:
    return end.code
  return 0


def serve(control: socket.socket) -> None:
  """Starts a process for each request, and tells its number and, in the end, its status."""
  while True:
    message, descriptors, *_ = socket.recv_fds(control, 65536, 4)
    if not message:
      return
    child = os.fork()
    if not child:
      control.close()
      status = 1
      try:
        status = run(json.loads(message), descriptors)
        for stream in filter(None, (sys.stdout, sys.stderr)):
          stream.flush()  # as Python does in the end, which then exits with 120
      except BaseException:
        traceback.print_exc()
      os._exit(status)  # without a second for tidying up
    for descriptor in descriptors:
      os.close(descriptor)
    control.send(str(child).encode())
    control.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())


if __name__ == '__main__':
  # The one whose classes the forks use, not this __main__.
  from tests.jaxline_lite import cells

  cells.serve(socket.socket(fileno=int(sys.argv[1])))
