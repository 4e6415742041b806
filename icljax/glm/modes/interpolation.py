"""The path between two tasks of the pool: does a model that knows the pool bend towards it?

Tasks w_a = m (a w_i + (1 - a) w_j) / |a w_i + (1 - a) w_j| for a from 0 to 1, with m the mean of
both norms (Raventos et al. 2023, section 4); i and j differ from episode to episode.
"""

from typing import cast

import jax
import jax.numpy as jnp
from jax import Array

from icljax.base import Episode
from icljax.glm.model import ModelPredictor
from icljax.glm.modes.diversity import Predictors, has_means
from icljax.glm.modes.prompts import Axis, read, read_all
from icljax.glm.priors import Path, Pool
from icljax.glm.task import GLM
from icljax.paired import Indices, draw_episodes

SHARES = tuple(i / 10 for i in range(11))  # a
AXIS = Axis(
  name='a',
  label='place between two tasks of the pool, a',
  about='tasks on the path between two tasks of the pool, after K - 1 pairs',
  places=lambda config: SHARES,
)


def draw_prompts(task: GLM, indices: Indices) -> Episode:
  """Episodes of tasks along the path, `[A, B]`: of one, inputs and noise are the same for all a."""

  def at_share(share: Array) -> Episode:
    between = Path(cast(Pool, task.prior), share)
    return draw_episodes(task.replace(prior=between), indices)

  return jax.vmap(at_share)(jnp.asarray(SHARES))


def score_model(task: GLM, model: ModelPredictor, data: None, indices: Indices) -> dict[str, Array]:
  """What a model says of the last targets, `[B, A]`."""
  del data
  return read('model', model, draw_prompts(task, indices), has_means(task))


def score_baselines(
  task: GLM, predictors: Predictors, data: None, indices: Indices
) -> dict[str, Array]:
  """The same of every baseline."""
  del data
  return read_all(predictors, draw_prompts(task, indices), has_means(task))
