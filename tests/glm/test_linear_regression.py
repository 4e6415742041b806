"""The presets of linear regression: what their docstring promises, a step, an evaluation, and what
is refused.
"""

import itertools
import math
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import linear_regression
from icljax import build, checks
from icljax.base import draw_batch, stream
from icljax.glm.checks import DIVERSITY_MODES
from icljax.glm.modes import interpolation, mixed_tasks
from icljax.glm.modes.scores import reference_of
from icljax.glm.oracles import ORACLES
from icljax.models.transformer import Transformer
from icljax.paired import Indices
from icljax.parameters import named
from icljax.subjects import subject_of
from jaxline_lite.base_config import SIZES, check_base_config
from jaxline_lite.errors import BadInput
from jaxline_lite.rules import with_chosen_fields
from tests import omniglots
from tests.configs import tiny
from tests.glms import draw_at, glm

ALL = pytest.mark.parametrize(
  ('preset', 'size'), list(itertools.product(linear_regression.PRESETS, SIZES))
)
# What a Gaussian's nats are, beside the squared error over twice the variance and log(s).
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def promised() -> dict[tuple[str, str], tuple[int, float, float]]:
  """Parameters, operations and bytes of activations of each preset and size, as documented."""
  rows = re.findall(
    r'^ +(\w+) +(quick|paper) +([0-9,]+) +(\S+) +(\S+)$', linear_regression.__doc__, re.MULTILINE
  )
  return {
    (preset, size): (int(count.replace(',', '')), float(operations), float(held))
    for preset, size, count, operations, held in rows
  }


def sizes(config) -> tuple[int, int, int, int, int, int]:
  """B, T, L, E, M, H."""
  model = config.model
  tokens = config.task.K * (1 if model.tokens == 'pairs' else 2)
  mlp_width = model.mlp_width or 4 * model.width
  return config.training.batch_size, tokens, model.layers, model.width, mlp_width, model.heads


def parameters(config) -> int:
  """The docstring's sum."""
  _, tokens, layers, width, mlp_width, _ = sizes(config)
  dims, is_plain = config.task.D, config.model.tokens == 'interleaved_plain'
  blocks = layers * (4 * width**2 + 2 * width * mlp_width + 9 * width + mlp_width)
  last_norm = 2 * width if config.model.norm == 'pre' else 0
  read = (dims + 1) * width if is_plain else (2 * dims + 5) * width
  biases = 1 if not is_plain else width + 1 if config.model.end_bias else 0
  return blocks + tokens * width + last_norm + read + width + biases


@ALL
def test_a_preset_passes_the_checks_and_has_the_parameters_of_the_docstring(preset, size):
  config = linear_regression.get_config(f'{preset},{size}')
  check_base_config(with_chosen_fields(config, checks))
  checks.check(config)
  state = jax.eval_shape(lambda: build.init_state(config))
  count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  assert count == parameters(config) == promised()[preset, size][0]


@ALL
def test_operations_and_activations_are_those_of_the_docstring(preset, size):
  """By formula; XLA counts what lies between matrix products too, some percent."""
  config = linear_regression.get_config(f'{preset},{size}')
  batch, tokens, layers, width, mlp_width, heads = sizes(config)
  per_token = 4 * width**2 + 2 * width * mlp_width + 2 * tokens * width
  operations = 6 * batch * tokens * layers * per_token
  held = 4 * batch * tokens * layers * (16 * width + 3 * mlp_width + 3 * heads * tokens)
  assert promised()[preset, size][1:] == (float(f'{operations:.2e}'), float(f'{held:.2e}'))
  state = jax.eval_shape(lambda: build.init_state(config))
  step = jax.jit(build.train_step(config))
  lowered = step.lower(None, build.make_settings(config), state, jnp.int32(0))
  assert 1 < lowered.cost_analysis()['flops'] / operations < 1.1


def test_a_layer_holds_the_activations_of_the_docstring():
  """What a compiled step needs more with one layer more."""
  config, needed = linear_regression.get_config('small,paper'), []
  for layers in (1, 2):
    config.model.layers = layers
    state = jax.eval_shape(lambda: build.init_state(config))
    step = jax.jit(build.train_step(config), donate_argnums=2)
    lowered = step.lower(None, build.make_settings(config), state, jnp.int32(0))
    needed.append(lowered.compile().memory_analysis().temp_size_in_bytes)
  assert (needed[1] - needed[0]) * 4 == pytest.approx(promised()['small', 'paper'][2], rel=0.2)


BASELINES = ('ridge', 'dmmse', 'ols', 'zero', 'true')


@ALL
def test_a_preset_makes_a_step_and_an_evaluation(preset, size):
  """Shapes, at the full size."""
  config = linear_regression.get_config(f'{preset},{size}')
  config.task.n_tasks = 4
  state = jax.eval_shape(lambda: build.init_state(config))
  settings = build.make_settings(config)
  after, metrics = jax.eval_shape(build.train_step(config), None, settings, state, jnp.int32(0))
  assert after == state
  assert set(metrics) == {'loss', 'error', 'gradient_norm'}
  for name, mode in subject_of(config).modes(config).items():
    if name in ('eval', *DIVERSITY_MODES):
      shapes = score_shapes(config, mode, state.params)
      measured = ('model', *ORACLES, 'dmmse')
      if name == 'eval_distance':  # of the exact answer alone
        measured = [f'mean/{each}' for each in ('model', 'ridge', 'true')]
      elif name != 'eval':
        measured = [f'{kind}/{each}' for kind in ('nats', 'mean') for each in ('model', *BASELINES)]
      axis = {'eval_interpolation': interpolation.AXIS, 'eval_mixed_tasks': mixed_tasks.AXIS}.get(
        name
      )
      places = len(axis.places(config)) if axis else config.task.K
      assert {shapes[each] for each in measured} == {(500, places)}


def score_shapes(config, mode, params):
  """The shapes of what a mode scores of 500 episodes, by name."""
  task = mode.task(config)
  references = mode.references(config, task)

  def evaluate(params, seed, numbers):
    indices = Indices(seed, numbers)
    model = build.make_predictor(config, params)
    of_references = mode.score_references(task, references, None, indices)
    return mode.score(task, model, None, indices) | of_references

  scores = jax.eval_shape(evaluate, params, jnp.uint32(0), jnp.arange(500))
  return {name: values.shape for name, values in scores.items()}


def test_the_published_numbers():
  wide = linear_regression.get_config('wide,paper')
  # 1.0 of the mean squared error, which is 2 s^2 = .25 of a nat's.
  assert wide.optimizer.clip_norm == pytest.approx(4.0)
  assert wide.task.noise**2 == pytest.approx(0.125)
  for preset in linear_regression.PRESETS:
    config = linear_regression.get_config(f'{preset},paper')
    assert (config.task.D, config.task.K, config.training_steps) == (8, 16, 500_000)
    assert config.task.clip == math.inf
  folders = [linear_regression.get_config(words).checkpoint_dir for words in ('', 'small,paper')]
  assert folders == ['runs/linear_regression', 'runs/linear_regression_small_paper']


@pytest.mark.parametrize('preset', linear_regression.PRESETS)
def test_steps_of_a_small_one_learn_and_log_the_squared_error(preset):
  """The error is that of the predictions, over D; the noise is in its targets."""
  config = linear_regression.get_config(preset)
  config.update_from_flattened_dict(
    {'model.width': 16, 'model.mlp_width': 16, 'model.layers': 1, 'training.batch_size': 32}
  )
  state, settings = build.init_state(config), build.make_settings(config)
  step = jax.jit(build.train_step(config))
  episodes = draw_batch(settings.task, stream(settings.seed, 'train'), 5, jnp.arange(32))
  mean = jax.jit(lambda model: model.along(episodes).mean())(
    build.make_predictor(config, state.params)
  )
  after, metrics = step(None, settings, state, jnp.int32(5))
  expected = float(((mean - episodes.y) ** 2).mean()) / config.task.D
  assert float(metrics['error']) == pytest.approx(expected, rel=1e-5)
  nats = expected * config.task.D / (2 * config.task.noise**2)
  constant = math.log(config.task.noise) + HALF_LOG_2PI
  assert float(metrics['loss']) == pytest.approx(nats + constant, rel=1e-5)
  first = after.params
  chex.assert_trees_all_equal(first, state.params)  # the triangle starts at a rate of 0
  after, _ = step(None, settings, after, jnp.int32(6))
  moved = jax.tree.map(lambda leaf, before: (leaf != before).any(), after.params, first)
  assert all(map(bool, jax.tree.leaves(moved)))


def test_other_heads_log_what_they_did():
  config = tiny(task__families='linear')
  state, settings = build.init_state(config), build.make_settings(config)
  _, metrics = jax.eval_shape(build.train_step(config), None, settings, state, jnp.int32(0))
  assert set(metrics) == {'loss', 'gradient_norm'}


def test_inputs_have_their_scale_and_nothing_else_changes():
  """The same weights, inputs and noise, the inputs multiplied."""
  plain = draw_at(glm('linear', clip=math.inf), jnp.arange(500))
  task = glm('linear', clip=math.inf).replace(data_scale=jnp.float32(3.0))
  scaled = draw_at(task, jnp.arange(500))
  np.testing.assert_allclose(scaled.x, 3 * plain.x, rtol=1e-6)
  np.testing.assert_array_equal(scaled.task.w, plain.task.w)
  signal = lambda episodes: 0.5 * np.einsum('nkd,nd->nk', episodes.x, episodes.task.w[:, 0])
  np.testing.assert_allclose(
    scaled.y - signal(scaled), plain.y - signal(plain), rtol=1e-4, atol=2e-5
  )
  config = linear_regression.get_config()
  config.task.data_scale = 3.0
  assert float(build.make_settings(config).task.data_scale) == 3.0


def test_a_model_of_known_noise_is_told_no_more_than_a_mixture():
  nats = dict.fromkeys(('model', *ORACLES), np.zeros((1, 1)))
  config = linear_regression.get_config()
  assert reference_of(nats, conditions_on_family=config.model.head == 'eta') == 'bayes'


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    (
      {'task.families': 'linear,poisson'},
      "model.head is 'known_noise' and task.families 'linear,poisson'; .* set task.families=linear",
    ),
    ({'task.families': 'poisson'}, "that head is of 'linear' alone"),
    ({'model.tokens': 'plain'}, 'allowed are pairs, interleaved, interleaved_plain'),
    ({'model.norm': 'none'}, "model.norm is 'none'; allowed are pre, post"),
    ({'model.gelu': 'relu'}, "model.gelu is 'relu'; allowed are tanh, erf"),
    ({'model.mlp_width': -1}, 'model.mlp_width is -1; allowed are whole numbers from 0'),
    ({'task.data_scale': 0.0}, 'task.data_scale is 0.0; allowed are numbers above 0'),
    (
      {'model.sequence': 'lstm', 'model.norm': 'post'},
      "model.norm is 'post', which only the transformer has; with .* 'lstm' leave 'pre'",
    ),
  ],
)
def test_what_cannot_be_built_is_refused(fields, message):
  config = linear_regression.get_config()
  config.update_from_flattened_dict(fields)
  with pytest.raises(ValueError, match=message):
    checks.check(config)


def test_two_presets_are_refused():
  with pytest.raises(BadInput, match='two presets'):
    linear_regression.get_config('wide,small')


def test_blocks_of_image_sequences_have_the_same_options():
  config = omniglots.tiny()
  config.update_from_flattened_dict(
    {'model.norm': 'post', 'model.mlp_width': 24, 'model.gelu': 'erf'}
  )
  checks.check(config)
  sequence = subject_of(config).network(config).sequence
  assert (sequence.norm, sequence.mlp_width, sequence.gelu) == ('post', 24, 'erf')
  config.model.mlp = False
  with pytest.raises(ValueError, match='leave 0 without an MLP'):
    checks.check(config)


def test_post_norm_ends_with_the_norm_of_its_last_block(key):
  """Every token has mean 0 and variance 1 at first, and there is no norm more."""
  tokens = jax.random.normal(key, (2, 5, 16))
  model = Transformer(layers=2, heads=2, length=5, norm='post')
  variables = model.init(key, tokens)
  assert not [name for name in named(variables['params']) if name.startswith('norm')]
  out = np.asarray(model.apply(variables, tokens))
  np.testing.assert_allclose(out.mean(-1), 0, atol=1e-5)
  np.testing.assert_allclose(out.std(-1), 1, atol=1e-3)
