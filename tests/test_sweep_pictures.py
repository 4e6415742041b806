"""The picture, table and CSV of a sweep, of made-up points."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from icljax import sweep_pictures
from icljax.figures import own_style
from icljax.sweep_pictures import axis_of, compare_points, independent_fields, text_of

METRICS = {
  'error': 'squared difference / D of predicted mean and noise-free target',
  'delta': "squared difference / D of the model's mean and that of ridge",
}
POOLS = [{'task.n_tasks': size} for size in (2, 4, 8, 16, 0)]
SEEDS = [{'random_seed': seed} for seed in (0, 1, 2)]
IN_STEP = [
  {'training_steps': 6_000, 'optimizer.warmup_steps': 3_000},
  {'training_steps': 16_000, 'optimizer.warmup_steps': 8_000},
]
MODELS = [{'model.sequence': name} for name in ('transformer', 'lstm', 'rnn')]


def frame_of(*axes, random=None):
  """Points of all combinations; metrics are made up, and their standard errors .01 and .02."""
  random = random or np.random.default_rng(0)
  rows = []
  for i, steps in enumerate(itertools.product(*axes)):
    fields = {field: value for step in steps for field, value in step.items()}
    error, delta = random.uniform(size=2)
    numbers = {'error': error, 'error_se': 0.01, 'delta': delta, 'delta_se': 0.02}
    rows.append({'name': f'point_{i}', **fields, **numbers})
  fields = [field for axis in axes for field in axis[0]]
  return pd.DataFrame(rows), list(dict.fromkeys(fields))


@pytest.fixture
def drawn(monkeypatch, tmp_path):
  """Draws points and gives the figure, which is not saved."""
  figures = []
  monkeypatch.setattr(sweep_pictures, 'save', lambda figure, path: figures.append(figure))

  def draw(points, fields, metrics=METRICS):
    with own_style():
      compare_points(tmp_path, 'a sweep', points, fields, metrics).draw()
      figures[-1].canvas.draw()  # lays it out
    return figures[-1]

  return draw


def bars_of(axes):
  """By label: places, means and the ends of bars of each set of dots."""
  found = {}
  for container in axes.containers:
    dots, _, (bars,) = container.lines
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    found[container.get_label()] = dots.get_xdata(orig=False), dots.get_ydata(orig=False), ends
  return found


def lines_of(axes):
  """The places and values that lines go through."""
  return [line.get_xydata() for line in axes.lines if line.get_linestyle() == '-']


def test_the_mean_over_seeds_stands_over_the_logarithm_with_the_least_and_the_most(drawn):
  points, fields = frame_of(POOLS, SEEDS)
  figure = drawn(points, fields)
  assert len(figure.axes) == 2  # one field, two metrics
  for axes, metric in zip(figure.axes, METRICS):
    ((places, means, ends),) = bars_of(axes).values()
    by_pool = points.groupby('task.n_tasks')[metric]
    order = [2, 4, 8, 16, 0]
    np.testing.assert_allclose(places, [1, 2, 3, 4, 5])  # infinity one step behind the last
    np.testing.assert_allclose(means, [by_pool.mean()[size] for size in order])
    np.testing.assert_allclose(ends[:, 0], [by_pool.min()[size] for size in order])
    np.testing.assert_allclose(ends[:, 1], [by_pool.max()[size] for size in order])
    (line,) = lines_of(axes)  # which does not go on to infinity
    np.testing.assert_allclose(line, np.transpose([places[:4], means[:4]]))
    assert [text.get_text() for text in axes.get_xticklabels()] == ['2', '4', '8', '16', '∞']
    assert axes.get_xlabel() == 'task.n_tasks (log scale)'
    assert axes.get_ylabel().replace('\n', ' ') == METRICS[metric]
  legend = figure.axes[-1].get_legend()
  assert 'least to most' in legend.get_title().get_text()


def test_single_runs_have_bars_of_two_standard_errors(drawn):
  points, fields = frame_of(POOLS)
  figure = drawn(points, fields)
  for axes, metric, error in zip(figure.axes, METRICS, (0.01, 0.02)):
    ((_, means, ends),) = bars_of(axes).values()
    np.testing.assert_allclose(means, points[metric])
    np.testing.assert_allclose(ends, np.transpose([means - 2 * error, means + 2 * error]))
  assert '± 2 standard' in figure.axes[-1].get_legend().get_title().get_text()


def test_other_fields_are_lines_and_a_partner_in_step_is_no_field_of_its_own(drawn):
  points, fields = frame_of(POOLS, IN_STEP)
  assert independent_fields(points, fields) == ['task.n_tasks', 'training_steps']
  over_pools, _, over_steps, _ = drawn(points, fields).axes
  by_label = bars_of(over_pools)
  assert list(by_label) == ['training_steps = 6000', 'training_steps = 16000']
  for steps in (6_000, 16_000):
    of_steps = points[points.training_steps == steps]
    np.testing.assert_allclose(by_label[f'training_steps = {steps}'][1], of_steps.error)
  assert list(bars_of(over_steps)) == [f'n_tasks = {size}' for size in (2, 4, 8, 16, '∞')]


def test_names_are_categories_without_a_line(drawn):
  points, fields = frame_of(MODELS, SEEDS)
  figure = drawn(points, fields)
  assert not [line for line in lines_of(figure.axes[0]) if len(line)]
  texts = [text.get_text() for text in figure.axes[0].get_xticklabels()]
  assert texts == ['transformer', 'lstm', 'rnn']


def test_of_seeds_alone_each_is_a_category(drawn):
  figure = drawn(*frame_of(SEEDS))
  assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ['0', '1', '2']


def test_what_a_point_lacks_or_is_infinite_is_left_out(drawn):
  points, fields = frame_of(POOLS)
  points.loc[0, 'error'], points.loc[1, 'error'] = math.nan, math.inf
  figure = drawn(points, fields, METRICS | {'absent': 'nothing'})
  assert len(figure.axes) == 2
  ((places, means, _),) = bars_of(figure.axes[0]).values()
  np.testing.assert_allclose(places, [3, 4, 5])
  np.testing.assert_allclose(means, points.error[2:])


@pytest.mark.parametrize(
  ('values', 'places', 'note'),
  [
    ([0.01, 1.0, 0.1], [math.log2(0.01), math.log2(0.1), 0], 'log scale'),
    ([1.2, 2.5, 5.0], [1.2, 2.5, 5], ''),
    ([0.0, 0.5, 0.9, 1.0], [0, 0.5, 0.9, 1], ''),
    ([0.0, 0.01, 0.1, 1.0], [0, 1, 2, 3], 'evenly spaced'),
    ([6_000, 16_000], [6_000, 16_000], ''),
  ],
)
def test_numbers_stand_where_their_texts_do_not_overlap(values, places, note):
  axis = axis_of('a.field', values)
  assert (list(axis.places), axis.note) == (sorted(values), note)
  np.testing.assert_allclose(list(axis.places.values()), places)


def test_only_what_stands_for_infinity_is_called_so():
  values = [('task.n_tasks', 0), ('task.n_tasks', 4), ('random_seed', 0), ('a.field', None)]
  assert [text_of(*pair) for pair in values] == ['∞', '4', '0', 'None']


def test_flags_are_categories():
  assert axis_of('data.flag', [False, True]).connected == frozenset()


@pytest.mark.parametrize(
  'axes',
  [
    ([*({'task.n_tasks': 2**power} for power in range(1, 21)), {'task.n_tasks': 0}], IN_STEP),
    ([{'a.decay': decay} for decay in (0.0, 0.01, 0.1, 1.0)], POOLS, SEEDS),
    ([{'a.name': f'a_long_name_of_a_model_{i}'} for i in range(6)], SEEDS),
  ],
)
def test_no_texts_overlap(drawn, axes):
  figure = drawn(*frame_of(*axes), {**METRICS, 'error_se': 'a third metric with a name'})
  texts = [figure._suptitle]
  for panel in figure.axes:
    texts += [panel.xaxis.label, panel.yaxis.label]
    for axis in (panel.xaxis, panel.yaxis):
      low, high = axis.get_view_interval()  # ticks beyond it are not drawn
      texts += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    if legend := panel.get_legend():
      texts += [*legend.get_texts(), legend.get_title()]
  texts = [text for text in texts if text.get_text()]
  turned = [text for text in texts if text.get_rotation() == 45]
  boxes = [text.get_window_extent() for text in texts if text not in turned]
  wrong = [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]
  assert not wrong
  for one, next_one in itertools.pairwise(turned):  # of one panel: a line's height apart
    distance = next_one.get_window_extent().x1 - one.get_window_extent().x1
    assert distance > 10 or distance < 0


def test_the_csv_has_every_point_and_the_table_every_combination(tmp_path):
  points, fields = frame_of(POOLS, SEEDS, [{'optimizer.name': 'adamw'}])
  table = compare_points(tmp_path, 'a sweep', points, fields, METRICS).table
  pd.testing.assert_frame_equal(pd.read_csv(tmp_path / 'points.csv'), points)
  title, about, head, *rows = table.splitlines()
  assert title == 'a sweep'
  assert about == 'of several their mean (least to most)'
  assert head.split() == ['n_tasks', 'runs', *METRICS]  # what is the same everywhere is left out
  assert [row.split()[:2] for row in rows] == [[size, '3'] for size in ('2', '4', '8', '16', '∞')]
  errors = points[points['task.n_tasks'] == 0].error
  assert f'{errors.mean():.3f} ({errors.min():.3f} to {errors.max():.3f})' in rows[-1]


def test_the_table_of_single_runs_has_their_standard_errors(tmp_path):
  points, fields = frame_of(POOLS)
  table = compare_points(tmp_path, 'a sweep', points, fields, METRICS).table
  assert f'{points.delta[0]:.3f} ± 0.020' in table.splitlines()[3]


def test_a_picture_is_written(tmp_path):
  points, fields = frame_of(POOLS, SEEDS)
  comparison = compare_points(tmp_path, 'a sweep', points, fields, METRICS)
  assert {path.name for path in tmp_path.iterdir()} == {'points.csv'}
  with own_style():
    comparison.draw()
  assert (tmp_path / 'points.png').stat().st_size > 10_000
