"""The families of generalized linear models: a link, a likelihood, and nothing else.

A family reads C linear predictors (`eta [..., C]`; C = 1 except for the multinomial, where it is
the number of classes). `statistic` is what a sample mean estimates and what the link maps to eta: y
itself, or its one-hot vector. A user-defined family is one `Family(...)`, such as
`examples/own_family.py`; its log-likelihood has to be concave in eta, so that Newton's method finds
the mode of a posterior.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from icljax.likelihoods import (
  Bernoulli,
  Categorical,
  Exponential,
  Gaussian,
  Likelihood,
  NegativeBinomial,
  Poisson,
)


class Dispersion(struct.PyTreeNode):
  """What a family has besides eta.

  Attributes:
    noise: the standard deviation of `linear`.
    r: the size of `neg_binomial`.
  """

  noise: Array
  r: Array


def _number(y: Array) -> Array:
  return y[..., None]


@dataclasses.dataclass(frozen=True)
class Family:
  """A generalized linear model's response.

  Attributes:
    name: as in configs and tables.
    likelihood: (eta [..., C], dispersion) -> likelihood [...].
    mean: the inverse link, eta [..., C] -> expected statistic [..., C].
    link: expected statistic [..., C] -> eta [..., C].
    statistic: y [...] -> [..., C].
    predictors: C, the number of linear predictors. Targets of a family with several are classes
      0..C-1, and models read them as one-hot vectors.
    conjugate: whether a Gaussian prior on the weights gives an exactly Gaussian posterior.
  """

  name: str
  likelihood: Callable[[Array, Dispersion], Likelihood]
  mean: Callable[[Array], Array]
  link: Callable[[Array], Array]
  statistic: Callable[[Array], Array] = _number
  predictors: int = 1
  conjugate: bool = False


LINEAR = Family(
  'linear',
  lambda eta, d: Gaussian.of(eta[..., 0], d.noise),
  mean=lambda eta: eta,
  link=lambda mean: mean,
  conjugate=True,
)
LOGISTIC = Family(
  'logistic',
  lambda eta, d: Bernoulli.of(eta[..., 0]),
  mean=jax.nn.sigmoid,
  link=jax.scipy.special.logit,
)
POISSON = Family('poisson', lambda eta, d: Poisson.of(eta[..., 0]), mean=jnp.exp, link=jnp.log)
NEG_BINOMIAL = Family(
  'neg_binomial', lambda eta, d: NegativeBinomial.of(eta[..., 0], d.r), mean=jnp.exp, link=jnp.log
)
EXPONENTIAL = Family(
  'exponential', lambda eta, d: Exponential.of(eta[..., 0]), mean=jnp.exp, link=jnp.log
)


@functools.cache  # so that two of as many classes are the same one
def multinomial(classes: int) -> Family:
  """Softmax regression over `classes` classes, with a weight vector for each."""
  return Family(
    'multinomial',
    lambda eta, d: Categorical.of(eta),
    mean=jax.nn.softmax,
    link=jnp.log,
    statistic=lambda y: jax.nn.one_hot(y.astype(jnp.int32), classes),
    predictors=classes,
  )


def families(classes: int) -> dict[str, Family]:
  """Every family by name, those of `icljax.glm.checks.FAMILIES`; `classes` is the multinomial's."""
  known = [LINEAR, LOGISTIC, POISSON, NEG_BINOMIAL, EXPONENTIAL, multinomial(classes)]
  return {family.name: family for family in known}
