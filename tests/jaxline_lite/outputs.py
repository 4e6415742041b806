"""Where the output of a process goes, and how its reader is lost.

`python -m tests.jaxline_lite.outputs KIND COMMAND...` is a command as a shell starts it with such
an output.
"""

import contextlib
import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
from pathlib import Path

KINDS = ('terminal', 'tee that dies first', 'error without reader', 'nohup', 'output closed')


def become(kind: str) -> None:
  """Makes this process one that a shell has started, whose streams are those of an `Output`."""
  os.setsid()
  if kind == 'terminal':
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
  if kind == 'output closed':
    os.close(1)
  # Tests may themselves run in the background or under nohup, where these are ignored.
  signal.signal(signal.SIGINT, signal.SIG_DFL)
  signal.signal(signal.SIGHUP, signal.SIG_IGN if kind == 'nohup' else signal.SIG_DFL)


class Output:
  """The three streams of a process to come.

  Attributes:
    kind: one of KINDS; else all that is shown goes to a file.
    streams: descriptors of input, output and error; `close_streams` closes them here.
      shown: what a terminal, a tee or a file has got, after `close`.
  """

  def __init__(self, kind: str, file: Path):
    self.kind, self.shown = kind, ''
    self._file, self._tee, self._master, self._reader = file, None, -1, -1
    if kind == 'terminal':
      self._master, terminal = pty.openpty()
      self.streams = [terminal] * 3
      return
    nothing = os.open(os.devnull, os.O_RDWR)
    if kind == 'tee that dies first':
      reader, writer = os.pipe()
      self._tee = subprocess.Popen(['tee', file], stdin=reader, stdout=subprocess.DEVNULL)
      os.close(reader)
      self.streams = [nothing, writer, writer]
      return
    output = error = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    if kind == 'error without reader':
      self._reader, error = os.pipe()
    self.streams = [nothing, output, error]

  def close_streams(self) -> None:
    """Leaves the streams to the process, when it has started."""
    for descriptor in set(self.streams):
      os.close(descriptor)

  def lose(self) -> None:
    """What reads ends, before the signal comes."""
    if self._tee is not None:
      self._tee.kill()
      self._tee.wait()
    if self._reader >= 0:
      os.close(self._reader)

  def send(self, pid: int, number: signal.Signals) -> None:
    """A signal as the world sends it: two of them come from the terminal itself."""
    if self.kind == 'terminal' and number == signal.SIGINT:
      os.write(self._master, b'\x03')
    elif self.kind == 'terminal' and number == signal.SIGHUP:
      self.close()
    else:
      os.kill(pid, number)

  def close(self) -> None:
    """Reads what is left, and closes the terminal."""
    if self._master >= 0:
      with contextlib.suppress(OSError):  # the process has ended, and nobody writes any more
        while select.select([self._master], [], [], 0)[0]:
          self.shown += os.read(self._master, 65536).decode()
      os.close(self._master)
      self._master = -1
    elif self._file.exists():
      self.shown = self._file.read_text()


if __name__ == '__main__':
  become(sys.argv[1])
  os.execvp(sys.argv[2], sys.argv[2:])
