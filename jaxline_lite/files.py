"""Files that are whole or absent, and digests of them."""

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from jaxline_lite.errors import BadInput

FULL = (errno.ENOSPC, errno.EDQUOT)
THREADS_END = 2.0  # seconds that such threads are given to end
# Of file systems that do not sync folders, as some on networks.
NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
# What Python writes for numbers that are not finite, outside of strings, and what JSON has for it.
STRICT = {'Infinity': '1e999', '-Infinity': '-1e999', 'NaN': 'null'}
STRING_OR_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN')


def digest(data: bytes) -> str:
  """SHA-256, in hexadecimal."""
  return hashlib.sha256(data).hexdigest()


def canonical(value: Any) -> str:
  """The one spelling of a JSON value, for digests and comparisons; it is never read again."""
  return json.dumps(value, sort_keys=True)


def is_full(error: Exception) -> bool:
  """Whether an error, of the system or told by a library, says that a disk has no room."""
  number, text = getattr(error, 'errno', None), str(error)
  return number in FULL or any(os.strerror(full) in text for full in FULL)


@contextlib.contextmanager
def name_in_errors(path: Path) -> Iterator[None]:
  """Names a file in errors of the system that name none, as those of writing do."""
  try:
    yield
  except OSError as error:
    error.filename = error.filename or str(path)
    raise


def is_writable(folder: Path) -> bool:
  """Whether files can be written to a folder, or one can be made: tries it, and leaves nothing.

  Raises:
    OSError: if the disk is full, which is another matter.
  """
  nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
  path = nearest / f'.writable.{secrets.token_hex(8)}'
  try:
    path.touch(exist_ok=False)
    path.unlink()
  except OSError as error:
    if is_full(error):
      raise
    return False
  return True


def to_json(value: Any, **options: Any) -> str:
  """JSON that every program reads, with the options of `json.dumps`.

  JSON has no infinity, but numbers too large for a float, which readers take for it; NaN is null.
  """
  return STRING_OR_TOKEN.sub(
    lambda match: STRICT.get(match[0], match[0]), json.dumps(value, **options)
  )


def from_json(text: str) -> Any:
  """The value of JSON; the words Infinity and NaN of earlier versions are understood."""
  return json.loads(text)


def sync(path: Path) -> None:
  """Waits until a file, or a folder's list of entries, is on the disk."""
  try:
    _sync(path)
  except OSError as error:
    if error.errno not in NO_SYNC or not path.is_dir():
      raise


def _sync(path: Path) -> None:
  """Syncs a file or a folder, or raises OSError."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    with name_in_errors(path):
      os.fsync(descriptor)
  finally:
    os.close(descriptor)


def sync_note(folder: Path) -> str:
  """A line for the log where the file system of a folder does not sync folders, else ''."""
  try:
    _sync(folder)
  except OSError as error:
    return (
      f'{folder}: its file system does not sync folders ({error.strerror}); if the machine itself '
      'stops, the last seconds may be lost'
    )
  return ''


def replace(path: Path, data: bytes | str) -> None:
  """Writes a file so that a reader, or a machine that stops, sees the old contents or the new ones.
  One writer at a time.
  """
  temporary = path.with_name(f'.{path.name}.writing')
  try:
    with name_in_errors(temporary):
      temporary.write_bytes(data.encode() if isinstance(data, str) else data)
    sync(temporary)
    temporary.replace(path)
  except OSError:
    with contextlib.suppress(OSError):
      temporary.unlink()  # on a full disk it would take the room of something else
    raise
  sync(path.parent)


@contextlib.contextmanager
def complete_or_deleted(temporary: Path, folder: Path) -> Iterator[None]:
  """Deletes a folder that is being written if an error comes, and names what it was to become if
  the disk is full.
  """
  try:
    yield
  except Exception as error:
    _delete_in_the_end(temporary)
    if is_full(error):
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
    raise


def _delete_in_the_end(folder: Path) -> None:
  """Deletes a folder into which a library's threads may write for a moment yet."""
  end = time.monotonic() + THREADS_END
  while time.monotonic() < end:
    shutil.rmtree(folder, ignore_errors=True)
    time.sleep(0.02)
    if not folder.exists():
      return


def write_or_copy(folder: Path, write: Callable[[Path], None]) -> None:
  """Has a library write a folder that locks its files and syncs its folders, as tensorstore does.

  On a file system that cannot do both it writes to this machine's folder for temporary files, and
  what it wrote is copied.
  """
  if _locks_and_syncs(folder.parent):
    write(folder)
    return
  with tempfile.TemporaryDirectory() as local:
    write(Path(local) / folder.name)
    shutil.copytree(Path(local) / folder.name, folder, copy_function=shutil.copyfile)


def _locks_and_syncs(folder: Path) -> bool:
  """Whether the file system of a folder has locks of ranges, and syncs folders: tries both."""
  import fcntl

  path = folder / '.locked'
  try:
    with path.open('w') as file:
      fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    _sync(folder)
    return True
  except OSError as error:
    if is_full(error):
      raise
    return False
  finally:
    path.unlink(missing_ok=True)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
  """The records of a JSON-lines file, in which a number that is null is NaN.

  A last line that was cut off is left out; without a file there are none.
  """
  if not path.exists():
    return
  lines = path.read_text(encoding='utf-8', errors='replace').split('\n')
  for number, line in enumerate(lines[:-1], start=1):  # behind the last newline nothing is whole
    try:
      record = from_json(line)
      yield {name: math.nan if value is None else value for name, value in record.items()}
    except (ValueError, AttributeError) as error:
      raise BadInput(
        f'{path}: line {number} is damaged ({error}); restore the file from a backup, or delete '
        'that line'
      ) from error


def replace_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
  """Writes a whole JSON-lines file at once."""
  replace(path, ''.join(to_json(record) + '\n' for record in records))


class JsonLines:
  """A JSON-lines file with a record per step, appended to in order."""

  def __init__(self, path: Path, up_to: int):
    """Opens the file for appending, after forgetting the records of steps later than `up_to`."""
    self._path = path
    before = list(read_lines(path))
    kept = [record for record in before if record['step'] <= up_to]
    if path.exists() and (kept != before or not _ends_with_a_line(path)):
      replace_lines(path, kept)
    self._file = path.open('a')

  def append(self, record: dict[str, Any]) -> None:
    with name_in_errors(self._path):
      self._file.write(to_json(record) + '\n')
      self._file.flush()

  def sync(self) -> None:
    """Waits until all records are on the disk."""
    with name_in_errors(self._path):
      os.fsync(self._file.fileno())

  def close(self) -> None:
    with name_in_errors(self._path):
      self._file.close()


def _ends_with_a_line(path: Path) -> bool:
  """Whether the last line of a file is whole."""
  data = path.read_bytes()
  return not data or data.endswith(b'\n')
