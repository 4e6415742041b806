"""Files that are whole or absent, and digests of them."""

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jaxline_lite.errors import BadInput

# Of file systems that do not sync folders, as some on networks.
NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)


def digest(data: bytes) -> str:
  """SHA-256, in hexadecimal."""
  return hashlib.sha256(data).hexdigest()


def canonical(value: Any) -> str:
  """The one spelling of a JSON value, for digests and comparisons."""
  return json.dumps(value, sort_keys=True)


def sync(path: Path) -> None:
  """Waits until a file, or a folder's list of entries, is on the disk."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  except OSError as error:
    if error.errno not in NO_SYNC or not path.is_dir():
      raise
  finally:
    os.close(descriptor)


def replace(path: Path, data: bytes | str) -> None:
  """Writes a file so that a reader, or a machine that stops, sees the old contents or the new ones.
  One writer at a time.
  """
  temporary = path.with_name(f'.{path.name}.writing')
  temporary.write_bytes(data.encode() if isinstance(data, str) else data)
  sync(temporary)
  temporary.replace(path)
  sync(path.parent)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
  """The records of a JSON-lines file, without a last line that was cut off; none if there is no
  file.
  """
  if not path.exists():
    return
  lines = path.read_text(encoding='utf-8', errors='replace').split('\n')
  for number, line in enumerate(lines[:-1], start=1):  # behind the last newline nothing is whole
    try:
      yield json.loads(line)
    except ValueError as error:
      raise BadInput(
        f'{path}: line {number} is damaged ({error}); restore the file from a backup, or delete '
        'that line'
      ) from error


def replace_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
  """Writes a whole JSON-lines file at once."""
  replace(path, ''.join(json.dumps(record) + '\n' for record in records))


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
    self._file.write(json.dumps(record) + '\n')
    self._file.flush()

  def sync(self) -> None:
    """Waits until all records are on the disk."""
    os.fsync(self._file.fileno())

  def close(self) -> None:
    self._file.close()


def _ends_with_a_line(path: Path) -> bool:
  """Whether the last line of a file is whole."""
  data = path.read_bytes()
  return not data or data.endswith(b'\n')
