"""Every likelihood against scipy, against its own sums and integrals, and against its samples."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from icljax.likelihoods import (
  Bernoulli,
  Categorical,
  Eta,
  Exponential,
  Gaussian,
  Mixture,
  NegativeBinomial,
  Poisson,
)

ETA = np.array([-2.5, -0.3, 0.0, 0.7, 2.0], np.float32)
R = 1.2
LOGITS = np.array([[0.1, -1.0, 2.0], [0.0, 0.0, 0.0]], np.float32)

# name: (ours, scipy's frozen distributions for each eta)
SCALAR = {
  'gaussian': (Gaussian.of(ETA, 0.5), [stats.norm(e, 0.5) for e in ETA]),
  'bernoulli': (Bernoulli.of(ETA), [stats.bernoulli(1 / (1 + np.exp(-e))) for e in ETA]),
  'poisson': (Poisson.of(ETA), [stats.poisson(np.exp(e)) for e in ETA]),
  'neg_binomial': (
    NegativeBinomial.of(ETA, R),
    [stats.nbinom(R, R / (R + np.exp(e))) for e in ETA],
  ),
  'exponential': (Exponential.of(ETA), [stats.expon(scale=np.exp(e)) for e in ETA]),
}
scalar = pytest.mark.parametrize('name', SCALAR)


def mixture() -> Mixture:
  """Two Poissons and two Gaussians at each of five positions."""
  log_weights = np.log(np.array([[0.1, 0.2], [0.3, 0.4]], np.float32))
  etas = np.stack([ETA, ETA + 0.5], axis=-1)
  return Mixture(
    jnp.broadcast_to(log_weights, (5, 2, 2)), (Poisson.of(etas), Gaussian.of(etas, 0.5))
  )


@scalar
def test_log_prob_is_scipys(name):
  ours, theirs = SCALAR[name]
  values = (
    np.array([0, 1])
    if name == 'bernoulli'
    else np.array([0, 1, 2, 7, 60])
    if ours.discrete
    else np.array([0.01, 0.5, 3.0])
  )
  for y in values:
    expected = [d.logpmf(y) if ours.discrete else d.logpdf(y) for d in theirs]
    np.testing.assert_allclose(ours.log_prob(jnp.full(5, float(y))), expected, rtol=2e-5, atol=2e-5)


@scalar
def test_mean_is_scipys(name):
  ours, theirs = SCALAR[name]
  np.testing.assert_allclose(ours.mean(), [d.mean() for d in theirs], rtol=1e-5, atol=1e-6)


def fits(draws: np.ndarray, probs: np.ndarray) -> bool:
  """Whether draws of 0, 1, 2, ... have these probabilities, the last being that of anything larger
  (chi-square).
  """
  probs = np.asarray(probs, np.float64)
  observed = np.bincount(np.minimum(draws.astype(int), len(probs) - 1), minlength=len(probs))
  return stats.chisquare(observed, len(draws) * probs / probs.sum()).pvalue > 1e-4


@scalar
def test_samples_have_the_distribution(name, key):
  ours, theirs = SCALAR[name]
  draws = np.asarray(jax.jit(jax.vmap(ours.sample))(jax.random.split(key, 20_000)))
  chex.assert_shape(draws, (20_000, 5))
  for column, distribution in zip(draws.T, theirs):
    if ours.discrete:
      most = int(distribution.ppf(0.999))
      probs = np.append(distribution.pmf(np.arange(most)), distribution.sf(most - 1))
      assert fits(column, probs)
    else:
      assert stats.kstest(column, distribution.cdf).pvalue > 1e-4


@scalar
def test_outside_the_support_is_impossible_and_differentiable(name):
  ours, _ = SCALAR[name]
  impossible = jnp.full(5, {'gaussian': jnp.nan, 'exponential': -0.1}.get(name, 0.5))
  assert np.all(np.isneginf(ours.log_prob(impossible)))
  grads = jax.grad(
    lambda eta: jnp.where(
      jnp.isfinite(impossible), ours.replace(eta=eta).log_prob(impossible), 0.0
    ).sum()
  )(ours.eta)
  assert np.isfinite(grads).all()


@scalar
def test_gradients_at_extreme_eta_are_finite(name):
  ours, _ = SCALAR[name]
  for eta in (-10.0, 10.0):
    gradient = jax.grad(lambda e: ours.replace(eta=e).log_prob(jnp.ones(5)).sum())(jnp.full(5, eta))
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
  'make', [lambda eta, s: Gaussian.of(eta, s), lambda eta, s: NegativeBinomial.of(eta, s)]
)
def test_a_scalar_parameter_belongs_to_its_row_even_if_rows_and_columns_agree(make):
  eta, scales, y = jnp.arange(9.0).reshape(3, 3) / 4, jnp.array([0.5, 1.0, 3.0]), jnp.ones((3, 3))
  together = jax.vmap(make)(eta, scales).log_prob(y)
  one_by_one = jnp.stack([make(eta[i], scales[i]).log_prob(y[i]) for i in range(3)])
  np.testing.assert_allclose(together, one_by_one, rtol=1e-6)


def test_categorical_is_a_softmax(key):
  ours = Categorical(jnp.asarray(LOGITS))
  probs = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
  for c in range(3):
    np.testing.assert_allclose(np.exp(ours.log_prob(jnp.full(2, float(c)))), probs[:, c], rtol=1e-5)
  np.testing.assert_allclose(ours.mean(), probs @ np.arange(3), rtol=1e-5)
  assert np.all(np.isneginf(ours.log_prob(jnp.array([3.0, -1.0]))))
  draws = np.asarray(jax.jit(jax.vmap(ours.sample))(jax.random.split(key, 20_000)))
  for column, p in zip(draws.T, probs):
    assert fits(column, p)


def test_exponential_samples_are_positive():
  draws = Exponential.of(jnp.full(200_000, -4.0)).sample(jax.random.key(0))
  assert draws.min() > 0


def test_a_mixture_is_the_sum_of_its_parts_under_one_measure():
  weights, etas = np.array([[0.1, 0.2], [0.3, 0.4]]), np.stack([ETA, ETA + 0.5], axis=-1)
  at_integer = sum(weights[0, j] * stats.poisson(np.exp(etas[:, j])).pmf(2) for j in range(2))
  between = sum(weights[1, j] * stats.norm(etas[:, j], 0.5).pdf(0.3) for j in range(2))
  np.testing.assert_allclose(np.exp(mixture().log_prob(jnp.full(5, 2.0))), at_integer, rtol=1e-5)
  np.testing.assert_allclose(np.exp(mixture().log_prob(jnp.full(5, 0.3))), between, rtol=1e-5)


def test_a_mixture_is_a_distribution():
  """Probabilities of the counts and the integral of the density add up to one; so does the mean."""
  ours = jax.tree.map(lambda leaf: leaf[3:4], mixture())
  prob = lambda y: float(np.exp(ours.log_prob(jnp.array([y], jnp.float32))[0]))
  counts = sum(prob(y) for y in range(60))
  density = integrate.quad(lambda y: prob(y + 1e-5), -4, 6, limit=200, points=range(-4, 7))[0]
  assert counts == pytest.approx(0.3, abs=1e-4)
  assert density == pytest.approx(0.7, abs=1e-3)
  eta = ETA[3]
  expected = 0.1 * np.exp(eta) + 0.2 * np.exp(eta + 0.5) + 0.3 * eta + 0.4 * (eta + 0.5)
  assert float(ours.mean()[0]) == pytest.approx(expected, rel=1e-5)


def test_mixture_samples_have_the_mean_and_the_share_of_counts(key):
  ours = mixture()
  draws = np.asarray(jax.jit(jax.vmap(ours.sample))(jax.random.split(key, 20_000)))
  error = draws.std(0) / np.sqrt(len(draws))
  assert np.all(np.abs(draws.mean(0) - ours.mean()) < 4.5 * error)
  counts = (draws == np.round(draws)).mean(0)
  assert np.all(np.abs(counts - 0.3) < 4.5 * np.sqrt(0.3 * 0.7 / len(draws)))


def test_draws_of_a_density_never_fall_on_a_count():
  """A Gaussian so narrow that float32 draws hit the integer it is centred on, beside a Poisson of
  no weight.
  """
  narrow = Mixture(
    jnp.array([[[-jnp.inf], [0.0]]]),
    (Poisson.of(jnp.zeros((1, 1))), Gaussian.of(jnp.full((1, 1), 3.0), 1e-7)),
  )
  draws = np.asarray(jax.jit(jax.vmap(narrow.sample))(jax.random.split(jax.random.key(0), 100)))
  assert not np.any(draws == 3.0)
  np.testing.assert_allclose(draws, 3.0, atol=1e-4)


def test_a_value_that_no_part_can_produce_is_impossible():
  counts = Mixture(
    jnp.log(jnp.full((1, 2, 1), 0.5)),
    (Poisson.of(jnp.zeros((1, 1))), NegativeBinomial.of(jnp.zeros((1, 1)), R)),
  )
  assert np.isneginf(counts.log_prob(jnp.array([0.5])))[0]


def test_mixture_gradients_are_finite_where_parts_are_impossible():
  def loss(eta, logits):
    log_weights = jax.nn.log_softmax(logits)[None, :, None]
    return (
      Mixture(log_weights, (Poisson.of(eta), Gaussian.of(eta, 0.5)))
      .log_prob(jnp.array([0.5]))
      .sum()
    )

  for gradient in jax.grad(loss, argnums=(0, 1))(jnp.ones((1, 1)), jnp.zeros(2)):
    assert np.isfinite(gradient).all()


def test_eta_is_completed_by_the_truth():
  class Truth:
    def likelihood(self, eta):
      return Poisson.of(eta[..., 0])

  assert Eta(jnp.zeros((3, 1))).given(Truth()).log_prob(jnp.zeros(3))[0] == pytest.approx(-1.0)
  likelihood = Poisson.of(jnp.zeros(3))
  assert likelihood.given(Truth()) is likelihood


def test_likelihoods_are_pytrees_that_do_not_recompile():
  @jax.jit
  @chex.assert_max_traces(n=len(SCALAR))
  def score(likelihood, y):
    return likelihood.log_prob(y)

  chex.clear_trace_counter()
  for _ in range(2):
    for ours, _ in SCALAR.values():
      score(jax.tree.map(lambda leaf: leaf + 0.1, ours), jnp.ones(5))
