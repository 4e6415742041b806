r"""User-defined metrics: how far the predicted mean is from the target, and how often a likelier
number was possible.

    python run.py --config=configs/glm.py --jaxline_mode eval \
      --config.eval.metrics=examples.own_metric:squared_error,examples.own_metric:surprise

A metric reads the predictive distribution of every target of one episode, and the episode; it gives
a number per target `[K]`.
"""

import jax
import jax.numpy as jnp
from jax import Array

from icljax.base import Episode
from icljax.likelihoods import Likelihood


def squared_error(predicted: Likelihood, episode: Episode) -> Array:
  """Squared error of the predictive mean."""
  return (predicted.mean() - episode.y) ** 2


def surprise(predicted: Likelihood, episode: Episode) -> Array:
  """Whether a draw from the prediction is likelier than the target: half of the time, if the
  prediction is right.
  """
  bits = jax.lax.bitcast_convert_type(episode.x.sum(), jnp.uint32)
  # A key of the episode's own.
  drawn = predicted.sample(jax.random.fold_in(jax.random.key(0), bits))
  likelier, tied = predicted.log_prob(drawn), predicted.log_prob(episode.y)
  return jnp.where(likelier == tied, 0.5, likelier > tied)
