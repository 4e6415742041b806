"""Families: links invert means, likelihoods have them, and the names are those that configs may
use.
"""

import jax.numpy as jnp
import numpy as np
import pytest

from icljax.families import Dispersion, families
from icljax.glm import checks

ALL = families(classes=3)
DISPERSION = Dispersion(noise=jnp.float32(0.5), r=jnp.float32(1.2))


def test_names_are_the_configs():
  assert tuple(ALL) == checks.FAMILIES
  assert all(family.name == name for name, family in ALL.items())


@pytest.mark.parametrize('family', ALL.values(), ids=ALL)
def test_link_inverts_the_mean(family):
  eta = np.random.default_rng(0).normal(size=(7, family.predictors)).astype(np.float32)
  back = np.asarray(family.link(family.mean(eta)))
  if family.predictors > 1:  # a softmax knows its predictors up to a common constant
    back, eta = back - back[:, :1], eta - eta[:, :1]
  np.testing.assert_allclose(back, eta, atol=1e-5)


@pytest.mark.parametrize('family', ALL.values(), ids=ALL)
def test_mean_is_the_likelihoods(family):
  eta = np.random.default_rng(1).normal(size=(7, family.predictors)).astype(np.float32)
  likelihood = family.likelihood(jnp.asarray(eta), DISPERSION)
  expected = likelihood.probs() if family.predictors > 1 else likelihood.mean()[:, None]
  np.testing.assert_allclose(family.mean(eta), expected, rtol=1e-5)


def test_neg_binomial_is_nb2():
  """Mean exp(eta), variance mean + mean^2 / r, by summation."""
  eta, counts = jnp.array([[-1.0], [0.5], [2.0]]), np.arange(600)
  likelihood = ALL['neg_binomial'].likelihood(eta, DISPERSION)
  probs = np.stack([np.exp(likelihood.log_prob(jnp.full(3, float(y)))) for y in counts]).astype(
    np.float64
  )
  mean = np.exp(np.asarray(eta)[:, 0])
  np.testing.assert_allclose(counts @ probs, mean, rtol=1e-4)
  np.testing.assert_allclose(
    counts**2 @ probs - (counts @ probs) ** 2, mean + mean**2 / 1.2, rtol=1e-3
  )
