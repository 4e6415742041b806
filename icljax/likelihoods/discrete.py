"""Likelihoods of counts, labels and classes."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gammaln

from icljax.ambient import as_threefry
from icljax.likelihoods.base import Likelihood
from icljax.likelihoods.tails import neg_binomial_cdf, poisson_cdf


class Bernoulli(Likelihood):
  """y in {0, 1} with P(y = 1) = sigmoid(eta); eta `[...]`."""

  discrete: ClassVar[bool] = True
  targets: ClassVar[str] = 'labels 0 and 1'
  eta: Array

  def support(self, y):
    return (y == 0) | (y == 1)

  def _log_prob(self, y):
    return y * self.eta - jax.nn.softplus(self.eta)

  def mean(self):
    return jax.nn.sigmoid(self.eta)

  def variance(self):
    return jax.nn.sigmoid(self.eta) * jax.nn.sigmoid(-self.eta)

  def _cdf(self, y):
    return jnp.where(y < 0, 0.0, jnp.where(y < 1, jax.nn.sigmoid(-self.eta), 1.0))

  def _quantile(self, q):
    return jnp.where(q <= jax.nn.sigmoid(-self.eta), 0.0, 1.0)

  def _sample(self, key):
    return jax.random.bernoulli(key, self.mean()).astype(jnp.float32)


def _is_count(y: Array) -> Array:
  return (y >= 0) & (y == jnp.floor(y)) & jnp.isfinite(y)


class Poisson(Likelihood):
  """Counts with mean and variance exp(eta); eta `[...]`.

  Of means above 1e4 the draws are those of rejections that round log-probabilities of 1e5 and more:
  their cdf is off by about .003 at a mean of 1e5 and by .007 at 1e6.
  """

  discrete: ClassVar[bool] = True
  targets: ClassVar[str] = 'counts 0, 1, 2, ...'
  eta: Array

  def support(self, y):
    return _is_count(y)

  def _log_prob(self, y):
    return y * self.eta - jnp.exp(self.eta) - gammaln(y + 1)

  def mean(self):
    return jnp.exp(self.eta)

  def variance(self):
    return jnp.exp(self.eta)

  def _cdf(self, y):
    return jnp.where(y < 0, 0.0, poisson_cdf(jnp.floor(jnp.maximum(y, 0.0)), self.eta))

  def _sample(self, key):
    return jax.random.poisson(as_threefry(key), self.mean()).astype(jnp.float32)


class NegativeBinomial(Likelihood):
  """NB2: counts with mean m = exp(eta) and variance m + m^2/r; eta and r `[...]`."""

  discrete: ClassVar[bool] = True
  targets: ClassVar[str] = 'counts 0, 1, 2, ...'
  eta: Array
  r: Array

  def support(self, y):
    return _is_count(y)

  def _log_prob(self, y):
    log_r, log_sum = jnp.log(self.r), jnp.logaddexp(jnp.log(self.r), self.eta)  # log(r + m)
    choose = gammaln(y + self.r) - gammaln(self.r) - gammaln(y + 1)
    return choose + self.r * (log_r - log_sum) + y * (self.eta - log_sum)

  def mean(self):
    return jnp.exp(self.eta)

  def variance(self):
    return self.mean() * (1 + self.mean() / self.r)

  def _cdf(self, y):
    return jnp.where(y < 0, 0.0, neg_binomial_cdf(jnp.floor(jnp.maximum(y, 0.0)), self.eta, self.r))

  def _sample(self, key):
    rate_key, count_key = jax.random.split(as_threefry(key))
    rate = jax.random.gamma(rate_key, self.r) * self.mean() / self.r
    return jax.random.poisson(count_key, rate).astype(jnp.float32)


class Categorical(Likelihood):
  """Class indices 0..C-1 with probabilities softmax(eta); eta `[..., C]`. Its mean and
  variance are those of the index.
  """

  discrete: ClassVar[bool] = True
  targets: ClassVar[str] = 'class indices 0 to C - 1'
  eta: Array

  def support(self, y):
    return _is_count(y) & (y < self.eta.shape[-1])

  def _log_prob(self, y):
    index = jnp.clip(y, 0, self.eta.shape[-1] - 1).astype(jnp.int32)
    return jnp.take_along_axis(jax.nn.log_softmax(self.eta), index[..., None], axis=-1)[..., 0]

  def probs(self) -> Array:
    """P(y = c), `[..., C]`."""
    return jax.nn.softmax(self.eta)

  def mean(self):
    return self.probs() @ jnp.arange(self.eta.shape[-1], dtype=self.eta.dtype)

  def variance(self):
    index = jax.lax.broadcasted_iota(self.eta.dtype, self.eta.shape, self.eta.ndim - 1)
    return (self.probs() * (index - self.mean()[..., None]) ** 2).sum(-1)

  def _cdf(self, y):
    raise NotImplementedError(
      'Categorical has no cdf or quantile: classes have no order; ask probs'
    )

  def _sample(self, key):
    return jax.random.categorical(key, self.eta).astype(jnp.float32)
