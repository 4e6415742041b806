"""Sequences of drawings and labels, the query last (Chan et al. 2022): pure functions of a key.

An item of a sequence is a handle `[3]`, the class id, which of its drawings, and a seed for noise;
images are looked up when a model reads them. A class that occurs several times in a sequence shows
different drawings for as long as there are some.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from icljax.base import Episode
from icljax.omniglot.drawings import noisy
from icljax.omniglot.labels import first_occurrence
from icljax.omniglot.samplers import SAMPLERS
from icljax.omniglot.settings import SequenceSettings


class Sequences(SequenceSettings):
  """A distribution over sequences of one kind; its attributes are its settings."""

  def at(self, step: Array) -> 'Sequences':
    """The same sequences at every step: there is no curriculum."""
    del step
    return self

  def render(self, data: Any, x: Array) -> Array:
    """What a model reads of handles `[..., 3]`: drawings, features or symbols."""
    items = data.look_up(x)
    return items if self.noise is None else noisy(items, self.noise, x[..., 2])

  def sample(self, key: Array) -> Episode:
    """One sequence: x `[K, 3]`, labels y `[K]`. The key is consumed."""
    class_key, label_key, drawing_key = jax.random.split(key, 3)
    sampler = SAMPLERS[self.kind.sampler]
    positions, labels = sampler(self, class_key, label_key, self.pool.table())
    seeds = self._noise_seeds(
      jax.random.fold_in(key, 3), positions
    )  # beside the three of the split
    drawings = self._drawings(drawing_key, positions)
    handles = jnp.stack([self.pool.ids[positions], drawings, seeds], axis=-1)
    before_query = 0.0 if self.interim is None else self.interim
    weight = jnp.full(labels.shape, before_query, jnp.float32).at[-1].set(1.0)
    return Episode(
      x=handles, y=labels.astype(jnp.float32), weight=weight, task=SequenceTruth(positions)
    )

  def _noise_seeds(self, key: Array, positions: Array) -> Array:
    """The seed of each item's noise, `[K]`; 0 where there is none."""
    if self.noise is None:
      return jnp.zeros_like(positions)
    return jax.random.bits(key, positions.shape).astype(jnp.int32)

  def _drawings(self, key: Array, positions: Array) -> Array:
    """Which drawing of its class each item is, `[K]`.

    A class uses up its drawings before one comes again.
    """
    orders = jnp.argsort(jax.random.uniform(key, (*positions.shape, self.drawings)), axis=-1)
    same = positions[:, None] == positions[None]
    occurrence = jnp.tril(same, k=-1).sum(1)
    return orders[first_occurrence(positions), occurrence % self.drawings]


class SequenceTruth(struct.PyTreeNode):
  """What generated a sequence: the classes of its items as positions in the pool, `[K]`."""

  positions: Array
