"""What can be known of the last label without training: the labels that the context gives."""

import jax.numpy as jnp
from jax import Array

from icljax.base import Episode


def copied(episode: Episode, outputs: int) -> Array:
  """Logits of every label `[C]` by those that items of the query's class have in the context; all
  the same without any.

  It is told which items are of one class, and nothing of what classes are called elsewhere: perfect
  learning in context.
  """
  positions, labels = episode.task.positions, episode.y.astype(jnp.int32)
  same = (positions[:-1] == positions[-1]).astype(jnp.float32)
  votes = jnp.zeros(outputs).at[labels[:-1]].add(same)
  return jnp.where(votes.sum() > 0, jnp.log(votes / jnp.maximum(votes.sum(), 1)), 0.0)
