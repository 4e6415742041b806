"""Evaluations along an axis of prompts: how a model answers one query as its context is changed.

Every episode of an evaluation stands for A prompts, each with a place on the axis and scored at its
last target alone. The prompts of an episode share inputs and noise, so differences are paired.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd
from jax import Array
from ml_collections import ConfigDict

from icljax.base import Episode, Predictor
from icljax.eval_modes import Comparison, Drawing, EvalContext, EvalMode, ModeRule, Report
from icljax.glm.modes import diversity
from icljax.glm.modes.diversity_comparison import by_title
from icljax.glm.modes.diversity_pictures import along_axis, compare_along_axis
from icljax.glm.modes.diversity_tables import means_by_position, position_table, unflatten
from icljax.glm.modes.scores import OF_POOL
from icljax.glm.task import GLM
from icljax.paired import mean_and_error
from icljax.tables import write_csv

# What a model is set beside first where the tasks of an axis are neither the pool's nor drawn as
# new ones are.
FIRST = (*diversity.OF_NEW, *OF_POOL)
SHOWN = 5  # places in a table

Arrays = dict[str, np.ndarray]
Score = Callable[..., dict[str, Array]]


class Axis(NamedTuple):
  """An axis of prompts.

  Attributes:
    name: of a place on it, short.
    label: of a place on it, for pictures.
    about: what is measured, for tables.
    places: (config) -> the A places.
  """

  name: str
  label: str
  about: str
  places: Callable[[ConfigDict], tuple[float, ...]]


def make_mode(
  rule: ModeRule,
  task: Callable[[ConfigDict], GLM],
  axis: Axis,
  score_model: Score,
  score_baselines: Score,
) -> EvalMode:
  """The evaluation of a model beside its baselines along an axis.

  Args:
    task: (config) -> the task that prompts are made from.
    score_model, score_baselines: as of `EvalMode`; they give what `read` does.
  """
  return EvalMode(
    rule=rule,
    task=task,
    score=score_model,
    summarize=functools.partial(_summarize, axis=axis),
    draw=functools.partial(_draw, axis=axis),
    compare=functools.partial(_compare, axis=axis),
    references=diversity.make_baselines,
    score_references=score_baselines,
  )


def read(name: str, predictor: Predictor, prompts: Episode, with_means: bool) -> dict[str, Array]:
  """What a predictor says of the last targets of prompts `[A, B]`: `[B, A]` of `diversity.read`."""
  places, batch = prompts.y.shape[:2]
  flat = jax.tree.map(lambda leaf: leaf.reshape(places * batch, *leaf.shape[2:]), prompts)
  scores = diversity.read(name, predictor, flat, with_means)
  return {key: values[:, -1].reshape(places, batch).T for key, values in scores.items()}


def read_all(
  predictors: diversity.Predictors, prompts: Episode, with_means: bool
) -> dict[str, Array]:
  """What several predictors, by name, say of the last targets of prompts, as `read`."""
  scores = {}
  for name, predictor in predictors.items():
    scores |= read(name, predictor, prompts, with_means)
  return scores


def _columns(places: tuple[float, ...], axis: Axis) -> dict[int, str]:
  """Which places a table shows, and what they are called."""
  shown = np.unique(np.linspace(0, len(places) - 1, SHOWN).round().astype(int))
  return {int(i): f'{axis.name} = {places[i]:g}' for i in shown}


def _summarize(context: EvalContext, model: Arrays, references: Arrays, axis: Axis) -> Report:
  """Means over the axis as numbers by name, and a table of places."""
  config, arrays = context.config, model | references
  scores, columns = unflatten(config, arrays, FIRST), _columns(axis.places(config), axis)
  count = len(scores.nats['model'])
  groups = {'error': scores.errors, 'delta': scores.deltas, 'nats': scores.nats}
  titles = {
    'error': f'{scores.unit} of predicted mean and noise-free target',
    'delta': f"{scores.unit} of the model's predicted mean and a baseline's",
    'nats': 'nats of the target',
  }
  metrics, tables = {}, [f'{axis.about}; {count} episodes ± standard error']
  for quantity, values in groups.items():
    for predictor, each in values.items():
      name = f'{quantity}_{predictor}'.removesuffix('_model')
      metrics[name], metrics[f'{name}_se'] = map(float, mean_and_error(each.mean(1)))
    if values:
      tables.append(position_table(titles[quantity], values, columns))
  return Report(metrics, '\n'.join(tables), arrays)


def _by_place(config: ConfigDict, arrays: Arrays, axis: Axis) -> pd.DataFrame:
  """Mean and standard error of every quantity, a row for each predictor and place."""
  frame = means_by_position(unflatten(config, arrays, FIRST), axis.name)
  return frame.assign(**{axis.name: np.asarray(axis.places(config))[frame[axis.name]]})


def _draw(context: EvalContext, drawing: Drawing, axis: Axis) -> None:
  """Writes `prompts`, as PNG and CSV."""
  config, arrays = context.config, drawing.report.arrays
  path = drawing.folder / f'prompts{drawing.suffix}.png'
  scores = unflatten(config, arrays, FIRST)
  along_axis(path, scores, axis.places(config), axis.label, drawing.titles[0])
  write_csv(path.with_suffix('.csv'), _by_place(config, arrays, axis))


def _compare(
  folder: Path,
  title: str,
  reports: dict[str, Report],
  configs: dict[str, ConfigDict],
  axis: Axis,
) -> Comparison:
  """Writes `comparison.csv` of several models, by title; their tables one after another."""
  frames = {name: _by_place(configs[name], report.arrays, axis) for name, report in reports.items()}
  write_csv(folder / 'comparison.csv', by_title(frames))
  tables = [title, *(f'{name}\n{report.table}' for name, report in reports.items())]
  scores = {name: unflatten(configs[name], each.arrays, FIRST) for name, each in reports.items()}
  places, path = axis.places(next(iter(configs.values()))), folder / 'comparison.png'
  draw = functools.partial(compare_along_axis, path, scores, places, axis.label, title)
  return Comparison('\n'.join(tables), draw)
