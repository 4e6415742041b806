"""Linear regression: ridge, which is exact for Gaussian weights, and least squares.

The clip of the linear predictor is left out: the answers are exact for tasks that have none.
"""

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from icljax.base import Episode, Predictor
from icljax.glm.least_squares import LeastSquaresFit
from icljax.likelihoods import Gaussian


class Ridge(Predictor, struct.PyTreeNode):
  """The posterior predictive of coefficients N(0, scale^2 I) and known noise.

  Its mean is ridge regression with penalty noise^2 / scale^2, 0 before the first pair; its variance
  is noise^2 + x'Sx with the posterior covariance S.

  Attributes:
    scale: standard deviation of a coefficient, `[]`.
    noise: standard deviation of the noise, `[]`.
  """

  scale: Array
  noise: Array

  def along(self, episodes: Episode) -> Gaussian:
    return jax.vmap(self._along)(episodes.x, episodes.y)

  def _along(self, x: Array, y: Array) -> Gaussian:
    """Of one episode `[K, D]`, `[K]`: each pair is a rank-one update of mean and covariance."""
    dims = x.shape[-1]

    def step(belief, pair):
      (mean, covariance), (x, y) = belief, pair
      spread = covariance @ x
      variance = self.noise**2 + x @ spread
      error = y - mean @ x
      after = (
        mean + spread * (error / variance),
        covariance - spread[:, None] * spread[None] / variance,
      )
      return after, (mean @ x, jnp.sqrt(variance))

    start = jnp.zeros(dims), self.scale**2 * jnp.eye(dims)
    return Gaussian.of(*jax.lax.scan(step, start, (x, y))[1])


class LeastSquares(Predictor, struct.PyTreeNode):
  """Ordinary least squares, of the smallest norm where pairs are fewer than dimensions.

  It plugs one line in: the variance is that of the noise alone.

  Attributes:
    noise: standard deviation of the noise, `[]`.
  """

  noise: Array

  def along(self, episodes: Episode) -> Gaussian:
    def one(x, y):
      def step(fit, pair):
        return fit.add(*pair), pair[0] @ fit.solve()

      return jax.lax.scan(step, LeastSquaresFit.empty(x.shape[-1]), (x, y))[1]

    return Gaussian.of(jax.vmap(one)(episodes.x, episodes.y), self.noise)


class Zero(Predictor, struct.PyTreeNode):
  """Always 0, with the noise around it.

  Attributes:
    noise: standard deviation of the noise, `[]`.
  """

  noise: Array

  def along(self, episodes: Episode) -> Gaussian:
    return Gaussian.of(jnp.zeros_like(episodes.y), self.noise)
