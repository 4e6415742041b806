"""Prompts of two tasks: the first n pairs are of another task than the rest and the query.

`own` is the exact answer for new tasks of who knows which pairs are of the query's task, and reads
these alone. The other baselines take all pairs for one task's, as the model was trained to.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from icljax.base import Episode, draw_batch, stream
from icljax.glm.model import ModelPredictor
from icljax.glm.modes.diversity import Predictors, has_means
from icljax.glm.modes.prompts import Axis, read, read_all
from icljax.glm.task import GLM
from icljax.paired import Indices, draw_episodes

MOST_COUNTS = 8  # of places on the axis: each costs as much as the episodes of another evaluation


def counts_of_others(points: int) -> tuple[int, ...]:
  """The numbers n that are measured, from 0 to K - 1."""
  return tuple(np.unique(np.linspace(0, points - 1, MOST_COUNTS).round().astype(int)).tolist())


AXIS = Axis(
  name='n',
  label="pairs of another task before those of the query's, n",
  about="prompts of K - 1 pairs, the first n of another task than the query's",
  places=lambda config: counts_of_others(config.task.K),
)


def draw_prompts(task: GLM, indices: Indices) -> Episode:
  """Prompts with n pairs of another task, `[A, B]`; the truth is the query's."""
  own, key = draw_episodes(task, indices), stream(indices.seed, 'eval other task')
  other = draw_batch(task, key, 0, indices.numbers, indices.axis)

  def with_others(count: Array) -> Episode:
    is_other = (jnp.arange(task.points) < count)[None]
    x = jnp.where(is_other[..., None], other.x, own.x)
    return own.replace(x=x, y=jnp.where(is_other, other.y, own.y))

  return jax.vmap(with_others)(jnp.asarray(counts_of_others(task.points)))


def score_model(task: GLM, model: ModelPredictor, data: None, indices: Indices) -> dict[str, Array]:
  """What a model says of the queries, `[B, A]` over n."""
  del data
  return read('model', model, draw_prompts(task, indices), has_means(task))


def score_baselines(
  task: GLM, predictors: Predictors, data: None, indices: Indices
) -> dict[str, Array]:
  """The same of every baseline, and of `own` for linear regression."""
  del data
  prompts = draw_prompts(task, indices)
  scores = read_all(predictors, prompts, has_means(task))
  if 'ridge' in predictors:
    scores |= read('own', predictors['ridge'], own_pairs(prompts), has_means(task))
  return scores


def own_pairs(prompts: Episode) -> Episode:
  """Prompts `[A, B]` whose pairs of the other task tell ridge nothing: their inputs are 0."""
  points = prompts.y.shape[2]
  is_own = jnp.arange(points)[None] >= jnp.asarray(counts_of_others(points))[:, None]
  return prompts.replace(x=prompts.x * is_own[:, None, :, None])
