"""Each example is under 60 lines, is what a config names, and is right."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import Ridge

import icljax
from examples.own_family import TRIALS, Binomial
from examples.own_metric import surprise
from examples.own_model import MinGRU
from examples.own_task import sparse
from jaxline_lite.files import read_lines
from tests.configs import tiny
from tests.glms import draw_at, glm

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / 'examples').glob('*.py'))


@pytest.mark.parametrize('path', EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short_and_says_its_command(path):
  assert len(path.read_text().splitlines()) < 60
  assert '    python run.py --config=configs/glm.py' in path.read_text()


def trained(folder, **fields):
  """The record of a run of 40 steps."""
  config = tiny(folder, **fields)
  (record,) = read_lines(icljax.train(config) / config.eval_modes[0] / 'metrics.jsonl')
  return record


def test_own_family(tmp_path):
  likelihood = Binomial.of(jnp.array([-1.0, 0.3]))
  theirs = stats.binom(TRIALS, jax.nn.sigmoid(likelihood.eta))
  np.testing.assert_allclose(
    likelihood.log_prob(jnp.array([2.0, 8.0])), theirs.logpmf([2, 8]), rtol=1e-5
  )
  assert (likelihood.log_prob(jnp.array([9.0, 0.5])) == -np.inf).all()
  np.testing.assert_allclose(likelihood.variance(), theirs.var(), rtol=1e-5)
  for y in (-1.0, 0.0, 2.5, 8.0):
    np.testing.assert_allclose(likelihood.cdf(jnp.full(2, y)), theirs.cdf(y), atol=1e-5)
  np.testing.assert_array_equal(likelihood.quantile(0.7), theirs.ppf(0.7))
  record = trained(
    tmp_path,
    task__families='examples.own_family:binomial',
    eval_modes=('eval_binomial',),
    best_model_eval_metric='eval_binomial/nats',
  )
  assert record['nats_bayes'] < record['nats_naive']
  assert record['poor_samples'] == 0


def test_own_model(tmp_path, key):
  model = MinGRU(layers=2, heads=1, length=7)
  tokens = jax.random.normal(key, (2, 7, 8))
  params = model.init(key, tokens)
  out = model.apply(params, tokens)
  later = model.apply(params, tokens.at[:, 4:].multiply(-1.0))
  np.testing.assert_allclose(out[:, :4], later[:, :4], atol=1e-5)
  assert np.abs(out[:, 4:] - later[:, 4:]).max((0, 2)).min() > 0.1
  # It remembers.
  assert (
    np.abs(np.asarray(model.apply(params, tokens.at[:, 0].multiply(-1.0)) - out)[:, -1]).max()
    > 1e-4
  )
  run = icljax.train(
    tiny(
      tmp_path,
      model__sequence='examples.own_model:MinGRU',
      optimizer__learning_rate=1e-2,
      final_eval=False,
    )
  )
  losses = [line['loss'] for line in read_lines(run / 'metrics.jsonl')]
  assert losses[-1] < losses[0]


def test_own_metric(tmp_path, capsys):
  record = trained(
    tmp_path, eval__metrics='examples.own_metric:squared_error, examples.own_metric:surprise'
  )
  with np.load(tmp_path / 'eval' / '40.npz') as arrays:
    assert record['metric/squared_error'] == pytest.approx(
      arrays['metric/squared_error'].mean(), rel=1e-5
    )
    assert arrays['metric/surprise'].shape == (32, 6)
  assert 0.3 < record['metric/squared_error'] < 3
  assert 'user-defined metrics' in capsys.readouterr().out


def test_the_surprise_of_a_right_prediction_is_a_half():
  episodes = draw_at(glm('linear'), jnp.arange(4_000))
  right = jax.vmap(
    lambda episode: surprise(episode.task.likelihood(episode.task.eta(episode.x)), episode)
  )(episodes)
  assert np.abs(right.mean(0) - 0.5).max() < 4.5 * 0.5 / np.sqrt(4_000)


def test_own_task_has_half_of_its_weights():
  task = sparse(glm('linear', dims=3, points=8))
  episodes = draw_at(task, jnp.arange(4_000))
  w = np.asarray(episodes.task.w)[:, 0]
  assert abs((w == 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(w.size)
  noise = np.asarray(episodes.y) - 0.5 * np.einsum('bkd,bd->bk', episodes.x, w)
  assert stats.kstest(noise[:, 0], stats.norm(0, 0.5).cdf).pvalue > 1e-3


def test_own_tasks_references_are_exact():
  """Ridge against scikit-learn's, and Bayes by enumeration against every subset's evidence in
  float64.
  """
  task = sparse(glm('linear', dims=3, points=8))
  episodes = draw_at(task, jnp.arange(3))
  scores = {
    name: np.asarray(predictor.score(episodes)) for name, predictor in task.references().items()
  }
  for b in range(3):
    x, y = np.asarray(episodes.x[b], np.float64), np.asarray(episodes.y[b], np.float64)
    density = lambda masks, k: np.mean([
      stats.multivariate_normal(np.zeros(k), 0.25 * (x[:k] * mask) @ x[:k].T + 0.25 * np.eye(k)).pdf(y[:k]) if k else 1.0
      for mask in masks
    ])  # fmt: skip
    subsets = [np.array([i & 1, i >> 1 & 1, i >> 2 & 1]) for i in range(8)]
    for k in range(8):
      for name, masks in (('bayes', subsets), ('ridge', [np.full(3, 0.5)])):
        assert scores[name][b, k] == pytest.approx(
          np.log(density(masks, k + 1) / density(masks, k)), abs=2e-4
        )
    ridge = Ridge(alpha=0.25 / 0.125, fit_intercept=False).fit(x[:-1], y[:-1])
    cov = np.linalg.inv(x[:-1].T @ x[:-1] / 0.25 + np.eye(3) / 0.125)
    theirs = stats.norm(ridge.predict(x[-1:])[0], np.sqrt(x[-1] @ cov @ x[-1] + 0.25)).logpdf(y[-1])
    assert scores['ridge'][b, -1] == pytest.approx(theirs, abs=2e-4)


def test_own_task_is_trained_and_measured_against_its_references(tmp_path, capsys):
  record = trained(tmp_path, task__own='examples.own_task:sparse', eval__episodes=800)
  assert record['nats_bayes'] < record['nats_ridge'] < record['nats']
  assert record['regret'] == pytest.approx(record['nats'] - record['nats_bayes'], abs=1e-5)
  assert 'above bayes' in capsys.readouterr().out
  assert 'share_of_gap' not in record
