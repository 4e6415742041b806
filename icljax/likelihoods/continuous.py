"""Likelihoods of real numbers."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import ndtr, ndtri

from icljax.likelihoods.base import SMALLEST_POSITIVE, Likelihood


class Gaussian(Likelihood):
  """N(eta, scale^2); eta and scale `[...]`."""

  targets: ClassVar[str] = 'finite numbers'
  eta: Array
  scale: Array

  def support(self, y):
    return jnp.isfinite(y)

  def _log_prob(self, y):
    return (
      -0.5 * ((y - self.eta) / self.scale) ** 2 - jnp.log(self.scale) - 0.5 * jnp.log(2 * jnp.pi)
    )

  def mean(self):
    return self.eta

  def variance(self):
    return self.scale**2

  def _cdf(self, y):
    return ndtr((y - self.eta) / self.scale)

  def _quantile(self, q):
    return self.eta + self.scale * ndtri(q)

  def _sample(self, key):
    return self.eta + self.scale * jax.random.normal(key, self.eta.shape)


class Exponential(Likelihood):
  """Positive times with mean exp(eta); eta `[...]`."""

  targets: ClassVar[str] = 'numbers from 0'
  eta: Array

  def support(self, y):
    return (y >= 0) & jnp.isfinite(y)

  def _log_prob(self, y):
    return -self.eta - y * jnp.exp(-self.eta)

  def mean(self):
    return jnp.exp(self.eta)

  def variance(self):
    return jnp.exp(2 * self.eta)

  def _cdf(self, y):
    return -jnp.expm1(-jnp.maximum(y, 0.0) * jnp.exp(-self.eta))

  def _quantile(self, q):
    return -jnp.log1p(-q) * self.mean()

  def _sample(self, key):
    return jnp.maximum(self.mean() * jax.random.exponential(key, self.eta.shape), SMALLEST_POSITIVE)
