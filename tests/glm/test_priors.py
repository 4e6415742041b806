"""Pools of tasks: nested, uniform, normal, and 0 is a fresh task per episode to the bit."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from icljax.base import draw_batch, stream
from icljax.glm.priors import Gaussian
from icljax.subjects import subject_of
from tests.configs import tiny
from tests.glms import draw_at, glm, linear_regression, with_pool

LARGEST = 2**31 - 1


@pytest.mark.parametrize('names', [('linear',), ('poisson', 'multinomial')])
def test_a_pool_of_0_draws_what_is_drawn_without_one(names):
  task = glm(*names)
  fresh, pooled = (draw_at(each, jnp.arange(64)) for each in (task, with_pool(task, 0, seed=5)))
  for field in ('x', 'y', 'weight'):
    np.testing.assert_array_equal(getattr(fresh, field), getattr(pooled, field))
  np.testing.assert_array_equal(fresh.task.w, pooled.task.w)
  np.testing.assert_array_equal(fresh.task.family, pooled.task.family)
  np.testing.assert_array_equal(pooled.task.index, -1)


def test_weights_are_those_of_the_pool():
  task = with_pool(glm('poisson', 'multinomial'), 5, seed=2)
  episodes = draw_at(task, jnp.arange(100))
  assert set(np.asarray(episodes.task.index)) == set(range(5))
  np.testing.assert_array_equal(episodes.task.w, task.pool(5)[episodes.task.index])


def test_pools_are_nested_and_differ_by_seed():
  small, large = with_pool(glm('linear'), 10), with_pool(glm('linear'), 1_000)
  np.testing.assert_array_equal(small.pool(10), large.pool(1_000)[:10])
  other = with_pool(glm('linear'), 10, seed=1).pool(10)
  assert not np.isin(np.asarray(other), np.asarray(large.pool(1_000))).any()


def test_a_task_without_a_pool_says_so():
  with pytest.raises(ValueError, match='has no pool'):
    glm('linear').pool(3)


def test_x_and_noise_are_the_same_at_every_size():
  task, indices = linear_regression(), jnp.arange(64)
  drawn = [draw_at(with_pool(task, size), indices) for size in (0, 1, 64, 2**20, LARGEST)]
  noise = [each.y - jax.vmap(lambda e: e.task.eta(e.x)[:, 0])(each) for each in drawn]
  for episodes, own_noise in zip(drawn[1:], noise[1:]):
    np.testing.assert_array_equal(episodes.x, drawn[0].x)
    np.testing.assert_allclose(own_noise, noise[0], atol=1e-5)
    assert not np.array_equal(episodes.task.w, drawn[0].task.w)


def test_tasks_of_a_pool_are_equally_frequent():
  index = np.asarray(draw_at(with_pool(glm('linear'), 8), jnp.arange(8_000)).task.index)
  assert stats.chisquare(np.bincount(index, minlength=8)).pvalue > 1e-3


def test_the_family_is_drawn_independently_of_the_pool():
  truth = draw_at(with_pool(glm('poisson', 'linear'), 4), jnp.arange(8_000)).task
  table = np.zeros((4, 2))
  np.add.at(table, (np.asarray(truth.index), np.asarray(truth.family)), 1)
  assert stats.chi2_contingency(table).pvalue > 1e-3


def test_a_large_pool_is_standard_normal_and_independent():
  size, dims = 2**20, 2
  w = np.asarray(jax.jit(lambda task: task.pool(size))(with_pool(glm('linear', dims=dims), size)))
  w = w[:, 0].astype(np.float64)
  for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
    spread = (w**power).std(0) / np.sqrt(size)
    assert np.all(np.abs((w**power).mean(0) - moment) < 4.5 * spread)
  neighbours = np.corrcoef(np.concatenate([w[:-1], w[1:]], axis=1).T)[np.triu_indices(4, 1)]
  assert np.all(np.abs(neighbours) < 4.5 / np.sqrt(size))


def test_the_largest_pool_is_drawn_from_end_to_end():
  index = np.asarray(draw_at(with_pool(glm('linear'), LARGEST), jnp.arange(4_000)).task.index)
  assert stats.kstest(index / LARGEST, 'uniform').pvalue > 1e-3
  assert np.isfinite(with_pool(glm('linear'), LARGEST).prior.weights(LARGEST - 1, (1, 3))).all()


def test_a_pool_is_drawn_by_a_stream_of_its_own():
  """Its weights are none that the training stream of the same seed draws, nor any inputs of it."""
  task = with_pool(glm('linear'), 0)
  episodes = draw_batch(task, stream(jnp.uint32(0), 'train'), 0, jnp.arange(256))
  drawn = np.concatenate([np.reshape(episodes.x, (-1, 3)), episodes.task.w[:, 0]])
  assert not {*map(tuple, drawn.tolist())} & {*map(tuple, task.pool(256)[:, 0].tolist())}


def test_one_program_serves_all_sizes_and_seeds():
  @jax.jit
  @chex.assert_max_traces(n=1)
  def sample(task, key):
    return task.sample(key)

  chex.clear_trace_counter()
  for size, seed in ((0, 0), (1, 0), (2**20, 3)):
    sample(with_pool(glm('poisson'), size, seed), jax.random.key(0))


def test_a_config_sets_the_pool_and_fresh_weights_can_be_had_instead():
  config = tiny(task__n_tasks=3, task__pool_seed=7)
  task = subject_of(config).task(config)
  assert (int(task.prior.size), int(task.prior.seed)) == (3, 7)
  np.testing.assert_array_equal(task.pool(3), with_pool(task, 3, seed=7).pool(3))
  fresh = draw_at(task.with_fresh_weights(), jnp.arange(16))
  np.testing.assert_array_equal(fresh.task.index, -1)
  same = draw_at(task.replace(prior=Gaussian()), jnp.arange(16))
  np.testing.assert_array_equal(fresh.y, same.y)
