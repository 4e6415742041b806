"""Linear regression: ridge, which is exact for Gaussian weights, and least squares.

The clip of the linear predictor is left out: the answers are exact for tasks that have none.
"""

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from icljax.base import Episode, Predictor
from icljax.likelihoods import Gaussian

# Least squares takes singular values below this share of the largest for 0: float32 gives them to
# about 1e-7 of it, times the square root of the number of pairs.
SMALLEST_SINGULAR_VALUE = 1e-6
# Episodes whose prefixes least squares holds at once: 128 KB of them at K = 16 and D = 8.
CHUNK = 16


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
    def one(pairs):
      x, y = pairs
      points = jnp.arange(len(y))

      def after(k):
        seen = jnp.where((points < k)[:, None], x, 0.0)
        return x[k] @ (jnp.linalg.pinv(seen, rtol=SMALLEST_SINGULAR_VALUE) @ y)

      return Gaussian.of(jax.vmap(after)(points), self.noise)

    return jax.lax.map(one, (episodes.x, episodes.y), batch_size=CHUNK)


class Zero(Predictor, struct.PyTreeNode):
  """Always 0, with the noise around it.

  Attributes:
    noise: standard deviation of the noise, `[]`.
  """

  noise: Array

  def along(self, episodes: Episode) -> Gaussian:
    return Gaussian.of(jnp.zeros_like(episodes.y), self.noise)
