"""Sets of drawings as bits in memory, and their cache on disk."""

import hashlib
import io
import os
import secrets
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from icljax.omniglot.images import omniglot, png, procedural

NAMES = (*omniglot.SPLITS, 'procedural')
FULL = 105  # side of the drawings before they are resized
INK = 0.3  # share of a small pixel's area that must be ink for it to be ink
HOME_CACHES = '~/.cache'
FORMAT = 1  # of the cache: another number and every cache is made anew


# What numpy and the libraries below it raise for a file that is cut off, altered or something else.
UNREADABLE = (
  ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError,
)  # fmt: skip


@dataclass(frozen=True)
class Images:
  """C classes of J drawings each.

  Attributes:
    packed: `[C, J, ceil(side * side / 8)]` uint8, a bit per pixel, the first pixel the highest bit;
      ink is 1.
    side: height and width of a drawing.
    names: of the classes, C.
    source: what these drawings are, for logs, tables and pictures.
  """

  packed: np.ndarray
  side: int
  names: tuple[str, ...]
  source: str

  def unpack(self) -> np.ndarray:
    """`[C, J, side, side]` uint8: 1 where there is ink, else 0."""
    bits = np.unpackbits(self.packed, axis=-1, count=self.side * self.side)
    return bits.reshape(*self.packed.shape[:2], self.side, self.side)

  def digest(self) -> str:
    """SHA-256 of all of it."""
    head = repr((FORMAT, self.packed.shape, self.side, self.names, self.source))
    return hashlib.sha256(head.encode() + self.packed.tobytes()).hexdigest()


def load(
  name: str,
  data_dir: str | None = None,
  manual_dir: str | None = None,
  side: int = 28,
  cache_dir: str = '~/.cache/icljax',
  say: Callable[[str], object] = print,
  classes: int = 1623,
  seed: int = 0,
) -> Images:
  """A set of drawings: out of the cache, or made and then kept there.

  Args:
    name: a split of Omniglot, 'all' (train and test), 'train', 'test', 'small1' or 'small2'; or
      'procedural'.
    data_dir: TFDS's folder (see `omniglot.read`).
    manual_dir: where archives of Omniglot may lie.
    side: of the drawings, at most 105, which leaves them as they are.
    cache_dir: where caches are kept.
    say: takes a line on what is being done.
    classes: how many characters, of 'procedural'; fewer are the first of more.
    seed: which characters, of 'procedural'.

  Raises:
    ValueError: if there is no such set or no way to it; the message says what to do.
  """
  if name not in NAMES:
    raise ValueError(f'there are no drawings {name!r}; allowed are {", ".join(NAMES)}')
  if not 1 <= side <= FULL:
    raise ValueError(f'the side of drawings is {side}; allowed is 1 to {FULL}')
  what = f'procedural_{classes}_{seed}' if name == 'procedural' else f'omniglot_{name}'
  path = _cache_path(cache_dir, f'{what}_{side}.npz')
  try:
    return _read(path, name, side, classes)
  except (FileNotFoundError, NotADirectoryError):
    pass  # it is made now
  except UNREADABLE as error:
    say(f'{path} is damaged or of another version ({error}); it is made anew')
  images = (
    _procedural(classes, seed, side, say)
    if name == 'procedural'
    else _omniglot(name, data_dir, manual_dir, side, say)
  )
  try:
    _write(path, images)
  except OSError as error:
    say(f'{path} cannot be written ({error}); the drawings will be made anew each time')
  return images


def _cache_path(cache_dir: str, name: str) -> Path:
  """Where a set is kept; `~/.cache` is `XDG_CACHE_HOME` where that is set."""
  caches, folder = os.environ.get('XDG_CACHE_HOME', ''), Path(cache_dir)
  if os.path.isabs(caches) and folder.is_relative_to(HOME_CACHES):
    folder = Path(caches) / folder.relative_to(HOME_CACHES)
  try:
    return folder.expanduser() / name
  except RuntimeError:  # the user has no home
    return Path(os.devnull) / cache_dir / name  # which can neither be read nor written


def _omniglot(
  name: str, data_dir: str | None, manual_dir: str | None, side: int, say: Callable
) -> Images:
  found = omniglot.read(name, data_dir, manual_dir, say)
  say(f'omniglot {name}: decoding {len(found)} classes of {omniglot.DRAWINGS} drawings')
  drawings = (np.stack([png.ink(data) for data in pngs]) for pngs in found.values())
  return Images(_pack(drawings, side), side, tuple(found), _source(name))


def _procedural(classes: int, seed: int, side: int, say: Callable) -> Images:
  say(f'procedural characters: drawing {classes} classes of {procedural.DRAWINGS}')
  drawings = (procedural.character(seed, i) for i in range(classes))
  return Images(
    _pack(drawings, side),
    side,
    tuple(f'procedural_{i}' for i in range(classes)),
    _source('procedural'),
  )


def _source(name: str) -> str:
  """What the drawings of a name are, for logs, tables and pictures."""
  return 'procedural characters' if name == 'procedural' else f'omniglot {name}'


def _pack(classes: Iterable[np.ndarray], side: int) -> np.ndarray:
  """Classes of drawings, `[J, 105, 105]` each, in an order of their own that does not depend on who
  wrote them or on the side.
  """
  return np.stack(
    [np.packbits(resize(_sorted(ink), side).reshape(len(ink), -1), axis=-1) for ink in classes]
  )


def _sorted(ink: np.ndarray) -> np.ndarray:
  return ink[sorted(range(len(ink)), key=lambda i: ink[i].tobytes())]


def resize(ink: np.ndarray, side: int) -> np.ndarray:
  """`[J, S, S]` to `[J, side, side]`, bool: a pixel is ink if more than the share INK of its area
  is.
  """
  if ink.shape[-1] == side:
    return ink
  edges = np.arange(side + 1) * ink.shape[-1] / side
  old = np.arange(ink.shape[-1])
  overlap = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)  # [side, S]
  share = (np.clip(overlap, 0, None) * side / ink.shape[-1]).astype(np.float32)
  return share @ (ink.astype(np.float32) @ share.T) > INK


def _write(path: Path, images: Images) -> None:
  """Writes the cache so that a reader sees all of it or none, whoever else is writing it."""
  buffer = io.BytesIO()
  fields: dict[str, Any] = dict(
    packed=images.packed, side=images.side, names=np.array(images.names), source=images.source
  )
  np.savez_compressed(buffer, **fields, digest=images.digest())
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f'.{path.name}.{secrets.token_hex(8)}')
  try:
    with temporary.open('xb') as file:  # with the permissions that the user's umask gives
      file.write(buffer.getbuffer())
      file.flush()
      os.fsync(file.fileno())
    temporary.replace(path)
  except OSError:
    temporary.unlink(missing_ok=True)
    raise


def _read(path: Path, name: str, side: int, classes: int) -> Images:
  """The drawings in a cache.

  Args:
    name, side, classes: what they have to be, as of `load`.

  Raises:
    UNREADABLE: if they are not there, not whole, or others.
  """
  # By its name numpy leaves a damaged file open.
  with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as fields:
    names = tuple(fields['names'].tolist())
    images = Images(fields['packed'], int(fields['side']), names, str(fields['source']))
    if str(fields['digest']) != images.digest():
      raise ValueError('it does not have its checksum')
  others = name == 'procedural' and len(images.names) != classes
  if others or (images.source, images.side) != (_source(name), side):
    raise ValueError(f'it holds {len(images.names)} classes of {images.source}, side {images.side}')
  return images
