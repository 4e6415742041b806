"""A task of one's own, with its exact answer: linear regression in which each weight is 0 with
probability 1/2.

    python run.py --config=configs/glm.py:linear --config.task.own=examples.own_task:sparse --config.checkpoint_dir=runs/sparse

It is measured against Bayes, which asks every set of weights, and ridge regression, the best that
does not know of zeros.
"""

import itertools

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import logsumexp

from icljax.base import Episode, Predictor
from icljax.glm.task import GLM


class SparseLinear(GLM):
  """`GLM` with other weights; all else is inherited."""

  def sample(self, key: Array) -> Episode:
    dense_key, present_key = jax.random.split(key)
    dense = super().sample(dense_key)
    truth = dense.task.replace(
      w=dense.task.w * jax.random.bernoulli(present_key, 0.5, dense.task.w.shape)
    )
    shift = truth.eta(dense.x) - dense.task.eta(dense.x)  # the noise stays as it was drawn
    return dense.replace(task=truth, y=dense.y + shift[:, 0])

  def references(self) -> dict[str, Predictor]:
    supports = jnp.array(list(itertools.product((0.0, 1.0), repeat=self.dims)))
    of = lambda shares: GaussianWeights(shares * self.scale**2, self.dispersion.noise**2)
    return {'bayes': of(supports), 'ridge': of(jnp.full((1, self.dims), 0.5))}


class GaussianWeights(Predictor):
  """Bayes for weights N(0, diag(v)), v being any of `variances` `[S, D]` with equal probability: S
  Kalman filters.
  """

  def __init__(self, variances: Array, noise_variance: Array):
    self.variances, self.noise_variance = variances, noise_variance

  def score(self, episodes: Episode) -> Array:
    def step(carry, pair):
      mean, cov, log_weight = carry  # [S, D], [S, D, D], [S]
      x, y = pair
      gain = cov @ x  # [S, D]
      variance, error = gain @ x + self.noise_variance, y - mean @ x
      log_p = -0.5 * (error**2 / variance + jnp.log(2 * jnp.pi * variance))
      mean = mean + gain * (error / variance)[:, None]
      cov = cov - gain[:, :, None] * gain[:, None, :] / variance[:, None, None]
      return (mean, cov, log_weight + log_p), logsumexp(log_weight + log_p) - logsumexp(log_weight)

    start = (
      jnp.zeros_like(self.variances),
      jax.vmap(jnp.diag)(self.variances),
      jnp.zeros(len(self.variances)),
    )
    return jax.vmap(lambda episode: jax.lax.scan(step, start, (episode.x, episode.y))[1])(episodes)


def sparse(glm: GLM) -> SparseLinear:
  if [family.name for family in glm.families] != ['linear']:
    raise ValueError('examples.own_task:sparse is for --config.task.families=linear')
  return SparseLinear(**vars(glm))
