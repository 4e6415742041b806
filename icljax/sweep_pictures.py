"""Many runs side by side: a CSV, a table, and a picture of metrics over the swept fields."""

import functools
import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from icljax.eval_modes import MOST_HEADLINES, Comparison
from icljax.figures import grid, save, shades
from icljax.tables import aligned, cell, write_csv

# Values that stand for infinity, by field.
INFINITE = {'task.n_tasks': 0}
BASES = range(2, 11)  # of powers that make an axis logarithmic
MOST_LABELS = 10  # ticks, and entries of a legend, that have room for their texts
CLOSEST = 1 / 12  # of an axis between two ticks whose texts do not touch
MOST_LETTERS = 45  # of all ticks' texts side by side; more are turned
LABEL_WIDTH = 40  # letters of a label's line
ERRORS = 2  # standard errors that a bar of one run goes up and down


def compare_points(
  folder: Path,
  title: str,
  points: pd.DataFrame,
  fields: Sequence[str],
  metrics: Mapping[str, str],
) -> Comparison:
  """Writes `points.csv` of the points of a sweep; their table, and what draws `points.png`.

  The picture has a row of panels for each field that is no seed, and a panel for each metric: means
  over seeds, a line for each combination of the other fields.

  Args:
    points: a row for each: `name`, the swept fields by dotted name, and metrics, of which
      `<metric>_se` is the standard error. What a point does not have is NaN.
    fields: the swept ones, in the order of the sweep.
    metrics: those that are shown, at most `MOST_HEADLINES`, with what an axis says of them. Those
      that no point has are passed over.
  """
  place = lambda row: [_place(field, points[field].iloc[row]) for field in fields]
  points = points.iloc[sorted(range(len(points)), key=place)].reset_index(drop=True)
  write_csv(folder / 'points.csv', points)
  shown = {name: label for name, label in metrics.items() if name in points}
  shown = dict(list(shown.items())[:MOST_HEADLINES])
  draw = functools.partial(draw_points, folder / 'points.png', title, points, fields, shown)
  return Comparison(f'{title}\n{points_table(points, fields, shown)}', draw)


def _place(field: str, value: Any) -> float:
  """Where a value of a swept field comes: infinity and words behind all numbers."""
  is_last = _is_infinite(field, value) or not isinstance(value, int | float | np.number)
  return math.inf if is_last else float(value)


def points_table(points: pd.DataFrame, fields: Sequence[str], metrics: Mapping[str, str]) -> str:
  """Metrics of each combination of fields: of one run with the standard error of its evaluation, of
  several the mean, and the least and the most.
  """
  varied = [field for field in _varied(points, fields) if not is_seed(field)]
  groups = _groups(points, varied)
  counts = {len(group) for _, group in groups}
  rows = [[*(_short(field, varied) for field in varied), 'runs', *metrics]]
  for values, group in groups:
    texts = [text_of(field, value) for field, value in zip(varied, values)]
    rows.append([*texts, str(len(group)), *(_summarize(group, name) for name in metrics)])
  spread = 'of one run ± standard error' if 1 in counts else ''
  over_runs = 'of several their mean (least to most)' if counts - {1} else ''
  return f'{", ".join(filter(None, [spread, over_runs]))}\n{aligned(rows)}'


def _summarize(group: pd.DataFrame, metric: str) -> str:
  """One metric of some runs."""
  values, errors = _numbers(group, metric)
  is_there = ~np.isnan(values)
  values, errors = values[is_there], errors[is_there]
  if len(values) == 0:
    return ''
  if len(values) > 1:
    return f'{values.mean():.3f} ({values.min():.3f} to {values.max():.3f})'
  return f'{values[0]:.3f}' if np.isnan(errors[0]) else cell(values[0], errors[0])


def _numbers(runs: pd.DataFrame, metric: str) -> tuple[np.ndarray, np.ndarray]:
  """A metric of some runs, and its standard errors, NaN where there are none; `[n]` each."""
  values, name = np.array(runs[metric], float), f'{metric}_se'
  return values, np.array(runs[name], float) if name in runs else np.full(len(values), np.nan)


def is_seed(field: str) -> bool:
  """Whether runs that differ in a field alone are repetitions of one another."""
  return field.rpartition('.')[2].endswith('seed')


def _is_infinite(field: str, value: Any) -> bool:
  return field in INFINITE and INFINITE[field] == value


def text_of(field: str, value: Any) -> str:
  """A value of a swept field."""
  if _is_infinite(field, value):
    return '∞'
  return f'{value:g}' if isinstance(value, float | np.floating) else str(value)


def _short(field: str, fields: Sequence[str]) -> str:
  """The last part of a field's name, or all of it where another one ends alike."""
  last = field.rpartition('.')[2]
  return last if sum(other.rpartition('.')[2] == last for other in fields) == 1 else field


def _groups(points: pd.DataFrame, fields: Sequence[str]) -> list[tuple[tuple, pd.DataFrame]]:
  """The rows of each combination of values of some fields, in the order of the rows."""
  if not fields:
    return [((), points)]
  rows = {}
  for i, values in enumerate(zip(*(points[field].tolist() for field in fields))):
    rows.setdefault(values, []).append(i)
  return [(values, points.iloc[of_values]) for values, of_values in rows.items()]


def _varied(points: pd.DataFrame, fields: Sequence[str]) -> list[str]:
  """The fields that have several values."""
  return [field for field in fields if len(set(points[field].tolist())) > 1]


def independent_fields(points: pd.DataFrame, fields: Sequence[str]) -> list[str]:
  """The fields that pictures are drawn over: no seeds, unless nothing else differs, and of fields
  that were swept in step the one that tells most points apart.
  """
  varied = _varied(points, fields)
  chosen = [field for field in varied if not is_seed(field)] or varied

  def follows(field: str, other: str) -> bool:
    return len(_groups(points, [other])) == len(_groups(points, [other, field]))

  return [
    field
    for i, field in enumerate(chosen)
    if not any(
      follows(field, other) and (j < i or not follows(other, field))
      for j, other in enumerate(chosen)
      if other != field
    )
  ]


class Axis(NamedTuple):
  """Where the values of a field stand on an axis.

  Attributes:
    places: by value, from left to right.
    note: how they are spaced, for the label; '' where that is as they are.
    connected: the values that a line goes through.
  """

  places: dict[Any, float]
  note: str
  connected: frozenset


def axis_of(field: str, values: Sequence[Any]) -> Axis:
  """The axis of a field's values: logarithmic for powers of one base, linear for other numbers that
  stand apart, else evenly spaced. What stands for infinity is the last.
  """
  distinct = list(dict.fromkeys(values))
  infinite = [value for value in distinct if _is_infinite(field, value)]
  others = [value for value in distinct if value not in infinite]
  is_number = [isinstance(value, int | float | np.number) for value in others]
  if is_seed(field) or not all(is_number) or any(isinstance(value, bool) for value in others):
    return Axis({value: float(i) for i, value in enumerate(distinct)}, '', frozenset())
  others.sort()
  if len(others) > 1 and any(_are_powers(others, base) for base in BASES):
    places, note = [math.log2(value) for value in others], 'log scale'
  else:
    places, note = [float(value) for value in others], ''
    gaps = np.diff(places)
    if len(gaps) and gaps.min() < CLOSEST * gaps.sum():
      places, note = list(map(float, range(len(others)))), 'evenly spaced'
  by_value = dict(zip(others, places))
  if infinite:
    step = min(np.diff(places), default=1.0)
    by_value[infinite[0]] = places[-1] + float(step) if places else 0.0
  return Axis(by_value, note, frozenset(others))


def _are_powers(values: Sequence[float], base: int) -> bool:
  """Whether all values are whole powers of a base."""
  if min(values) <= 0:
    return False
  return all(
    math.isclose(power, round(power), abs_tol=1e-6) for power in np.log(values) / math.log(base)
  )


def draw_points(
  path: Path,
  title: str,
  points: pd.DataFrame,
  fields: Sequence[str],
  metrics: Mapping[str, str],
) -> None:
  """Draws metrics over fields, a row of panels for each field and a panel for each metric."""
  panels = independent_fields(points, fields)
  if not panels or not metrics:
    return
  axis_by_field = {field: axis_of(field, points[field].tolist()) for field in panels}
  rows = []
  for field, axis in axis_by_field.items():
    xlabel = field + (f' ({axis.note})' if axis.note else '')
    rows.append([(xlabel, textwrap.fill(label, LABEL_WIDTH)) for label in metrics.values()])
  drawing, all_axes = grid(title, rows)
  for (field, axis), row in zip(axis_by_field.items(), all_axes):
    others = [other for other in panels if other != field]
    for axes, metric in zip(row, metrics):
      _draw_lines(axes, points, metric, (field, axis), others)
      _label_ticks(axes, field, axis)
    _add_legend(row[-1], _describe_spread(points, panels))
  save(drawing, path)


def _draw_lines(
  axes,
  points: pd.DataFrame,
  metric: str,
  over: tuple[str, Axis],
  others: Sequence[str],
) -> None:
  """Means of a metric with bars, a line for each combination of the other fields."""
  (field, axis), groups = over, _groups(points, others)
  colors = shades(len(groups) + 1)[:-1] if len(groups) > 1 else ['C0']
  every = math.ceil(len(groups) / MOST_LABELS)
  for i, ((values, group), color) in enumerate(zip(groups, colors)):
    texts = [f'{_short(name, others)} = {text_of(name, it)}' for name, it in zip(others, values)]
    label = (', '.join(texts) or 'mean') if i % every == 0 else '_'
    runs_at = {value: runs for (value,), runs in _groups(group, [field])}
    rows = [
      (value, *_mean_and_bar(runs_at[value], metric)) for value in axis.places if value in runs_at
    ]
    rows = [row for row in rows if math.isfinite(row[1])]
    if not rows:
      continue
    value, mean, below, above = (list(column) for column in zip(*rows))
    place = [axis.places[each] for each in value]
    axes.errorbar(place, mean, [below, above], fmt='o', markersize=4, color=color, label=label)
    through = [i for i, each in enumerate(value) if each in axis.connected]
    axes.plot([place[i] for i in through], [mean[i] for i in through], color=color)


def _mean_and_bar(runs: pd.DataFrame, metric: str) -> tuple[float, float, float]:
  """The mean over runs, and how far a bar goes below and above it; NaN where there are none."""
  values, errors = _numbers(runs, metric)
  is_finite = np.isfinite(values)
  values, errors = values[is_finite], errors[is_finite]
  if len(values) == 0:
    return math.nan, 0.0, 0.0
  mean = float(values.mean())
  if len(values) > 1:
    return mean, mean - float(values.min()), float(values.max()) - mean
  bar = ERRORS * float(errors[0]) if np.isfinite(errors[0]) else 0.0
  return mean, bar, bar


def _label_ticks(axes, field: str, axis: Axis) -> None:
  """Ticks at all values; where there are many, only some have a label, the last one among them."""
  texts = [text_of(field, value) for value in axis.places]
  every = math.ceil(len(texts) / MOST_LABELS)
  shown = [text if (len(texts) - 1 - i) % every == 0 else '' for i, text in enumerate(texts)]
  if sum(map(len, shown)) > MOST_LETTERS:
    axes.set_xticks(list(axis.places.values()), shown, rotation=45, ha='right')
  else:
    axes.set_xticks(list(axis.places.values()), shown)


def _add_legend(axes, spread: str) -> None:
  """A legend to the right of the last panel of a row."""
  axes.legend(
    loc='upper left',
    bbox_to_anchor=(1.02, 1.0),
    frameon=False,
    fontsize='small',
    title=spread,
    title_fontsize='small',
    alignment='left',
  )


def _describe_spread(points: pd.DataFrame, panels: Sequence[str]) -> str:
  """What dots and bars are."""
  counts = {len(group) for _, group in _groups(points, panels)}
  several = 'dots: means over seeds,\nbars: least to most' if counts - {1} else ''
  one = 'bars of single runs: ± 2 standard\nerrors of the evaluation' if 1 in counts else ''
  return '\n'.join(filter(None, [several, one]))
