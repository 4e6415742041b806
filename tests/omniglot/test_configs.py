"""Every preset and size of configs/omniglot.py can be built, trained and evaluated; wrong settings
are refused.
"""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import omniglot
from icljax import build, checks
from icljax.experiment import Experiment
from icljax.omniglot.derived import class_count
from icljax.omniglot.drawings import Drawings, Features, Symbols
from icljax.omniglot.from_config import item, output_count
from icljax.paired import Indices
from icljax.parameters import named
from icljax.subjects import subject_of
from jaxline_lite.base_config import SIZES, check_base_config
from jaxline_lite.devices import many_steps
from jaxline_lite.errors import BadInput
from tests.omniglots import tiny

ALL = list(itertools.product(omniglot.PRESETS, SIZES))
RESNET = 22_176  # parameters of the embedder at width 64


def parameters(config) -> int:
  """Embedder, labels, blocks, the last norm, and the head."""
  width, labels = config.model.width, output_count(config)
  if config.model.embedder == 'linear':
    embedder = (int(np.prod(item(config).shape)) + 1) * width
  else:
    embedder = (
      config.data.symbolic_config.dataset_size * width
      if config.model.embedder == 'table'
      else RESNET
    )
  block = (
    4 * width**2
    + 4 * width
    + 2 * width
    + (8 * width**2 + 5 * width + 2 * width if config.model.mlp else 0)
  )
  return embedder + labels * width + config.model.layers * block + 2 * width + labels * (width + 1)


def stand_in(config):
  """Data of the right shape, without reading any."""
  if config.data.example_type == 'symbolic':
    return Symbols()
  if config.data.components:
    return Features(jax.ShapeDtypeStruct((1_623, 20, config.data.components), jnp.float32))
  side = config.data.side
  packed = jax.ShapeDtypeStruct((1_623, 20, -(-side * side // 8)), jnp.uint8)
  return Drawings(packed, side, config.data.omniglot_config.augment_images)


@pytest.mark.parametrize(('preset', 'size'), ALL)
def test_a_preset_has_its_size_and_makes_a_step_and_its_evaluations(preset, size):
  """Shapes only; the number of parameters is by formula, and in the docstring."""
  config = omniglot.get_config(f'{preset},{size}')
  check_base_config(config)
  checks.check(config)
  assert set(config.eval_modes) <= set(checks.eval_modes(config))
  state = jax.eval_shape(lambda: build.init_state(config))
  count = sum(leaf.size for leaf in named(state.params).values())
  assert count == parameters(config)
  assert re.search(rf'{preset} +{size} .*{count:,}', omniglot.__doc__ or '')
  data = stand_in(config)
  settings = jax.eval_shape(lambda: build.make_settings(config))
  after, _ = jax.eval_shape(build.train_step(config), data, settings, state, jnp.int32(0))
  assert jax.tree.map(shape_of, after) == jax.tree.map(shape_of, state)
  indices = Indices(jnp.uint32(0), jnp.arange(10))
  for name in config.eval_modes:
    mode = subject_of(config).modes(config)[name]
    task = mode.task(config)

    def score(data, state, mode=mode, task=task):
      model = build.make_predictor(config, state.params, state.model_state)
      return mode.score(task, model, data, indices)

    scores = jax.eval_shape(score, data, state)
    assert {values.shape[0] for values in scores.values()} == {10}


def shape_of(leaf):
  return leaf.shape, leaf.dtype


LEARNING = {
  'LSTM': {'model__sequence': 'lstm'},
  'RNN': {'model__sequence': 'rnn'},
  'symbols': {
    'data__example_type': 'symbolic',
    'data__symbolic_config__dataset_size': 24,
    'model__embedder': 'table',
  },
  'features': {'data__example_type': 'features', 'data__features': 'features.npz'},
  'components': {'data__components': 16},
}


@pytest.mark.parametrize('what', LEARNING)
def test_100_steps_bring_the_loss_below_guessing(what, tmp_path, monkeypatch):
  """Below log of the number of labels, on average over the last 20."""
  monkeypatch.chdir(tmp_path)
  np.savez(tmp_path / 'features.npz', features=np.random.default_rng(0).normal(size=(24, 20, 12)))
  config = tiny(training_steps=100, optimizer__learning_rate=1e-2, **LEARNING[what])
  checks.check(config)
  settings, data = build.make_settings(config), subject_of(config).data(config).values
  run = jax.jit(many_steps(build.train_step(config), 100))
  _, metrics = run(data, settings, build.init_state(config), jnp.int32(0), jnp.int32(100))
  assert metrics['loss'][0] > np.log(output_count(config)) - 0.5
  assert metrics['loss'][-20:].mean() < np.log(output_count(config)) - 0.2


@pytest.mark.parametrize(
  ('exemplars', 'augmented', 'classes', 'drawings'),
  [
    ('all', False, 24, 20),
    ('single', False, 24, 1),
    ('separated', False, 480, 1),
    ('all', True, 192, 20),
  ],
)
def test_classes_are_what_exemplars_and_augmentation_make_of_them(
  exemplars, augmented, classes, drawings
):
  fields = {
    'data__omniglot_config__exemplars': exemplars,
    'data__omniglot_config__augment_images': augmented,
  }
  config = tiny(data__generator_config__preserve_ordering_every_n=8, **fields)
  checks.check(config)
  task, data = subject_of(config).task(config), subject_of(config).data(config).values
  assert task.drawings == drawings
  assert data.packed.shape[:2] == ((24, drawings) if exemplars != 'separated' else (480, 1))
  assert class_count(config) == classes
  if augmented:  # a character's variants are all trained on or all held out
    characters = np.asarray(task.pool.ids) // 8
    assert not set(characters[:16]) & set(characters[16:])


WRONG = [
  ({'data__train_seqs': 'burst'}, "data.train_seqs is 'burst'; allowed are bursty"),
  (
    {'data__generator_config__n_rare_classes': 14},
    'asks for 14 rare, 4 common and 8 held-out classes; there are 24 in all',
  ),
  (
    {'data__generator_config__preserve_ordering_every_n': 7},
    'preserve_ordering_every_n is 7, which does not divide the 24',
  ),
  (
    {'data__omniglot_config__augment_images': True},
    'preserve_ordering_every_n is 0; with augment_images allowed are multiples of 8',
  ),
  (
    {'data__seq_config__p_bursty': 1.5},
    'data.seq_config.p_bursty is 1.5; allowed are numbers from 0 to 1',
  ),
  ({'data__seq_config__p_bursty_common': 0.5}, 'allowed is a sum of at most 1'),
  (
    {'data__seq_config__labeling_rare': 'ordered_polysemy0'},
    "labeling_rare is 'ordered_polysemy0'; allowed are ordered",
  ),
  ({'data__seq_config__labeling_rare': 'original'}, 'original labels of one are those of others'),
  ({'data__seq_config__seq_len': 6}, "data.train_seqs is 'bursty', for which there are too few"),
  (
    {'data__seq_config__fs_holdout_sets': 1},
    'fs_holdout_sets is 1; allowed is less than 1, the sets of 2 of 2 labels',
  ),
  ({'data__features': 'a.npz'}, "data.features is 'a.npz' and data.example_type 'procedural'"),
  (
    {'data__components': 16, 'model__embedder': 'resnet'},
    "model.embedder is 'resnet'; allowed for 16 components",
  ),
  ({'model__positions': 'rotary', 'model__width': 6}, 'needs heads of even width'),
  ({'eval__labels': 'holdout'}, 'eval.labels is holdout; allowed is trained'),
  (
    {'data__example_type': 'symbolic'},
    "model.embedder is 'linear'; allowed for data.example_type 'symbolic': table",
  ),
  (
    {
      'data__seq_config__distinct_remainder': True,
      'data__generator_config__n_rare_classes': 1,
      'data__generator_config__n_common_classes': 2,
    },
    'there are too few classes or items',
  ),
  (
    {'data__seq_config__p_bursty_zipfian': 0.0, 'data__generator_config__n_common_classes': 0},
    'there are too few classes or items',
  ),
  (
    {
      'data__seq_config__ways': 3,
      'data__seq_config__bursty_shots': 2,
      'data__generator_config__n_common_classes': 2,
      'data__seq_config__p_bursty_common': 1.0,
      'data__seq_config__p_bursty_zipfian': 0.0,
    },
    'there are too few classes or items',
  ),
  (
    {'data__generator_config__preserve_ordering_every_n': 3},
    'n_holdout_classes is 8; allowed are multiples of preserve_ordering_every_n 3',
  ),
  ({'data__seq_config__fs_labels': 1}, 'fs_labels is 1; allowed are 0 and numbers from 2'),
  ({'data__seq_config__fs_labels': 5_000}, 'fs_labels is 5000; allowed are'),
  (
    {'model__positions': 'learned', 'data__seq_config__fs_shots': 6},
    'model.positions is learned, from sequences of 9 items, and there are some of 13',
  ),
  ({'subject': 'omniglots'}, "subject is 'omniglots'; allowed are glm, omniglot"),
]


@pytest.mark.parametrize(('fields', 'message'), WRONG)
def test_wrong_settings_are_refused(fields, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    checks.check(tiny(**fields))


def test_a_file_of_features_that_is_none_is_refused(tmp_path):
  for name, save in {
    'absent': None,
    'flat': np.zeros((3, 4)),
    'nan': np.full((3, 4, 5), np.nan),
  }.items():
    if save is not None:
      np.savez(tmp_path / f'{name}.npz', features=save)
    config = tiny(data__example_type='features', data__features=str(tmp_path / f'{name}.npz'))
    with pytest.raises(ValueError, match=r'data\.features is'):
      subject_of(config).data(config)


def test_a_damaged_file_of_features_and_one_of_too_few_classes_end_in_one_line(tmp_path):
  np.savez(tmp_path / 'few.npz', features=np.zeros((5, 3, 8)))
  whole = (tmp_path / 'few.npz').read_bytes()
  (tmp_path / 'cut.npz').write_bytes(whole[: len(whole) // 2])
  (tmp_path / 'empty.npz').write_bytes(b'')
  np.save(tmp_path / 'single.npy', np.zeros((5, 3, 8)))
  named = {
    'few.npz': 'asks for 12 rare',
    'cut.npz': 'not a .npz file',
    'empty.npz': 'not a .npz file',
    'single.npy': 'not a .npz file',
  }
  for name, message in named.items():
    with pytest.raises(BadInput, match=message):
      Experiment(tiny(data__example_type='features', data__features=str(tmp_path / name)))


def test_evaluations_of_held_out_labels_are_those_that_have_some():
  config = omniglot.get_config('induction')
  config.eval.labels = 'holdout'
  checks.check(config)
  assert set(checks.eval_modes(config)) == {
    'eval_fewshot_holdout',
    'eval_fewshot_rare',
    'eval_fewshot_zipfian',
    'eval_induction',
  }
  trained, held_out = (
    set(map(tuple, np.asarray(task.label_sets).tolist()))
    for task in (
      subject_of(config).task(config),
      subject_of(config).modes(config)['eval_fewshot_rare'].task(config),
    )
  )
  assert (len(trained), len(held_out), trained & held_out) == (8, 2, set())
