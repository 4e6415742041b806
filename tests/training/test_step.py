"""The training step: the same data and the same result however it is run."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from jax.sharding import Mesh, PartitionSpec

from icljax import build
from icljax.base import Predictor, draw_batch, stream
from icljax.likelihoods import Gaussian
from icljax.subjects import subject_of
from icljax.training import optimizers, schedules
from icljax.training.optimizers import make_clipped
from icljax.training.step import TrainState, make_train_step
from jaxline_lite import devices
from tests.configs import tiny
from tests.glms import draw_at


@functools.cache
def program(on: int):
  """The tiny run's steps on so many devices, and those devices."""
  machines = devices.Devices(jax.devices()[:on])
  return machines.pmap_steps(build.train_step(tiny(training_steps=50)), 50), machines


def run(config, on: int, pieces: list[int]):
  """The state and losses after pieces of so many steps on so many devices."""
  steps, machines = program(on)
  settings, state, first, losses = (
    machines.replicate(build.make_settings(config)),
    machines.replicate(build.init_state(config)),
    0,
    [],
  )
  for count in pieces:
    state, metrics = steps(None, settings, state, first, count)
    first += count
    losses.append(metrics['loss'])
  return devices.unreplicate(state), np.concatenate(losses)


@pytest.fixture(scope='module')
def config():
  return tiny(training_steps=50)


@pytest.fixture(scope='module')
def alone(config):
  return run(config, 1, [50])


@pytest.mark.parametrize('pieces', [[7] * 7 + [1], [1, 49]])
def test_pieces_do_not_change_a_bit(config, alone, pieces):
  state, losses = run(config, 1, pieces)
  chex.assert_trees_all_equal(state, alone[0])
  np.testing.assert_array_equal(losses, alone[1])


@pytest.mark.parametrize('count', [2, 4])
def test_devices_agree(config, alone, count):
  """After 50 steps: losses, predictions on 512 episodes, and every parameter but the keys' biases,
  whose gradient is zero.
  """
  state, losses = run(config, count, [50])
  np.testing.assert_allclose(losses, alone[1], atol=1e-5)
  episodes = draw_at(subject_of(config).task(config), jnp.arange(512))

  @jax.jit
  def predict(params):
    predicted = build.make_predictor(config, params).along(episodes)
    # densities: float32 does not have 1e-5 of -20 nats.
    return predicted.mean(), jnp.exp(predicted.log_prob(episodes.y))

  for ours, theirs in zip(predict(state.params), predict(alone[0].params)):
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
  width = config.model.width
  for (path, ours), theirs in zip(
    jax.tree.leaves_with_path(state.params), jax.tree.leaves(alone[0].params)
  ):
    if jax.tree_util.keystr(path).endswith("['attention']['qkv']['bias']"):
      ours, theirs = (
        np.delete(ours, np.s_[width : 2 * width]),
        np.delete(theirs, np.s_[width : 2 * width]),
      )
    np.testing.assert_allclose(ours, theirs, atol=1e-5, err_msg=jax.tree_util.keystr(path))


def test_devices_see_the_same_episodes_to_the_bit(config):
  draw = lambda task, step: draw_batch(
    task, stream(jnp.uint32(0), 'train'), step, jnp.arange(16), axis='i'
  )
  batches = []
  for count in (1, 2, 4):
    shares = jax.pmap(
      lambda _, *arguments: draw(*arguments),
      'i',
      in_axes=(0, None, None),
      devices=jax.devices()[:count],
    )
    drawn = shares(jnp.arange(count), subject_of(config).task(config), jnp.int32(3))
    batches.append(jax.tree.map(lambda leaf: np.asarray(leaf).reshape(16, *leaf.shape[2:]), drawn))
  chex.assert_trees_all_equal(*batches)
  assert len(np.unique(batches[0].y)) > 90


class Line(Predictor, struct.PyTreeNode):
  """The smallest trained predictor: y ~ N(w.x, 1)."""

  w: jax.Array

  def along(self, episodes):
    return Gaussian.of(episodes.x @ self.w, jnp.float32(1.0))


@pytest.fixture
def line(config):
  """The step, settings and first state of training a line."""
  settings = build.make_settings(config)
  optimizer = make_clipped(optimizers.adam, schedules.constant)
  state = TrainState(jnp.zeros(2), optimizer(settings.optimizer).init(jnp.zeros(2)))
  return make_train_step(lambda task, params, _: Line(params), optimizer, 16), settings, state


def test_pmap_is_jit_of_shard_map(line):
  """Said in two ways, the same program gives the same bits: the way out when pmap goes."""
  step, settings, state = line
  on_axis = functools.partial(step, axis=devices.AXIS)
  mesh = Mesh(np.array(jax.devices()), (devices.AXIS,))
  body = lambda settings, state: devices.many_steps(on_axis, 10)(
    None, settings, state, jnp.int32(0), jnp.int32(10)
  )
  sharded = jax.jit(
    jax.shard_map(
      body, mesh=mesh, in_specs=PartitionSpec(), out_specs=PartitionSpec(), check_vma=False
    )
  )
  expected, metrics = sharded(settings, state)
  machines = devices.Devices()
  ours, ours_metrics = machines.pmap_steps(step, 10)(
    None, machines.replicate(settings), machines.replicate(state), 0, 10
  )
  chex.assert_trees_all_equal(devices.unreplicate(ours), jax.device_get(expected))
  np.testing.assert_array_equal(ours_metrics['loss'], metrics['loss'])


def test_gradients_are_those_of_the_whole_batch(line):
  """A step on four devices is the step on one: pmean, not the first device's gradient (fake pmap,
  so no devices at all).
  """
  step, settings, state = line
  single, _ = jax.jit(step)(None, settings, state, jnp.int32(0))
  with chex.fake_pmap():
    together = jax.jit(
      jax.pmap(lambda _: step(None, settings, state, jnp.int32(0), axis='i'), axis_name='i')
    )(jnp.arange(4))
  chex.assert_trees_all_close(jax.tree.map(lambda leaf: leaf[2], together[0]), single, rtol=1e-5)


def test_one_trace_serves_any_settings(line):
  step, _, state = line
  chex.clear_trace_counter()
  step = jax.jit(chex.assert_max_traces(step, n=1))
  for seed in (0, 1):
    other = tiny(
      training_steps=50,
      random_seed=seed,
      task__scale=0.3 + seed,
      optimizer__learning_rate=0.1 * (1 + seed),
    )
    step(None, build.make_settings(other), state, jnp.int32(seed))


def test_training_learns(alone):
  losses = alone[1]
  assert losses[-10:].mean() < losses[:10].mean() - 0.1
