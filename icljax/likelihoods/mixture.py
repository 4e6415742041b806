"""Mixtures of likelihoods of any kinds."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import logsumexp

from icljax.likelihoods.base import Likelihood, as_targets


class Mixture(Likelihood):
  """A mixture of F kinds of likelihood with J components each: log_weights `[..., F, J]`, parts F
  of shape `[..., J]`.

  Discrete and continuous parts are compared under one measure: at a value that a discrete part can
  take only the probabilities count, elsewhere only the densities. Draws of continuous parts are
  moved off such values.
  """

  log_weights: Array
  parts: tuple[Likelihood, ...]

  def _each(self, read) -> Array:
    return jnp.stack([read(part) for part in self.parts], axis=-2)  # [..., F, J]

  def _is_atom(self, y: Array) -> Array:
    atoms = [part.support(y[..., None])[..., 0] for part in self.parts if part.discrete]
    return jnp.any(jnp.stack(atoms), axis=0) if atoms else jnp.zeros(y.shape, bool)

  def support(self, y):
    return self._each(lambda part: part.support(y[..., None])).any((-2, -1))

  def part_log_probs(self, y: Array) -> Array:
    """log p(y) of every component under the common measure, `[..., F, J]`."""
    atom = self._is_atom(y)[..., None]

    def read(part):
      log_prob = part.log_prob(y[..., None])
      return log_prob if part.discrete else jnp.where(atom, -jnp.inf, log_prob)

    return self._each(read)

  def log_prob(self, y):
    y = as_targets(y)
    return logsumexp(self.log_weights + self.part_log_probs(y), axis=(-2, -1))

  def mean(self):
    return (jnp.exp(self.log_weights) * self._each(lambda part: part.mean())).sum((-2, -1))

  def variance(self):
    offsets = self._each(lambda part: part.mean()) - self.mean()[..., None, None]
    within = self._each(lambda part: part.variance())
    return (jnp.exp(self.log_weights) * (within + offsets**2)).sum((-2, -1))

  def _cdf(self, y):
    shares = self._each(lambda part: part.cdf(y[..., None]))
    weights = jnp.exp(self.log_weights)
    return (weights * shares).sum((-2, -1)) / weights.sum((-2, -1))  # 1 to the bit beyond all parts

  def _sample(self, key):
    choice_key, *part_keys = jax.random.split(key, 1 + len(self.parts))
    components = self.log_weights.shape[-1]
    choice = jax.random.categorical(
      choice_key, self.log_weights.reshape(*self.log_weights.shape[:-2], -1)
    )
    kind, component = jnp.divmod(choice, components)

    def draw(part, part_key):
      axis = choice.ndim
      pick = lambda leaf: jnp.take_along_axis(
        leaf, component.reshape(choice.shape + (1,) * (leaf.ndim - axis)), axis=axis
      )
      y = jax.tree.map(pick, part).sample(part_key)[..., 0]
      if part.discrete:
        return y
      aside = y + 1e-6 * jnp.maximum(jnp.abs(y), 1.0)
      return jnp.where(self._is_atom(y), aside, y)

    # [..., F].
    draws = jnp.stack(
      [draw(part, part_key) for part, part_key in zip(self.parts, part_keys)], axis=-1
    )
    return jnp.take_along_axis(draws, kind[..., None], axis=-1)[..., 0]
