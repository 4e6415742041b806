"""Files that say which process has a folder, and whether that process is alive."""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

LOCK = '.lock'
TOUCH = 15.0  # seconds between two touches by an owner
# Seconds without a touch after which an owner is gone: eight touches, and twice what clients of
# network file systems believe their caches (60 s for NFS).
STALE = 120.0
LONGEST = (
  1024  # bytes of an owner's file, which holds the name of a host, at most 64, and little else
)
WITHOUT_FLOCK = 'touched'  # how the file of an owner ends that has no flock


def is_supported() -> bool:
  """Whether this system has locks of files at all; Windows has not."""
  return importlib.util.find_spec('fcntl') is not None


def flock(descriptor: int, is_exclusive: bool) -> None:
  """Takes a flock at once, or raises OSError; BlockingIOError if another process has one."""
  import fcntl

  kind = fcntl.LOCK_EX if is_exclusive else fcntl.LOCK_SH
  fcntl.flock(descriptor, kind | fcntl.LOCK_NB)


def read(path: Path) -> str:
  """The text of an owner's file; '' where there is none, or it cannot be read."""
  try:
    return path.read_text(encoding='utf-8', errors='replace')
  except OSError:
    return ''


def process_name(text: str) -> str:
  """The process and host that the text of an owner's file names."""
  return text.partition('\n')[0] or 'another process'


def live_owner(path: Path, now: Callable[[], float]) -> str | None:
  """The process that holds a lock; None where there is no lock, or its process is gone.

  Args:
    now: the time by the clock of the file system, in seconds.
  """
  try:
    descriptor = os.open(path, os.O_RDONLY)
  except FileNotFoundError:
    return None
  try:
    text = os.read(descriptor, LONGEST).decode(errors='replace')
    try:
      flock(descriptor, is_exclusive=False)
      if text and not text.rstrip().endswith(WITHOUT_FLOCK):
        return None
    except BlockingIOError:
      return process_name(text)
    except OSError:  # no flock here: its owner may have one all the same
      pass
    try:
      is_stale = now() - os.fstat(descriptor).st_mtime > STALE
    except OSError:  # a folder that may only be read tells no time
      is_stale = False
    return None if is_stale else process_name(text)
  finally:
    os.close(descriptor)
