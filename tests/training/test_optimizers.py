"""Learning rates at named steps, and which parameters an optimizer touches how."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from icljax import build
from icljax.base import READ_OUT
from icljax.parameters import named
from icljax.training.optimizers import OPTIMIZERS, READ_OUT_PACE, decayed, make_clipped
from icljax.training.schedules import SCHEDULES, constant
from tests.configs import tiny

NUMBERS = {
  'learning_rate': 2.0,
  'warmup_steps': 10.0,
  'training_steps': 110.0,
  'clip_norm': jnp.float32(0.5),
  'weight_decay': 0.1,
  'momentum': 0.5,
}
STEPS = (0, 5, 10, 60, 110)
RATES = {
  'constant': [2, 2, 2, 2, 2],
  'triangle': [0, 1, 2, 1, 0],
  'warmup_cosine': [0, 1, 2, 1, 0],
  'one_cycle': [0.08, 1.04, 2, 1 + 0.5 * 8e-6, 8e-6],  # 2 / 25 up to 2, down to 2 / 25 / 1e4
  'inverse_sqrt': [0, 1, 2, 2 * (10 / 60) ** 0.5, 2 * (10 / 110) ** 0.5],
}
KERNELS = ('attention/qkv', 'attention_out', 'mlp_in', 'mlp_out')


@pytest.mark.parametrize('name', SCHEDULES)
def test_a_schedule_has_its_rates_at_named_steps(name):
  rates = [float(SCHEDULES[name](NUMBERS, jnp.float32(step))) for step in STEPS]
  np.testing.assert_allclose(rates, RATES[name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(('name', 'theirs'), [
  ('triangle', optax.join_schedules([optax.linear_schedule(0, 2, 10), optax.linear_schedule(2, 0, 100)], [10])),
  ('warmup_cosine', optax.warmup_cosine_decay_schedule(0, 2, 10, 110)),
  ('one_cycle', optax.cosine_onecycle_schedule(110, 2, pct_start=10 / 110, div_factor=25, final_div_factor=1e4)),
])  # fmt: skip
def test_a_schedule_is_that_of_optax(name, theirs):
  """Inside, at every step; optax rounds the end of one_cycle's warm-up down to a whole step."""
  steps = jnp.arange(110)
  np.testing.assert_allclose(
    SCHEDULES[name](NUMBERS, steps), jax.vmap(theirs)(steps), rtol=2e-5, atol=2e-6
  )


def test_without_warmup_a_schedule_starts_at_its_peak():
  numbers = NUMBERS | {'warmup_steps': 0.0}
  for name, schedule in SCHEDULES.items():
    first = float(schedule(numbers, jnp.float32(1 if name == 'inverse_sqrt' else 0)))
    assert first == pytest.approx(2.0), name


def test_adamw_decays_the_kernels_of_blocks_and_nothing_else():
  shapes = jax.eval_shape(
    lambda: build.init_state(tiny(task__families='poisson,neg_binomial', model__layers=2))
  ).params
  params = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), shapes)
  expected = {f'sequence/block_{block}/{kernel}/kernel' for block in (0, 1) for kernel in KERNELS}
  assert {name for name, decays in named(decayed(params)).items() if decays} == expected
  optimizer = make_clipped(OPTIMIZERS['adamw'], constant)(NUMBERS)
  still = jax.tree.map(jnp.zeros_like, params)
  updates, _ = jax.jit(lambda params: optimizer.update(still, optimizer.init(params), params))(
    params
  )
  moved = {name: leaf for name, leaf in named(updates).items() if np.any(leaf)}
  assert moved.keys() == expected
  for name, update in moved.items():
    np.testing.assert_allclose(update, -2.0 * 0.1 * named(params)[name], rtol=1e-5)


def test_sgd_has_momentum():
  optimizer = make_clipped(OPTIMIZERS['sgd'], constant)(
    NUMBERS | {'clip_norm': jnp.float32(jnp.inf)}
  )
  params, gradient = {'a': jnp.zeros(2)}, {'a': jnp.array([1.0, -2.0])}
  state, moves = optimizer.init(params), []
  for _ in range(2):
    update, state = optimizer.update(gradient, state, params)
    moves.append(update['a'])
  np.testing.assert_allclose(moves, [[-2, 4], [-3, 6]])


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_gradients_are_clipped_first_and_the_read_out_has_no_part_in_it(name):
  """What the model's parameters do is the same whatever the read-out's gradient is."""
  optimizer = make_clipped(OPTIMIZERS[name], constant)(NUMBERS)
  params = {'a': jnp.zeros(3), READ_OUT: jnp.zeros(1)}

  def update(read_out, scale=1.0):
    gradient = {'a': scale * jnp.array([30.0, 40.0, 0.0]), READ_OUT: jnp.array([read_out])}
    return optimizer.update(gradient, optimizer.init(params), params)

  moved, state = update(0.1)
  np.testing.assert_array_equal(moved['a'], update(1e6)[0]['a'])
  np.testing.assert_allclose(moved['a'], update(0.1, scale=7.0)[0]['a'], rtol=1e-6)
  assert abs(moved[READ_OUT][0]) == pytest.approx(
    READ_OUT_PACE * (2.0 if name != 'sgd' else 0.2), rel=1e-4
  )
  first_moment = next(leaf for leaf in jax.tree.leaves(state) if leaf.shape == (3,))
  share = 1.0 if name == 'sgd' else 0.1  # of a gradient in the first moment
  np.testing.assert_allclose(first_moment, share * 0.5 * np.array([0.6, 0.8, 0.0]), rtol=1e-5)
