"""Priors over the weights of an episode: what draws them, and what can be said of all of them.

Weights are standard normal `[C, D]` until the task scales them. The exact answers under each prior
are one file per way to integrate: `laplace` and `ridge` (`Gaussian`), `discrete` (`Pool`).
"""

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from icljax.ambient import PRNG, as_threefry
from icljax.base import stream


class Gaussian(struct.PyTreeNode):
  """Each episode has weights of its own, N(0, I)."""

  def draw(self, key: Array, shape: tuple[int, int]) -> tuple[Array, Array]:
    """The weights `[C, D]` of an episode and -1, for they are in no pool. The key is consumed."""
    return jax.random.normal(key, shape), jnp.int32(-1)


class Pool(struct.PyTreeNode):
  """Each episode has one of `size` weights, drawn uniformly; of size 0, weights of its own.

  Weight i is a function of (seed, i): a pool takes no memory, one of M is the first M of every
  larger one, and the size may be traced. Of size 0 it gives what `Gaussian` gives, to the bit.

  Attributes:
    size: M, from 0 to 2^31 - 1, int32 `[]`.
    seed: from which its weights are drawn, uint32 `[]`.
  """

  size: Array
  seed: Array

  def weights(self, index: Array, shape: tuple[int, int]) -> Array:
    """The weights `[C, D]` of one index `[]`, whether or not it is below the size."""
    return jax.random.normal(self._key(index), shape)

  def draw(self, key: Array, shape: tuple[int, int]) -> tuple[Array, Array]:
    """The weights `[C, D]` of an episode and their index `[]`, -1 of fresh ones.

    The key is consumed.
    """
    # The key itself draws fresh weights, as it did before there were pools. The choice is between
    # keys: one between draws is compiled with them, and may round them otherwise.
    key = as_threefry(key)
    chosen = jax.random.randint(jax.random.fold_in(key, 1), (), 0, jnp.maximum(self.size, 1))
    is_fresh, own = self.size == 0, jax.random.key_data(self._key(chosen))
    drawn_by = jnp.where(is_fresh, jax.random.key_data(key), own)
    w = jax.random.normal(jax.random.wrap_key_data(drawn_by, impl=PRNG), shape)
    return w, jnp.where(is_fresh, -1, chosen)

  def _key(self, index: Array) -> Array:
    """The key that draws the weights of an index `[]`."""
    return jax.random.fold_in(stream(self.seed, 'pool'), index)


class Path(struct.PyTreeNode):
  """Each episode has weights between two of a pool's, which are drawn without replacement.

  They are m (a w_i + (1 - a) w_j) / |a w_i + (1 - a) w_j|, with m the mean of both norms, so that
  norms do not tell where on the path a task is (Raventos et al. 2023, section 4).

  Attributes:
    pool: of at least two tasks.
    share: a, from 0 to 1, `[]`.
  """

  pool: Pool
  share: Array

  def draw(self, key: Array, shape: tuple[int, int]) -> tuple[Array, Array]:
    """The weights `[C, D]` of an episode and -1, for they are in no pool. The key is consumed."""
    first_key, second_key = jax.random.split(key)
    first = jax.random.randint(first_key, (), 0, self.pool.size)
    second = jax.random.randint(second_key, (), 0, self.pool.size - 1)
    ours = self.pool.weights(first, shape)
    theirs = self.pool.weights(second + (second >= first), shape)
    between = self.share * ours + (1 - self.share) * theirs
    norm = 0.5 * (jnp.linalg.norm(ours) + jnp.linalg.norm(theirs))
    return between * norm / jnp.linalg.norm(between), jnp.int32(-1)


Prior = Gaussian | Pool | Path
