"""What handles point to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icljax.omniglot.drawings import VARIANTS, Drawings, Features, Symbols, noisy

SIDE = 5


@pytest.fixture
def images():
  return np.random.default_rng(0).integers(0, 2, (4, 3, SIDE, SIDE)).astype(np.uint8)


@pytest.fixture
def packed(images):
  return np.packbits(images.reshape(4, 3, -1), axis=-1)


def test_bits_become_the_drawing_that_a_handle_names(images, packed):
  handles = np.random.default_rng(1).integers(0, [4, 3, 9], (6, 2, 3))
  looked = jax.jit(lambda data, x: data.look_up(x))(Drawings(packed, SIDE), handles)
  np.testing.assert_array_equal(looked, images[handles[..., 0], handles[..., 1]])


def test_variants_are_flipped_then_turned(images, packed):
  """Class 8 c + 4 flip + rotation, rotations of 90 degrees, flipped left-right first."""
  handles = np.array([[VARIANTS * 2 + v, 1, 0] for v in range(VARIANTS)])
  looked = Drawings(packed, SIDE, augmented=True).look_up(jnp.asarray(handles))
  for v in range(VARIANTS):
    image = images[2, 1]
    np.testing.assert_array_equal(looked[v], np.rot90(np.fliplr(image) if v >= 4 else image, v % 4))
  assert len({np.asarray(image).tobytes() for image in looked}) == VARIANTS


def test_features_and_symbols():
  values = np.arange(24.0, dtype=np.float32).reshape(4, 3, 2)
  handles = jnp.array([[3, 1, 0], [0, 2, 5]])
  np.testing.assert_array_equal(Features(values).look_up(handles), values[[3, 0], [1, 2]])
  np.testing.assert_array_equal(Symbols().look_up(handles), [3, 0])


def test_noise_is_normal_and_belongs_to_its_seed():
  items, seeds = jnp.ones((50, 4, 10, 10)), jnp.arange(200).reshape(50, 4)
  added = np.asarray(noisy(items, jnp.float32(0.3), seeds)) - 1
  assert added.std() == pytest.approx(0.3, rel=0.03)
  assert abs(added.mean()) < 4 * 0.3 / added.size**0.5
  assert np.abs(np.corrcoef(added.reshape(200, -1)[:2])[0, 1]) < 0.4
  np.testing.assert_allclose(
    noisy(items[:1], jnp.float32(0.3), seeds[:1]) - 1, added[:1], atol=1e-6
  )
