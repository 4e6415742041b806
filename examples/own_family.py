r"""A user-defined likelihood: how many of 8 trials succeed, with a logit link.

    python run.py --config=configs/glm.py --config.checkpoint_dir=runs/binomial \
      --config.task.families=examples.own_family:binomial

Every oracle follows from its `_log_prob`, which has to be concave in eta; quantiles follow from its
`_cdf`. It can also stand beside others:
--config.task.families=poisson,examples.own_family:binomial
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gammaln

from icljax.families import Family
from icljax.likelihoods import Likelihood

TRIALS = 8


class Binomial(Likelihood):
  """Successes in `TRIALS` trials of probability sigmoid(eta); eta `[...]`."""

  discrete: ClassVar[bool] = True
  eta: Array

  def support(self, y):
    return (y >= 0) & (y <= TRIALS) & (y == jnp.floor(y))

  def _log_prob(self, y):  # of a y in the support
    ways = gammaln(TRIALS + 1.0) - gammaln(y + 1) - gammaln(TRIALS - y + 1)
    return ways + y * self.eta - TRIALS * jax.nn.softplus(self.eta)

  def mean(self):
    return TRIALS * jax.nn.sigmoid(self.eta)

  def variance(self):
    return self.mean() * jax.nn.sigmoid(-self.eta)

  def _cdf(self, y):
    probs = [jnp.exp(self._log_prob(count)) for count in range(TRIALS + 1)]
    return sum(jnp.where(count <= y, prob, 0.0) for count, prob in enumerate(probs))

  def _sample(self, key):
    trials = (
      jax.random.uniform(key, (*self.eta.shape, TRIALS)) < jax.nn.sigmoid(self.eta)[..., None]
    )
    return trials.sum(-1).astype(jnp.float32)


binomial = Family(
  'binomial',
  lambda eta, dispersion: Binomial.of(eta[..., 0]),
  mean=lambda eta: TRIALS * jax.nn.sigmoid(eta),  # of y, and its inverse
  link=lambda mean: jax.scipy.special.logit(mean / TRIALS),
)
