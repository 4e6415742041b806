"""Trained models answer queries: `at` is `along`, one program serves every context, and wrong input
is named.
"""

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import icljax
from icljax import build, checks
from icljax.answers import QUERIES
from icljax.base import Episode
from icljax.experiment import Experiment
from icljax.predict import TrainedModel
from icljax.subjects import subject_of
from icljax.training.step import TrainState
from jaxline_lite import modes
from jaxline_lite.checkpoint import Checkpoints
from jaxline_lite.errors import BadInput
from jaxline_lite.run_folder import record_config
from tests.configs import tiny

K, D = 6, 2
read = jax.jit(lambda likelihood, y: (likelihood.mean(), likelihood.log_prob(y)))
X, Y = np.random.default_rng(0).normal(size=(K, D)), np.random.default_rng(1).normal(size=K)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """A linear mixture model, trained for three steps."""
  folder = tmp_path_factory.mktemp('mixture')
  config = tiny(
    folder,
    training_steps=3,
    optimizer__warmup_steps=1,
    save_checkpoint_interval='1',
    final_eval=False,
  )
  return modes.train(lambda config: Experiment(config, jax.devices()[:1]), config, checks)


@pytest.fixture(scope='module')
def mixture(run):
  return icljax.load(run)


@pytest.fixture(scope='module')
def eta(tmp_path_factory):
  """An `eta` model of two families, as it was initialised."""
  folder = tmp_path_factory.mktemp('eta')
  config = tiny(folder, task__families='poisson,neg_binomial', model__head='eta')
  record_config(folder, config, checks)
  Checkpoints(folder / 'checkpoints', print).save(1, build.init_state(config), {})
  return icljax.load(folder)


def test_a_run_is_loaded_at_the_checkpoint_that_is_asked_for(run, mixture):
  assert mixture.step == icljax.load(run, 'latest').step == 3
  before = icljax.load(run, 2)
  assert before.step == 2
  assert not np.array_equal(before.at(X[:3], Y[:3], X).mean(), mixture.at(X[:3], Y[:3], X).mean())


def test_the_answer_at_a_context_is_the_row_of_the_episode(mixture):
  episode = Episode(
    x=jnp.asarray(X, jnp.float32)[None],
    y=jnp.asarray(Y, jnp.float32)[None],
    weight=jnp.ones((1, K)),
    task=None,
  )
  rows = read(jax.tree.map(lambda leaf: leaf[0], mixture.along(episode)), episode.y[0])
  for k in range(K):
    answer = read(mixture.at(X[:k], Y[:k], X[[k] * K]), jnp.full(K, Y[k], jnp.float32))
    for ours, expected in zip(answer, rows):
      np.testing.assert_allclose(ours, np.full(K, expected[k]), atol=1e-5)


def test_one_program_serves_every_context_and_number_of_queries(mixture):
  fresh = TrainedModel(mixture.config, mixture.step, TrainState(mixture.params, ()))
  for k in range(K):
    fresh.at(X[:k], Y[:k], X[k:])
  assert fresh._along._cache_size() == 1


def test_queries_are_answered_each_for_itself_however_many(mixture):
  queries = np.random.default_rng(2).normal(size=(QUERIES + 6, D))
  together = mixture.at(X[:3], Y[:3], queries)
  assert together.mean().shape == (QUERIES + 6,)
  alone = jnp.concatenate(
    [
      mixture.at(X[:3], Y[:3], queries[i : i + 1]).mean()
      for i in (0, QUERIES - 1, QUERIES, QUERIES + 5)
    ]
  )
  np.testing.assert_allclose(
    together.mean()[jnp.array([0, QUERIES - 1, QUERIES, QUERIES + 5])], alone, atol=1e-5
  )
  assert np.ptp(alone) > 1e-5


def test_an_answer_is_a_distribution_per_query(mixture, key):
  likelihood = mixture.at(X[:2].tolist(), Y[:2].tolist(), X[2:].tolist())
  for values in (
    *read(likelihood, jnp.zeros(K - 2)),
    jax.jit(lambda likelihood: likelihood.sample(key))(likelihood),
  ):
    assert values.shape == (K - 2,)
    assert np.isfinite(values).all()


def test_an_eta_model_answers_for_the_family_that_is_named(eta):
  counts = np.array([0.0, 2.0, 1.0])
  answers = [eta.at(X[:3], counts, X[3:], family=name) for name in ('poisson', 'neg_binomial')]
  (mean, poisson), (other_mean, negative) = (read(answer, jnp.full(3, 3.0)) for answer in answers)
  # One eta, and the mean is exp(eta) of both.
  np.testing.assert_allclose(mean, other_mean, rtol=1e-5)
  np.testing.assert_allclose(poisson, stats.poisson(mean).logpmf(3), rtol=1e-4)
  np.testing.assert_allclose(negative, stats.nbinom(1.2, 1.2 / (1.2 + mean)).logpmf(3), rtol=1e-4)


@jax.jit
def ask(likelihood, level, key):
  y = likelihood.quantile(level)
  shares = likelihood.cdf(y), likelihood.cdf(y - 1e-3)
  return likelihood.variance(), y, *shares, likelihood.sample(key, (300,))


def check_distribution(likelihood, discrete: bool, key) -> None:
  """An answer's variance, quantiles, cdf and draws belong together."""
  for level in (0.1, 0.5, 0.9):
    variance, quantile, share, below, draws = ask(likelihood, jnp.float32(level), key)
    if discrete:
      assert np.all((share >= level) & (below < level))
    else:
      np.testing.assert_allclose(share, level, atol=1e-5)
    error = np.sqrt(np.maximum(share * (1 - share), 1e-3) / len(draws))
    assert np.all(np.abs((draws <= quantile[None]).mean(0) - share) < 4.5 * error)
  squares = (draws - likelihood.mean()[None]) ** 2
  error = np.maximum(squares.std(0) / np.sqrt(len(draws)), 0.02 * variance)
  assert np.all(np.abs(squares.mean(0) - variance) < 5 * error)


def test_answers_of_models_have_quantiles(mixture, eta, tmp_path, key):
  config = tiny(tmp_path, model__head='known_noise')
  record_config(tmp_path, config, checks)
  Checkpoints(tmp_path / 'checkpoints', print).save(1, build.init_state(config), {})
  check_distribution(mixture.at(X[:2], Y[:2], X[2:]), False, key)
  check_distribution(icljax.load(tmp_path).at(X[:2], Y[:2], X[2:]), False, key)
  counts = np.array([0.0, 2.0])
  for family in ('poisson', 'neg_binomial'):
    check_distribution(eta.at(X[:2], counts, X[2:], family=family), True, key)


@pytest.mark.parametrize(
  ('families', 'names'),
  [
    ('linear', ['ridge', 'dmmse', 'ols', 'zero']),
    ('poisson', ['bayes', 'bayes_pool']),
  ],
)
def test_answers_of_baselines_have_quantiles(tmp_path, families, names, key):
  fields = {'task__clip': float('inf')} if families == 'linear' else {}
  config = tiny(tmp_path, task__families=families, task__n_tasks=5, **fields)
  record_config(tmp_path, config, checks)
  counts = np.array([0.0, 2.0])
  for name in names:
    answer = icljax.predictor(name, tmp_path).at(X[:2], counts, X[2:])
    check_distribution(answer, families != 'linear', key)


WRONG = {
  'wide context': (
    (np.zeros((2, 3)), Y[:2], X),
    r'x_context has shape \[2, 3\]; this model takes \[k, 2\]',
  ),
  'flat context': ((np.zeros(2), Y[:2], X), r'x_context has shape \[2\]'),
  'flat query': (
    (X[:2], Y[:2], np.zeros(2)),
    r'x_query has shape \[2\]; this model takes \[Q, 2\]',
  ),
  'column of targets': (
    (X[:2], Y[:2, None], X),
    r'y_context has shape \[2, 1\]; it has to be \[2\]',
  ),
  'missing target': ((X[:2], Y[:1], X), r'y_context has shape \[1\]; it has to be \[2\]'),
  'long context': ((X, Y, X), 'the context has 6 pairs; this model was trained on at most 5'),
  'no queries': ((X[:2], Y[:2], X[:0]), 'x_query is empty'),
  'NaN input': ((X[:2] * np.nan, Y[:2], X), 'x_context has 4 numbers that are not finite'),
  'infinite target': ((X[:2], np.array([np.inf, 0.0]), X), 'y_context has 1 numbers'),
  'NaN query': ((X[:2], Y[:2], X * np.nan), 'x_query has 12 numbers'),
}


@pytest.mark.parametrize('what', WRONG)
def test_wrong_input_is_named(mixture, what):
  arguments, message = WRONG[what]
  with pytest.raises(ValueError, match=message):
    mixture.at(*arguments)


@pytest.mark.parametrize(
  ('targets', 'named'),
  [
    ([-1, 2], '1 of 2 targets, such as -1, that this model cannot produce'),
    ([0.5, 2.5], '2 of 2 targets, such as 0.5, 2.5, that'),
    ([True, False], 'y_context has booleans'),
    (['a', 'b'], 'y_context has values that are no numbers'),
    ([1.0, 1e300], 'y_context has numbers up to 1e\\+300; allowed are those of 32 bits'),
  ],
)
def test_targets_that_cannot_be_are_refused(eta, targets, named):
  with pytest.raises(ValueError, match=named):
    eta.at(X[:2], targets, X, family='poisson')


IMPOSSIBLE = {
  'logistic': ([-1, 1, 1], '1 of 3 targets, such as -1', r'labels 0 and 1 \(logistic\)'),
  'poisson': ([-3, 0, 2], '1 of 3 targets, such as -3', r'counts 0, 1, 2, ... \(poisson\)'),
  'neg_binomial': ([0.5, 1.5, 2], 'such as 0.5, 1.5', r'counts 0, 1, 2, ... \(neg_binomial\)'),
  'exponential': ([-1, 1, 2], 'such as -1', r'numbers from 0 \(exponential\)'),
  'multinomial': ([1, 4, 2], 'such as 4', r'class indices 0 to C - 1 \(multinomial, C = 4\)'),
  'logistic,exponential': (
    [-1, 1, 1.5],
    '1 of 3 targets, such as -1',
    r'labels 0 and 1 \(logistic\); numbers from 0 \(exponential\)',
  ),
  'examples.own_family:binomial': ([9, 8, 0], 'such as 9', r'those of its support \(binomial\)'),
}


@pytest.mark.parametrize('families', IMPOSSIBLE)
def test_targets_of_no_family_are_named_with_those_that_are_possible(families):
  targets, *named = IMPOSSIBLE[families]
  config = tiny(task__families=families)
  subject, y = subject_of(config), np.float32(targets)
  with pytest.raises(ValueError, match=f'y has {named[0]}' if named[0][0].isdigit() else named[0]):
    subject.check_targets(config, 'y', y)
  with pytest.raises(ValueError, match=named[1]):
    subject.check_targets(config, 'y', y)
  subject.check_targets(config, 'y', np.float32([0, 1, 1]))
  subject.check_targets(config, 'y', np.zeros(0, np.float32))


@pytest.mark.parametrize('size', [1e3, 1e9, 1e20, 1e30, 1e38, 1e-40])
def test_finite_inputs_give_finite_answers_or_a_line(mixture, size):
  for x, y, query in ((size, 1, 1), (1, size, 1), (1, 1, size)):
    try:
      answer = mixture.at(X[:3] * x, Y[:3] * y, X[3:] * query)
    except ValueError as error:
      is_refused = 'the answer is not finite: inputs and targets of up to' in str(error)
      if not is_refused or size < 1e9:
        raise
    else:
      for values in (answer.mean(), answer.log_prob([0.0, size, -size])):
        assert np.isfinite(values).all()


@pytest.mark.parametrize('family', ['', 'linear'])
def test_an_eta_model_of_two_families_has_to_be_told_which(eta, family):
  with pytest.raises(
    ValueError,
    match=f"family is '{family}'; this model gives a linear predictor for one of poisson, neg_binomial",
  ):
    eta.at(X[:2], np.zeros(2), X, family=family)


def test_a_mixture_model_is_not_told_the_family(mixture):
  with pytest.raises(
    ValueError, match="family is 'linear'; a mixture model is not told the family"
  ):
    mixture.at(X[:2], Y[:2], X, family='linear')


@pytest.mark.parametrize(
  ('checkpoint', 'message'),
  [
    (7, 'there is no checkpoint 7; there are 0, 1, 2, 3'),
    ('best', 'no best checkpoint is known'),
    ('newest', "checkpoint is 'newest'; allowed are 'latest', 'best' and a step"),
    ('all', "checkpoint is 'all'"),
  ],
)
def test_a_checkpoint_that_is_not_there_is_refused(run, checkpoint, message):
  with pytest.raises(BadInput, match=message):
    icljax.load(run, checkpoint)


def test_a_run_that_is_not_there_is_refused(tmp_path):
  with pytest.raises(BadInput, match='no run is there'):
    icljax.load(tmp_path / 'none')


def test_a_model_is_pickled_copied_and_sent_to_another_process(mixture):
  """What comes back answers as it did."""
  expected = np.asarray(mixture.at(X[:3], Y[:3], X).mean())
  for twin in (pickle.loads(pickle.dumps(mixture)), copy.deepcopy(mixture)):
    assert repr(twin) == repr(mixture)
    np.testing.assert_array_equal(twin.at(X[:3], Y[:3], X).mean(), expected)
  with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn')) as pool:
    answer = pool.submit(mean_of, mixture, X[:3], Y[:3], X).result(timeout=300)
  np.testing.assert_allclose(answer, expected, rtol=1e-5)


def mean_of(model, *arguments) -> np.ndarray:
  return np.asarray(model.at(*arguments).mean())


def test_a_model_answers_from_threads(mixture):
  expected = np.asarray(mixture.at(X[:3], Y[:3], X).mean())
  with ThreadPoolExecutor(4) as pool:
    answers = list(pool.map(lambda _: mean_of(mixture, X[:3], Y[:3], X), range(8)))
  for answer in answers:
    np.testing.assert_array_equal(answer, expected)


@pytest.mark.parametrize('kind', [list, pd.DataFrame, np.float64, np.float32])
def test_inputs_and_targets_of_many_kinds_are_the_same(mixture, kind):
  as_kind = (lambda values: values.tolist()) if kind is list else lambda values: kind(values)
  if kind in (np.float64, np.float32):
    as_kind = lambda values: values.astype(kind)
  answer = mixture.at(as_kind(X[:3]), Y[:3].tolist(), as_kind(X[3:]))
  expected = mixture.at(X[:3], Y[:3], X[3:])
  np.testing.assert_array_equal(answer.mean(), expected.mean())
  for targets in ([1, 2, 3], np.array([1, 2, 3]), np.array([1.0, 2.0, 3.0])):
    np.testing.assert_array_equal(
      answer.log_prob(targets), expected.log_prob(np.float32([1, 2, 3]))
    )
