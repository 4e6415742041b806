"""How the items of each kind of sequence are drawn: their classes and labels.

Every sampler is a function (task, class key, label key, table) -> (positions `[K]`, labels `[K]`),
where positions are those of classes in the pool. Both keys are consumed.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from icljax.omniglot.classes import Table
from icljax.omniglot.kinds import GROUPS
from icljax.omniglot.labels import draw_label_set, label_items
from icljax.omniglot.settings import SequenceSettings

RARE, COMMON, ZIPFIAN, HOLDOUT = range(len(GROUPS))

Items = tuple[Array, Array]


def few_shot(task: SequenceSettings, key: Array, label_key: Array, table: Table) -> Items:
  """`ways` classes, each `shots` times, and one of them again; labels are drawn anew."""
  return _problem(task, key, label_key, table, jnp.int32(GROUPS.index(task.kind.group)))


def mixed(task: SequenceSettings, key: Array, label_key: Array, table: Table) -> Items:
  """A few-shot problem of rare classes, or common ones drawn one by one with their own labels."""
  problem_key, common_key, which_key = jax.random.split(key, 3)
  problem = _problem(task, problem_key, label_key, table, jnp.int32(RARE))
  positions = table.draw(common_key, jnp.int32(COMMON), shape=problem[0].shape)
  is_problem = jax.random.uniform(which_key) < task.fewshot
  common = positions, label_items(task, label_key, positions)
  return jax.tree.map(lambda a, b: jnp.where(is_problem, a, b), problem, common)


def flip(task: SequenceSettings, key: Array, label_key: Array, table: Table) -> Items:
  """A few-shot problem of classes with labels of their own, each shown with that of the next one.

  The answer is the context's (after Wei et al. 2023).
  """
  classes, slots, query_key = _probe(task, key, table)
  query = jax.random.randint(query_key, (), 0, task.ways)
  shown = jnp.roll(label_items(task, label_key, classes)[:-1], -1)
  slots = jnp.append(slots, query)
  return classes[slots], shown[slots]


def iwl_context(task: SequenceSettings, key: Array, label_key: Array, table: Table) -> Items:
  """A few-shot problem of classes with their own labels, and a query of one more class."""
  classes, slots, _ = _probe(task, key, table)
  slots = jnp.append(slots, jnp.int32(task.ways))
  return classes[slots], label_items(task, label_key, classes)[slots]


def random(task: SequenceSettings, key: Array, label_key: Array, table: Table) -> Items:
  """Classes drawn one by one by the Zipf law."""
  positions = table.draw(key, jnp.int32(ZIPFIAN), shape=(task.points,))
  return positions, label_items(task, label_key, positions)


def without_support(task: SequenceSettings, key: Array, label_key: Array, table: Table) -> Items:
  """A query of the kind's group, and a context of that group in which its class does not occur."""
  group = jnp.int32(GROUPS.index(task.kind.group))
  positions = _without_support(task, key, table, group)
  return positions, label_items(task, label_key, positions)


def bursty(task: SequenceSettings, key: Array, label_key: Array, table: Table) -> Items:
  """With probability `burstiness.bursty` a few-shot problem among other items.

  Else what `burstiness.otherwise` says.
  """
  which_key, groups_key, problem_key, rest_key, order_key, query_key, other_key = jax.random.split(
    key, 7
  )
  burst = task.burstiness
  # The groups of the problem's classes and of the remaining ones.
  u = jax.random.uniform(groups_key)
  pair = jnp.where(u < burst.zipfian, 0, jnp.where(u < burst.zipfian + burst.common, 1, 2))
  group, rest_group = jnp.array([[ZIPFIAN, ZIPFIAN], [COMMON, RARE], [RARE, COMMON]])[pair]
  classes = _problem_classes(task, problem_key, table, group)
  count = task.points - 1 - task.shots * task.ways
  if burst.distinct:
    rest = table.draw_distinct(rest_key, rest_group, count, without=classes)
  else:
    rest = table.draw(rest_key, rest_group, shape=(count,))
  items = jnp.concatenate([jnp.repeat(classes, task.shots), rest])
  context = jax.random.permutation(order_key, items)
  positions = jnp.append(context, classes[jax.random.randint(query_key, (), 0, task.ways)])
  if burst.otherwise == 'common_no_support':
    other = _without_support(task, other_key, table, jnp.int32(COMMON))
  else:
    other_group = jnp.int32(ZIPFIAN if burst.otherwise == 'zipfian' else COMMON)
    other = table.draw(other_key, other_group, shape=(task.points,))
  positions = jnp.where(jax.random.uniform(which_key) < burst.bursty, positions, other)
  return positions, label_items(task, label_key, positions, classes)


def _problem(
  task: SequenceSettings, key: Array, label_key: Array, table: Table, group: Array
) -> Items:
  """A few-shot problem of classes of a group."""
  class_key, order_key, query_key = jax.random.split(key, 3)
  classes = _problem_classes(task, class_key, table, group)
  query = jax.random.randint(query_key, (), 0, task.ways)
  slots = jnp.append(_order(task, order_key), query)
  return classes[slots], draw_label_set(task, label_key)[slots]


def _probe(task: SequenceSettings, key: Array, table: Table) -> tuple[Array, Array, Array]:
  """`ways + 1` classes, which of the first `ways` stands where in the context, and a key."""
  class_key, order_key, query_key = jax.random.split(key, 3)
  classes = table.draw_distinct(class_key, jnp.int32(ZIPFIAN), task.ways + 1)
  return classes, _order(task, order_key), query_key


def _problem_classes(task: SequenceSettings, key: Array, table: Table, group: Array) -> Array:
  """The classes of a few-shot problem, `[ways]`."""
  if task.replacement:
    return table.draw(key, group, shape=(task.ways,))
  return table.draw_distinct(key, group, task.ways)


def _order(task: SequenceSettings, key: Array) -> Array:
  """Which class of a problem stands where in its context, `[shots * ways]`."""
  if not task.grouped:
    return jax.random.permutation(key, jnp.tile(jnp.arange(task.ways), task.shots))
  keys = jax.random.split(key, task.shots)
  return jax.vmap(lambda each: jax.random.permutation(each, task.ways))(keys).reshape(-1)


def _without_support(task: SequenceSettings, key: Array, table: Table, group: Array) -> Array:
  """The positions of a query and of a context, of one group, without the query's class."""
  query_key, context_key = jax.random.split(key)
  query = table.draw(query_key, group)
  context = table.draw(context_key, group, query[None], shape=(task.points - 1,))
  return jnp.append(context, query)


SAMPLERS: dict[str, Callable[..., Items]] = {
  'few_shot': few_shot,
  'mixed': mixed,
  'flip': flip,
  'iwl_context': iwl_context,
  'random': random,
  'without_support': without_support,
  'bursty': bursty,
}
