"""What a config is said to cost is what its training step multiplies, counted in its program."""

import itertools
import math
import os

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import jaxprs_in_params

from configs import glm, linear_regression, omniglot
from icljax import build, costs
from tests.omniglot.test_configs import stand_in

# A step has small products besides its model's: sampling, and the squares of norms.
CLOSE = 0.002
SIZES = ('quick', 'paper')
CONFIGS = {
  **{
    f'linear_regression {words}': (linear_regression, words, {})
    for words in map(','.join, itertools.product(linear_regression.PRESETS, SIZES))
  },
  **{
    f'omniglot {words}': (omniglot, words, {})
    for words in map(','.join, itertools.product(omniglot.PRESETS, SIZES))
  },
  'joint': (glm, 'joint', {}),
  'joint eta': (glm, 'joint,paper', {}),
  'multinomial': (glm, 'multinomial', {}),
  'multinomial eta': (glm, 'multinomial,paper', {}),
  'lstm': (omniglot, 'symbolic,paper', {'model.sequence': 'lstm'}),
  'rnn': (omniglot, 'symbolic,paper', {'model.sequence': 'rnn'}),
  'recurrent pairs': (glm, 'poisson', {'model.sequence': 'lstm'}),
  'every label': (omniglot, 'procedural', {'training.w_interim': 0.5}),
  'labels of their own': (
    omniglot,
    'procedural',
    {'data.seq_config.labeling_rare': 'ordered_polysemy5'},
  ),
}  # fmt: skip


def multiply_adds(jaxpr) -> float:
  """Multiply-adds of all products and convolutions of a program, loops as often as they run."""
  total = 0
  for equation in jaxpr.eqns:
    shapes = [getattr(variable.aval, 'shape', ()) for variable in equation.invars]
    parameters = equation.params
    if equation.primitive.name == 'dot_general':
      (contracted, _), _ = parameters['dimension_numbers']
      summed = math.prod(shapes[0][axis] for axis in contracted)
      total += math.prod(equation.outvars[0].aval.shape) * summed
    elif equation.primitive.name == 'conv_general_dilated':
      outputs = parameters['dimension_numbers'].rhs_spec[0]
      kernel = math.prod(size for axis, size in enumerate(shapes[1]) if axis != outputs)
      # Between the numbers of a dilated input are zeros.
      zeros = math.prod(parameters['lhs_dilation'])
      total += math.prod(equation.outvars[0].aval.shape) * kernel / zeros
    times = parameters.get('length', 1) if equation.primitive.name == 'scan' else 1
    total += times * sum(map(multiply_adds, jaxprs_in_params(parameters)))
  return total


@pytest.mark.parametrize('name', CONFIGS)
def test_a_step_costs_what_its_program_multiplies(name):
  module, words, changes = CONFIGS[name]
  config = module.get_config(words)
  config.update_from_flattened_dict(changes)
  data = stand_in(config) if config.subject == 'omniglot' else None
  state = jax.eval_shape(lambda: build.init_state(config))
  settings = jax.eval_shape(lambda: build.make_settings(config))
  program = jax.make_jaxpr(build.train_step(config))(data, settings, state, jnp.int32(0))
  counted = 2 * multiply_adds(program.jaxpr)
  assert costs.step_operations(config) == pytest.approx(counted, rel=CLOSE)


def test_a_sweep_is_described_in_a_line(monkeypatch):
  configs = [linear_regression.get_config()] * 16  # 16 of 6,000 steps of 6.2e8 operations
  monkeypatch.setattr(os, 'sched_getaffinity', lambda process: {0, 1}, raising=False)
  assert (
    costs.describe(configs)
    == '16 points, 6.0e13 operations: training alone takes about 11 min on 2 cores'
  )
  large = linear_regression.get_config('paper')
  assert (
    costs.describe([large])
    == '1 point, 4.0e16 operations: training alone takes about 124 h on 2 cores'
  )


def test_what_a_user_defined_model_costs_is_not_known():
  config = glm.get_config()
  config.model.sequence = 'examples.own_model:Model'
  assert costs.describe([config, config]) == (
    '2 points; what a user-defined model costs is not known'
  )


@pytest.mark.parametrize('device', costs.ACCELERATORS)
def test_hours_of_accelerators_are_at_the_peak_of_the_precision(device):
  config = linear_regression.get_config('paper')
  hours = {}
  for precision in costs.PEAK:
    config.model.precision = precision
    hours[precision] = costs.accelerator_hours([config], device)
  assert (
    hours['auto'] == hours['tf32'] == pytest.approx(4.03e16 / (0.4 * 494.7e12 * 3600), rel=0.01)
  )
  assert hours['bfloat16'] == pytest.approx(hours['tf32'] / 2)
  assert hours['highest'] == pytest.approx(hours['tf32'] * 494.7 / 67)
