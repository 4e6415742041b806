r"""A user-defined task with its exact answer: linear regression in which half of the weights are 0.

    python run.py --config=configs/glm.py:linear --config.checkpoint_dir=runs/sparse \
      --config.task.own=examples.own_task:sparse

It is measured against its `references`, Bayes over all sets of weights and ridge; else alone.
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from icljax.base import Episode, Predictor
from icljax.glm.task import GLM


class SparseLinear(GLM):
  """`GLM` with other weights; all else is inherited."""

  def sample(self, key: jax.Array) -> Episode:
    dense_key, present_key = jax.random.split(key)
    dense = super().sample(dense_key)
    truth, w = dense.task, dense.task.w
    truth = truth.replace(w=w * jax.random.bernoulli(present_key, 0.5, w.shape))
    shift = truth.eta(dense.x) - dense.task.eta(dense.x)  # the noise stays as it was drawn
    return dense.replace(task=truth, y=dense.y + shift[:, 0])

  def references(self) -> dict[str, Predictor]:
    subsets = jnp.indices([2] * self.dims).reshape(self.dims, -1).T
    shares = {'bayes': subsets, 'ridge': jnp.full((1, self.dims), 0.5)}
    variance, noise = self.scale**2, self.dispersion.noise**2
    return {name: GaussianWeights(share * variance, noise) for name, share in shares.items()}


class GaussianWeights(Predictor):
  """Bayes for weights N(0, diag(v)), v equally any of `variances` `[S, D]`: S Kalman filters."""

  def __init__(self, variances: jax.Array, noise_variance: jax.Array):
    self.start = jnp.zeros_like(variances), jax.vmap(jnp.diag)(variances), jnp.zeros(len(variances))
    self.noise_variance = noise_variance

  def score(self, episodes: Episode) -> jax.Array:
    def step(carry, pair):
      (mean, cov, log_weight), (x, y) = carry, pair  # [S, D], [S, D, D], [S]
      gain = cov @ x  # [S, D]
      variance, error = gain @ x + self.noise_variance, y - mean @ x
      log_p = -0.5 * (error**2 / variance + jnp.log(2 * jnp.pi * variance))
      mean = mean + gain * (error / variance)[:, None]
      cov = cov - gain[:, :, None] * gain[:, None, :] / variance[:, None, None]
      surprise = logsumexp(log_weight + log_p) - logsumexp(log_weight)
      return (mean, cov, log_weight + log_p), surprise

    return jax.vmap(lambda one: jax.lax.scan(step, self.start, (one.x, one.y))[1])(episodes)


def sparse(glm: GLM) -> SparseLinear:
  if [family.name for family in glm.families] != ['linear']:
    raise ValueError('examples.own_task:sparse is for --config.task.families=linear')
  return SparseLinear(**vars(glm))
