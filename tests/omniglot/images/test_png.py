"""The decoder against Pillow, and on images filtered by the definition."""

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from icljax.omniglot.images import png
from tests.omniglot.images import archive


def chunk(kind: bytes, contents: bytes) -> bytes:
  return (
    struct.pack('>I4s', len(contents), kind)
    + contents
    + struct.pack('>I', zlib.crc32(kind + contents))
  )


def paeth(a, b, c):
  p = a + b - c
  pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
  return a if pa <= pb and pa <= pc else b if pb <= pc else c


PREDICT = [
  lambda a, b, c: 0,
  lambda a, b, c: a,
  lambda a, b, c: b,
  lambda a, b, c: (a + b) // 2,
  paeth,
]


def encode(image: np.ndarray, depth: int, filters: list[int], interlace: int = 0) -> bytes:
  """A PNG of `[H, W]` levels with a filter for each row."""
  rows = (np.packbits(image, axis=1) if depth == 1 else image).astype(int)
  padded = np.pad(rows, ((1, 0), (1, 0)))
  lines = b''
  for i, kind in enumerate(filters):
    a, b, c = padded[i + 1, :-1], padded[i, 1:], padded[i, :-1]
    lines += bytes([kind]) + bytes(
      (rows[i, j] - PREDICT[kind](a[j], b[j], c[j])) % 256 for j in range(rows.shape[1])
    )
  head = struct.pack('>IIBBBBB', image.shape[1], image.shape[0], depth, 0, 0, 0, interlace)
  middle = zlib.compress(lines)
  halves = chunk(b'IDAT', middle[:20]) + chunk(b'IDAT', middle[20:])  # a stream may be cut anywhere
  return png.SIGNATURE + chunk(b'IHDR', head) + halves + chunk(b'IEND', b'')


@pytest.mark.parametrize('depth', [1, 8])
@pytest.mark.parametrize('filters', [[0], [1], [2], [3], [4], [4, 3, 2, 1, 0]], ids=str)
def test_every_filter(depth, filters):
  image = np.random.default_rng(0).integers(0, 2**depth, (20, 21)).astype(np.uint8)
  data = encode(image, depth, (filters * 20)[:20])
  np.testing.assert_array_equal(png.pixels(data), image)
  np.testing.assert_array_equal(png.ink(data), image < 2 ** (depth - 1))
  np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), image)


def test_what_it_cannot_decode_is_said():
  image = np.eye(20, dtype=np.uint8)
  data = encode(image, 1, [0] * 20)
  wrong = {
    'not a PNG': b'GIF89a' + data,
    'damaged': data[:60],
    'does not have its checksum': data[:50] + bytes([data[50] ^ 1]) + data[51:],
    'interlace 1': encode(image, 1, [0] * 20, interlace=1),
    'filter 5': png.SIGNATURE + _with_filter(5),
  }
  for message, bad in wrong.items():
    with pytest.raises(ValueError, match=message):
      png.pixels(bad)


def _with_filter(kind: int) -> bytes:
  head = struct.pack('>IIBBBBB', 8, 1, 8, 0, 0, 0, 0)
  return (
    chunk(b'IHDR', head)
    + chunk(b'IDAT', zlib.compress(bytes([kind] + [0] * 8)))
    + chunk(b'IEND', b'')
  )


def test_equals_pillow_on_every_file_of_the_archive():
  with zipfile.ZipFile(archive('images_background_small1.zip')) as files:
    names = [name for name in files.namelist() if name.endswith('.png')]
    assert len(names) == 136 * 20
    for name in names:
      data = files.read(name)
      white = np.asarray(Image.open(io.BytesIO(data)))
      assert white.dtype == bool
      np.testing.assert_array_equal(png.ink(data), ~white, err_msg=name)
