"""Showing text on standard output and error, whether or not somebody reads them.

Nothing here raises, and nothing waits for long: a reader that is gone, a closed stream, an encoding
that lacks a character or a pager that has stopped reading must not cost a run its work or its exit
status. What cannot be shown is in the run's `log.txt`.
"""

import contextlib
import logging
import os
import select
import sys
import time
from collections.abc import Iterator
from typing import Any, TextIO

PATIENCE = 1.0  # seconds that a reader may keep us waiting before text is dropped
PIECE = 512  # bytes that a pipe takes at once if it is ready for any: POSIX's least PIPE_BUF

_not_reading: set[int] = set()  # descriptors whose reader kept us waiting for too long


def open_missing_streams() -> None:
  """Opens standard input, output and error on nothing where the process was started without them.

  Else the next files that are opened, a checkpoint's perhaps, would take their numbers, and
  libraries would write their messages into them.
  """
  for descriptor in range(3):
    try:
      os.fstat(descriptor)
    except OSError:
      os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one


def show(text: str, error: bool = False) -> None:
  """Shows a line on standard output, or on standard error."""
  write(text + '\n', sys.stderr if error else sys.stdout)


def write(text: str, stream: Any) -> None:
  """Writes text to a stream, as far as it can be written."""
  if stream is None:  # as for programs without a console
    return
  try:
    encoding = getattr(stream, 'encoding', None) or 'utf-8'
    text = text.encode(encoding, 'replace').decode(encoding)
    descriptor = _descriptor(stream)
    if descriptor is None:
      stream.write(text)
      stream.flush()
    else:
      stream.flush()  # what others have written comes first
      _write_pieces(descriptor, text.encode(encoding))
  except (OSError, ValueError):
    _redirect_to_nothing(stream)


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
  """Keeps libraries from showing tracebacks of errors that they raise as well.

  Orbax logs them. Tensorstore's threads find their event loop closed after an error, perhaps some
  time later: so after an error that stays unsaid.
  """
  logger, hooks = logging.getLogger('absl'), (sys.excepthook, sys.unraisablehook)
  level = logger.level
  logger.setLevel(logging.CRITICAL)
  _hide_closed_loops()
  logging.getLogger('asyncio').addFilter(_is_not_of_orbax)
  try:
    yield
    sys.excepthook, sys.unraisablehook = hooks
  finally:
    logger.setLevel(level)


def _is_not_of_orbax(record: logging.LogRecord) -> bool:
  """Whether a message is no traceback of a task of Orbax's whose error was raised elsewhere, which
  Python logs when it collects the task.
  """
  return 'orbax' not in record.getMessage()


def _hide_closed_loops() -> None:
  """Shows no `RuntimeError` of a closed event loop that nobody catches."""
  hook, unraisable = sys.excepthook, sys.unraisablehook

  def is_closed_loop(error: BaseException | None) -> bool:
    return isinstance(error, RuntimeError) and str(error) == 'Event loop is closed'

  def show_error(kind, error, trace) -> None:
    if not is_closed_loop(error):
      hook(kind, error, trace)

  def show_unraisable(unraised) -> None:
    if not is_closed_loop(unraised.exc_value):
      unraisable(unraised)

  sys.excepthook, sys.unraisablehook = show_error, show_unraisable


def end_streams() -> None:
  """Flushes both streams, so that Python finds nothing left that could fail when it ends."""
  for stream in (sys.stdout, sys.stderr):
    write('', stream)


class StandardError:
  """Standard error as a file whose writes never raise, for progress bars."""

  encoding = 'utf-8'

  def write(self, text: str) -> None:
    write(text, sys.stderr)

  def flush(self) -> None:
    """Does nothing: every write is shown at once."""

  def isatty(self) -> bool:
    return is_terminal(sys.stderr)

  def fileno(self) -> int:
    return 2


def is_terminal(stream: Any) -> bool:
  """Whether a stream is a terminal."""
  try:
    return stream is not None and stream.isatty()
  except ValueError:  # it is closed
    return False


def _descriptor(stream: TextIO) -> int | None:
  """The descriptor of a stream that the process was started with; None of another one."""
  if stream is not sys.__stdout__ and stream is not sys.__stderr__:
    return None  # a notebook's, or a test's
  return stream.fileno()


def _write_pieces(descriptor: int, data: bytes) -> None:
  """Writes data, as long as somebody takes it."""
  for first in range(0, len(data), PIECE):
    if not _is_ready(descriptor):
      return
    os.write(descriptor, data[first : first + PIECE])


def _is_ready(descriptor: int) -> bool:
  """Whether a descriptor takes a piece now; waits, unless that was in vain before."""
  end = time.monotonic() + (0 if descriptor in _not_reading else PATIENCE)
  while True:
    left = max(0.0, end - time.monotonic())
    if select.select([], [descriptor], [], left)[1]:
      _not_reading.discard(descriptor)
      return True
    if left == 0:
      _not_reading.add(descriptor)
      return False


def _redirect_to_nothing(stream: Any) -> None:
  """Sends what a stream still holds, and whatever comes, nowhere."""
  with contextlib.suppress(OSError, ValueError):  # without a descriptor nothing can fail later
    descriptor, nothing = stream.fileno(), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)
