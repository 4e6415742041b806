"""Read-outs: from a hidden state per position, flat as `[B*K, E]`, to the predictive distribution
of its target.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from icljax.families import Dispersion, Family
from icljax.likelihoods import Eta, Gaussian, Mixture

BOUND = 10.0  # eta is 10 tanh(eta / 10): exp(eta) stays finite whatever the weights


def bounded(eta: Array) -> Array:
  return BOUND * jnp.tanh(eta / BOUND)


class EtaHead(nn.Module):
  """C linear predictors per position; the family is told when the output is scored, not to the
  model.
  """

  families: Sequence[Family]
  precision: str | None = None

  @nn.compact
  def __call__(self, hidden: Array, dispersion: Dispersion) -> Eta:
    del dispersion
    predictors = max(family.predictors for family in self.families)
    return Eta(bounded(nn.Dense(predictors, precision=self.precision, name='eta')(hidden)))


class MixtureHead(nn.Module):
  """A mixture with `components` members of every family: nobody is told the family."""

  families: Sequence[Family]
  components: int = 4
  precision: str | None = None

  @nn.compact
  def __call__(self, hidden: Array, dispersion: Dispersion) -> Mixture:
    logits, parts = [], []
    # A layer of its own for each, so that a model of more families can start from this one.
    for family in self.families:
      features = self.components * (1 + family.predictors)
      outputs = nn.Dense(features, precision=self.precision, name=family.name)(hidden)
      logits.append(outputs[:, : self.components])
      eta = bounded(outputs[:, self.components :]).reshape(-1, self.components, family.predictors)
      parts.append(family.likelihood(eta, dispersion))
    log_weights = jax.nn.log_softmax(jnp.concatenate(logits, axis=1)).reshape(
      -1, len(self.families), self.components
    )
    return Mixture(log_weights, tuple(parts))


class KnownNoiseHead(nn.Module):
  """One Gaussian per position: its mean is any number, its standard deviation the task's noise.

  So the loss is the squared error over twice the noise's variance, and a constant.

  Attributes:
    has_bias: whether the read-out of the mean has one.
  """

  has_bias: bool = True
  precision: str | None = None

  @nn.compact
  def __call__(self, hidden: Array, dispersion: Dispersion) -> Gaussian:
    normal = nn.initializers.normal(0.02)  # as all kernels of GPT-2
    mean = nn.Dense(
      1, use_bias=self.has_bias, kernel_init=normal, precision=self.precision, name='mean'
    )(hidden)
    return Gaussian.of(mean[:, 0], dispersion.noise)
