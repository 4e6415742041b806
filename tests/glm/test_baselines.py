"""Which answers stand beside a model, and what each of them knows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icljax.glm.baselines import baselines
from icljax.glm.discrete import PoolPosterior
from tests.glms import draw_at, eta_of, glm, linear_regression, true_log_prob, with_pool


@jax.jit
def scores_and_means(predictor, episodes):
  return predictor.scores_and_means(episodes)


@pytest.mark.parametrize(
  ('names', 'size', 'expected'),
  [
    (('linear',), 0, ['ridge', 'ols', 'zero', 'true']),
    (('linear',), 3, ['ridge', 'dmmse', 'ols', 'zero', 'true']),
    (('poisson',), 0, ['bayes', 'true']),
    (('poisson', 'linear'), 3, ['bayes', 'bayes_pool', 'true']),
  ],
)
def test_names_go_by_family_and_pool(names, size, expected):
  task = with_pool(glm(*names, clip=np.inf), size)
  assert list(baselines(task, task.with_fresh_weights(), 16)) == expected
  if not size:
    assert list(baselines(glm(*names, clip=np.inf), task, 16)) == expected


def test_ridge_is_no_answer_where_a_clip_binds():
  task = with_pool(glm('linear', clip=4.0), 3)
  assert list(baselines(task, task, 16)) == ['bayes', 'bayes_pool', 'true']


def test_dmmse_keeps_the_pool_of_the_run_when_tasks_are_new():
  task = with_pool(linear_regression(), 64)
  new = task.with_fresh_weights()
  episodes = draw_at(new, jnp.arange(64))
  dmmse = baselines(task, new, 16)['dmmse']
  expected = scores_and_means(PoolPosterior(task), episodes)
  np.testing.assert_array_equal(scores_and_means(dmmse, episodes)[0], expected[0])


def test_of_pool_tasks_dmmse_is_better_than_ridge_and_of_new_ones_worse():
  task = with_pool(linear_regression(), 64)
  nats = {}
  for where, drawn in (('pool', task), ('new', task.with_fresh_weights())):
    episodes = draw_at(drawn, jnp.arange(512))
    for name, predictor in baselines(task, drawn, 16).items():
      nats[name, where] = -float(scores_and_means(predictor, episodes)[0].mean())
  assert nats['true', 'pool'] < nats['dmmse', 'pool'] < nats['ridge', 'pool'] - 0.2
  assert nats['true', 'new'] < nats['ridge', 'new'] < nats['dmmse', 'new'] - 0.2
  assert nats['ridge', 'new'] < min(nats['ols', 'new'], nats['zero', 'new'])


def test_a_large_pool_is_answered_as_gaussian_weights_are():
  """Before much is seen, so that many tasks of the pool are still possible."""
  task = with_pool(linear_regression(4, 8), 2**16)
  episodes = draw_at(task.with_fresh_weights(), jnp.arange(32))
  named = baselines(task, task, 16)
  ridge, pool = (scores_and_means(named[name], episodes)[0] for name in ('ridge', 'dmmse'))
  np.testing.assert_allclose(ridge[:, :3].mean(), pool[:, :3].mean(), atol=0.02)


def test_families_are_those_of_the_evaluated_task():
  joint, single = glm('linear', 'poisson'), glm('linear', clip=np.inf)
  assert 'ridge' in baselines(joint, single, 16)
  assert 'ridge' not in baselines(single, joint, 16)


def test_all_know_the_numbers_of_the_evaluated_task():
  trained = with_pool(linear_regression(), 4)
  evaluated = trained.replace(scale=jnp.float32(0.1))
  episodes = draw_at(evaluated, jnp.arange(64))
  named = baselines(trained, evaluated, 16)
  for name in ('ridge', 'zero'):
    error = scores_and_means(named[name], episodes)[1] - eta_of(episodes)[..., 0]
    assert float((error**2).mean()) < 0.1
  # Who knows the pool knows it at the scale of training.
  expected = scores_and_means(PoolPosterior(trained), episodes)
  for ours, theirs in zip(scores_and_means(named['dmmse'], episodes), expected):
    np.testing.assert_array_equal(ours, theirs)


def test_true_is_told_the_weights():
  task = glm('poisson', 'linear')
  episodes = draw_at(task, jnp.arange(16))
  scores, _ = scores_and_means(baselines(task, task, 16)['true'], episodes)
  np.testing.assert_allclose(scores, true_log_prob(episodes), rtol=1e-6)
