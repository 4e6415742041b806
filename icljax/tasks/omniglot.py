"""Sequences of drawings and labels, the query last (Chan et al. 2022): pure functions of a key, in indices of drawings.

An item of a sequence is a handle `[2]`, the class id and which of its drawings; images are looked up when a model reads them.
A class that occurs several times in a sequence shows different drawings for as long as there are some.
"""

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from icljax.base import Episode
from icljax.tasks.classes import KINDS, Pool, Table

RARE, COMMON, ZIPFIAN, HOLDOUT = range(len(KINDS))
# Sequences whose query is to be answered from the context, from the weights, or from either.
FEWSHOT = {f'fewshot_{name}': kind for kind, name in enumerate(KINDS)}
NO_SUPPORT = {f'no_support_{name}': kind for kind, name in enumerate(KINDS) if name != 'holdout'}
SEQUENCES = ('bursty', *NO_SUPPORT, *FEWSHOT, 'mixed', 'random')
NON_BURSTY = ('zipfian', 'common_uniform', 'common_no_support')


class Burstiness(struct.PyTreeNode):
  """What a `bursty` sequence is made of; all but the names are probabilities.

  Attributes:
    bursty: that a few-shot problem is embedded in the sequence at all.
    zipfian: that its classes and the remaining ones are both drawn by the Zipf law,
    common: that they are common among rare ones; else they are rare among common ones.
    otherwise: what a sequence without a few-shot problem is, one of `NON_BURSTY`.
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
    interim: loss weight of the labels before the query's, whose own is 1.
    kind: one of `SEQUENCES`.
    labels: how many labels each class owns, of which a sequence uses one: more than 1 is polysemy. Only rare classes own several.
    points: K, items of a sequence that is not a few-shot problem alone.
    shots, ways: of the few-shot problem.
    drawings: J, drawings of a class.
    replacement: whether the classes of a few-shot problem may be one twice, as published.
    grouped: whether every `ways` items of a few-shot context have one of each class.
  """

  pool: Pool
  burstiness: Burstiness
  fewshot: Array
  interim: Array
  kind: str = struct.field(pytree_node=False)
  labels: int = struct.field(pytree_node=False, default=1)
  points: int = struct.field(pytree_node=False, default=9)
  shots: int = struct.field(pytree_node=False, default=3)
  ways: int = struct.field(pytree_node=False, default=2)
  drawings: int = struct.field(pytree_node=False, default=20)
  replacement: bool = struct.field(pytree_node=False, default=False)
  grouped: bool = struct.field(pytree_node=False, default=False)

  def at(self, step: Array) -> 'Sequences':
    """Itself: there is no curriculum."""
    del step
    return self

  @property
  def outputs(self) -> int:
    """How many labels a model has to choose from."""
    return max(self.ways, self.labels * self.pool.rare + self.pool.common + self.pool.holdout)

  def sample(self, key: Array) -> Episode:
    """One sequence: x `[K, 2]`, labels y `[K]`. The key is consumed."""
    class_key, label_key, drawing_key = jax.random.split(key, 3)
    table = self.pool.table()
    positions, labels = self._items(class_key, label_key, table)
    handles = jnp.stack([self.pool.ids[positions], self._drawings(drawing_key, positions)], axis=-1)
    weight = jnp.full(labels.shape, self.interim, jnp.float32).at[-1].set(1.0)
    return Episode(x=handles, y=labels.astype(jnp.float32), weight=weight, task=SequenceTruth(positions))

  def _items(self, key: Array, label_key: Array, table: Table) -> tuple[Array, Array]:
    """Positions in the pool and labels of the items, `[K]`."""
    if self.kind in FEWSHOT:
      return self._few_shot(key, label_key, table, jnp.int32(FEWSHOT[self.kind]))
    if self.kind == 'mixed':
      few_key, many_key, which_key = jax.random.split(key, 3)
      problem = self._few_shot(few_key, label_key, table, jnp.int32(RARE))
      positions = table.draw(many_key, jnp.int32(COMMON), shape=problem[0].shape)
      is_problem = jax.random.uniform(which_key) < self.fewshot
      return jax.tree.map(
        lambda a, b: jnp.where(is_problem, a, b), problem, (positions, self._fixed_labels(label_key, positions))
      )
    if self.kind == 'random':
      positions = table.draw(key, jnp.int32(ZIPFIAN), shape=(self.points,))
    elif self.kind in NO_SUPPORT:
      positions = self._without_support(key, table, jnp.int32(NO_SUPPORT[self.kind]))
    else:
      positions = self._bursty(key, table)
    return positions, self._fixed_labels(label_key, positions)

  def _few_shot(self, key: Array, label_key: Array, table: Table, kind: Array) -> tuple[Array, Array]:
    """`ways` classes, each `shots` times, and one of them again; labels 0..ways-1, drawn anew for each sequence."""
    class_key, order_key, query_key = jax.random.split(key, 3)
    classes = self._problem_classes(class_key, table, kind)
    if self.grouped:
      slots = jax.vmap(lambda each: jax.random.permutation(each, self.ways))(jax.random.split(order_key, self.shots)).reshape(-1)
    else:
      slots = jax.random.permutation(order_key, jnp.tile(jnp.arange(self.ways), self.shots))
    slots = jnp.append(slots, jax.random.randint(query_key, (), 0, self.ways))
    return classes[slots], jax.random.permutation(label_key, self.ways)[slots]

  def _problem_classes(self, key: Array, table: Table, kind: Array) -> Array:
    if self.replacement:
      return table.draw(key, kind, shape=(self.ways,))
    return table.draw_distinct(key, kind, self.ways)

  def _without_support(self, key: Array, table: Table, kind: Array) -> Array:
    """A query of the kind, and a context of the same kind in which its class does not occur."""
    query_key, context_key = jax.random.split(key)
    query = table.draw(query_key, kind)
    context = table.draw(context_key, kind, query[None], shape=(self.points - 1,))
    return jnp.append(context, query)

  def _bursty(self, key: Array, table: Table) -> Array:
    """With probability `burstiness.bursty` a few-shot problem among other items; else what `otherwise` says."""
    which_key, kinds_key, problem_key, rest_key, order_key, query_key, other_key = jax.random.split(key, 7)
    burst = self.burstiness
    # which kinds the problem's classes and the remaining ones are of
    u = jax.random.uniform(kinds_key)
    pair = jnp.where(u < burst.zipfian, 0, jnp.where(u < burst.zipfian + burst.common, 1, 2))
    kind, rest_kind = jnp.array([[ZIPFIAN, ZIPFIAN], [COMMON, RARE], [RARE, COMMON]])[pair]
    classes = self._problem_classes(problem_key, table, kind)
    count = self.points - 1 - self.shots * self.ways
    if burst.distinct:
      rest = table.draw_distinct(rest_key, rest_kind, count, without=classes)
    else:
      rest = table.draw(rest_key, rest_kind, shape=(count,))
    context = jax.random.permutation(order_key, jnp.concatenate([jnp.repeat(classes, self.shots), rest]))
    bursty = jnp.append(context, classes[jax.random.randint(query_key, (), 0, self.ways)])
    if burst.otherwise == 'common_no_support':
      other = self._without_support(other_key, table, jnp.int32(COMMON))
    else:
      other_kind = jnp.int32(ZIPFIAN if burst.otherwise == 'zipfian' else COMMON)
      other = table.draw(other_key, other_kind, shape=(self.points,))
    return jnp.where(jax.random.uniform(which_key) < burst.bursty, bursty, other)

  def _fixed_labels(self, key: Array, positions: Array) -> Array:
    """The labels that classes keep: their position; of several that a rare class owns, one drawn per sequence and class."""
    first = first_occurrence(positions)
    chosen = jax.random.randint(key, positions.shape, 0, self.labels)[first]
    return jnp.where(positions < self.pool.rare, self.labels * positions + chosen, positions + (self.labels - 1) * self.pool.rare)

  def _drawings(self, key: Array, positions: Array) -> Array:
    """Which drawing of its class each item is, `[K]`: a class uses up its drawings before one comes again."""
    orders = jnp.argsort(jax.random.uniform(key, (*positions.shape, self.drawings)), axis=-1)
    same = positions[:, None] == positions[None]
    occurrence = jnp.tril(same, k=-1).sum(1)
    return orders[first_occurrence(positions), occurrence % self.drawings]


class SequenceTruth(struct.PyTreeNode):
  """What generated a sequence: the classes of its items as positions in the pool, `[K]`."""

  positions: Array


def first_occurrence(positions: Array) -> Array:
  """For each item the index of the first one of its class, `[K]`."""
  return jnp.argmax(positions[:, None] == positions[None], axis=1)
