"""Cumulative probabilities of counts: regularised incomplete gamma and beta functions.

The probability of a Poisson or negative binomial count up to y is that of a gamma or beta variable
beyond a point. On the scale of its logarithm, or logit, the log-density of such a variable is
concave, and what it loses away from a place is written without any difference of large numbers. So
it is integrated there, on both sides of the point: of means from 1e-6 to 1e7 and sizes from .05 to
1e6 the largest error is 2e-7, three roundings of 32 bits. The series and continued fractions that
are usual take thousands of terms at such sizes, and their prefactors, differences of lgammas of
1e7, are wrong by a factor.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

Loss = Callable[[Array], Array]

# Densities below exp(-25) = 1e-11 of the largest one are left out.
LARGEST_LOSS = 25.0
# Halvings of the binary logarithm of where that is, between these ends: so 8% at most are in vain.
HALVINGS, SMALLEST_END, LARGEST_END = 10, -60.0, 20.0
# Gauss-Legendre points of each integral, denser where it starts: with 24 or with 48 the largest
# error is the same.
POINTS = 32
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(POINTS)
_ROOTS = (_NODES + 1) / 2
NODES, WEIGHTS = np.float32(_ROOTS**2), np.float32(_WEIGHTS * _ROOTS)


def poisson_cdf(y: Array, eta: Array) -> Array:
  """P(Y <= y) of a Poisson variable of mean exp(eta), which is P(G > exp(eta)) of a gamma variable
  G of shape y + 1; y whole and from 0.
  """
  mean, shape = jnp.exp(eta), y + 1
  return _upper_share(
    lambda u: shape * _exp_beyond_line(u),
    lambda u: mean * _exp_beyond_line(u) - (shape - mean) * u,
    _log_ratio(shape, mean, eta),
  )


def neg_binomial_cdf(y: Array, eta: Array, r: Array) -> Array:
  """P(Y <= y) of a negative binomial variable of mean m = exp(eta) and size r, which is P(X > m /
  (r + m)) of a beta variable X of shapes y + 1 and r; y whole and from 0.
  """
  mean, shape = jnp.exp(eta), y + 1
  total, scale = shape + r, mean + r
  slope = r * ((shape - mean) / scale)
  return _upper_share(
    lambda u: total * _log_mean_exp_beyond_line(u, shape / total, r / total),
    lambda u: total * _log_mean_exp_beyond_line(u, mean / scale, r / scale) - slope * u,
    _log_ratio(shape, mean, eta),
  )


def _log_ratio(shape: Array, mean: Array, eta: Array) -> Array:
  """log(shape) - eta, also where they are close, with mean = exp(eta)."""
  relative = (shape - mean) / mean
  is_close = jnp.abs(relative) < 0.5
  return jnp.where(is_close, jnp.log1p(jnp.where(is_close, relative, 0.0)), jnp.log(shape) - eta)


def _upper_share(from_mode: Loss, from_point: Loss, distance: Array) -> Array:
  """The share of a log-concave density that lies beyond a point, `[...]`.

  Args:
    from_mode: how much the log-density at u from its mode is less than at the mode.
    from_point: how much that at u from the point is less than at the point.
    distance: how far the point lies below the mode `[...]`, or above where it is negative.
  """
  towards = jnp.where(distance > 0, -1.0, 1.0)  # from the mode to the point, and from there on
  near, far = lambda v: from_mode(towards * v), lambda v: from_mode(-towards * v)
  tail = lambda v: from_point(towards * v)
  beyond = jnp.exp(-from_mode(-distance)) * _integrate(tail, _end(tail, distance))
  between = _integrate(near, jnp.minimum(jnp.abs(distance), _end(near, distance)))
  share = beyond / (beyond + between + _integrate(far, _end(far, distance)))
  return jnp.where(distance > 0, 1 - share, share)


def _end(loss: Loss, like: Array) -> Array:
  """Where a convex loss, 0 at 0, exceeds `LARGEST_LOSS`, `[...]`."""

  def halve(_, ends):
    low, high = ends
    middle = (low + high) / 2
    is_beyond = loss(jnp.exp2(middle)) > LARGEST_LOSS
    return jnp.where(is_beyond, low, middle), jnp.where(is_beyond, middle, high)

  ends = jnp.full_like(like, SMALLEST_END), jnp.full_like(like, LARGEST_END)
  return jnp.exp2(jax.lax.fori_loop(0, HALVINGS, halve, ends)[1])


def _integrate(loss: Loss, end: Array) -> Array:
  """The integral of exp(-loss) from 0 to an end, `[...]`."""

  def add(total, node):
    place, weight = node
    return total + weight * jnp.exp(-loss(place * end)), None

  return end * jax.lax.scan(add, jnp.zeros_like(end), (NODES, WEIGHTS))[0]


def _exp_beyond_line(u: Array) -> Array:
  """exp(u) - 1 - u, by its Taylor series where that is a difference of numbers close by."""
  series = jnp.ones_like(u)
  for k in range(10, 2, -1):
    series = 1 + u / k * series
  return jnp.where(jnp.abs(u) < 0.5, u * u / 2 * series, jnp.expm1(u) - u)


def _line_beyond_log(z: Array) -> Array:
  """z - log(1 + z) for z in [-.5, 1], by the series of log((1 + s) / (1 - s)), s = z / (2 + z)."""
  s = z / (2 + z)
  square, series = s * s, jnp.zeros_like(z)
  for k in range(17, 1, -2):
    series = 1 / k + square * series
  return z * s - 2 * s * square * series


def _log_mean_exp_beyond_line(u: Array, p: Array, q: Array) -> Array:
  """log(p exp(u) + q) - p u, with p + q = 1: how far a log-mean-exp lies above its tangent at 0."""
  u, p = jnp.where(p > q, -u, u), jnp.minimum(p, q)  # the same with p <= .5
  in_reach = jnp.minimum(u, 80.0)  # before exp overflows
  z = p * jnp.expm1(in_reach)
  close = p * _exp_beyond_line(in_reach) - _line_beyond_log(jnp.minimum(z, 1.0))
  distant = jnp.logaddexp(jnp.log1p(-p), jnp.log(p) + u) - p * u
  return jnp.where((z < 1) & (u < 80.0), close, distant)
