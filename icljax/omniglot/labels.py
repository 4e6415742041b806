"""The labels of classes: their own, those drawn anew for a sequence, and those an answer may be."""

import jax
import jax.numpy as jnp
from jax import Array

from icljax.omniglot.settings import SequenceSettings


def own_labels(task: SequenceSettings, positions: Array) -> Array:
  """The labels that classes keep, `[..., labels]`.

  A rare class whose labels are ordered has `task.labels` different ones, another class one as many
  times.

  Args:
    positions: of classes in the pool, `[...]`.
  """
  shape = (*positions.shape, task.labels)
  several = jnp.arange(task.labels).reshape((1,) * positions.ndim + (-1,))
  rare = task.labels * positions[..., None] + several
  common = jnp.broadcast_to(positions[..., None] + (task.labels - 1) * task.pool.rare, shape)
  original = jnp.broadcast_to(task.pool.ids[positions][..., None], shape)
  of_rare, of_common = task.labelings
  return jnp.where(
    (positions < task.pool.rare)[..., None],
    original if of_rare == 'original' else rare,
    original if of_common == 'original' else common,
  )


def owned_labels(task: SequenceSettings, outputs: int) -> dict[str, Array]:
  """Which labels the classes of a group keep, `[outputs]`, by group.

  Groups whose labels are drawn anew are left out.

  Args:
    outputs: how many labels a model has.
  """
  rare, seen = task.pool.rare, task.pool.rare + task.pool.common
  positions = {'rare': jnp.arange(rare), 'common': jnp.arange(rare, seen)}
  return {
    group: among(own_labels(task, positions[group]).reshape(-1), outputs)
    for group, labeling in zip(positions, task.labelings)
    if labeling != 'unfixed'
  }


def drawn_labels(task: SequenceSettings, outputs: int) -> Array:
  """Which labels are drawn anew for sequences, `[outputs]`."""
  return among(task.label_sets.reshape(-1), outputs)


def allowed_labels(task: SequenceSettings, context: Array, outputs: int) -> Array:
  """Which labels an answer may be, `[outputs]`, where the kind of the sequence is known.

  Args:
    context: the labels of the context, `[K - 1]`.
    outputs: how many labels a model has.
  """
  kind = task.kind
  if kind.context_labels:
    return among(context, outputs)
  owned = owned_labels(task, outputs)
  masks = [owned[group] for group in kind.own_labels if group in owned]
  if kind.drawn_labels or len(masks) < len(kind.own_labels):
    masks.append(drawn_labels(task, outputs))
  return jnp.stack(masks).any(0)


def draw_label_set(task: SequenceSettings, key: Array) -> Array:
  """The labels of a problem's classes, `[ways]`. The key is consumed."""
  which_key, order_key = jax.random.split(key)
  labels = task.label_sets[jax.random.randint(which_key, (), 0, task.label_sets.shape[0])]
  return jax.random.permutation(order_key, labels)


def label_items(
  task: SequenceSettings, key: Array, positions: Array, problem: Array | None = None
) -> Array:
  """The labels of items, `[K]`: all items of a class have the same one. The key is consumed.

  It is the label that the class keeps, one of several drawn for the sequence, or an unfixed one.

  Args:
    positions: of the items' classes in the pool, `[K]`.
    problem: classes `[ways]` whose unfixed labels differ from each other.
  """
  first = first_occurrence(positions)
  chosen = jax.random.randint(key, positions.shape, 0, task.labels)[first]
  own = jnp.take_along_axis(own_labels(task, positions), chosen[:, None], axis=1)[:, 0]
  if 'unfixed' not in task.labelings:
    return own
  set_key, any_key = jax.random.split(jax.random.fold_in(key, 1))
  labels = draw_label_set(task, set_key)
  unfixed = labels[jax.random.randint(any_key, positions.shape, 0, task.ways)][first]
  if problem is not None:
    same = positions[:, None] == problem[None]
    unfixed = jnp.where(same.any(1), labels[same.argmax(1)], unfixed)
  rare, common = (labeling == 'unfixed' for labeling in task.labelings)
  return jnp.where(jnp.where(positions < task.pool.rare, rare, common), unfixed, own)


def first_occurrence(positions: Array) -> Array:
  """For each item the index of the first one of its class, `[K]`."""
  return jnp.argmax(positions[:, None] == positions[None], axis=1)


def among(labels: Array, outputs: int) -> Array:
  """Which of the numbers 0..outputs-1 are among the labels, `[outputs]`."""
  return jnp.zeros(outputs, bool).at[labels.astype(jnp.int32)].set(True)
