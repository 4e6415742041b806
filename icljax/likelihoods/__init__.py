"""Predictive distributions: one class each, used to sample a task, to score a baseline and as a
model's output.

A likelihood is a pytree whose leaves have the shape of the targets it describes (`...` below: `[K]`
for an episode, `[B, K]` for a batch). Build it with `of`, which broadcasts its parameters against
each other: a scalar scale that is vmapped to `[B]` beside a location `[B, K]` would be silently
wrong where B == K.

`eta` is the linear predictor of a generalized linear model and has one meaning everywhere: the mean
is `eta` (Gaussian), `sigmoid(eta)`, `exp(eta)` or `softmax(eta)`.
"""

from icljax.likelihoods.base import (
  LARGEST_Y,
  LOWEST,
  SMALLEST_POSITIVE,
  Eta,
  Likelihood,
  as_targets,
)
from icljax.likelihoods.binned import Binned, PositiveBinned, choose_borders
from icljax.likelihoods.continuous import Exponential, Gaussian
from icljax.likelihoods.discrete import Bernoulli, Categorical, NegativeBinomial, Poisson
from icljax.likelihoods.mixture import Mixture

__all__ = [
  'LARGEST_Y',
  'LOWEST',
  'SMALLEST_POSITIVE',
  'Bernoulli',
  'Binned',
  'Categorical',
  'Eta',
  'Exponential',
  'Gaussian',
  'Likelihood',
  'Mixture',
  'NegativeBinomial',
  'Poisson',
  'PositiveBinned',
  'as_targets',
  'choose_borders',
]
