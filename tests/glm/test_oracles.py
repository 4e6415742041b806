"""The oracles: what they may know, what they must not, and closed forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from icljax.families import families
from icljax.glm.laplace import sobol_normals
from icljax.glm.oracles import ORACLES, Bayes, Oracles, naive_eta
from tests.glm.test_laplace import quadrature
from tests.glms import NAMES, draw, eta_of, glm, true_log_prob

JOINT = ('poisson', 'neg_binomial')
SHAPE = {'count': 300, 'dims': 1, 'points': 8, 'scale': 0.7, 'clip': 8.0}


def oracles(*names: str, samples: int = 256, count: int = 0, **settings) -> Oracles:
  del count
  task = glm(*names, **settings)
  return Oracles(task, jnp.asarray(sobol_normals(samples, task.predictors * task.dims)))


@jax.jit
def score(oracles, episodes):
  return oracles.score(episodes)


@functools.cache
def joint():
  """Episodes of a joint task and their scores by every oracle."""
  episodes = draw(*JOINT, **SHAPE)
  return episodes, score(oracles(*JOINT, **SHAPE), episodes)


def entropy(name: str, eta: np.ndarray) -> np.ndarray:
  """Entropy of the family at eta by exact summation or closed form, `[...]`."""
  if name == 'multinomial':
    return special.entr(special.softmax(eta, axis=-1)).sum(-1)
  eta = eta[..., 0]
  mean, counts = np.exp(eta)[..., None], np.arange(500)
  if name == 'linear':
    return np.full(eta.shape, 0.5 * np.log(2 * np.pi * np.e * 0.25))
  if name == 'exponential':
    return 1 + eta
  if name == 'logistic':
    return special.entr(special.expit(eta)) + special.entr(special.expit(-eta))
  pmf = (
    stats.poisson(mean).pmf(counts)
    if name == 'poisson'
    else stats.nbinom(1.2, 1.2 / (1.2 + mean)).pmf(counts)
  )
  return special.entr(pmf).sum(-1)


@pytest.mark.parametrize('name', NAMES)
def test_true_is_the_entropy(name):
  """Nats at the true weights are the entropy on average: within 3 standard errors of the paired
  difference.
  """
  episodes = jax.tree.map(lambda leaf: leaf[:600], draw(name))
  nats = -np.asarray(true_log_prob(episodes), np.float64)
  eta = np.asarray(eta_of(episodes), np.float64)
  difference = (nats - entropy(name, eta)).mean(1)
  assert abs(difference.mean()) < 3 * difference.std() / np.sqrt(len(difference))


def test_naive_is_the_mean_so_far_through_the_link():
  known, y = families(3), jnp.array([2.0, 0.0, 1.0])
  np.testing.assert_allclose(
    jnp.exp(naive_eta(known['poisson'], y))[:, 0], [1, 3 / 2, 1], rtol=1e-6
  )
  np.testing.assert_allclose(naive_eta(known['linear'], y)[:, 0], [0, 1, 2 / 3], rtol=1e-6)
  binary = jax.nn.sigmoid(naive_eta(known['logistic'], jnp.array([1.0, 1.0, 0.0])))
  np.testing.assert_allclose(binary[:, 0], [0.5, 0.75, 2.5 / 3], rtol=1e-6)
  classes = jnp.exp(naive_eta(known['multinomial'], y))
  np.testing.assert_allclose(
    classes, [[1 / 3] * 3, [1 / 6, 1 / 6, 4 / 6], [4 / 9, 1 / 9, 4 / 9]], rtol=1e-6
  )


def test_bayes_of_the_linear_family_is_ridge():
  """The predictive N(x.m, s^2 + x'Vx) of conjugate Bayesian regression, where the clip does not
  bind.
  """
  settings = {'dims': 3, 'points': 10, 'scale': 0.5, 'clip': 100.0}
  episodes = draw('linear', count=20, **settings)
  ours = score(oracles('linear', **settings), episodes)
  x, y = np.asarray(episodes.x, np.float64), np.asarray(episodes.y, np.float64)
  expected, plugged = np.zeros((20, 10)), np.zeros((20, 10))
  for i in range(20):
    for k in range(10):
      covariance = np.linalg.inv(x[i, :k].T @ x[i, :k] / 0.25 + np.eye(3) / 0.25)
      mean = covariance @ x[i, :k].T @ y[i, :k] / 0.25
      expected[i, k] = stats.norm.logpdf(
        y[i, k], x[i, k] @ mean, np.sqrt(0.25 + x[i, k] @ covariance @ x[i, k])
      )
      plugged[i, k] = stats.norm.logpdf(y[i, k], x[i, k] @ mean, 0.5)
  for name in ('bayes', 'bayes_family'):
    np.testing.assert_allclose(ours[name], expected, atol=2e-3)
  np.testing.assert_allclose(ours['map'], plugged, atol=2e-3)
  np.testing.assert_allclose(ours['effective'], 256, rtol=1e-3)


def test_bayes_of_a_joint_task_is_quadratures():
  """Evidence-weighted over families; and the exact family posterior (D = 1)."""
  episodes, ours = joint()
  for i in range(20):
    x, y = np.asarray(episodes.x[i], np.float64), np.asarray(episodes.y[i], np.float64)
    evidence = np.stack([quadrature(name, x, y, 8.0, 1, scale=0.7) for name in JOINT])
    np.testing.assert_allclose(
      ours['bayes'][i], np.diff(special.logsumexp(evidence, axis=0)), atol=3e-3
    )
    np.testing.assert_allclose(
      ours['family_posterior'][i], special.softmax(evidence, axis=0).T[:-1], atol=2e-3
    )


def test_a_target_that_one_family_cannot_produce_settles_the_family():
  """Poisson or exponential: one count, or one number between counts, makes it certain."""
  episodes = draw('poisson', 'exponential', **SHAPE)
  posterior = np.asarray(
    score(oracles('poisson', 'exponential', **SHAPE), episodes)['family_posterior']
  )
  np.testing.assert_allclose(posterior[:, 0], 0.5, atol=1e-5)
  np.testing.assert_array_equal(posterior[:, 1].argmax(-1), episodes.task.family)
  np.testing.assert_allclose(posterior[:, 1:].max(-1), 1.0, atol=1e-6)


def test_the_order_of_knowledge():
  """Knowing more never costs, on average: true < bayes_family < bayes, and bayes_family < plugin
  and map.
  """
  nats = {
    name: -np.asarray(values).mean(1) for name, values in joint()[1].items() if name in ORACLES
  }

  def below(better, worse):
    difference = nats[worse] - nats[better]
    return difference.mean() > 2 * difference.std() / np.sqrt(len(difference))

  assert below('true', 'bayes_family')
  assert below('bayes_family', 'bayes')
  assert below('bayes_family', 'plugin')
  assert below('bayes_family', 'map')
  assert below('bayes', 'naive')


def test_later_pairs_do_not_change_earlier_scores():
  episodes, before = joint()
  after = score(
    oracles(*JOINT, **SHAPE),
    episodes.replace(x=episodes.x.at[:, 5:].add(1.0), y=episodes.y.at[:, 5:].add(3.0)),
  )
  for name in (*ORACLES, 'family_posterior'):
    np.testing.assert_allclose(before[name][:, :5], after[name][:, :5], atol=1e-5)
    assert np.abs(before[name][:, 5:] - after[name][:, 5:]).max() > 1e-2


def test_the_evidence_does_not_depend_on_the_order_of_pairs():
  episodes, scores = joint()
  turned = score(
    oracles(*JOINT, **SHAPE), episodes.replace(x=episodes.x[:, ::-1], y=episodes.y[:, ::-1])
  )
  np.testing.assert_allclose(scores['bayes'].sum(1), turned['bayes'].sum(1), atol=1e-3)


def test_bayes_reads_no_truth():
  episodes, scores = joint()
  other = episodes.task.replace(family=1 - episodes.task.family, w=episodes.task.w[::-1])
  misled = score(oracles(*JOINT, **SHAPE), episodes.replace(task=other))
  for name in ('bayes', 'family_posterior'):
    np.testing.assert_array_equal(scores[name], misled[name])
  assert np.abs(scores['map'] - misled['map']).max() > 1e-2


def test_bayes_answers_queries_with_a_mixture_that_agrees_with_its_score():
  episodes, scores = jax.tree.map(lambda leaf: leaf[:4], joint())
  bayes = Bayes(oracles(*JOINT, samples=4096, **SHAPE))
  along = jax.jit(bayes.along)(episodes)
  np.testing.assert_allclose(along.log_prob(episodes.y), scores['bayes'], atol=2e-2)
  k = 3
  at = jax.jit(bayes.at)(episodes.x[0, :k], episodes.y[0, :k], episodes.x[0, k:])
  assert float(at.log_prob(episodes.y[0, k:])[0]) == pytest.approx(
    float(along.log_prob(episodes.y)[0, k]), abs=1e-4
  )
  np.testing.assert_allclose(np.exp(along.log_weights).sum((-2, -1)), 1, rtol=1e-4)
