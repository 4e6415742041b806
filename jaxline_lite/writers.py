"""What a run tells: `log.txt`, the terminal and its progress bar."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from jaxline_lite import terminal
from jaxline_lite.errors import CommandError, in_one_line
from jaxline_lite.files import JsonLines, name_in_errors


def clock(seconds: float) -> str:
  """Hours, minutes and seconds as 1:02:03 or 2:03."""
  minutes, rest = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f'{hours}:{minutes:02}:{rest:02}' if hours else f'{minutes}:{rest:02}'


def progress_bar(total: int, first: int) -> tqdm:
  """A bar of steps on standard error, whose writes never raise."""
  options = {'unit': 'step', 'dynamic_ncols': True, 'file': terminal.StandardError()}
  return tqdm(total=total, initial=first, **options)


class Log:
  """Writes lines to a file, then to standard output; on a terminal, steps move a progress bar.

  A line that cannot be shown is in the file all the same.

  Args:
    path: of the file; without one lines are shown only.
    shows: whether lines and steps are shown; else they are recorded only.
  """

  def __init__(self, path: Path | None, shows: bool = True):
    self._path, self._shows = path or Path(), shows
    self._file = path.open('a', encoding='utf-8') if path else None
    self._bar: tqdm | None = None

  def show_progress(self, total: int, first: int) -> None:
    """On a terminal, shows a progress bar from here on."""
    if self._shows and terminal.is_terminal(sys.stderr):
      self._bar = progress_bar(total, first)

  def say(self, text: str) -> None:
    """Shows and records lines that tell an event."""
    self.record(text)
    if self._bar is not None:
      self._bar.clear()
    if self._shows:
      terminal.show(text)
    if self._bar is not None:
      self._bar.refresh()

  def record(self, text: str) -> None:
    """Records lines without showing them."""
    if self._file:
      with name_in_errors(self._path):
        self._file.write(text + '\n')
        self._file.flush()

  def step(self, text: str) -> None:
    """Records the line of a step; where there is no progress bar, shows it."""
    self.record(text)
    if self._bar is None and self._shows:
      terminal.show(text)

  def progress(self, step: int, **values: str) -> None:
    """Moves the progress bar."""
    if self._bar is not None:
      self._bar.set_postfix(values, refresh=False)
      self._bar.update(step - self._bar.n)

  def close(self) -> None:
    if self._bar is not None:
      self._bar.close()
      self._bar = None
    if self._file:
      with name_in_errors(self._path):
        self._file.close()
      self._file = None


def draw_or_say(draw: Callable[[], None], what: str, log: Log) -> None:
  """Draws what is recorded; a picture that cannot be drawn is a line in the log."""
  try:
    draw()
  except CommandError:
    raise
  except Exception as error:  # whatever the libraries of pictures raise
    log.say(f'{what} is recorded, but not drawn: {in_one_line(error)}')


class RunRecords:
  """`metrics.jsonl`, the values of logged steps, and `timing.jsonl`, when they were made."""

  def __init__(self, folder: Path, up_to: int):
    """Opens both for appending, after forgetting what was said of steps later than `up_to`."""
    self._metrics = JsonLines(folder / 'metrics.jsonl', up_to)
    self._timing = JsonLines(folder / 'timing.jsonl', up_to)

  def append(self, step: int, metrics: dict[str, float], steps_per_second: float | None) -> None:
    self._metrics.append({'step': step, **metrics})
    self._timing.append({'step': step, 'time': time.time(), 'steps_per_second': steps_per_second})

  def sync(self) -> None:
    """Waits until all records are on the disk."""
    self._metrics.sync()
    self._timing.sync()

  def close(self) -> None:
    self._metrics.close()
    self._timing.close()


class Rate:
  """Steps per second of late, leaving out the first call, which compiles."""

  def __init__(self):
    self._seconds_per_step: float | None = None
    self._calls = 0
    self._since = time.perf_counter()

  def start(self) -> None:
    self._since = time.perf_counter()

  def stop(self, steps: int) -> None:
    self._calls += 1
    if self._calls > 1:
      latest = (time.perf_counter() - self._since) / steps
      before = self._seconds_per_step or latest
      self._seconds_per_step = 0.5 * before + 0.5 * latest

  @property
  def per_second(self) -> float | None:
    return 1 / self._seconds_per_step if self._seconds_per_step else None

  def steps_in(self, seconds: float, most: int) -> int:
    """About how many steps a call may make to last so long; 1 before anything is known."""
    return max(1, min(most, int(seconds * self.per_second))) if self.per_second else 1
