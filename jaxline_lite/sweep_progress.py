"""Showing how far a sweep is: a line when a point changes, one bar, and `sweep.json`."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from jaxline_lite import terminal
from jaxline_lite.errors import CommandError, Occupied, in_one_line
from jaxline_lite.rules import Rules
from jaxline_lite.run_status import DIVERGED, FINISHED, STOPPED, WAITING, RunStatus, run_status
from jaxline_lite.sweep_folder import read_points, seconds_left, write_statuses
from jaxline_lite.writers import clock, progress_bar

EVERY = 2.0  # seconds between two looks
PATIENCE = 5.0  # seconds to wait for a folder that another process is changing
# What reading files raises that somebody has damaged, or that may not be read.
UNREADABLE = (CommandError, OSError, ValueError, KeyError, AttributeError, TypeError)
SHARE = 0.05  # of the time that looking may take: thousands of points are looked at less often


def read_status(folder: Path, rules: Rules) -> RunStatus:
  """The status of a point; one that cannot be read says why."""
  try:
    return run_status(folder, rules)
  except UNREADABLE as error:
    return RunStatus(STOPPED, 0, 0, note=in_one_line(error))


def read_statuses(
  folder: Path, rules: Rules, done: dict[str, RunStatus] | None = None
) -> dict[str, RunStatus]:
  """The status of every point by name; of those in `done`, which gets what is finished, no file is
  read again.
  """
  done = {} if done is None else done
  statuses = {}
  for name in read_points(folder):
    statuses[name] = done.get(name) or read_status(folder / name, rules)
    if statuses[name].state == FINISHED:
      done[name] = statuses[name]
  return statuses


def describe(name: str, status: RunStatus) -> str:
  """A point's line."""
  parts = [name, status.state]
  if status.state != WAITING:
    parts.append(f'step {status.step}/{status.steps}')
  if status.loss is not None:
    parts.append(f'loss {status.loss:.4f}')
  if status.rate:
    parts.append(f'{status.rate:.1f} steps/s')
  if status.seconds_left:
    parts.append(f'{clock(status.seconds_left)} left')
  parts += [part for part in (status.owner, status.note) if part]
  return '  '.join(parts)


def describe_all(statuses: Iterable[RunStatus]) -> str:
  """A line about all points together."""
  statuses = list(statuses)
  counts = {state: sum(each.state == state for each in statuses) for state in (FINISHED, DIVERGED)}
  parts = [f'{counts[FINISHED]} of {len(statuses)} finished']
  parts += [f'{counts[DIVERGED]} diverged'] if counts[DIVERGED] else []
  left = seconds_left(statuses)
  parts += [f'{clock(left)} left'] if left else []
  return ', '.join(parts)


class Progress:
  """Looks at a sweep's files from a thread of its own while it is entered.

  So it shows what all processes do, on whatever machine.
  """

  def __init__(self, folder: Path, rules: Rules):
    self._folder, self._rules = folder, rules
    self._ended = threading.Event()
    self._done: dict[str, RunStatus] = {}
    self._states: dict[str, str] = {}
    self._bar: Any = None
    self._thread = threading.Thread(target=self._watch, daemon=True)

  def __enter__(self) -> 'Progress':
    statuses = read_statuses(self._folder, self._rules, self._done)
    self._states = {name: status.state for name, status in statuses.items()}
    terminal.show(f'{self._folder}: {describe_all(statuses.values())}')
    if terminal.is_terminal(sys.stderr):
      total, made = (
        sum(counts) for counts in zip(*((each.steps, each.step) for each in statuses.values()))
      )
      self._bar = progress_bar(total, made)
    self._thread.start()
    return self

  def __exit__(self, *_) -> None:
    self._ended.set()
    self._thread.join()
    self._look()
    if self._bar is not None:
      self._bar.close()

  def _watch(self) -> None:
    pause = EVERY
    while not self._ended.wait(pause):
      began = time.perf_counter()
      self._look()
      pause = max(EVERY, (time.perf_counter() - began) / SHARE)

  def _look(self) -> None:
    """Shows what is new. What cannot be read or written now may be later."""
    with contextlib.suppress(*UNREADABLE):
      statuses = read_statuses(self._folder, self._rules, self._done)
      for name, status in statuses.items():
        if self._states.get(name) != status.state:
          self._show(f'{describe(name, status)}  ({describe_all(statuses.values())})')
      self._states = {name: status.state for name, status in statuses.items()}
      if self._bar is not None:
        made = sum(status.step for status in statuses.values())
        self._bar.set_postfix_str(describe_all(statuses.values()), refresh=False)
        self._bar.update(made - self._bar.n)
      write_statuses(self._folder, statuses, self._patience())

  def _patience(self) -> Callable[[], None]:
    """What waits for the folder; `sweep.json` is written at the next look if that takes long."""
    end = time.monotonic() + PATIENCE

    def wait() -> None:
      if time.monotonic() > end:
        raise Occupied(f'{self._folder}: another process is changing it')

    return wait

  def _show(self, line: str) -> None:
    if self._bar is not None:
      self._bar.clear()
    terminal.show(line)
    if self._bar is not None:
      self._bar.refresh()
