"""Numbers of any kind are read as what they are, and what is none is refused in one line."""

import decimal

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from icljax.inputs import as_float32
from icljax.likelihoods import (
  Bernoulli,
  Exponential,
  Gaussian,
  Likelihood,
  Mixture,
  NegativeBinomial,
  Poisson,
)

KINDS = {
  'list': [0, 1, 2],
  'tuple': (0.0, 1.0, 2.0),
  'int64': np.arange(3),
  'uint8': np.arange(3, dtype=np.uint8),
  'float64': np.arange(3.0),
  'float16': np.arange(3, dtype=np.float16),
  'numpy scalars': [np.float64(0), np.int32(1), np.float32(2)],
  'Series': pd.Series([0, 1, 2], index=[7, 8, 9]),
  'nullable Series': pd.Series([0, 1, 2], dtype='Int64'),
  'Decimal': [decimal.Decimal(k) for k in range(3)],
  'JAX': jnp.arange(3),
  'JAX bfloat16': jnp.arange(3, dtype=jnp.bfloat16),
}


@pytest.mark.parametrize('kind', KINDS)
def test_numbers_of_every_kind_are_the_same(kind):
  np.testing.assert_array_equal(as_float32('y', KINDS[kind]), np.float32([0, 1, 2]))
  likelihood = Poisson.of(jnp.zeros(3))
  expected = likelihood.log_prob(jnp.arange(3.0))
  np.testing.assert_array_equal(likelihood.log_prob(KINDS[kind]), expected)
  mixture = Mixture(jnp.zeros((3, 1, 1)), (Poisson.of(jnp.zeros((3, 1))),))
  np.testing.assert_allclose(mixture.log_prob(KINDS[kind]), expected, rtol=1e-6)


def test_tensors_are_read():
  torch = pytest.importorskip('torch', reason='torch is not installed')
  np.testing.assert_array_equal(as_float32('y', torch.arange(3)), np.float32([0, 1, 2]))
  with pytest.raises(ValueError, match='y cannot be read as an array of numbers'):
    as_float32('y', torch.zeros(2, requires_grad=True))


NO_NUMBERS = {
  'booleans': ([True, False], 'y has booleans; give numbers, such as 0 and 1'),
  'booleans of a data frame': (pd.Series([True, None], dtype=object), 'y has booleans'),
  'texts': (['1', '2'], r'no numbers \(text\)'),
  'texts of a data frame': (pd.Series(['1', 2], dtype=object), r'no numbers \(int, str\)'),
  'nothing': ([1.0, None], 'NoneType'),
  'complex numbers': ([1j], 'complex128'),
  'dates': (pd.to_datetime(['2026-11-26']), 'datetime64'),
  'rows of two lengths': ([[1], [1, 2]], 'cannot be read as an array of numbers'),
  'masked values': (np.ma.masked_equal([1, 2], 2), 'masked'),
  'large floats': ([1.0, -1e300], r'y has numbers up to 1e\+300; allowed are those of 32 bits'),
  'large whole numbers': ([10**400], 'no numbers'),
}


@pytest.mark.parametrize('what', NO_NUMBERS)
def test_what_is_no_number_is_refused_in_one_line(what):
  given, message = NO_NUMBERS[what]
  for read in (lambda: as_float32('y', given), lambda: Poisson.of(jnp.zeros(2)).log_prob(given)):
    with pytest.raises(ValueError, match=message) as error:
      read()
    assert '\n' not in str(error.value)


def test_numbers_that_are_not_finite_stay_so():
  np.testing.assert_array_equal(as_float32('y', [np.nan, np.inf]), [np.nan, np.inf])


EXTREMES = [0, 1, 1e-40, 1e-300, 0.5, 1e4, 1e9, 16_777_217, 1e30, 1e38, 3.4e38, -1, -1e38]


@pytest.mark.parametrize('eta', [-10.0, 0.0, 10.0])
@pytest.mark.parametrize(
  'make',
  [
    lambda eta: Gaussian.of(eta, 0.5),
    lambda eta: Gaussian.of(eta, 1e-6),
    Bernoulli.of,
    Poisson.of,
    lambda eta: NegativeBinomial.of(eta, 1.2),
    lambda eta: NegativeBinomial.of(eta, 1e4),
    Exponential.of,
    lambda eta: Mixture(
      jnp.log(jnp.full((len(EXTREMES), 2, 1), 0.5)),
      (Poisson.of(eta[:, None]), Gaussian.of(eta[:, None], 0.5)),
    ),
  ],
)
def test_a_log_probability_is_finite_wherever_a_target_is_possible(make, eta):
  likelihood: Likelihood = make(jnp.full(len(EXTREMES), eta))
  log_prob = np.asarray(likelihood.log_prob(EXTREMES))
  possible = np.asarray(likelihood.support(jnp.asarray(as_float32('y', EXTREMES))))
  assert np.isfinite(log_prob[possible]).all()
  assert (log_prob[~possible] == -np.inf).all()
  assert possible.any()
