"""Several models side by side: a table, a picture and a CSV."""

import functools
from pathlib import Path

import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from icljax.eval_modes import Comparison, Report
from icljax.glm.modes import pictures
from icljax.glm.modes.scores import reference_of, unflatten
from icljax.paired import mean_and_error, share_of_gap
from icljax.tables import aligned, cell, shown_positions, write_csv

Nats = dict[str, np.ndarray]  # by predictor, `[n, K]`


def compare(
  folder: Path, title: str, reports: dict[str, Report], configs: dict[str, ConfigDict]
) -> Comparison:
  """Writes `comparison.csv` of several models, by title; their table and picture."""
  nats = {name: unflatten(report.arrays).nats for name, report in reports.items()}
  references = {
    name: reference_of(values, conditions_on_family=configs[name].model.head == 'eta')
    for name, values in nats.items()
  }
  rows = [
    (name, predictor, k, mean, error)
    for name, by_predictor in nats.items()
    for predictor, values in by_predictor.items()
    for k, (mean, error) in enumerate(zip(*mean_and_error(values)))
  ]
  columns = ['title', 'predictor', 'k', 'nats', 'standard_error']
  write_csv(folder / 'comparison.csv', pd.DataFrame(rows, columns=columns))
  path = folder / 'comparison.png'
  draw = functools.partial(pictures.comparison, path, nats, references, title)
  return Comparison(comparison_table(nats, references), draw)


def comparison_table(nats: dict[str, Nats], references: dict[str, str | None]) -> str:
  """Nats after k pairs and on average; the mean above each model's reference and above the first.

  Args:
    nats: by title and predictor, `[n, K]`.
    references: the predictor that each model is measured against, by title, or None. Its row is
      there once for all models that saw the same episodes.
  """
  first, first_nats = next(iter(nats.items()))
  shown = shown_positions(min(values['model'].shape[1] for values in nats.values()))
  over_k = [f'k = {k}' for k in shown]
  rows = [['', *over_k, 'mean', 'above its reference', 'share of gap', f'above {first}']]
  shown_references = []
  for title, values in nats.items():
    model, best = values['model'], references[title]
    reference = values[best] if best else None
    averages = [
      _mean_cell(model.mean(1)),
      _mean_cell((model - reference).mean(1)) if reference is not None else '',
      cell(*share_of_gap(model, reference, values['naive']))
      if reference is not None and 'naive' in values
      else '',
      _mean_cell((model - first_nats['model']).mean(1))
      if title != first and _same_episodes(values, first_nats)
      else '',
    ]
    rows.append([title, *(_mean_cell(model[:, k]) for k in shown), *averages])
    if reference is not None and not any(
      np.array_equal(reference, other) for other in shown_references
    ):
      name = f'{best} ({title})' if len(nats) > 1 else best
      at_shown = [_mean_cell(reference[:, k]) for k in shown]
      rows.append([f'  {name}', *at_shown, _mean_cell(reference.mean(1)), '', '', ''])
      shown_references.append(reference)
  count = len(first_nats['model'])
  return f'nats per target after k pairs, {count} episodes ± standard error\n{aligned(rows)}'


def _mean_cell(values: np.ndarray) -> str:
  """The mean of values `[n]` with its standard error."""
  return cell(*mean_and_error(values))


def _same_episodes(nats: Nats, others: Nats) -> bool:
  """Whether two models saw the same episodes: then some reference has the same scores."""
  shared = (nats.keys() & others.keys()) - {'model'}
  return any(np.array_equal(nats[name], others[name]) for name in shared)
