"""The posterior over a pool against enumeration in float64, and on numbers that can be checked."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from icljax.base import Episode, score
from icljax.glm.discrete import CHUNK, PoolPosterior
from icljax.glm.task import GLM
from tests.glms import draw_at, eta_of, glm, linear_regression, with_pool


@jax.jit
def scores_and_means(predictor, episodes):
  return predictor.scores_and_means(episodes)


@jax.jit
def along(predictor, episodes):
  return predictor.along(episodes)


def log_pmf(name: str, y: np.ndarray, eta: np.ndarray) -> np.ndarray:
  """log p of targets `[K]` under tasks `[M, K, C]` by scipy, `[M, K]`."""
  if name == 'multinomial':
    classes = eta.shape[-1]
    index = np.clip(y, 0, classes - 1).astype(int)[None, :, None]
    each = np.take_along_axis(special.log_softmax(eta, axis=-1), index, axis=-1)[..., 0]
    return np.where((y == np.floor(y)) & (y < classes), each, -np.inf)
  eta = eta[..., 0]
  if name == 'linear':
    return stats.norm.logpdf(y, eta, 0.5)
  if name == 'logistic':
    return stats.bernoulli.logpmf(y, special.expit(eta))
  if name == 'exponential':  # a density counts for nothing where a count can be
    return np.where(y == np.floor(y), -np.inf, stats.expon.logpdf(y, scale=np.exp(eta)))
  return stats.poisson.logpmf(y, np.exp(eta))


def mean_of(name: str, eta: np.ndarray) -> np.ndarray:
  """E[y] under tasks `[M, K, C]`, `[M, K]`."""
  if name == 'multinomial':
    return special.softmax(eta, axis=-1) @ np.arange(eta.shape[-1])
  mean = {'linear': lambda eta: eta, 'logistic': special.expit}.get(name, np.exp)
  return mean(eta[..., 0])


def enumerate_pool(task: GLM, episodes: Episode) -> tuple[np.ndarray, np.ndarray]:
  """log p(y_k | before) and E[y_k | before], `[B, K]`, every prefix summed up anew in float64."""
  w = np.asarray(task.pool(int(task.prior.size)), np.float64)
  scores, means = np.zeros((2, *episodes.y.shape))
  for i in range(len(scores)):
    x, y = (np.asarray(values[i], np.float64) for values in (episodes.x, episodes.y))
    raw = float(task.scale) * np.einsum('kd,mcd->mkc', x, w)
    eta = np.clip(raw, -float(task.clip), float(task.clip))
    names = [(f.name, eta[..., : f.predictors]) for f in task.families]
    with np.errstate(divide='ignore'):
      log_p = np.concatenate([log_pmf(name, y, eta) for name, eta in names])  # [F*M, K]
    mean = np.concatenate([mean_of(name, eta) for name, eta in names])
    for k in range(len(y)):
      before = special.logsumexp(log_p[:, :k].sum(1))
      scores[i, k] = special.logsumexp(log_p[:, : k + 1].sum(1)) - before
      means[i, k] = np.exp(log_p[:, :k].sum(1) - before) @ mean[:, k]
  return scores, means


@pytest.mark.parametrize('size', [1, 100, 1000])
@pytest.mark.parametrize('name', ['linear', 'logistic', 'poisson', 'multinomial'])
def test_it_is_the_sum_over_the_pool(name, size):
  task = with_pool(glm(name), size)
  for drawn in (task, task.with_fresh_weights()):  # tasks of the pool, and new ones
    episodes = draw_at(drawn, jnp.arange(20))
    ours = scores_and_means(PoolPosterior(task), episodes)
    scores, means = enumerate_pool(task, episodes)
    np.testing.assert_allclose(ours[0], scores, atol=1e-4)
    np.testing.assert_allclose(ours[1], means, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('dims', [2, 8, 16])
def test_of_linear_regression_it_is_dmmse(dims):
  """At the pool's own tasks and at new ones, -log p of hundreds of nats and unclipped."""
  task = with_pool(linear_regression(dims, 2 * dims), 300, seed=dims)
  for drawn in (task, task.with_fresh_weights()):
    episodes = draw_at(drawn, jnp.arange(20))
    ours = scores_and_means(PoolPosterior(task), episodes)
    scores, means = enumerate_pool(task, episodes)
    np.testing.assert_allclose(ours[0], scores, rtol=1e-5, atol=2e-4)
    np.testing.assert_allclose(ours[1], means, atol=2e-3)


@pytest.mark.parametrize('size', [1, CHUNK, CHUNK + 1])
def test_of_joint_tasks_it_sums_over_families_too(size):
  task = with_pool(glm('poisson', 'exponential', 'multinomial'), size)
  episodes = draw_at(task, jnp.arange(30))
  assert set(np.asarray(episodes.task.family)) == {0, 1, 2}
  ours = scores_and_means(PoolPosterior(task), episodes)
  scores, means = enumerate_pool(task, episodes)
  np.testing.assert_allclose(ours[0], scores, atol=1e-4)
  np.testing.assert_allclose(ours[1], means, rtol=1e-4, atol=1e-5)


def test_a_pool_of_one_task_leaves_nothing_to_learn():
  task = with_pool(linear_regression(), 1)
  episodes = draw_at(task, jnp.arange(20))
  scores, means = scores_and_means(PoolPosterior(task), episodes)
  np.testing.assert_allclose(means, eta_of(episodes)[..., 0], atol=1e-5)
  expected = stats.norm.logpdf(episodes.y, eta_of(episodes)[..., 0], 0.5)
  np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_before_the_first_pair_it_is_the_mean_of_the_pool():
  task = with_pool(linear_regression(), 700)
  episodes = draw_at(task, jnp.arange(10))
  expected = np.einsum('bd,d->b', episodes.x[:, 0], np.asarray(task.pool(700)).mean((0, 1)))
  means = scores_and_means(PoolPosterior(task), episodes)[1]
  np.testing.assert_allclose(means[:, 0], expected, atol=1e-5)


def test_a_surprise_of_486_nats_is_exact_to_a_thousandth():
  task = with_pool(linear_regression(), 1)
  episodes = draw_at(task, jnp.arange(20))
  y = episodes.y.at[:, 7].set(eta_of(episodes)[:, 7, 0] + np.sqrt(486 / 2))
  episodes = episodes.replace(y=y)
  ours = scores_and_means(PoolPosterior(task), episodes)[0]
  scores, _ = enumerate_pool(task, episodes)
  np.testing.assert_allclose(scores[:, 7], -486.226, atol=0.01)
  np.testing.assert_allclose(ours, scores, atol=1e-3)


def error_of_new_tasks(size: int, pools: int, episodes: int) -> tuple[float, float]:
  """dMMSE's squared error over D on new tasks, mean over pools, and its standard error."""
  errors = []
  for seed in range(pools):
    task = with_pool(linear_regression(), size, seed)
    indices = jnp.arange(seed * episodes, (seed + 1) * episodes)
    drawn = draw_at(task.with_fresh_weights(), indices)
    means = scores_and_means(PoolPosterior(task), drawn)[1]
    errors.append(float(((means - eta_of(drawn)[..., 0]) ** 2).mean()) / 8)
  return float(np.mean(errors)), float(np.std(errors) / np.sqrt(pools))


@pytest.mark.parametrize(
  ('size', 'pools', 'expected', 'closeness'),
  [(2, 200, 1.69, 0.07), (2**5, 100, 0.99, 0.02), (2**10, 24, 0.62, 0.02)],
)
def test_the_error_on_new_tasks_is_the_published_one(size, pools, expected, closeness):
  error, spread = error_of_new_tasks(size, pools, 128)
  assert spread < closeness / 2
  assert error == pytest.approx(expected, abs=closeness)


def test_a_row_depends_on_what_stands_before_it_alone():
  task = with_pool(glm('poisson'), 50)
  episodes = draw_at(task, jnp.arange(4))
  x, y = episodes.x.at[:, 5:].set(1.0), episodes.y.at[:, 4:].set(3.0)
  before = scores_and_means(PoolPosterior(task), episodes)
  after = scores_and_means(PoolPosterior(task), episodes.replace(x=x, y=y))
  np.testing.assert_array_equal(before[1][:, :5], after[1][:, :5])
  np.testing.assert_array_equal(before[0][:, :4], after[0][:, :4])
  assert not np.array_equal(before[1][:, 5:], after[1][:, 5:])


def test_neither_the_pool_of_the_truth_nor_anything_of_it_is_read():
  task = with_pool(glm('poisson'), 50)
  episodes = draw_at(task, jnp.arange(4))
  expected = scores_and_means(PoolPosterior(task), episodes)
  without = scores_and_means(PoolPosterior(task), episodes.replace(task=None))
  np.testing.assert_array_equal(expected[0], without[0])


def test_one_program_serves_pools_of_all_sizes():
  @jax.jit
  @chex.assert_max_traces(n=1)
  def run(predictor, episodes):
    return predictor.score(episodes)

  chex.clear_trace_counter()
  episodes = draw_at(glm('poisson'), jnp.arange(4))
  for size, seed in ((1, 0), (CHUNK, 1), (5_000, 2)):
    assert np.isfinite(run(PoolPosterior(with_pool(glm('poisson'), size, seed)), episodes)).all()


@functools.cache
def predictive():
  """A pool, as many episodes as each has pairs, and the lazy answer to them."""
  task = with_pool(glm('poisson', 'exponential', points=8), 300)
  episodes = draw_at(task, jnp.arange(8))
  return PoolPosterior(task), episodes, along(PoolPosterior(task), episodes)


def test_the_lazy_answer_scores_the_targets_as_the_pass_does():
  posterior, episodes, answer = predictive()
  scores, means = scores_and_means(posterior, episodes)
  np.testing.assert_allclose(jax.jit(type(answer).log_prob)(answer, episodes.y), scores, atol=1e-5)
  np.testing.assert_array_equal(answer.mean(), means)
  # Under vmap too, as predictions of any kind are scored.
  np.testing.assert_allclose(jax.jit(score)(answer, episodes), scores, atol=1e-5)


def test_the_lazy_answer_adds_up_to_one_and_to_its_mean():
  task = with_pool(glm('poisson', scale=0.3), 300)
  answer = along(PoolPosterior(task), draw_at(task, jnp.arange(3)))
  counts = jnp.broadcast_to(jnp.arange(60.0)[:, None, None], (60, 3, 8))
  log_prob = jax.jit(type(answer).log_prob)(answer, counts)
  np.testing.assert_allclose(np.exp(log_prob).sum(0), 1, atol=1e-4)
  mean = (np.exp(log_prob) * np.asarray(counts)).sum(0)
  np.testing.assert_allclose(mean, answer.mean(), rtol=1e-3)
  assert np.isneginf(jax.jit(type(answer).log_prob)(answer, jnp.full((3, 8), 0.5))).all()


def test_the_lazy_answers_cdf_variance_and_quantile_are_sums_of_its_probabilities():
  """Over two chunks of the pool, the last of which is not full."""
  task = with_pool(glm('poisson', scale=0.3, points=4), CHUNK + 90)
  answer = along(PoolPosterior(task), draw_at(task, jnp.arange(2)))
  counts = jnp.broadcast_to(jnp.arange(60.0)[:, None, None], (60, 2, 4))
  probs = np.exp(np.float64(jax.jit(type(answer).log_prob)(answer, counts)))
  sums, mean = probs.cumsum(0), (probs * np.asarray(counts)).sum(0)
  cdf, quantile = jax.jit(type(answer).cdf), jax.jit(type(answer).quantile)
  np.testing.assert_allclose(cdf(answer, counts[:6] + 0.5), sums[:6], atol=2e-5)
  assert np.all(cdf(answer, jnp.full((2, 4), -0.5)) == 0)
  variance = (probs * (np.asarray(counts) - mean) ** 2).sum(0)
  np.testing.assert_allclose(jax.jit(type(answer).variance)(answer), variance, rtol=2e-3)
  for level in (0.05, 0.5, 0.98):
    y = np.asarray(quantile(answer, jnp.full((2, 4), level)))
    assert np.all(y == np.floor(y))
    at = lambda count: np.where(count < 0, 0, np.take_along_axis(sums, count[None], 0)[0])
    assert np.all(at(y.astype(int)) >= level - 2e-5)
    assert np.all(at(y.astype(int) - 1) < level + 2e-5)


def test_of_one_task_dmmse_is_its_gaussian():
  task = with_pool(linear_regression(3, 6), 1)
  episodes = draw_at(task, jnp.arange(4))
  answer = along(PoolPosterior(task), episodes)
  eta = eta_of(episodes)[..., 0]
  level = jnp.full(eta.shape, 0.8)
  y = jax.jit(type(answer).quantile)(answer, level)
  np.testing.assert_allclose(y, eta + 0.5 * stats.norm.ppf(0.8), atol=1e-5)
  np.testing.assert_allclose(jax.jit(type(answer).cdf)(answer, y), level, atol=1e-5)
  np.testing.assert_allclose(answer.variance(), np.full(eta.shape, 0.25), rtol=1e-5)
  draws = jax.jit(lambda answer, key: answer.sample(key, (400,)))(answer, jax.random.key(0))
  assert draws.shape == (400, 4, 6)
  assert np.all(np.abs(draws.mean(0) - eta) < 4.5 * 0.5 / 20)


def test_samples_have_the_law_of_the_answer(key):
  task = with_pool(glm('logistic', scale=1.0), 600)
  answer = along(PoolPosterior(task), draw_at(task, jnp.arange(2)))
  sample = jax.jit(type(answer).sample)
  draws = np.asarray([sample(answer, each) for each in jax.random.split(key, 400)], np.float64)
  mean = np.asarray(answer.mean(), np.float64)
  assert draws.shape == (400, 2, 8)
  assert np.all(np.abs(draws.mean(0) - mean) < 4.5 * np.sqrt(mean * (1 - mean) / 400))
  assert np.ptp(mean) > 0.3


def test_samples_are_of_the_family_that_the_context_tells(key):
  """Fractions rule out counts, and fractions are what follows."""
  _, episodes, answer = predictive()
  of_fractions = np.asarray(episodes.task.family) == 1
  draws = np.asarray(jax.jit(type(answer).sample)(answer, key))
  is_count = draws == np.floor(draws)
  assert not is_count[of_fractions, 1:].any()
  assert is_count[~of_fractions, -1].all()


def test_queries_are_answered_after_a_context():
  posterior, episodes, answer = predictive()
  x, y = episodes.x[0], episodes.y[0]
  at = posterior.at(x[:5], y[:5], x[5:7])
  assert at.mean().shape == (2,)
  np.testing.assert_allclose(at.mean()[0], answer.mean()[0, 5], rtol=1e-5)
  expected = scores_and_means(posterior, episodes)[0][0, 5]
  np.testing.assert_allclose(at.log_prob(jnp.full(2, y[5]))[0], expected, atol=1e-5)
