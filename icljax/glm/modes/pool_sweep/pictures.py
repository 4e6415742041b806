"""The picture of a sweep over the pool's size: errors and distances over M, and over training."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from icljax.figures import banded, figure, save, shades, shared_legend
from icljax.glm.modes.diversity_pictures import STYLES
from icljax.glm.modes.pool_sweep.runs import (
  ERRORS,
  INFINITE,
  NEW_TASKS,
  POOL_TASKS,
  Baselines,
  Group,
  PoolRun,
  deltas,
  has_delta,
  text_of,
)
from icljax.glm.modes.pool_sweep.valley import estimate_valley
from icljax.paired import mean_and_error

SIZES = 'tasks in the pool, M (log scale)'
MOST_TICKS = 11  # numbers that fit side by side below a panel
DASHES = ('-', '--', ':', '-.')


def draw_sweep(
  path: Path,
  title: str,
  groups: Sequence[Group],
  baselines: Baselines,
  crossings: Sequence[Mapping[str, Any]],
) -> None:
  """Draws errors on new tasks and on the pool's, distances on new tasks, and the valley if any.

  Args:
    crossings: the findings of each group; none where targets have no means.
  """
  has_means, unit = baselines.quantity == 'errors', groups[0].runs[0].scores[NEW_TASKS].unit
  what = f'{unit},\nmean and noise-free target' if has_means else 'nats per target'
  labels = {'new': (SIZES, f'new tasks: {what}')}
  if baselines.pool:
    labels['pool'] = (SIZES, f"the pool's tasks: {what}")
  if has_means:
    labels['deltas'] = (SIZES, f"new tasks: {unit},\nmodel's mean and a baseline's")
  if any(run.valley for group in groups for run in group.runs):
    labels['valley'] = ('step', f'new tasks: {unit},\nmodel and {baselines.new}')
  drawing, *all_axes = figure(title, *labels.values())
  panels = dict(zip(labels, all_axes))
  for name, mode in (('new', NEW_TASKS), ('pool', POOL_TASKS)):
    if name in panels:
      _draw_quality(panels[name], groups, mode, baselines)
  if 'deltas' in panels:
    _draw_deltas(panels['deltas'], groups, baselines, crossings)
  if 'valley' in panels:
    _draw_valley(panels['valley'], groups)
  shared_legend(
    drawing,
    'dots: runs; bars and bands: ± 2 standard errors over episodes; lines over M: means over seeds',
  )
  save(drawing, path)


def _places(groups: Sequence[Group]) -> dict[int, float]:
  """log2 M of every swept M; the infinite one is one tick behind the last."""
  sizes = sorted({size for group in groups for size in group.sizes})
  places = {size: float(np.log2(size)) for size in sizes}
  if any(run.tasks == INFINITE for group in groups for run in group.runs):
    places[INFINITE] = max(places.values(), default=0.0) + 1
  return places


def _label_sizes(axes, places: Mapping[int, float]) -> None:
  """Ticks at the swept M, of which every second, or third, has a label where there are many."""
  every = -(-len(places) // MOST_TICKS)
  texts = [
    _tick(size) if (len(places) - 1 - i) % every == 0 else '' for i, size in enumerate(places)
  ]
  axes.set_xticks(list(places.values()), texts)


def _tick(size: int) -> str:
  """Numbers of five digits and more are too wide for a tick: powers of two are called so."""
  is_power = size > 0 and size & (size - 1) == 0
  return f'$2^{{{size.bit_length() - 1}}}$' if is_power and size > 9_999 else text_of(size)


def _colours(groups: Sequence[Group]) -> list:
  """One for each group; of a single one, that of models elsewhere."""
  return shades(len(groups) + 1)[:-1] if len(groups) > 1 else [STYLES['model']['color']]


def _draw_runs(
  axes,
  group: Group,
  values: Mapping[str, np.ndarray],
  label: str,
  places: Mapping[int, float],
  **style,
) -> None:
  """Dots with bars for runs, and a line through the means of finite M over seeds.

  Args:
    values: `[n]` by the run's name; runs without are left out.
  """
  runs = [run for run in group.runs if run.name in values]
  mean, error = np.transpose([mean_and_error(values[run.name]) for run in runs])
  x = [places[run.tasks] for run in runs]
  axes.errorbar(x, mean, ERRORS * error, fmt='o', markersize=4, color=style['color'])
  sizes = [size for size in group.sizes if any(run.tasks == size for run in runs)]
  means = [
    np.mean([values[run.name].mean() for run in runs if run.tasks == size]) for size in sizes
  ]
  axes.plot([places[size] for size in sizes], means, label=label, **style)


def _draw_quality(axes, groups: Sequence[Group], mode: str, baselines: Baselines) -> None:
  """The error, or nats, of models and exact answers over M, on the tasks of one mode."""
  places = _places(groups)
  for group, colour in zip(groups, _colours(groups)):
    values = _values(group.runs, mode, baselines.quantity, 'model')
    label = 'model' if len(groups) == 1 else f'model, {group.label}'
    if values:
      _draw_runs(axes, group, values, label, places, color=colour)
  for name in baselines.names:
    _draw_baseline(axes, groups, mode, baselines.quantity, name, places)
  _label_sizes(axes, places)


def _values(
  runs: Sequence[PoolRun], mode: str, quantity: str, predictor: str
) -> dict[str, np.ndarray]:
  """Means over positions `[n]` by the run's name, of those that have them."""
  values = {}
  for run in runs:
    if mode in run.scores and predictor in getattr(run.scores[mode], quantity):
      values[run.name] = getattr(run.scores[mode], quantity)[predictor].mean(1)
  return values


def _draw_baseline(
  axes,
  groups: Sequence[Group],
  mode: str,
  quantity: str,
  name: str,
  places: Mapping[int, float],
) -> None:
  """A baseline over M: one line for all groups whose tasks are the same."""
  curves: list[tuple[str, dict[int, float]]] = []
  for group in groups:
    values = _values(group.runs, mode, quantity, name)
    curve = {run.tasks: float(values[run.name].mean()) for run in group.runs if run.name in values}
    for _, other in curves:
      if all(np.isclose(curve[size], other[size]) for size in curve.keys() & other.keys()):
        other.update(curve)
        break
    else:
      curves.append((group.label, curve))
  for i, (label, curve) in enumerate(curves):
    sizes = [size for size in places if size in curve]
    style = STYLES[name] | {'linestyle': DASHES[i % len(DASHES)]}
    label = name if len(curves) == 1 else f'{name}, {label}'
    axes.plot(
      [places[size] for size in sizes], [curve[size] for size in sizes], label=label, **style
    )


def _draw_deltas(
  axes, groups: Sequence[Group], baselines: Baselines, crossings: Sequence[Mapping[str, Any]]
) -> None:
  """Distances to both exact answers over M on new tasks, and where they cross."""
  places = _places(groups)
  for group, colour in zip(groups, _colours(groups)):
    for name, dashes in zip(baselines.names, DASHES):
      values = {run.name: deltas(run, name) for run in group.runs if has_delta(run, name)}
      style, label = STYLES[name], f'delta to {name}'
      if len(groups) > 1:
        style, label = {'color': colour, 'linestyle': dashes}, f'{label}, {group.label}'
      if values:
        _draw_runs(axes, group, values, label, places, **style)
  if all(np.all(np.asarray(line.get_ydata()) > 0) for line in axes.lines):
    axes.set_yscale('log')  # the crossing is interpolated in logarithms too
  for group, colour, crossing in zip(groups, _colours(groups), crossings):
    _mark_crossing(axes, group, crossing, 'C2' if len(groups) == 1 else colour)
  _label_sizes(axes, places)


def _mark_crossing(axes, group: Group, crossing: Mapping[str, Any], colour) -> None:
  """A line at the crossing, and its interval as a band, up to the swept M at an open end."""
  if crossing['interval']:
    low, high = crossing['low'] or group.sizes[0], crossing['high'] or group.sizes[-1]
    label = f'crossing, 95% interval {crossing["interval"]}'
    axes.axvspan(np.log2(low), np.log2(high), color=colour, alpha=0.2, linewidth=0, label=label)
  if crossing['size']:
    axes.axvline(np.log2(crossing['size']), color=colour, linewidth=1)


def _draw_valley(axes, groups: Sequence[Group]) -> None:
  """The distance to the exact answer for new tasks over training, a line with a band per run."""
  sizes = list(_places(groups))
  colours = dict(zip(sizes, shades(len(sizes))))
  steps = [step for group in groups for run in group.runs for step in run.valley if step]
  if steps:  # step 0 is kept too, and has no logarithm
    axes.set_xscale('symlog', linthresh=min(steps))
  for group, dashes in zip(groups, itertools.cycle(DASHES)):
    for run in group.runs:
      x = sorted(run.valley)
      if not x:
        continue
      label = f'M = {text_of(run.tasks)}'
      if len(groups) > 1:
        label += f', {group.label}'
      mean, error = np.transpose([mean_and_error(run.valley[step]) for step in x])
      banded(axes, x, mean, error, label, color=colours[run.tasks], linestyle=dashes)
      best = estimate_valley(run.valley).step
      if best is not None:
        axes.plot(best, run.valley[best].mean(), 'kv', markersize=5, label='t*')
