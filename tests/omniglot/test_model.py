"""Models of labelled items: causality, what they do not read, and batch norm over devices."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icljax import build
from icljax.base import Episode, draw_batch, stream
from icljax.models.resnet import ResNet
from icljax.models.transformer import Transformer
from icljax.omniglot.from_config import output_count
from icljax.omniglot.model import LabelledItems, LabelPredictor
from icljax.subjects import subject_of
from icljax.training import optimizers, schedules
from icljax.training.optimizers import make_clipped
from icljax.training.step import TrainState, make_train_step
from jaxline_lite import devices
from tests.omniglots import tiny

SEQUENCES = pytest.mark.parametrize('sequence', ['transformer', 'lstm', 'rnn'])


@functools.cache
def predictor(sequence='transformer', embedder='linear', scale=3.0):
  """A model with random parameters, larger than at the start so that every input matters; it reads
  items, not handles.
  """
  config = tiny(model__sequence=sequence, model__embedder=embedder)
  state = build.init_state(config)
  params = jax.tree.map(lambda leaf: leaf * scale, state.params)
  return build.make_predictor(config, params, state.model_state)


@pytest.fixture
def sequences(key):
  """Random items and labels."""
  items = jax.random.normal(key, (3, 9, 14, 14))
  return items, jax.random.randint(key, (3, 9), 0, output_count(tiny())).astype(jnp.float32)


logits = jax.jit(lambda model, items, labels: model._logits(items, labels))


@SEQUENCES
def test_a_prediction_depends_on_its_item_and_what_stands_before(sequence, sequences):
  model, (items, labels), k = predictor(sequence), sequences, 4
  before = logits(model, items, labels)
  chex.assert_shape(before, (3, 9, output_count(tiny())))
  later = logits(model, items.at[:, k + 1 :].add(1.0), (labels.at[:, k:].add(1.0)) % 24)
  np.testing.assert_allclose(before[:, : k + 1], later[:, : k + 1], atol=1e-4)
  for changed in (
    (items.at[:, k].multiply(-1.0), labels),
    (items, labels.at[:, k - 1].set((labels[:, k - 1] + 1) % 24)),
  ):
    assert np.abs(before[:, k] - logits(model, *changed)[:, k]).max() > 1e-3


@SEQUENCES
def test_the_querys_label_moves_nothing(sequence, sequences):
  model, (items, labels) = predictor(sequence), sequences
  other = labels.at[:, -1].set((labels[:, -1] + 3) % 24)
  np.testing.assert_array_equal(logits(model, items, labels), logits(model, items, other))


@SEQUENCES
def test_the_last_row_alone_is_the_last_row(sequence, sequences):
  model, (items, labels) = predictor(sequence), sequences
  alone = jax.jit(lambda model: model._logits(items, labels, last=True))(model)
  np.testing.assert_allclose(alone[:, 0], logits(model, items, labels)[:, -1], rtol=1e-5, atol=1e-4)


def test_only_the_query_is_scored_where_only_it_counts(sequences):
  """The scores of all rows, but 0 where they have no weight."""
  model, (items, labels) = predictor(), sequences
  episodes = Episode(x=items, y=labels, weight=jnp.ones(labels.shape), task=None)
  scores = jax.jit(lambda model: model.training_scores(episodes, None)[0])
  every = scores(model.replace(scores_query=False))
  only = scores(model.replace(scores_query=True))
  np.testing.assert_allclose(only[:, -1], every[:, -1], rtol=1e-4)
  assert (only[:, :-1] == 0).all()
  assert (every[:, :-1] != 0).all()


def test_the_resnet_has_the_published_size():
  """A stem of 64, four groups of two bottlenecks with 16, 32, 32, 64 channels, batch norms of two
  numbers per channel.
  """
  variables = jax.eval_shape(lambda: ResNet().init(jax.random.key(0), jnp.zeros((2, 105, 105))))
  expected, before = 7 * 7 * 64 + 2 * 64, 64
  for channels in (16, 32, 32, 64):
    inner = channels // 4
    for block in range(2):
      expected += before * inner + 9 * inner**2 + inner * channels + 2 * (2 * inner + channels)
      expected += before * channels + 2 * channels if block == 0 else 0
      before = channels
  assert sum(leaf.size for leaf in jax.tree.leaves(variables['params'])) == expected
  norms = sum(leaf.size for leaf in jax.tree.leaves(variables['batch_stats']))
  assert norms == 2 * (64 + sum(2 * (2 * (c // 4) + c) + c for c in (16, 32, 32, 64)))
  embedded = jax.eval_shape(lambda v: ResNet().apply(v, jnp.zeros((2, 105, 105))), variables)
  chex.assert_shape(embedded, (2, 64))


@functools.cache
def small():
  """Steps of a model with a ResNet of two blocks, their settings and first state."""
  config = tiny()
  network = LabelledItems(
    ResNet((4, 8), blocks=1, strides=(1, 2), stem=4),
    Transformer(1, 2, 17, 'rotary'),
    8,
    output_count(config),
    label_scale=1.0,
  )
  optimizer = make_clipped(optimizers.adam, schedules.constant)
  settings, data = build.make_settings(config), subject_of(config).data(config).values

  @jax.jit
  def start():
    variables = dict(network.init(jax.random.key(0), jnp.zeros((1, 9, 14, 14)), jnp.zeros((1, 9))))
    params = variables.pop('params')
    return TrainState(params, optimizer(settings.optimizer).init(params), model_state=variables)

  predict = lambda task, params, state: LabelPredictor(params, state, network, scores_query=True)
  return make_train_step(predict, optimizer, 16), data, settings, start()


@functools.cache
def program(count: int):
  """The steps on so many devices, and those devices."""
  machines = devices.Devices(jax.devices()[:count])
  return machines.pmap_steps(small()[0], 3), machines


def trained_on(count: int, steps: int = 3):
  """The state and losses after some steps on so many devices."""
  (run, machines), (_, *arguments) = program(count), small()
  after, metrics = run(*map(machines.replicate, arguments), 0, steps)
  return devices.unreplicate(after), metrics['loss']


@pytest.mark.parametrize('count', [2, 4])
def test_batch_norm_has_the_statistics_of_all_devices(count):
  (alone, losses), (state, others) = trained_on(1), trained_on(count)
  np.testing.assert_allclose(losses, others, atol=1e-4)
  for ours, theirs in zip(
    jax.tree.leaves(alone.model_state), jax.tree.leaves(state.model_state), strict=True
  ):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_batch_norm_keeps_running_averages():
  """After one step, of the stem: .9 of the first ones and .1 of the batch's mean and variance."""
  (_, data, settings, state), (after, _) = small(), trained_on(1, steps=1)
  images = jax.jit(first_images)(data, settings)
  convolved = jax.lax.conv_general_dilated(
    images[..., None],
    state.params['embedder']['stem']['kernel'],
    (2, 2),
    'SAME',
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )
  norms = after.model_state['batch_stats']['embedder']['norm_stem']['norm']
  np.testing.assert_allclose(norms['mean'], 0.1 * convolved.mean((0, 1, 2)), atol=1e-5)
  np.testing.assert_allclose(norms['var'], 0.9 + 0.1 * convolved.var((0, 1, 2)), atol=1e-4)


def first_images(data, settings):
  """The drawings of the first step's batch."""
  episodes = draw_batch(settings.task, stream(settings.seed, 'train'), 0, jnp.arange(16))
  return settings.task.render(data, episodes.x).reshape(-1, 14, 14)
