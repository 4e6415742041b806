"""Evaluations of task diversity, on predictors whose answers are known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import icljax
from icljax.glm.baselines import baselines
from icljax.glm.checks import chosen_fields
from icljax.glm.modes import diversity, interpolation, mixed_tasks
from icljax.glm.modes.diversity_tables import summarize, unflatten
from icljax.glm.modes.scores import OF_POOL
from icljax.glm.priors import Path, Pool
from icljax.paired import Indices, draw_episodes
from tests.configs import tiny
from tests.glms import glm

EPISODES = 4_000
DIMS, POINTS, TASKS = 3, 6, 4


def pool_task(family: str = 'linear', size: int = TASKS):
  """Linear regression without a clip, or another family, with a pool."""
  task = glm(family, dims=DIMS, points=POINTS, scale=1.0, clip=np.inf)
  return task.replace(prior=Pool(jnp.int32(size), jnp.uint32(7)))


INDICES = Indices(jnp.uint32(0), jnp.arange(EPISODES))


@functools.cache
def scores(is_new: bool) -> dict[str, np.ndarray]:
  """What the baselines say, and a model that is ridge but for .1 more."""
  task = pool_task()
  evaluated = task.with_fresh_weights() if is_new else task
  predictors = baselines(task, evaluated, samples=16)
  score = jax.jit(lambda: diversity.score_baselines(evaluated, predictors, None, INDICES))
  arrays = {name: np.asarray(values) for name, values in score().items()}
  model = {'nats/model': arrays['nats/ridge'], 'mean/model': arrays['mean/ridge'] + 0.1}
  return model | arrays


def predictions(is_new: bool):
  config = tiny(task__families='linear', task__D=DIMS)
  return unflatten(config, scores(is_new), diversity.OF_NEW if is_new else OF_POOL)


def test_errors_and_distances_are_squares_over_d():
  metrics, table = summarize(predictions(is_new=True))
  arrays = scores(is_new=True)
  target = arrays['mean/true'].astype(np.float64)
  for name in ('model', 'ridge', 'dmmse'):
    expected = ((arrays[f'mean/{name}'] - target) ** 2).mean() / DIMS
    key = 'error' if name == 'model' else f'error_{name}'
    np.testing.assert_allclose(metrics[key], expected, rtol=1e-6)
  np.testing.assert_allclose(metrics['delta_ridge'], 0.01 / DIMS, rtol=1e-4)
  assert metrics['regret'] == 0
  assert 'distance to ridge' in table
  assert table.index('dmmse') < table.index('ols')


def test_the_target_is_without_noise():
  task = pool_task()
  episodes = draw_episodes(task, INDICES)
  expected = np.einsum('bkd,bd->bk', episodes.x, episodes.task.w[:, 0])
  np.testing.assert_allclose(scores(is_new=False)['mean/true'], expected, atol=1e-5)


@pytest.mark.parametrize('is_new', [False, True])
def test_the_risk_has_two_parts(is_new):
  """E (f - w.x)^2 = E (f - f_Bayes)^2 + E Var(w.x | data), for any f that reads the data alone."""
  measured = predictions(is_new)
  other = 'dmmse' if is_new else 'ridge'
  arrays = {name: values.astype(np.float64) for name, values in scores(is_new).items()}
  distance = (arrays[f'mean/{other}'] - arrays[f'mean/{measured.exact}']) ** 2 / DIMS
  cross = (measured.errors[other] - measured.errors[measured.exact] - distance).mean(1)
  assert abs(cross.mean()) < 4 * cross.std() / np.sqrt(EPISODES)
  wrong = (measured.errors[other] - distance).mean(1)  # the posterior's variance is not small
  assert wrong.mean() > 20 * cross.std() / np.sqrt(EPISODES)


def test_pool_and_new_tasks_share_inputs_and_noise():
  task = pool_task()
  old, new = (draw_episodes(each, INDICES) for each in (task, task.with_fresh_weights()))
  np.testing.assert_array_equal(old.x, new.x)
  noise = [each.y - jnp.einsum('bkd,bd->bk', each.x, each.task.w[:, 0]) for each in (old, new)]
  np.testing.assert_allclose(*noise, atol=2e-6)
  assert len(np.unique(old.task.w[:, 0, 0])) == TASKS
  assert len(np.unique(new.task.w[:, 0, 0])) > EPISODES / 2


def test_the_pools_bayes_knows_the_pool_when_tasks_are_new():
  """Its predictions before any pair are the pool's mean, whatever is evaluated."""
  task, arrays = pool_task(), scores(is_new=True)
  x = draw_episodes(task.with_fresh_weights(), INDICES).x
  mean = task.pool(TASKS)[:, 0].mean(0)
  np.testing.assert_allclose(arrays['mean/dmmse'][:, 0], x[:, 0] @ mean, atol=1e-5)


def test_classes_have_no_mean():
  task = pool_task('multinomial')
  assert not diversity.has_means(task)
  predictors = {name: each for name, each in baselines(task, task, 16).items() if name != 'bayes'}
  few = Indices(jnp.uint32(0), jnp.arange(8))
  arrays = jax.jit(lambda: diversity.score_baselines(task, predictors, None, few))()
  assert set(arrays) == {'nats/bayes_pool', 'nats/true'}


def test_the_ends_of_a_path_are_tasks_of_the_pool():
  task = pool_task()
  prompts = interpolation.draw_prompts(task, INDICES)
  w = np.asarray(prompts.task.w[:, :, 0])  # [A, B, D]
  pool = np.asarray(task.pool(TASKS))[:, 0]
  place = lambda each: np.abs(
    each
    / np.linalg.norm(each, axis=-1, keepdims=True)
    @ (pool / np.linalg.norm(pool, axis=-1, keepdims=True)).T
  )
  last, first = place(w[-1]), place(w[0])
  np.testing.assert_allclose(last.max(1), 1, atol=1e-5)
  np.testing.assert_allclose(first.max(1), 1, atol=1e-5)
  ours, theirs = last.argmax(1), first.argmax(1)
  assert (ours != theirs).all()
  counts = np.bincount(ours * TASKS + theirs, minlength=TASKS**2).reshape(TASKS, TASKS)
  expected = EPISODES / (TASKS * (TASKS - 1))
  off = ~np.eye(TASKS, dtype=bool)
  assert np.abs(counts[off] - expected).max() < 5 * np.sqrt(expected)
  norms = np.linalg.norm(pool, axis=-1)
  wanted = 0.5 * (norms[ours] + norms[theirs])
  np.testing.assert_allclose(np.linalg.norm(w, axis=-1), np.tile(wanted, (len(w), 1)), rtol=1e-4)


def test_prompts_along_a_path_share_inputs_and_noise():
  prompts = interpolation.draw_prompts(pool_task(), INDICES)
  noise = prompts.y - jnp.einsum('abkd,abd->abk', prompts.x, prompts.task.w[:, :, 0])
  for place in range(1, len(interpolation.SHARES)):
    np.testing.assert_array_equal(prompts.x[place], prompts.x[0])
    np.testing.assert_allclose(noise[place], noise[0], atol=1e-5)


def test_paths_take_pools_of_any_size():
  largest = Path(Pool(jnp.int32(2**31 - 1), jnp.uint32(0)), jnp.float32(0.5))
  w, index = largest.draw(jax.random.key(0), (1, DIMS))
  assert np.isfinite(w).all()
  assert index == -1


def test_mixed_prompts_have_pairs_of_another_task_first():
  task = pool_task().with_fresh_weights()
  own = draw_episodes(task, INDICES)
  prompts = mixed_tasks.draw_prompts(task, INDICES)
  assert prompts.y.shape == (POINTS, EPISODES, POINTS)
  for count in range(POINTS):
    np.testing.assert_array_equal(prompts.x[count, :, count:], own.x[:, count:])
    np.testing.assert_array_equal(prompts.y[count, :, count:], own.y[:, count:])
    assert not np.any(np.asarray(prompts.y[count, :, :count]) == np.asarray(own.y[:, :count]))
  # What stands first is of one other task: least squares finds it, and it is not the query's.
  few = 20
  x, y = (np.asarray(each[-1, :few, :-1], np.float64) for each in (prompts.x, prompts.y))
  for episode in range(few):
    fitted = np.linalg.lstsq(x[episode], y[episode])[0]
    off = np.linalg.norm(y[episode] - x[episode] @ fitted)
    not_own = np.linalg.norm(y[episode] - x[episode] @ np.asarray(own.task.w[episode, 0]))
    assert off < not_own


def test_the_own_pairs_baseline_is_ridge_on_these_alone():
  task = pool_task().with_fresh_weights()
  few = Indices(jnp.uint32(0), jnp.arange(16))
  predictors = {'ridge': baselines(task, task, 16)['ridge']}
  arrays = mixed_tasks.score_baselines(task, predictors, None, few)
  prompts = mixed_tasks.draw_prompts(task, few)
  for count in range(POINTS):
    for episode in range(16):
      x, y = (np.asarray(each[count, episode], np.float64) for each in (prompts.x, prompts.y))
      seen, targets = x[count:-1], y[count:-1]
      precision = seen.T @ seen / 0.5**2 + np.eye(DIMS)
      fitted = np.linalg.solve(precision, seen.T @ targets / 0.5**2)
      np.testing.assert_allclose(arrays['mean/own'][episode, count], x[-1] @ fitted, atol=2e-5)
  np.testing.assert_allclose(arrays['mean/own'][:, 0], arrays['mean/ridge'][:, 0], atol=1e-6)


@pytest.mark.parametrize(
  ('tasks', 'modes', 'episodes'),
  [
    (0, ('eval_latent',), 10_000),
    (64, ('eval_pretrain', 'eval_latent'), 10_000),
    (2**16, ('eval_pretrain', 'eval_latent'), 10_000),
    (2**17, ('eval_pretrain', 'eval_latent'), 2_048),
  ],
)
def test_what_a_config_leaves_open_is_chosen_by_its_pool(tasks, modes, episodes):
  config = tiny(task__n_tasks=tasks, eval_modes=('auto',), eval__episodes=0)
  assert chosen_fields(config) == {'eval_modes': modes, 'eval.episodes': episodes}
  assert chosen_fields(tiny(task__n_tasks=tasks)) == {}


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
  """Runs on pools of three tasks, of linear and of Poisson regression."""
  fields = {
    'training_steps': 8,
    'task__n_tasks': 3,
    'eval_modes': ('auto',),
    'best_model_eval_metric': 'eval_latent/nats',
  }
  folder = tmp_path_factory.mktemp('runs')
  linear = {'task__clip': np.inf, 'model__head': 'known_noise'}
  return {
    family: icljax.train(tiny(folder / family, task__families=family, **fields, **others))
    for family, others in (('linear', linear), ('poisson', {}))
  }


@pytest.mark.parametrize('name', ['linear', 'poisson'])
def test_a_run_on_a_pool_ends_with_both_evaluations(runs, name):
  for mode in ('eval_pretrain', 'eval_latent'):
    assert {'8.npz', 'curves.png', 'curves.csv'} <= {
      path.name for path in (runs[name] / mode).iterdir()
    }
  frame = icljax.metrics(runs[name]).set_index('mode')
  pool, new = ('dmmse', 'ridge') if name == 'linear' else ('bayes_pool', 'bayes')
  for mode, exact in (('eval_pretrain', pool), ('eval_latent', new)):
    record = frame.loc[mode]
    assert record[f'error_{exact}'] == record['risk_posterior']
    assert record[f'delta_{exact}'] == record['risk_excess'] > 0
    assert record['regret'] == pytest.approx(record['nats'] - record[f'nats_{exact}'], abs=1e-5)


@pytest.mark.parametrize('mode', ['eval_interpolation', 'eval_mixed_tasks'])
@pytest.mark.parametrize('name', ['linear', 'poisson'])
def test_prompts_are_scored_at_every_place(runs, name, mode):
  arrays = icljax.evaluate(runs[name], mode)
  places = len(interpolation.SHARES) if mode == 'eval_interpolation' else 6
  assert arrays['nats/model'].shape == arrays['mean/true'].shape == (32, places)
  names = {path.name for path in (runs[name] / mode).iterdir()}
  assert {'prompts.png', 'prompts.csv'} <= names
  assert len((runs[name] / mode / 'prompts.csv').read_text().splitlines()) > places


def test_a_run_on_a_pool_is_measured_against_who_knows_it(runs):
  """In `eval` too, beside the oracles for new weights."""
  arrays = icljax.evaluate(runs['poisson'], 'eval')
  latent = icljax.evaluate(runs['poisson'], 'eval_pretrain')
  np.testing.assert_allclose(arrays['nats/bayes_pool'], latent['nats/bayes_pool'], atol=1e-5)
  assert arrays['nats/bayes_pool'].mean() < arrays['nats/bayes'].mean()
  expected = (arrays['nats/model'] - arrays['nats/bayes_pool']).mean()
  assert arrays['regret'] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize('mode', ['eval_pretrain', 'eval_mixed_tasks'])
def test_models_are_compared(runs, mode, tmp_path, capsys):
  models = [runs['linear'], runs['linear'] / 'checkpoints' / '0']
  compared = icljax.compare(models, mode, titles=['A', 'B'], output_dir=tmp_path)
  np.testing.assert_array_equal(compared['A']['mean/ridge'], compared['B']['mean/ridge'])
  assert not np.array_equal(compared['A']['mean/model'], compared['B']['mean/model'])
  (folder,) = (tmp_path / mode).iterdir()
  assert {'comparison.png', 'comparison.csv'} <= {path.name for path in folder.iterdir()}
  assert (folder / 'comparison.csv').read_text().startswith('title,')
  assert 'not drawn' not in capsys.readouterr().out
