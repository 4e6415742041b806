"""Every published sweep, of every preset and size, has points that can be trained."""

import itertools
from pathlib import Path

import pytest

from benchmarks import results, sweep_costs
from configs import glm, linear_regression, omniglot
from icljax import checks
from jaxline_lite import modes
from jaxline_lite.base_config import SIZES
from jaxline_lite.sweep_points import make_points

FILES = {'glm': glm, 'linear_regression': linear_regression, 'omniglot': omniglot}
CONFIGS = [
  f'{file}:{preset},{size}'
  for file, module in FILES.items()
  for preset, size in itertools.product(module.PRESETS, SIZES)
]


def config_of(words):
  file, _, rest = words.partition(':')
  return FILES[file].get_config(rest)


def points_of(config, name):
  config.sweep = name
  return make_points(
    config, Path('sweep'), checks, lambda point: modes.check(point, 'train', checks)
  )


@pytest.mark.parametrize('words', CONFIGS)
def test_every_point_of_every_sweep_can_be_trained(words):
  config = config_of(words)
  default = config.sweep
  named = checks.sweeps(config)
  assert default in named or (default == '' and 'induction' in words and not named)
  for name in named:
    points = points_of(config, name)
    assert len({point.name for point in points}) == len(points) > 1
    assert {point.config.sweep for point in points} == {''}


def test_sweeps_are_those_of_the_papers():
  """Of linear regression, of generalized linear models, and of image sequences."""
  assert set(checks.sweeps(config_of('glm:joint'))) == {'diversity', 'dispersion'}
  assert set(checks.sweeps(config_of('glm:poisson'))) == {'diversity'}
  assert set(checks.sweeps(config_of('linear_regression:'))) == {
    'diversity', 'raventos', 'threshold', 'dims', 'batch', 'decay', 'size',
  }  # fmt: skip
  for words in ('omniglot:', 'omniglot:symbolic'):
    assert set(checks.sweeps(config_of(words))) == {'burstiness', 'zipf', 'classes', 'recurrent'}


def swept(words, name):
  """The fields of the points of a sweep."""
  return [point.fields for point in points_of(config_of(words), name)]


def test_the_default_is_every_pool_to_2_to_the_7_and_fresh_tasks_with_two_seeds():
  sizes = [2, 4, 8, 16, 32, 64, 128, 0]
  assert swept('linear_regression:', 'diversity') == [
    {'task.n_tasks': size, 'random_seed': seed} for size in sizes for seed in (0, 1)
  ]


def test_raventos_has_both_models_at_every_pool():
  assert swept('linear_regression:paper', 'raventos') == [
    {'task.n_tasks': size, 'model.layers': layers, 'model.width': width}
    for size in [*(2**power for power in range(1, 21)), 0]
    for layers, width in ((8, 128), (4, 64))
  ]
  wide = swept('linear_regression:wide,paper', 'raventos')  # one model, that of another paper
  assert wide == [{'task.n_tasks': size} for size in [*(2**power for power in range(1, 21)), 0]]


def test_both_lengths_of_the_threshold_have_their_peak_in_the_middle():
  for words, sizes, lengths in (
    ('', (4, 8, 16, 32), (6_000, 16_000)),
    ('paper', [2**power for power in range(10, 18)], (500_000, 1_000_000)),
  ):
    assert swept(f'linear_regression:{words}', 'threshold') == [
      {'task.n_tasks': size, 'training_steps': steps, 'optimizer.warmup_steps': steps // 2}
      for size in sizes
      for steps in lengths
    ]


@pytest.mark.parametrize('size', SIZES)
def test_signal_to_noise_is_fixed_over_dims(size):
  ratios = set()
  for fields in swept(f'linear_regression:{size}', 'dims'):
    assert fields['task.K'] == 2 * fields['task.D']
    ratios.add(round(fields['task.noise'] ** 2 / fields['task.D'], 6))
  assert ratios == {0.03125 if size == 'paper' else 0.0625}


def test_dispersion_is_every_r_with_three_seeds():
  assert swept('glm:', 'dispersion') == [
    {'task.r': r, 'random_seed': seed} for r in (1.2, 2.5, 5.0) for seed in (0, 1, 2)
  ]


def test_classes_are_100_and_1600_and_12800():
  for words in ('', 'symbolic'):
    counts = [
      fields['data.generator_config.n_rare_classes']
      + fields['data.generator_config.n_common_classes']
      for fields in swept(f'omniglot:{words}', 'classes')
    ]
    assert counts == [100, 1_600, 12_800]


def test_the_page_has_what_the_sweeps_cost():
  text = sweep_costs.PAGE.read_text()
  assert results.between(text, 'sweep costs')[1] == sweep_costs.table()
  named = {name for words in CONFIGS for name in checks.sweeps(config_of(words))}
  assert {name for names in sweep_costs.SHOWN.values() for name in names} == named
