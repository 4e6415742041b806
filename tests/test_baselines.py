"""Baselines of a run's task, asked from Python."""

import pickle

import numpy as np
import pytest

import icljax
from icljax import checks
from icljax.subjects import subject_of
from jaxline_lite.errors import BadInput
from jaxline_lite.run_folder import record_config
from tests.configs import tiny

LINEAR = {'task__families': 'linear', 'task__clip': np.inf, 'task__noise': 0.5, 'task__scale': 0.7}


def run_of(folder, **fields):
  """A folder that says what a run is; it has no checkpoint, which baselines do not need."""
  folder.mkdir()
  config = tiny(folder, **fields)
  record_config(folder, config, checks)
  return folder, config


def test_ridge_is_the_posterior_of_gaussian_weights(tmp_path):
  run, _ = run_of(tmp_path / 'run', **LINEAR)
  w = np.array([0.3, -1.0])
  made = icljax.prompt([(w, 4)], query=w, queries=70, noise=0.5)
  answer = icljax.predictor('ridge', run).at(made.x_context, made.y_context, made.x_query)
  x, y = made.x_context.astype(np.float64), made.y_context.astype(np.float64)
  covariance = np.linalg.inv(x.T @ x / 0.5**2 + np.eye(2) / 0.7**2)
  mean = covariance @ x.T @ y / 0.5**2
  np.testing.assert_allclose(answer.mean(), made.x_query @ mean, atol=2e-5)
  spread = np.einsum('qd,de,qe->q', made.x_query, covariance, made.x_query)
  np.testing.assert_allclose(answer.scale**2, 0.5**2 + spread, rtol=1e-4)


def test_dmmse_knows_the_runs_pool(tmp_path):
  run, config = run_of(tmp_path / 'run', **LINEAR, task__n_tasks=3, task__pool_seed=5)
  pool = 0.7 * np.asarray(subject_of(config).task(config).pool(3))[:, 0].astype(np.float64)
  made = icljax.prompt([(pool[1], 5)], query=pool[1], queries=2, noise=0.1)
  baseline = icljax.predictor('dmmse', run)
  answer = baseline.at(made.x_context, made.y_context, made.x_query)
  errors = made.y_context[None] - pool @ made.x_context.T
  log_weights = -(errors**2).sum(1) / (2 * 0.5**2)
  weights = np.exp(log_weights - log_weights.max())
  weights /= weights.sum()
  np.testing.assert_allclose(answer.mean(), weights @ pool @ made.x_query.T, atol=2e-5)
  density = np.exp(-((0.3 - pool @ made.x_query.T) ** 2) / (2 * 0.5**2)) / np.sqrt(2 * np.pi) / 0.5
  np.testing.assert_allclose(answer.log_prob([0.3, 0.3]), np.log(weights @ density), atol=2e-5)
  again = pickle.loads(pickle.dumps(baseline))
  copied = again.at(made.x_context, made.y_context, made.x_query)
  np.testing.assert_array_equal(copied.mean(), answer.mean())


def test_other_families_have_bayes(tmp_path):
  run, _ = run_of(tmp_path / 'run', task__families='poisson')
  answer = icljax.predictor('bayes', run).at(np.zeros((0, 2)), [], np.zeros((1, 2)))
  np.testing.assert_allclose(answer.mean(), 1.0, atol=1e-5)  # at x = 0 eta is 0, whatever w
  assert 'bayes' in repr(icljax.predictor('bayes', run))


@pytest.mark.parametrize(
  ('name', 'fields', 'listed'),
  [
    ('dmmse', LINEAR, 'ridge, ols, zero'),
    ('true', LINEAR, 'ridge, ols, zero'),
    ('ridge', {'task__families': 'poisson', 'task__n_tasks': 2}, 'bayes, bayes_pool'),
  ],
)
def test_a_baseline_that_a_run_has_not_is_answered_with_those_that_it_has(
  tmp_path, name, fields, listed
):
  run, _ = run_of(tmp_path / 'run', **fields)
  with pytest.raises(
    BadInput, match=f"name is '{name}'; of the task of this run there are {listed}$"
  ):
    icljax.predictor(name, run)


def test_wrong_queries_are_named(tmp_path):
  run, _ = run_of(tmp_path / 'run', **LINEAR)
  with pytest.raises(ValueError, match=r'x_query has shape \[1, 3\]; this model takes \[Q, 2\]'):
    icljax.predictor('ridge', run).at(np.zeros((0, 2)), [], np.zeros((1, 3)))
