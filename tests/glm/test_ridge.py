"""Linear regression's answers against float64 refits, against samples, and on published numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icljax.base import Episode
from icljax.glm.ridge import LeastSquares, Ridge, Zero
from tests.glms import draw_at, eta_of, linear_regression

SCALE, NOISE = jnp.float32(1.0), jnp.float32(0.5)
SIZES = pytest.mark.parametrize('dims', [2, 8, 16])


@jax.jit
def along(predictor, episodes):
  return predictor.along(episodes)


def drawn(dims: int, count: int = 20) -> Episode:
  return draw_at(linear_regression(dims, 2 * dims), jnp.arange(count))


def prefixes(episodes: Episode):
  """(episode, k, x and y of its first k pairs in float64, the next x)."""
  x, y = (np.asarray(values, np.float64) for values in (episodes.x, episodes.y))
  for i in range(len(y)):
    for k in range(y.shape[1]):
      yield i, k, x[i, :k], y[i, :k], x[i, k]


@SIZES
def test_ridge_is_the_refit_of_every_prefix(dims):
  episodes = drawn(dims)
  answer = along(Ridge(SCALE, NOISE), episodes)
  for i, k, x, y, query in prefixes(episodes):
    precision = x.T @ x / 0.25 + np.eye(dims)
    mean = query @ np.linalg.solve(precision, x.T @ y / 0.25)
    scale = np.sqrt(0.25 + query @ np.linalg.solve(precision, query))
    assert abs(float(answer.mean()[i, k]) - mean) < 2e-5
    assert abs(float(answer.scale[i, k]) - scale) < 2e-5


def test_ridge_knows_scale_and_noise():
  episodes = drawn(2)
  answer = along(Ridge(jnp.float32(0.3), jnp.float32(2.0)), episodes)
  for i, k, x, y, query in prefixes(episodes):
    mean = query @ np.linalg.solve(x.T @ x + (2.0 / 0.3) ** 2 * np.eye(2), x.T @ y)
    assert abs(float(answer.mean()[i, k]) - mean) < 2e-5


def test_before_the_first_pair_ridge_predicts_0_and_the_prior_spread():
  episodes = drawn(8)
  answer = along(Ridge(SCALE, NOISE), episodes)
  np.testing.assert_array_equal(answer.mean()[:, 0], 0)
  expected = np.sqrt(0.25 + (np.asarray(episodes.x[:, 0]) ** 2).sum(-1))
  np.testing.assert_allclose(answer.scale[:, 0], expected, rtol=1e-6)


def test_the_error_of_ridge_is_the_published_one():
  """Squared error over D against the noise-free target, mean over positions, D = 8, K = 16."""
  episodes = draw_at(linear_regression(), jnp.arange(8_000))
  error = (along(Ridge(SCALE, NOISE), episodes).mean() - eta_of(episodes)[..., 0]) ** 2 / 8
  assert float(error.mean()) == pytest.approx(0.345, rel=0.02)


def test_the_posterior_variance_is_the_spread_of_the_error():
  """Over episodes, at every position, within 4.5 standard errors."""
  episodes = draw_at(linear_regression(), jnp.arange(8_000))
  answer = along(Ridge(SCALE, NOISE), episodes)
  error = np.asarray(answer.mean() - eta_of(episodes)[..., 0], np.float64) ** 2
  difference = error - (np.asarray(answer.scale, np.float64) ** 2 - 0.25)
  assert np.all(np.abs(difference.mean(0)) < 4.5 * difference.std(0) / np.sqrt(8_000))


def test_the_posterior_variance_is_that_of_weighted_draws_from_the_prior():
  """One context of three pairs: weights from the prior count by their likelihood."""
  episodes = drawn(2, count=1)
  answer, random = along(Ridge(SCALE, NOISE), episodes), np.random.default_rng(0)
  x, y = (np.asarray(values[0], np.float64) for values in (episodes.x, episodes.y))
  w = random.standard_normal((1_000_000, 2))
  log_likelihood = -2 * ((y[:3] - w @ x[:3].T) ** 2).sum(1)
  share = np.exp(log_likelihood - log_likelihood.max())
  share, values = share / share.sum(), w @ x[3]
  mean = share @ values
  assert float(answer.mean()[0, 3]) == pytest.approx(mean, abs=0.01)
  variance = float(answer.scale[0, 3]) ** 2 - 0.25
  assert variance == pytest.approx(share @ (values - mean) ** 2, rel=0.02)


@SIZES
def test_least_squares_is_that_of_numpy(dims):
  """As closely as float32 can solve each of the systems, which near k = D are ill-conditioned.

  By the theory of least squares its error grows with the condition number, and with its square
  times the residual, of which there is none up to k = D.
  """
  episodes = drawn(dims)
  means = along(LeastSquares(NOISE), episodes).mean()
  for i, k, x, y, query in prefixes(episodes):
    w = np.linalg.lstsq(x, y, rcond=None)[0]
    condition = np.linalg.cond(x) if k else 1.0
    residual = np.linalg.norm(y - x @ w) / np.linalg.norm(x, 2) if k > dims else 0.0
    growth = condition * (np.linalg.norm(w) + condition * residual)
    assert abs(float(means[i, k]) - query @ w) <= 2e-6 * growth * np.linalg.norm(query)


def test_least_squares_has_the_smallest_norm_where_inputs_repeat():
  x = jnp.tile(jnp.array([[1.0, 2.0]]), (3, 1)).at[2].set(jnp.array([2.0, -1.0]))[None]
  y = jnp.array([[5.0, 5.0, 0.0]])
  episode = Episode(x=x, y=y, weight=jnp.ones((1, 3)), task=None)
  # After both pairs w = (1, 2), to which the last input is orthogonal.
  np.testing.assert_allclose(along(LeastSquares(NOISE), episode).mean()[0], [0, 5, 0], atol=1e-5)


def test_zero_predicts_0_with_the_noise_around_it():
  answer = along(Zero(NOISE), drawn(2))
  np.testing.assert_array_equal(answer.mean(), 0)
  np.testing.assert_array_equal(answer.scale, 0.5)


@pytest.mark.parametrize('predictor', [Ridge(SCALE, NOISE), LeastSquares(NOISE)])
def test_a_query_is_answered_as_the_episode_is(predictor):
  episodes = drawn(8, count=1)
  x, y = episodes.x[0], episodes.y[0]
  answer = predictor.at(x[:5], y[:5], x[5:7])
  assert answer.mean().shape == (2,)
  np.testing.assert_allclose(answer.mean()[0], along(predictor, episodes).mean()[0, 5], atol=1e-4)
