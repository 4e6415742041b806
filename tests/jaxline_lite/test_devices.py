"""Any number of steps on any number of devices, in one program."""

import functools
import os

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxline_lite import devices, modes
from jaxline_lite.devices import Devices
from jaxline_lite.errors import BadInput
from tests.jaxline_lite.dummy import configured


def step(data, rate, state, t):
  weights = state['w'] + rate * jnp.sin(t + jnp.arange(3.0) * state['w'])
  return {'w': weights, 't': t}, {'loss': jnp.sum(weights**2)}


INITIAL = {'w': np.float32([0.3, -1.0, 2.0]), 't': np.int32(-1)}


def run(program, pieces, most):
  state, first, losses = INITIAL, 0, []
  for count in pieces:
    state, metrics = program(None, np.float32(0.3), state, np.int32(first), np.int32(count))
    assert not metrics['loss'][count:].any()
    losses.append(metrics['loss'][:count])
    first += count
  return state, np.concatenate(losses)


def test_chunks_change_no_bit_and_are_one_program():
  chex.clear_trace_counter()
  program = jax.jit(chex.assert_max_traces(devices.many_steps(step, 50), n=1))
  state, losses = run(program, [50], 50)
  assert state['t'] == 49
  assert len(set(losses.tolist())) == 50
  for pieces in ([1] * 50, [7] * 7 + [1], [49, 0, 1]):
    ours, our_losses = run(program, pieces, 50)
    chex.assert_trees_all_equal(ours, state)
    np.testing.assert_array_equal(our_losses, losses)


@functools.cache
def measured(on):
  return Devices(jax.devices()[:on])


@pytest.mark.parametrize('on', [1, 2, 4])
def test_steps_on_devices_are_those_on_one(on):
  """And one program for any count: the step is traced as often for two counts as for one."""
  traces = []

  def shared(data, rate, state, t, axis):
    traces.append(1)
    state, metrics = step(data, rate, state, t)
    share = jax.lax.pmean(1.0 + jax.lax.axis_index(axis), axis)
    return state, {**metrics, 'share': share}

  machines = measured(on)
  steps = machines.pmap_steps(shared, 20)
  rate = machines.replicate(jnp.float32(0.3))
  state, metrics = steps(None, rate, machines.replicate(INITIAL), 0, 3)
  once = len(traces)
  state, more = steps(None, rate, state, 3, 17)
  assert len(traces) == once
  expected, losses = run(jax.jit(devices.many_steps(step, 20)), [20], 20)
  chex.assert_trees_all_equal(devices.unreplicate(state), jax.device_get(expected))
  np.testing.assert_array_equal(np.concatenate([metrics['loss'], more['loss']]), losses)
  np.testing.assert_array_equal(more['share'], np.full(17, (on + 1) / 2, np.float32))
  with pytest.raises(ValueError, match='21 steps in one call; there is room for 20'):
    steps(None, rate, state, 20, 21)


@pytest.mark.parametrize('on', [1, 2, 4])
def test_measurements_come_in_the_order_of_the_examples(on):
  def measure(scale, weights, indices, axis):
    mine = indices.reshape(on, -1)[jax.lax.axis_index(axis)]
    return {'square': scale * mine**2 + weights[0], 'pair': jnp.stack([mine, -mine], axis=-1)}

  machines = measured(on)
  rows = machines.pmap_examples(measure)(10, machines.replicate(np.int32([7])), 100, 8)
  indices = np.arange(100, 108)
  np.testing.assert_array_equal(rows['square'], 10 * indices**2 + 7)
  np.testing.assert_array_equal(rows['pair'], np.stack([indices, -indices], axis=-1))


@pytest.mark.parametrize('on', [3, 4])
def test_what_fills_up_the_last_shares_never_enters(on):
  def measure(scale, weights, indices, axis):
    share = -(-len(indices) // on)
    place = jax.lax.axis_index(axis) * share + jnp.arange(share)
    return {'place': jnp.where(place < len(indices), scale * place + weights[0], jnp.nan)}

  machines = measured(on)
  rows = machines.pmap_examples(measure)(10, machines.replicate(np.int32([7])), 0, 5)
  np.testing.assert_array_equal(rows['place'], 10 * np.arange(5) + 7)


def test_every_device_has_a_copy():
  copies = measured(4).replicate(INITIAL)
  assert copies['w'].shape == (4, 3)
  assert {shard.device for shard in copies['w'].addressable_shards} == set(jax.devices()[:4])
  chex.assert_trees_all_equal(devices.unreplicate(copies), INITIAL)


def test_examples_have_to_divide():
  measured(4).check_divides(12, 'training.batch_size')
  for size, nearest in ((30, '28 and 32'), (3, '4')):
    expected = f'training.batch_size is {size}, which 4 devices cannot .* they can: {nearest}$'
    with pytest.raises(BadInput, match=expected):
      measured(4).check_divides(size, 'training.batch_size')


def test_a_gpu_is_told_to_repeat_its_bits_before_it_is_used(monkeypatch, tmp_path):
  """In the flags that JAX reads when it first looks for devices, and that are the user's again."""
  flags, before = [], '--xla_force_host_platform_device_count=4'
  monkeypatch.setenv('XLA_FLAGS', before)
  monkeypatch.setattr(jax, 'local_devices', lambda: flags.append(os.environ['XLA_FLAGS']))
  for deterministic in (False, True):
    modes.make('tests.jaxline_lite.dummy:Dummy', configured(tmp_path, deterministic=deterministic))
    assert os.environ['XLA_FLAGS'] == before
  assert flags == [before, f'{before} --xla_gpu_deterministic_ops=true']
