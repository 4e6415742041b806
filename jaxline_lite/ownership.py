"""Whose a folder is: one process at a time writes to it.

The owner's file `.lock` names its host and process and holds a random token; it is touched as long
as the process lives. Where the file system has flock, the owner has one on that file too, and a
process that is gone is noticed at once. Where it has none, an owner is gone when its file was not
touched for `STALE` seconds by the clock of the file system: clocks of machines are never compared.
An owner that was only asleep finds another's token and writes nothing more.
"""

import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from jaxline_lite import locks
from jaxline_lite.errors import BadInput, CommandError, Occupied, Stopped
from jaxline_lite.files import is_full, name_in_errors
from jaxline_lite.locks import LOCK, WITHOUT_FLOCK

POLL = 0.05  # seconds between two looks at a folder that somebody else has
UNSUPPORTED = 'this program runs on Linux and macOS (on Windows inside WSL): there is no fcntl here'


class Ownership:
  """A folder that this process holds, until `release`.

  Attributes:
    folder: the folder.
    note: a line for the log where its file system has no flock, else ''.
  """

  def __init__(self, folder: Path):
    """Writes the file that says who we are, under a name that is ours alone."""
    self.folder, self.note = folder, ''
    self._path, self._token = folder / LOCK, secrets.token_hex(8)
    self._own_path = folder / f'{LOCK}.{self._token}'
    self._released = threading.Event()
    self._thread: threading.Thread | None = None
    self._create(self._own_path)

  def _create(self, path: Path) -> None:
    """Makes a new file with our text in it, and takes a flock on it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
      locks.flock(descriptor, is_exclusive=True)
      kind = 'flock'
    except OSError as error:
      kind = WITHOUT_FLOCK
      self.note = (
        f'{self.folder}: its file system has no flock ({error.strerror}); the file {LOCK}, touched '
        f'every {locks.TOUCH:g} s, says whose it is'
      )
    self._text = f'process {os.getpid()} on {socket.gethostname()}\n{self._token} {kind}\n'
    try:
      with name_in_errors(path):
        os.write(descriptor, self._text.encode())
    except OSError:
      os.close(descriptor)
      path.unlink()
      raise
    self._descriptor = descriptor

  def acquire(self) -> str | None:
    """Tries to take the folder; who holds it, or None when it is ours."""
    while True:
      if (
        self._link() or locks.read(self._path) == self._text
      ):  # a server's answer may have been lost
        self._own_path.unlink(missing_ok=True)
        self._delete_leftovers()
        self._thread = threading.Thread(target=self._touch, daemon=True)
        self._thread.start()
        return None
      text = locks.read(self._path)
      name = locks.live_owner(self._path, self._now)
      if name:
        return name
      self._put_aside(text)

  def _link(self) -> bool:
    """Gives our file the name of the lock, unless there is one."""
    try:
      os.link(self._own_path, self._path)
      return True
    except FileExistsError:
      return False
    except OSError:  # a file system without hard links, as on memory cards
      pass
    try:
      before = self._descriptor
      self._create(self._path)
      os.close(before)
      return True
    except FileExistsError:
      return False

  def _now(self) -> float:
    """The time by the file system's clock, in seconds."""
    os.utime(self._own_path)
    return self._own_path.stat().st_mtime

  def _put_aside(self, text: str) -> None:
    """Deletes the lock, which said `text`, of a process that is gone.

    If another process was faster, the lock is its own by now, and put back.
    """
    aside = self._own_path.with_name(f'{self._own_path.name}.gone')
    if locks.read(self._path) != text:
      return
    try:
      self._path.rename(aside)
    except FileNotFoundError:
      return
    if locks.read(aside) != text:
      with contextlib.suppress(OSError):
        os.link(aside, self._path)
    aside.unlink(missing_ok=True)

  def _delete_leftovers(self) -> None:
    """Deletes what processes that were killed while they waited have left."""
    now = os.fstat(self._descriptor).st_mtime
    for path in self.folder.glob(f'{LOCK}.*'):
      with contextlib.suppress(OSError):
        if now - path.stat().st_mtime > locks.STALE:
          path.unlink()

  def _touch(self) -> None:
    """Shows that this process is alive, whatever its main thread is doing."""
    while not self._released.wait(locks.TOUCH):
      with contextlib.suppress(OSError):
        os.utime(self._descriptor)  # our own file, even where another one has its name by now

  def check(self) -> None:
    """Checks that the folder is still ours: for moments just before something is written.

    Raises:
      Stopped: naming the process that has taken it over.
    """
    text = locks.read(self._path)
    if text != self._text:
      time.sleep(POLL)  # two that take over at once may put our file aside for a moment
      text = locks.read(self._path)
    if text != self._text:
      now = f'it belongs to {locks.process_name(text)} now' if text else f'its {LOCK} is gone'
      raise Stopped(
        f'{self.folder}: {now}, and this process writes nothing more; what it saved is there, and '
        'the same command goes on when the folder is free'
      )

  def release(self) -> None:
    """Gives the folder back, and leaves no file behind."""
    self._released.set()
    if self._thread is not None:
      self._thread.join()
    with contextlib.suppress(OSError):
      self._own_path.unlink(missing_ok=True)
      if locks.read(self._path) == self._text:
        self._path.unlink()
    os.close(self._descriptor)


def owner(folder: Path) -> str | None:
  """The live process that holds a folder, 'process 12 on host'; None if nobody does.

  Where there is no flock and the folder may only be read, a process that is gone counts as alive.
  """

  def now() -> float:
    path = folder / f'{LOCK}.{secrets.token_hex(8)}'
    path.touch(exist_ok=False)
    try:
      return path.stat().st_mtime
    finally:
      path.unlink()

  try:
    return locks.live_owner(folder / LOCK, now)
  except OSError:  # it is there, and not for us to read
    return 'another process'


@contextlib.contextmanager
def hold(folder: Path, purpose: str, wait: Callable[[], None] | None = None) -> Iterator[Ownership]:
  """Holds a folder for this process; while another has it, calls `wait`, if there is one.

  Folders that are made for it and stay empty are deleted in the end.

  Args:
    purpose: what is done to the folder, as in 'trained', for messages.

  Raises:
    Occupied: naming the host and process that holds it, if there is no `wait`.
    BadInput: if the folder cannot be written.
    Stopped: instead of any other error, if another process has taken the folder over meanwhile.
  """
  if not locks.is_supported():
    raise BadInput(UNSUPPORTED)
  new_folders: list[Path] = []
  ownership = None
  try:
    try:
      ownership = _enter(folder, new_folders)
      _await(ownership, purpose, wait)
    except OSError as error:
      if is_full(error):
        raise
      raise BadInput(
        f'{folder}: cannot be written ({error.strerror}); choose another --config.checkpoint_dir'
      ) from error
    try:
      yield ownership
    except CommandError:
      raise
    except Exception:
      ownership.check()
      raise
  finally:
    if ownership is not None:
      ownership.release()
    with contextlib.suppress(OSError):
      for path in reversed(new_folders):
        path.rmdir()


def _enter(folder: Path, new_folders: list[Path]) -> Ownership:
  """Makes a folder and its parents, each noted in `new_folders`, and our file in it."""
  while True:
    for path in reversed([folder, *folder.parents]):
      if not path.is_dir():
        path.mkdir(exist_ok=True)
        new_folders.append(path)
    try:
      return Ownership(folder)
    except FileNotFoundError:  # another command that was refused has just deleted it
      time.sleep(POLL)


def _await(ownership: Ownership, purpose: str, wait: Callable[[], None] | None) -> None:
  """Takes a folder as soon as nobody else has it.

  Raises:
    Occupied: naming the process that holds it, if there is no `wait`.
  """
  while name := ownership.acquire():
    if wait is None:
      raise Occupied(
        f'{ownership.folder}: already {purpose} by {name}; wait for it or choose another folder'
      )
    wait()
    time.sleep(POLL)
