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
from icljax.omniglot.classes import Pool
from icljax.omniglot.drawings import noisy
from icljax.omniglot.kinds import SequenceKind
from icljax.omniglot.labels import first_occurrence
from icljax.omniglot.samplers import SAMPLERS


class Burstiness(struct.PyTreeNode):
  """What a `bursty` sequence is made of; all but the names are probabilities.

  Attributes:
    bursty: that a few-shot problem is embedded in the sequence at all.
    zipfian: that its classes and the remaining ones are both drawn by the Zipf law,
    common: that they are common among rare ones; else they are rare among common ones.
    otherwise: what a sequence without a few-shot problem is, one of `kinds.NON_BURSTY`.
    distinct: whether the remaining items are all of other classes, instead of independent draws.
  """

  bursty: Array
  zipfian: Array
  common: Array
  otherwise: str = struct.field(pytree_node=False, default='zipfian')
  distinct: bool = struct.field(pytree_node=False, default=False)


class Sequences(struct.PyTreeNode):
  """A distribution over sequences of one kind.

  Attributes:
    pool: the classes.
    burstiness: of `bursty` sequences.
    fewshot: probability that a `mixed` sequence is a few-shot problem.
    interim: loss weight of the labels before the query's, whose own is 1; None if only that counts.
    label_sets: labels of a few-shot problem, of whose rows one is drawn, `[R, ways]`.
    noise: standard deviation of what is added to each number of an item; None for nothing.
    labelings: of rare and of common classes: 'ordered', their position in the pool; 'original',
      their class id; or 'unfixed', drawn anew for each sequence from one of the `label_sets`, where
      the classes of a bursty problem have different ones.
    labels: how many labels each class owns, of which a sequence uses one: more than 1 is polysemy.
      Only rare classes whose labels are ordered own several.
    points: K, items of a sequence whose kind is no problem.
    shots, ways: of the few-shot problem.
    drawings: J, drawings of a class.
    replacement: whether the classes of a few-shot problem may be one twice, as published.
    grouped: whether every `ways` items of a few-shot context have one of each class.
  """

  pool: Pool
  burstiness: Burstiness
  fewshot: Array
  interim: Array | None
  label_sets: Array
  kind: SequenceKind = struct.field(pytree_node=False)
  noise: Array | None = None
  labelings: tuple[str, str] = struct.field(pytree_node=False, default=('ordered', 'ordered'))
  labels: int = struct.field(pytree_node=False, default=1)
  points: int = struct.field(pytree_node=False, default=9)
  shots: int = struct.field(pytree_node=False, default=3)
  ways: int = struct.field(pytree_node=False, default=2)
  drawings: int = struct.field(pytree_node=False, default=20)
  replacement: bool = struct.field(pytree_node=False, default=False)
  grouped: bool = struct.field(pytree_node=False, default=False)

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
