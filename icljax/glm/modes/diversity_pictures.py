"""Pictures of task diversity: errors and distances over the pairs seen, and over training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from icljax.figures import banded, figure, framed, legend, save, whole
from icljax.paired import mean_and_error

if TYPE_CHECKING:
  from icljax.glm.modes.diversity_tables import Predictions

STYLES = {
  'model': {'color': 'C3', 'linewidth': 2.5, 'zorder': 5},
  'ridge': {'color': 'black'},
  'bayes': {'color': 'black'},
  'dmmse': {'color': 'C0'},
  'bayes_pool': {'color': 'C0'},
  'own': {'color': 'C4', 'linestyle': '--'},
  'ols': {'color': 'C1'},
  'zero': {'color': '0.6'},
  'true': {'color': 'C2', 'linestyle': ':'},
}
# Curves that may leave a picture: least squares is far off where pairs are as many as dimensions.
WIDE = ('ols', 'zero')
PAIRS = 'pairs seen, k'


def curves(path: Path, scores: 'Predictions', title: str) -> None:
  """Errors, distances and nats over the number of pairs seen, with bands of two standard errors."""
  nats = exact_ones(scores.nats)
  if not scores.errors:
    drawing, axes = figure(title, (PAIRS, 'nats per target'))
    panels = [(axes, nats)]
  else:
    drawing, *all_axes = figure(
      title,
      (PAIRS, f'{scores.unit}, mean and noise-free target'),
      (PAIRS, f"{scores.unit}, model's mean and a baseline's"),
      (PAIRS, 'nats per target'),
    )
    panels = list(zip(all_axes, [scores.errors, exact_ones(scores.deltas), nats]))
  for axes, values in panels:
    _lines(axes, values)
  save(drawing, path)


def along_axis(
  path: Path, scores: 'Predictions', places: Sequence[float], label: str, title: str
) -> None:
  """Errors and distances over the places of prompts on an axis.

  Args:
    scores: with A places instead of K positions.
    label: of a place.
  """
  panels = [('nats of the last target', scores.nats)]
  if scores.errors:
    panels = [
      (f'{scores.unit}, mean and noise-free target', scores.errors),
      (f"{scores.unit}, model's mean and a baseline's", exact_ones(scores.deltas)),
    ]
  drawing, *all_axes = figure(title, *((label, ylabel) for ylabel, _ in panels))
  for axes, (_, values) in zip(all_axes, panels):
    _lines(axes, values, places)
  save(drawing, path)


def exact_ones(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Those of some curves, by baseline, that a model may come close to."""
  return {name: each for name, each in values.items() if name not in WIDE}


def _lines(axes, values: Mapping[str, np.ndarray], places: Sequence[float] = ()) -> None:
  """A curve for each predictor, of values `[n, K]` over the pairs seen, or over other places."""
  if not places:
    whole(axes)
  for name, each in values.items():
    x = places or np.arange(each.shape[1])
    banded(axes, x, *mean_and_error(each), label=name, **STYLES.get(name, {}))
  framed(axes, [mean_and_error(each)[0] for name, each in values.items() if name not in WIDE])
  legend(axes)


def over_training(path: Path, records: pd.DataFrame, scores: 'Predictions', title: str) -> None:
  """The model's error and its distances to the exact answers over the steps of evaluations.

  Baselines do not train: they are lines.

  Args:
    records: a row per evaluated checkpoint.
  """
  quantity = 'error' if scores.errors else 'nats'
  label = f'{scores.unit}, mean and noise-free target' if scores.errors else 'nats per target'
  drawing, quality, distance = figure(
    title, ('step', label), ('step', f"{scores.unit}, model's mean and a baseline's")
  )
  style = STYLES['model']
  banded(quality, records.step, records[quantity], records[f'{quantity}_se'], 'model', **style)
  lines = [name for name in scores.nats if name in STYLES and name not in (*WIDE, 'model', 'true')]
  for name in lines:
    column = f'{quantity}_{name}'
    quality.axhline(records[column].iloc[-1], label=name, **STYLES[name])
    if f'delta_{name}' in records:
      column = f'delta_{name}'
      banded(distance, records.step, records[column], records[f'{column}_se'], name, **STYLES[name])
    else:
      distance.plot(
        records.step, records.nats - records[f'nats_{name}'], label=name, **STYLES[name]
      )
      distance.set_ylabel('nats of the model above a baseline')
  for axes in (quality, distance):
    legend(axes)
  save(drawing, path)


def compare_along_axis(
  path: Path,
  scores: dict[str, 'Predictions'],
  places: Sequence[float],
  label: str,
  title: str,
) -> None:
  """The model of each title, and the first baseline, dashed, over the places of prompts."""
  _compare(path, scores, title, label, places)


def comparison(path: Path, scores: dict[str, 'Predictions'], title: str) -> None:
  """Several models, each in a colour, beside what is exact, dashed."""
  _compare(path, scores, title, PAIRS, ())


def _compare(
  path: Path,
  scores: dict[str, 'Predictions'],
  title: str,
  label: str,
  places: Sequence[float],
) -> None:
  has_errors = all(each.errors for each in scores.values())
  of_errors = f'{next(iter(scores.values())).unit}, mean and noise-free target'
  drawing, axes = figure(title, (label, of_errors if has_errors else 'nats per target'))
  if not places:
    whole(axes)
  for i, (name, each) in enumerate(scores.items()):
    values = each.errors if has_errors else each.nats
    k = places or np.arange(values['model'].shape[1])
    banded(axes, k, *mean_and_error(values['model']), label=name, color=f'C{i}')
    exact, about = mean_and_error(values[each.exact]), f'{each.exact} ({name})'
    banded(axes, k, *exact, label=about, color=f'C{i}', linestyle='--')
  legend(axes)
  save(drawing, path)
