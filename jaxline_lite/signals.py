"""Signals only set a flag; the loop looks at it where everything is in order."""

import os
import signal
import socket
import sys
import threading

from jaxline_lite import terminal
from jaxline_lite.errors import Stopped

NAMES = ('SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2')  # Windows lacks the last three
CAUGHT = tuple(signal.Signals[name] for name in NAMES if hasattr(signal, name))
INTERRUPTED_TWICE = 130
# Python's prompt, IPython and the kernels of notebooks have one; their process is the user's.
HAS_PROMPT = 'ps1'
INTERRUPTED = '\ninterrupted: the step is finished and saved; once more quits at once'


class StopFlag:
  """Remembers the first signal while it is entered; a second Ctrl+C ends the process at once.

  Where somebody types at a prompt, as in a notebook, the process is not ours to end: there the
  second Ctrl+C is a KeyboardInterrupt, as soon as Python runs again.

  Python runs its handlers only between two instructions of the main thread, which may be compiling
  for a minute. So the signals are read from a wake-up descriptor by a thread of their own. Outside
  the main thread nothing is caught.
  """

  def __init__(self):
    self.received: signal.Signals | None = None
    self._before = {}
    self._interrupted = self._handled = 0  # interrupts that the listener, and Python, have seen

  def __enter__(self) -> 'StopFlag':
    if threading.current_thread() is threading.main_thread():
      reader, self._writer = socket.socketpair()
      self._writer.setblocking(False)
      self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
      # Nohup ignores SIGHUP.
      caught = [number for number in CAUGHT if signal.getsignal(number) is not signal.SIG_IGN]
      self._before = {number: signal.signal(number, self._handle) for number in caught}
      threading.Thread(target=self._listen, args=(reader,), daemon=True).start()
    return self

  def __exit__(self, *_) -> None:
    if self._before:
      signal.set_wakeup_fd(self._wakeup)
      for number, handler in self._before.items():
        signal.signal(number, handler)
      self._writer.close()  # ends the thread

  def _listen(self, reader: socket.socket) -> None:
    while received := reader.recv(1):
      number = signal.Signals(received[0])
      self.received = self.received or number  # first: nothing that follows may fail before it
      if number == signal.SIGINT:
        self._interrupted += 1
        if self._interrupted == 1:
          terminal.show(INTERRUPTED, error=True)
        elif not hasattr(sys, HAS_PROMPT):
          os._exit(INTERRUPTED_TWICE)
    reader.close()

  def _handle(self, number: int, _) -> None:
    """Runs in the main thread, once for all signals that came while compiled code ran there: the
    listener has counted them.
    """
    if number == signal.SIGINT:
      self._handled += 1
      if max(self._interrupted, self._handled) > 1 and hasattr(sys, HAS_PROMPT):
        raise KeyboardInterrupt

  def check(self) -> None:
    """Raises Stopped if a signal came: for moments at which everything is saved."""
    if self.received is not None:
      raise Stopped(
        f'stopped by {self.received.name}; everything is saved and the same command goes on'
      )
