"""Sets of drawings: bits, sizes, and a cache that is whole or made anew."""

import os

import numpy as np
import pytest

from icljax.omniglot.images import omniglot, procedural, store


def load(folder, **fields) -> tuple[store.Images, list[str]]:
  said: list[str] = []
  images = store.load(
    'procedural', cache_dir=str(folder), say=said.append, **{'classes': 3, 'side': 28} | fields
  )
  return images, said


def test_bits_are_the_drawings(tmp_path):
  for side in (28, 105):
    images, _ = load(tmp_path, side=side)
    want = [store.resize(procedural.character(0, i), side) for i in range(3)]
    got = images.unpack()
    assert (got.shape, got.dtype) == ((3, 20, side, side), np.uint8)
    assert images.packed.shape == (3, 20, -(-side * side // 8))
    for drawings, others in zip(got, want):
      assert sorted(one.tobytes() for one in drawings) == sorted(
        one.astype(np.uint8).tobytes() for one in others
      )
  assert images.source == 'procedural characters'


def test_resizing_is_the_mean_of_the_area_and_a_threshold():
  ink = np.random.default_rng(0).random((2, 105, 105)) < 0.3
  # Every pixel in 28 x 28 parts.
  whole = ink.repeat(28, 1).repeat(28, 2).reshape(2, 28, 105, 28, 105).mean((2, 4))
  clear = np.abs(whole - store.INK) > 1e-6
  assert clear.mean() > 0.99
  np.testing.assert_array_equal(store.resize(ink, 28)[clear], (whole > store.INK)[clear])


def test_fewer_classes_are_the_first_of_more(tmp_path):
  np.testing.assert_array_equal(load(tmp_path, classes=2)[0].packed, load(tmp_path)[0].packed[:2])


def test_the_order_of_drawings_is_their_own(monkeypatch):
  ink = procedural.character(0, 0)
  again = np.random.default_rng(0).permutation(ink)
  assert (again != ink).any()
  np.testing.assert_array_equal(store._pack([again], 28), store._pack([ink], 28))


def test_a_cache_is_read_and_is_the_same(tmp_path, monkeypatch):
  made, said = load(tmp_path)
  assert said == ['procedural characters: drawing 3 classes of 20']
  before = [path.read_bytes() for path in tmp_path.iterdir()]
  monkeypatch.setattr(procedural, 'character', None)
  again, said = load(tmp_path)
  assert not said
  assert again.digest() == made.digest()
  assert [path.read_bytes() for path in tmp_path.iterdir()] == before


def other_bits(path) -> None:
  """A sound file with one pixel changed: only the checksum knows."""
  with np.load(path) as fields:
    values = dict(fields)
  values['packed'][1, 2, 3] ^= 16
  np.savez_compressed(path, **values)


DAMAGE = {
  'empty': lambda path: path.write_bytes(b''),
  'cut off': lambda path: path.write_bytes(path.read_bytes()[:-500]),
  'no archive': lambda path: path.write_bytes(b'something else'),
  'a byte': lambda path: path.write_bytes(
    path.read_bytes()[:300] + bytes([path.read_bytes()[300] ^ 1]) + path.read_bytes()[301:]
  ),
  'a pixel': other_bits,
  'fields': lambda path: np.savez(path, packed=np.zeros(3)),
  'pickle': lambda path: np.savez(path, packed=np.array([{}], dtype=object)),
}


@pytest.mark.parametrize('damage', DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_cache_is_made_anew(tmp_path, damage):
  made, _ = load(tmp_path)
  (path,) = tmp_path.iterdir()
  damage(path)
  again, said = load(tmp_path)
  assert 'it is made anew' in said[0]
  assert '\n' not in said[0]
  assert again.digest() == made.digest()
  assert load(tmp_path)[1] == []
  assert list(tmp_path.iterdir()) == [path]


def test_without_a_cache_it_works_and_says_so(tmp_path):
  (tmp_path / 'file').write_text('')
  images, said = load(tmp_path / 'file' / 'folder')
  assert images.packed.shape == (3, 20, 98)
  assert 'cannot be written' in said[-1]


def test_the_permissions_of_a_cache_follow_the_umask(tmp_path):
  before = os.umask(0o002)
  try:
    store.load('procedural', cache_dir=str(tmp_path), classes=2, say=lambda text: None)
  finally:
    os.umask(before)
  assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o664]


def test_what_there_is_not():
  with pytest.raises(
    ValueError, match=f"'mnist'; allowed are {', '.join(omniglot.SPLITS)}, procedural"
  ):
    store.load('mnist')
  with pytest.raises(ValueError, match='side of drawings is 106; allowed is 1 to 105'):
    store.load('procedural', side=106)
