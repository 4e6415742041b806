"""What the handles of sequences point to, `[..., 3]`: the class, which of its drawings, and a seed
for noise.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array

from icljax.ambient import PRNG

VARIANTS = 8  # of an augmented class: 4 * flip + rotation


def variants(side: int) -> np.ndarray:
  """Which pixel of a drawing stands where in each of its variants, `[8, side * side]`: flipped
  left-right, then turned by 90 degrees.
  """
  pixels = np.arange(side * side).reshape(side, side)
  return np.stack(
    [
      np.rot90(np.fliplr(pixels) if flip else pixels, turn).ravel()
      for flip in (0, 1)
      for turn in range(4)
    ]
  )


class Drawings(struct.PyTreeNode):
  """Drawings as bits `[C, J, ceil(side^2 / 8)]`; where they are `augmented`, class 8 c + v is
  variant v of class c.
  """

  packed: Array | np.ndarray
  side: int = struct.field(pytree_node=False)
  augmented: bool = struct.field(pytree_node=False, default=False)

  def look_up(self, x: Array) -> Array:
    """Images `[..., side, side]`, 1 where there is ink."""
    kind, drawing = x[..., 0], x[..., 1]
    packed = jnp.asarray(self.packed)[kind // VARIANTS if self.augmented else kind, drawing]
    bits = (
      packed[..., None] >> jnp.arange(7, -1, -1, dtype=jnp.uint8).reshape((1,) * packed.ndim + (8,))
    ) & 1
    pixels = bits.reshape(*packed.shape[:-1], -1)[..., : self.side**2].astype(jnp.float32)
    if self.augmented:
      pixels = jnp.take_along_axis(
        pixels, jnp.asarray(variants(self.side))[kind % VARIANTS], axis=-1
      )
    return pixels.reshape(*x.shape[:-1], self.side, self.side)


class Features(struct.PyTreeNode):
  """Fixed features `[C, J, F]`."""

  values: Array | np.ndarray

  def look_up(self, x: Array) -> Array:
    """Features `[..., F]`."""
    return jnp.asarray(self.values)[x[..., 0], x[..., 1]]


class Symbols(struct.PyTreeNode):
  """Nothing: an item is the number of its class."""

  def look_up(self, x: Array) -> Array:
    """Classes `[...]`."""
    return x[..., 0]


def noisy(items: Array, scale: Array, seeds: Array) -> Array:
  """Items with N(0, scale^2) added to every number, drawn anew for every seed `[...]`."""
  flat = items.reshape(seeds.size, -1)
  noise = jax.vmap(lambda seed: jax.random.normal(jax.random.key(seed, impl=PRNG), flat.shape[1:]))(
    seeds.reshape(-1)
  )
  return items + scale * noise.reshape(items.shape)
