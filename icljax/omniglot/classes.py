"""The classes of sequences: rare, common and held out; how often each is drawn, on the device.

Classes are called by their position in the pool, `[P]`: first the rare ones, then the common ones,
then the held-out ones. The order of classes is a permutation of its own seed, the same for all
runs; held-out classes are its last ones, so that they stay what they are when the numbers of the
others change.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array


class Pool(struct.PyTreeNode):
  """The classes of a task.

  Attributes:
    ids: the class of each position, `[P]`.
    exponent: alpha of the Zipf law over rare and common classes.
    rare, common, holdout: how many there are.
    zipf_slices: whether rare and common classes are drawn by their part of the Zipf law, instead of
      uniformly.
  """

  ids: Array
  exponent: Array
  rare: int = struct.field(pytree_node=False)
  common: int = struct.field(pytree_node=False)
  holdout: int = struct.field(pytree_node=False)
  zipf_slices: bool = struct.field(pytree_node=False, default=False)

  @property
  def masses(self) -> Array:
    """How likely each position is, up to a factor, by group: `[4, P]`, in the order of `GROUPS`.

    Of n rare and common classes, that at position i has Zipf weight 1 / (n - i)^alpha: the first is
    the rarest.
    """
    position = jnp.arange(self.rare + self.common + self.holdout)
    seen = position < self.rare + self.common
    zipf = jnp.where(
      seen, jnp.maximum(self.rare + self.common - position, 1) ** -self.exponent, 0.0
    )
    flat = zipf if self.zipf_slices else seen.astype(jnp.float32)
    is_rare = position < self.rare
    return jnp.stack([flat * is_rare, flat * (seen & ~is_rare), zipf, (~seen).astype(jnp.float32)])

  def table(self) -> 'Table':
    """What drawing needs, to be made once for a batch."""
    return Table(jnp.cumsum(self.masses, axis=1))


class Table(struct.PyTreeNode):
  """Cumulative masses by group, `[4, P]`. Positions are drawn by inverting them."""

  cumulative: Array

  def _interval(self, group: Array, position: Array) -> tuple[Array, Array]:
    """Where the mass of a position begins and ends."""
    begin = jnp.where(position > 0, self.cumulative[group, jnp.maximum(position - 1, 0)], 0.0)
    return begin, self.cumulative[group, position]

  def _invert(self, group: Array, mass: Array) -> Array:
    """The position in whose interval a mass `[...]` lies: bisection, without a copy of the row."""
    size = self.cumulative.shape[1]

    def halve(_, interval):
      low, high = interval
      middle = (low + high) // 2
      right = self.cumulative[group, middle] <= mass
      return jnp.where(right, jnp.minimum(middle + 1, high), low), jnp.where(right, high, middle)

    ends = jnp.zeros(mass.shape, jnp.int32), jnp.full(mass.shape, size - 1)
    return jax.lax.fori_loop(0, max(1, (size - 1).bit_length()), halve, ends)[0]

  def draw(
    self, key: Array, group: Array, without: Array | None = None, shape: tuple[int, ...] = ()
  ) -> Array:
    """Independent positions of a group, `shape`. The key is consumed.

    Args:
      group: index into `GROUPS`.
      without: positions `[n]` that are not to be drawn; some may have no mass, or come twice.
    """
    uniform = jax.random.uniform(key, shape)
    if without is None or without.size == 0:
      return self._clipped(group, uniform * self.cumulative[group, -1])
    without = jnp.sort(without)
    begins, ends = jax.vmap(lambda position: self._interval(group, position))(without)
    # What comes again is left out already.
    ends = jnp.where(jnp.append(False, without[1:] == without[:-1]), begins, ends)
    mass = uniform * (self.cumulative[group, -1] - (ends - begins).sum())
    # The intervals that are left out are jumped over, from left to right.
    for begin, end in zip(begins, ends):
      mass = jnp.where(mass >= begin, mass + (end - begin), mass)
    return self._clipped(group, mass)

  def _clipped(self, group: Array, mass: Array) -> Array:
    """`_invert`, where rounding has not carried the mass beyond the last position that has any."""
    return self._invert(group, jnp.minimum(mass, jnp.nextafter(self.cumulative[group, -1], 0.0)))

  def draw_distinct(
    self, key: Array, group: Array, count: int, without: Array | None = None
  ) -> Array:
    """Positions `[count]` of a group, each without those before it. The key is consumed."""
    chosen = jnp.zeros(0, jnp.int32) if without is None else without
    before = chosen.size
    for each in jax.random.split(key, count):
      chosen = jnp.concatenate([chosen, self.draw(each, group, chosen)[None]])
    return chosen[before:]


def ordered_classes(classes: int, seed: int, block: int = 1) -> np.ndarray:
  """The order of classes `[N]`: a permutation in which blocks of `block` ids stay together, in
  their order.

  Raises:
    ValueError: if the blocks do not divide the classes.
  """
  if classes % block:
    raise ValueError(
      f'data.generator_config.preserve_ordering_every_n is {block}, which does not divide the '
      f'{classes} classes'
    )
  blocks = np.random.default_rng(seed).permutation(classes // block)
  return (blocks[:, None] * block + np.arange(block)).reshape(-1)


def pool(
  order: np.ndarray,
  exponent: float,
  rare: int,
  common: int,
  holdout: int,
  zipf_slices: bool = False,
) -> Pool:
  """The pool of a class order `[N]`: rare and common classes from its start, held-out ones from its
  end.

  Raises:
    ValueError: if there are not so many classes.
  """
  if rare + common + holdout > len(order) or min(rare, common, holdout) < 0:
    raise ValueError(
      f'data.generator_config asks for {rare} rare, {common} common and {holdout} held-out '
      f'classes; there are {len(order)} in all'
    )
  ids = np.concatenate([order[: rare + common], order[len(order) - holdout :]])
  return Pool(
    jnp.asarray(ids, jnp.int32), jnp.float32(exponent), rare, common, holdout, zipf_slices
  )
