"""Variances, cumulative probabilities and quantiles against scipy, over all parameters that
likelihoods can have.

The cdf of counts is accurate to 2e-7 for the mean that it computes with, exp(eta) in 32 bits. That
is wrong by up to 1.2e-7 of itself, which moves the cdf by as much times mean / deviation: the
tolerances below are these two, and scipy computes in 64 bits.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from icljax.likelihoods import (
  Bernoulli,
  Categorical,
  Exponential,
  Gaussian,
  Likelihood,
  Mixture,
  NegativeBinomial,
  Poisson,
)

MEANS = 10.0 ** np.arange(-6, 6.5)
SIZES = [0.05, 0.3, 1.0, 10.0, 1e3, 1e6]
LEVELS = np.float32([1e-4, 0.01, 0.2, 0.5, 0.9, 0.999, 0.9999])
ETAS = np.linspace(-15, 15, 31, dtype=np.float32)
SPANS = np.float32([1e-3, 1.0, 1e4])


def grid(*axes) -> list[np.ndarray]:
  """Every combination of parameters with every level, as columns of 32 bits."""
  return [values.ravel() for values in np.meshgrid(*map(np.float32, axes), LEVELS)]


def make_cases() -> dict:
  """name: (ours, scipy's with 64 bits of the same parameters, levels)."""
  (locations, scales, q), wide = grid(ETAS, SPANS), np.float64
  gaussian = Gaussian.of(locations, scales), stats.norm(wide(locations), wide(scales)), q
  eta, q = grid(ETAS)
  bernoulli = Bernoulli.of(eta), stats.bernoulli(1 / (1 + np.exp(-wide(eta)))), q
  exponential = Exponential.of(eta), stats.expon(scale=np.exp(wide(eta))), q
  eta, q = grid(np.log(MEANS))
  poisson = Poisson.of(eta), stats.poisson(np.exp(wide(eta))), q
  eta, r, q = grid(np.log(MEANS), SIZES)
  probs = 1 / (1 + np.exp(wide(eta)) / r)
  neg_binomial = NegativeBinomial.of(eta, r), stats.nbinom(wide(r), probs), q
  return {
    'gaussian': gaussian,
    'bernoulli': bernoulli,
    'exponential': exponential,
    'poisson': poisson,
    'neg_binomial': neg_binomial,
  }


CASES = make_cases()
case = pytest.mark.parametrize('name', CASES)
cdf = jax.jit(lambda likelihood, y: likelihood.cdf(y))
quantile = jax.jit(lambda likelihood, q: likelihood.quantile(q))


def tolerance(theirs) -> np.ndarray:
  """What rounding of the parameters moves the cdf by, and three roundings of the cdf."""
  return 3e-7 + 1.2e-7 * np.abs(theirs.mean()) / theirs.std()


@case
def test_variance_is_scipys(name):
  ours, theirs, _ = CASES[name]
  expected = theirs.var()
  if (
    name == 'neg_binomial'
  ):  # whose probability, close to 1, scipy cannot hold where m / r is 1e-12
    mean = np.exp(np.float64(ours.eta))
    expected = mean + mean**2 / np.float64(ours.r)
  np.testing.assert_allclose(ours.variance(), expected, rtol=1e-6)


@case
def test_cdf_is_scipys(name):
  """At, below and above quantiles of all levels."""
  ours, theirs, q = CASES[name]
  middle = theirs.ppf(q)
  for y in (middle, middle - theirs.std(), middle + 0.7 * theirs.std()):
    y = np.float32(y)
    expected = theirs.cdf(np.float64(y))
    # A bound on the density is .5 / deviation; one rounding of y moves it.
    rounding = 6e-8 * np.abs(y) / theirs.std() * (not ours.discrete)
    assert np.max(np.abs(cdf(ours, y) - expected) / (tolerance(theirs) + rounding)) < 1


@case
def test_quantile_is_scipys(name):
  """The smallest y whose cdf is at least q: that of y is not less, that of the number below is."""
  ours, theirs, q = CASES[name]
  y = np.asarray(quantile(ours, q))
  error = tolerance(theirs) + 6e-8
  if not ours.discrete:
    # As above, and the distance of y from the middle is a rounding of the inverse error function.
    rounding = 2e-7 * np.abs(y) / theirs.std()
    assert np.max(np.abs(theirs.cdf(np.float64(y)) - q) / (error + rounding)) < 1
    return
  assert np.all(y == np.floor(y))
  assert np.all(theirs.cdf(np.float64(y)) >= q - error)
  assert np.all(theirs.cdf(np.minimum(np.nextafter(y, np.float32(-1)), y - 1.0)) < q + error)


@case
def test_beyond_the_support_and_at_no_number(name):
  ours, _, q = CASES[name]
  full = lambda y: cdf(ours, np.full(q.shape, y, np.float32))
  assert np.all(full(-np.inf) == 0)
  assert np.all(full(np.inf) == 1)
  assert np.all(np.isnan(full(np.nan)))
  assert np.all(full(1e30) == 1)
  assert np.all(full(-1e30) == 0)
  if name != 'gaussian':
    assert np.all(full(-0.001) == 0)
  if ours.discrete:
    np.testing.assert_array_equal(full(2.7), full(2.0))


def test_small_probabilities_keep_their_digits():
  """Both tails are integrals of their own, so they are small without being differences."""
  y, mean = np.float32([0, 5, 40, 900, 600, 60]), np.float32([25, 40, 100, 1e3, 9e2, 1e2])
  eta = np.log(mean)
  expected = stats.poisson.cdf(y, np.exp(np.float64(eta)))
  assert expected.min() < 1e-20
  np.testing.assert_allclose(Poisson.of(eta).cdf(y), expected, rtol=5e-5)


def test_a_negative_binomial_of_large_size_is_a_poisson():
  eta, y = jnp.linspace(-3, 3, 7), jnp.arange(7.0)
  close = NegativeBinomial.of(eta, 1e8).cdf(y)
  np.testing.assert_allclose(close, Poisson.of(eta).cdf(y), atol=1e-6)


@pytest.mark.parametrize('q', [0.0, 1.0, -0.5, 1.5, np.nan, 1 - 1e-12])
def test_a_level_that_has_no_quantile_is_named(q):
  likelihood = Poisson.of(jnp.zeros(2))
  with pytest.raises(ValueError, match=r'q is .*; a quantile exists for numbers above 0') as error:
    likelihood.quantile([0.5, q])
  assert '\n' not in str(error.value)
  with pytest.raises(ValueError, match='q is'):
    jax.jit(lambda likelihood: likelihood.quantile([0.5, q]))(likelihood)
  answers = quantile(likelihood, np.float32([0.5, q]))
  np.testing.assert_array_equal(np.isnan(answers), [False, True])


def test_one_level_serves_all_positions():
  eta = jnp.linspace(-1, 3, 5)
  for likelihood in (Gaussian.of(eta, 1.0), Poisson.of(eta), Exponential.of(eta)):
    expected = likelihood.quantile(jnp.full(5, 0.9))
    np.testing.assert_array_equal(likelihood.quantile(0.9), expected)
    traced = jax.jit(lambda each: each.quantile(0.9))(likelihood)
    np.testing.assert_allclose(traced, expected, rtol=2e-6)
    assert expected.shape == (5,)


def test_classes_have_no_cdf():
  classes = Categorical(jnp.zeros((4, 3)))
  joint = Mixture(
    jnp.log(jnp.full((4, 2, 1), 0.5)),
    (Categorical(jnp.zeros((4, 1, 3))), Poisson.of(jnp.zeros((4, 1)))),
  )
  for likelihood in (classes, joint):
    for ask in (likelihood.cdf, likelihood.quantile):
      with pytest.raises(NotImplementedError, match='Categorical has no cdf or quantile: classes'):
        ask(jnp.full(4, 0.5))
  index = np.arange(3)
  probs = jax.nn.softmax(jnp.array([0.1, -1.0, 2.0]))
  expected = probs @ index**2 - (probs @ index) ** 2
  assert float(Categorical(jnp.log(probs)).variance()) == pytest.approx(float(expected), rel=1e-5)


def test_what_a_user_does_not_define_is_named():
  class Mine(Likelihood):
    eta: jax.Array

    def mean(self):
      return self.eta

  mine = Mine(jnp.zeros(2))
  for ask, name in ((mine.variance, 'variance'), (lambda: mine.cdf(0.0), 'cdf')):
    with pytest.raises(NotImplementedError, match=f'^Mine has no {name}'):
      ask()


def mixture(positions: int = 4) -> tuple[Mixture, list]:
  """Gaussians, Poissons and negative binomials, two each, and scipy's members at each position."""
  rng = np.random.default_rng(0)
  weights = rng.dirichlet(np.ones(6), positions).reshape(positions, 3, 2).astype(np.float32)
  eta = rng.normal(size=(3, positions, 2)).astype(np.float32)
  parts = Gaussian.of(3 * eta[0], 0.3), Poisson.of(eta[1]), NegativeBinomial.of(eta[2], 1.2)
  mean = np.exp(np.float64(eta))
  members = [
    stats.norm(3 * eta[0], 0.3),
    stats.poisson(mean[1]),
    stats.nbinom(1.2, 1.2 / (1.2 + mean[2])),
  ]
  return Mixture(jnp.log(weights), parts), [weights, members]


def mixed(read, weights, members) -> np.ndarray:
  return sum(weights[:, f] * read(member) for f, member in enumerate(members)).sum(-1)


def test_a_mixture_mixes_cdfs_and_has_both_parts_of_the_variance():
  ours, (weights, members) = mixture()
  for y in (-2.0, 0.0, 0.5, 3.0):
    expected = mixed(lambda member: member.cdf(y), weights, members)
    np.testing.assert_allclose(cdf(ours, jnp.full(4, y)), expected, atol=1e-6)
  second = mixed(lambda member: member.var() + member.mean() ** 2, weights, members)
  first = mixed(lambda member: member.mean(), weights, members)
  np.testing.assert_allclose(ours.variance(), second - first**2, rtol=1e-5)


def test_a_mixtures_quantile_inverts_its_cdf():
  """In a density exactly; at a count it is the smallest one that reaches the level."""
  ours, (weights, members) = mixture()
  on_counts = 0
  for level in (1e-4, 0.03, 0.3, 0.5, 0.8, 0.97, 0.9999):
    y = np.asarray(quantile(ours, jnp.full(4, level)), np.float64)
    read = lambda y: mixed(lambda member: member.cdf(y[:, None]), weights, members)
    assert np.all(read(y) >= level - 1e-6)
    assert np.all(read(y - 1e-5 * np.maximum(1, np.abs(y))) < level + 1e-6)
    on_counts += (y == np.round(y)).sum()
  assert 0 < on_counts < 4 * 7


def test_beyond_all_parts_of_a_mixture_is_all_of_it():
  """Where weights of 32 bits do not add up to 1, so that the highest levels have quantiles."""
  log_weights = jax.nn.log_softmax(jax.random.normal(jax.random.key(0), (40, 300)))[:, None]
  eta = jnp.broadcast_to(jnp.linspace(-2.0, 2.0, 300), (40, 300))
  ours = Mixture(log_weights, (Gaussian.of(eta, 0.5),))
  assert np.any(jnp.exp(log_weights).sum((-2, -1)) < 1)
  np.testing.assert_array_equal(cdf(ours, jnp.full(40, 9.0)), 1)
  assert np.all(quantile(ours, jnp.full(40, 1 - 6e-8)) < 9)


def test_at_infinity_is_all_of_any_scale():
  np.testing.assert_array_equal(Gaussian.of(jnp.zeros(2), 1e30).cdf([-np.inf, np.inf]), [0, 1])


def test_a_quantile_of_a_mixture_without_weight_on_a_part_is_that_of_the_other():
  parts = Poisson.of(jnp.ones((3, 1))), Gaussian.of(jnp.full((3, 1), 250.0), 3.0)
  log_weights = jnp.broadcast_to(jnp.array([[-jnp.inf], [0.0]]), (3, 2, 1))
  q = np.float32([1e-3, 0.5, 1 - 1e-6])
  expected = stats.norm(250, 3).ppf(np.float64(q))
  np.testing.assert_allclose(Mixture(log_weights, parts).quantile(q), expected, rtol=2e-4)


@pytest.mark.parametrize('key_type', ['typed', 'raw'])
def test_draws_of_a_shape_are_independent_and_one_is_as_before(key_type):
  key = jax.random.key(3) if key_type == 'typed' else jax.random.PRNGKey(3)
  gaussian, (mixed_kinds, _) = Gaussian.of(jnp.arange(4.0), 1.0), mixture()
  before = gaussian.eta + gaussian.scale * jax.random.normal(key, (4,))
  np.testing.assert_array_equal(gaussian.sample(key), before)
  draw = jax.jit(lambda likelihood, key: likelihood.sample(key, shape=(500, 2)))
  for likelihood in (gaussian, mixed_kinds, Categorical(jnp.zeros((4, 3)))):
    draws = np.asarray(draw(likelihood, key)).reshape(1000, 4)
    error = np.sqrt(likelihood.variance() / 1000)
    assert np.all(np.abs(draws.mean(0) - likelihood.mean()) < 4.5 * error)
    assert np.all(np.abs(draws[:500].mean(0) - draws[500:].mean(0)) > 0)
    correlation = np.corrcoef(draws.T) - np.eye(4)
    assert np.abs(correlation).max() < 4.5 / np.sqrt(1000)


def test_draws_of_counts_have_the_cdf(key):
  eta, r = (values.ravel() for values in np.meshgrid(np.log([1e-3, 1, 1e4]), [0.05, 1.2, 1e6]))
  draw = jax.jit(lambda likelihood, key: likelihood.sample(key, (4000,)))
  for ours in (Poisson.of(np.float32(eta)), NegativeBinomial.of(*np.float32([eta, r]))):
    draws = np.asarray(draw(ours, key))
    for level in np.float32([0.05, 0.3, 0.5, 0.7, 0.95]):
      y = np.asarray(quantile(ours, np.full(9, level)))
      share = np.asarray(cdf(ours, y))
      error = np.sqrt(np.maximum(share * (1 - share), 1e-3) / len(draws))
      assert np.all(np.abs((draws <= y).mean(0) - share) < 4.5 * error)


def test_what_jax_is_set_to_changes_no_bit():
  gaussians, counts = Gaussian.of(jnp.zeros((3, 1)), 2.0), Poisson.of(jnp.ones((3, 1)))
  ours = Mixture(jnp.log(jnp.full((3, 2, 1), 0.5)), (gaussians, counts))

  def read():
    y = quantile(ours, np.float32([0.01, 0.6, 0.99]))
    return [np.asarray(value) for value in (y, cdf(ours, y), ours.variance())]

  expected = read()
  for setting in (jax.enable_x64(True), jax.numpy_dtype_promotion('strict')):
    with setting:
      again = read()
    for value, other in zip(again, expected):
      assert value.dtype == np.float32
      np.testing.assert_array_equal(value, other)
