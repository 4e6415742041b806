"""Several models side by side, in their errors and their distances to each exact answer."""

import functools
from pathlib import Path

import pandas as pd
from ml_collections import ConfigDict

from icljax.eval_modes import Comparison, Report
from icljax.glm.modes import diversity_pictures as pictures
from icljax.glm.modes.diversity_tables import Predictions, means_by_position, unflatten
from icljax.paired import mean_and_error
from icljax.tables import aligned, cell, write_csv


def compare(
  folder: Path,
  title: str,
  reports: dict[str, Report],
  configs: dict[str, ConfigDict],
  exact: tuple[str, ...],
) -> Comparison:
  """Writes `comparison.csv` of several models, by title, whose picture is `comparison.png`."""
  scores = {
    name: unflatten(configs[name], report.arrays, exact) for name, report in reports.items()
  }
  frames = {name: means_by_position(each) for name, each in scores.items()}
  write_csv(folder / 'comparison.csv', by_title(frames))
  draw = functools.partial(pictures.comparison, folder / 'comparison.png', scores, title)
  return Comparison(comparison_table(scores), draw)


def by_title(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
  """Tables of one form under one another, with their titles in a first column."""
  return pd.concat(frames, names=['title']).reset_index(level='title')


def comparison_table(scores: dict[str, Predictions]) -> str:
  """A row for each model: means over positions and episodes."""
  columns = ['nats']
  if not any(each.is_told for each in scores.values()):
    columns.append('regret')
  for each in scores.values():
    columns += [f'error_{name}' for name in each.errors] + [f'delta_{name}' for name in each.deltas]
  columns = list(dict.fromkeys(columns))
  rows = [['', *(name.removesuffix('_model') for name in columns)]]
  for title, each in scores.items():
    rows.append([title, *(_cell_of(each, name) for name in columns)])
  units = ', '.join(dict.fromkeys(each.unit for each in scores.values()))
  return f'means over positions ± standard error; error and delta: {units}\n{aligned(rows)}'


def _cell_of(scores: Predictions, column: str) -> str:
  """The mean of a quantity with its standard error; nothing where a model lacks it."""
  quantity, _, predictor = column.partition('_')
  values = {
    'nats': scores.nats['model'],
    'regret': scores.nats['model'] - scores.nats[scores.exact],
    'error': scores.errors.get(predictor),
    'delta': scores.deltas.get(predictor),
  }[quantity]
  return '' if values is None else cell(*mean_and_error(values.mean(1)))
