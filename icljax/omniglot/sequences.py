"""Sequences of drawings and labels, the query last (Chan et al. 2022): pure functions of a key, in
indices of drawings.

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
from icljax.omniglot.classes import KINDS, Pool, Table
from icljax.omniglot.drawings import noisy

RARE, COMMON, ZIPFIAN, HOLDOUT = range(len(KINDS))
# Sequences whose query is to be answered from the context, from the weights, or from either.
FEWSHOT = {f'fewshot_{name}': kind for kind, name in enumerate(KINDS)}
NO_SUPPORT = {f'no_support_{name}': kind for kind, name in enumerate(KINDS) if name != 'holdout'}
SEQUENCES = ('bursty', *NO_SUPPORT, *FEWSHOT, 'mixed', 'random')
NON_BURSTY = ('zipfian', 'common_uniform', 'common_no_support')
# Only evaluated: what a model believes of context and weights where they differ, and where only the
# weights can tell.
PROBES = ('flip', 'iwl_context')
LABELINGS = ('ordered', 'original', 'unfixed')


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
    interim: loss weight of the labels before the query's, whose own is 1; None if only that counts.
    label_sets: labels of a few-shot problem, of whose rows one is drawn, `[R, ways]`.
    noise: standard deviation of what is added to each number of an item; None for nothing.
    kind: one of `SEQUENCES` or `PROBES`.
    labelings: of rare and of common classes: 'ordered', their position in the pool; 'original',
      their class id; or 'unfixed', drawn anew for each sequence from one of the `label_sets`, where
      the classes of a bursty problem have different ones.
    labels: how many labels each class owns, of which a sequence uses one: more than 1 is polysemy.
      Only rare classes whose labels are ordered own several.
    points: K, items of a sequence that neither is a few-shot problem alone nor `mixed`.
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
  kind: str = struct.field(pytree_node=False)
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
    """Itself: there is no curriculum."""
    del step
    return self

  def render(self, data: Any, x: Array) -> Array:
    """What a model reads of handles `[..., 3]`: drawings, features or symbols."""
    items = data.look_up(x)
    return items if self.noise is None else noisy(items, self.noise, x[..., 2])

  def sample(self, key: Array) -> Episode:
    """One sequence: x `[K, 3]`, labels y `[K]`. The key is consumed."""
    class_key, label_key, drawing_key = jax.random.split(key, 3)
    positions, labels = self._items(class_key, label_key, self.pool.table())
    noise_key = jax.random.fold_in(key, 3)  # beside the three of the split, whatever noise there is
    seeds = (
      jnp.zeros_like(positions)
      if self.noise is None
      else jax.random.bits(noise_key, positions.shape).astype(jnp.int32)
    )
    handles = jnp.stack(
      [self.pool.ids[positions], self._drawings(drawing_key, positions), seeds], axis=-1
    )
    weight = (
      jnp.full(labels.shape, 0.0 if self.interim is None else self.interim, jnp.float32)
      .at[-1]
      .set(1.0)
    )
    return Episode(
      x=handles, y=labels.astype(jnp.float32), weight=weight, task=SequenceTruth(positions)
    )

  def allowed(self, labels: Array, outputs: int) -> Array:
    """Which labels an answer may be where it is known what kind of sequence this is, `[outputs]`.

    Args:
      labels: those of the context, `[K - 1]`.
      outputs: how many labels a model has.
    """
    if self.kind == 'flip':
      return _among(labels, outputs)
    if self.kind in FEWSHOT:
      return self.drawn(outputs)
    kinds = {
      'mixed': ('common',),
      'no_support_rare': ('rare',),
      'no_support_common': ('common',),
    }.get(self.kind, ('rare', 'common'))
    owned = self.owned(outputs)
    labelings: dict[str, str] = dict(zip(('rare', 'common'), self.labelings))
    masks = [owned[kind] for kind in kinds if kind in owned]
    if self.kind == 'mixed' or any(labelings[kind] == 'unfixed' for kind in kinds):
      masks.append(self.drawn(outputs))
    return jnp.stack(masks).any(0)

  def drawn(self, outputs: int) -> Array:
    """Which labels are drawn anew for sequences, `[outputs]`."""
    return _among(self.label_sets.reshape(-1), outputs)

  def owned(self, outputs: int) -> dict[str, Array]:
    """Which labels rare and common classes keep, `[outputs]` each; without those whose labels are
    drawn.
    """
    rare, seen = self.pool.rare, self.pool.rare + self.pool.common
    positions: dict[str, Array] = {'rare': jnp.arange(rare), 'common': jnp.arange(rare, seen)}
    return {
      kind: _among(self.own_labels(positions[kind]).reshape(-1), outputs)
      for kind, labeling in zip(positions, self.labelings)
      if labeling != 'unfixed'
    }

  def own_labels(self, positions: Array) -> Array:
    """The labels that classes keep, `[..., labels]`: `labels` of a rare class, and of others one as
    many times.
    """
    several = jnp.arange(self.labels).reshape((1,) * positions.ndim + (-1,))
    rare = self.labels * positions[..., None] + several
    common = positions[..., None] + (self.labels - 1) * self.pool.rare + 0 * several
    original = self.pool.ids[positions][..., None] + 0 * several
    of = lambda labeling, ordered: original if labeling == 'original' else ordered
    is_rare = (positions < self.pool.rare)[..., None]
    return jnp.where(is_rare, of(self.labelings[0], rare), of(self.labelings[1], common))

  def _items(self, key: Array, label_key: Array, table: Table) -> tuple[Array, Array]:
    """Positions in the pool and labels of the items, `[K]`."""
    if self.kind in FEWSHOT:
      return self._few_shot(key, label_key, table, jnp.int32(FEWSHOT[self.kind]))
    if self.kind == 'mixed':
      few_key, many_key, which_key = jax.random.split(key, 3)
      problem = self._few_shot(few_key, label_key, table, jnp.int32(RARE))
      positions = table.draw(many_key, jnp.int32(COMMON), shape=problem[0].shape)
      is_problem = jax.random.uniform(which_key) < self.fewshot
      labels = self._labels(label_key, positions)
      return jax.tree.map(lambda a, b: jnp.where(is_problem, a, b), problem, (positions, labels))
    if self.kind in PROBES:
      return self._probe(key, label_key, table)
    problem = None
    if self.kind == 'random':
      positions = table.draw(key, jnp.int32(ZIPFIAN), shape=(self.points,))
    elif self.kind in NO_SUPPORT:
      positions = self._without_support(key, table, jnp.int32(NO_SUPPORT[self.kind]))
    else:
      positions, problem = self._bursty(key, table)
    return positions, self._labels(label_key, positions, problem)

  def _few_shot(
    self, key: Array, label_key: Array, table: Table, kind: Array
  ) -> tuple[Array, Array]:
    """`ways` classes, each `shots` times, and one of them again; labels drawn anew for each
    sequence.
    """
    class_key, order_key, query_key = jax.random.split(key, 3)
    classes = self._problem_classes(class_key, table, kind)
    slots = jnp.append(self._order(order_key), jax.random.randint(query_key, (), 0, self.ways))
    return classes[slots], self._label_set(label_key)[slots]

  def _order(self, key: Array) -> Array:
    """Which class of a problem stands where in its context, `[shots * ways]`."""
    if self.grouped:
      return jax.vmap(lambda each: jax.random.permutation(each, self.ways))(
        jax.random.split(key, self.shots)
      ).reshape(-1)
    return jax.random.permutation(key, jnp.tile(jnp.arange(self.ways), self.shots))

  def _label_set(self, key: Array) -> Array:
    """The labels of a problem's classes, `[ways]`."""
    which_key, order_key = jax.random.split(key)
    labels = self.label_sets[jax.random.randint(which_key, (), 0, self.label_sets.shape[0])]
    return jax.random.permutation(order_key, labels)

  def _probe(self, key: Array, label_key: Array, table: Table) -> tuple[Array, Array]:
    """Sequences like few-shot problems, of classes that are trained on and have their own labels,
    but for one thing.

    `flip`: in the context, each class has the label of the next one; the answer is the context's
    (after Wei et al. 2023). `iwl_context`: the query is of one more class, which does not occur in
    the context.
    """
    class_key, order_key, query_key = jax.random.split(key, 3)
    classes = table.draw_distinct(class_key, jnp.int32(ZIPFIAN), self.ways + 1)
    slots = self._order(order_key)
    query = (
      jnp.int32(self.ways)
      if self.kind == 'iwl_context'
      else jax.random.randint(query_key, (), 0, self.ways)
    )
    slots, own = jnp.append(slots, query), self._labels(label_key, classes)
    shown = jnp.roll(own[:-1], -1) if self.kind == 'flip' else own
    return classes[slots], shown[slots]

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

  def _bursty(self, key: Array, table: Table) -> tuple[Array, Array]:
    """With probability `burstiness.bursty` a few-shot problem among other items, else what
    `otherwise` says; its classes.
    """
    which_key, kinds_key, problem_key, rest_key, order_key, query_key, other_key = jax.random.split(
      key, 7
    )
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
    context = jax.random.permutation(
      order_key, jnp.concatenate([jnp.repeat(classes, self.shots), rest])
    )
    bursty = jnp.append(context, classes[jax.random.randint(query_key, (), 0, self.ways)])
    if burst.otherwise == 'common_no_support':
      other = self._without_support(other_key, table, jnp.int32(COMMON))
    else:
      other_kind = jnp.int32(ZIPFIAN if burst.otherwise == 'zipfian' else COMMON)
      other = table.draw(other_key, other_kind, shape=(self.points,))
    return jnp.where(jax.random.uniform(which_key) < burst.bursty, bursty, other), classes

  def _labels(self, key: Array, positions: Array, problem: Array | None = None) -> Array:
    """The labels of items: those that their classes own, of several one drawn per sequence and
    class, or unfixed ones.

    Args:
      problem: classes `[ways]` whose unfixed labels differ from each other.
    """
    first = first_occurrence(positions)
    chosen = jax.random.randint(key, positions.shape, 0, self.labels)[first]
    own = jnp.take_along_axis(self.own_labels(positions), chosen[:, None], axis=1)[:, 0]
    if 'unfixed' not in self.labelings:
      return own
    set_key, any_key = jax.random.split(jax.random.fold_in(key, 1))
    labels = self._label_set(set_key)
    unfixed = labels[jax.random.randint(any_key, positions.shape, 0, self.ways)][first]
    if problem is not None:
      same = positions[:, None] == problem[None]
      unfixed = jnp.where(same.any(1), labels[same.argmax(1)], unfixed)
    rare, common = (labeling == 'unfixed' for labeling in self.labelings)
    return jnp.where(jnp.where(positions < self.pool.rare, rare, common), unfixed, own)

  def _drawings(self, key: Array, positions: Array) -> Array:
    """Which drawing of its class each item is, `[K]`: a class uses up its drawings before one comes
    again.
    """
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


def _among(labels: Array, outputs: int) -> Array:
  """Which of the numbers 0..outputs-1 are among the labels."""
  return jnp.zeros(outputs, bool).at[labels.astype(jnp.int32)].set(True)
