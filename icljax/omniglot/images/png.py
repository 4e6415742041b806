"""Exact pixels of grayscale PNGs (RFC 2083) of 1 or 8 bits, which is what Omniglot's archives hold.

Not by an image library: they give a 1-bit image as {0, 1} or {0, 255}, each its own way, so that a
division by 255 may make a set black, and training runs on.
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np

SIGNATURE = b'\x89PNG\r\n\x1a\n'


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
  """Kind and contents of each chunk, up to the one that ends the image."""
  at, kind = len(SIGNATURE), b''
  while kind != b'IEND':
    length, kind = struct.unpack('>I4s', data[at : at + 8])
    contents = data[at + 8 : at + 8 + length]
    (crc,) = struct.unpack('>I', data[at + 8 + length : at + 12 + length])
    if crc != zlib.crc32(kind + contents):
      raise ValueError('a chunk that does not have its checksum')
    yield kind, contents
    at += 12 + length


def _unfiltered(rows: np.ndarray) -> np.ndarray:
  """Undoes the filter named in a row's first byte, for pixels of at most one byte: `[H, 1 + W]` to
  `[H, W]`, bytes.
  """
  if not rows[:, 0].any():
    return rows[:, 1:]  # no filters: all of Omniglot
  # With a row of zeros above the first.
  out = np.zeros((len(rows) + 1, rows.shape[1] - 1), np.uint8)
  for i, (kind, row) in enumerate(zip(rows[:, 0], rows[:, 1:])):
    above, here = out[i], out[i + 1]
    if kind == 0:  # none
      here[:] = row
    elif kind == 1:  # sub: the sum modulo 256 of all bytes so far
      np.cumsum(row, dtype=np.uint8, out=here)
    elif kind == 2:  # up
      np.add(row, above, out=here)
    elif kind in (3, 4):
      predict = _average if kind == 3 else _paeth
      left = corner = 0
      for j, up in enumerate(above.tolist()):
        here[j] = left = (int(row[j]) + predict(left, up, corner)) % 256
        corner = up
    else:
      raise ValueError(f'a row with filter {kind}')
  return out[1:]


def _average(left: int, up: int, corner: int) -> int:
  return (left + up) // 2


def _paeth(left: int, up: int, corner: int) -> int:
  """The neighbour that is nearest to left + up - corner; of equals the first."""
  return min((left, up, corner), key=lambda byte: abs(left + up - corner - byte))


def pixels(data: bytes) -> np.ndarray:
  """`[H, W]` uint8, as stored: 0 is black, and white is 1 or 255 by the image's depth.

  Raises:
    ValueError: if it is damaged, or of another kind.
  """
  if not data.startswith(SIGNATURE):
    raise ValueError('not a PNG')
  try:
    chunks = list(_chunks(data))
    width, height, depth, colour, _, _, interlace = struct.unpack('>IIBBBBB', chunks[0][1])
    if depth not in (1, 8) or colour or interlace:
      raise ValueError(
        f'a PNG of depth {depth}, colour type {colour}, interlace {interlace}; allowed is '
        'grayscale of 1 or 8 bits'
      )
    packed = zlib.decompress(b''.join(contents for kind, contents in chunks if kind == b'IDAT'))
    rows = _unfiltered(np.frombuffer(packed, np.uint8).reshape(height, 1 + -(-width * depth // 8)))
  except (struct.error, zlib.error) as error:
    raise ValueError(f'a damaged PNG: {error}') from error
  return np.unpackbits(rows, axis=1, count=width) if depth == 1 else rows


def ink(data: bytes) -> np.ndarray:
  """`[H, W]` bool: True where the drawing is black, which is the darker half of the levels."""
  values = pixels(data)
  # The byte after length, kind, width and height says the depth.
  white = 255 if data[len(SIGNATURE) + 16] == 8 else 1
  return values * 2.0 < white
