"""What evaluations leave in a folder beside their records: pictures, and the numbers behind them as
CSV.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from icljax.glm.modes import pictures as plots
from icljax.glm.modes.families import hits
from icljax.glm.modes.scores import Shown, group, reference_of
from icljax.paired import aligned, mean_and_error, share_of_gap, shown_positions

Arrays = dict[str, np.ndarray]  # of one evaluation, as `evaluation.glm.arrays` gives them


def write(path: Path, frame: pd.DataFrame) -> None:
  """A CSV file that is whole or absent."""
  temporary = path.with_name(f'.{path.name}.writing')
  frame.to_csv(temporary, index=False)
  temporary.replace(path)


def curves(folder: Path, suffix: str, arrays: Arrays, title: str) -> None:
  """`curves.png` and `curves.csv`: nats over k by predictor."""
  nats = group(arrays, 'nats')
  plots.curves(folder / f'curves{suffix}.png', nats, title)
  rows = [(name, *row) for name, values in nats.items() for row in _by_position(values)]
  write(
    folder / f'curves{suffix}.csv',
    pd.DataFrame(rows, columns=['predictor', 'k', 'nats', 'standard_error']),
  )


def _by_position(values: np.ndarray) -> list[tuple]:
  """(k, mean, standard error) of `[n, K]`."""
  return [(k, mean, error) for k, (mean, error) in enumerate(zip(*mean_and_error(values)))]


def families(folder: Path, suffix: str, arrays: Arrays, shown: Shown, title: str) -> None:
  """`families.png` and `families.csv`: how well the family is known over k, where there are
  several.
  """
  known = group(arrays, 'family')
  if len(shown.families) > 1 and shown.any_family and known:
    plots.families(folder / f'families{suffix}.png', known, arrays['family'], shown.families, title)
    rows = [
      (who, *row)
      for who, given in known.items()
      for row in _by_position(hits(given, arrays['family']))
    ]
    write(
      folder / f'families{suffix}.csv',
      pd.DataFrame(rows, columns=['who', 'k', 'accuracy', 'standard_error']),
    )


def over_training(folder: Path, suffix: str, records: list[dict[str, Any]], title: str) -> None:
  """`over_training.png` and `over_training.csv`: the evaluations of several checkpoints with the
  same settings.
  """
  if len(records) > 1:
    evaluated = pd.DataFrame(records).drop(columns='settings')
    plots.over_training(folder / f'over_training{suffix}.png', evaluated, title)
    write(folder / f'over_training{suffix}.csv', evaluated)


def comparison(folder: Path, arrays: dict[str, Arrays], told: dict[str, bool], title: str) -> str:
  """`comparison.png` and `comparison.csv` of several models, by title; one table of all.

  Args:
    told: whether a model's loss is told the family.
  """
  nats = {name: group(values, 'nats') for name, values in arrays.items()}
  references = {name: reference_of(values, told[name]) for name, values in nats.items()}
  plots.comparison(folder / 'comparison.png', nats, references, title)
  rows = [
    (name, who, *row)
    for name, by in nats.items()
    for who, values in by.items()
    for row in _by_position(values)
  ]
  write(
    folder / 'comparison.csv',
    pd.DataFrame(rows, columns=['title', 'predictor', 'k', 'nats', 'standard_error']),
  )
  return comparison_table(nats, references)


def comparison_table(nats: dict[str, Arrays], references: dict[str, str]) -> str:
  """Nats after k pairs and on average; the mean above each model's reference, and above the first
  model if paired with it.
  """
  first, by_first = next(iter(nats.items()))
  count = len(by_first['model'])
  shown = shown_positions(min(values['model'].shape[1] for values in nats.values()))
  cell = lambda values: '{:.3f} ± {:.3f}'.format(*mean_and_error(values))
  head = [
    '',
    *(f'k = {k}' for k in shown),
    'mean',
    'above its reference',
    'share of gap',
    f'above {first}',
  ]
  rows, before = [head], []
  for title, values in nats.items():
    model, reference = values['model'], values[references[title]]
    shared = (values.keys() & by_first.keys()) - {'model'}
    # Then the episodes are the same.
    paired = any(np.array_equal(values[name], by_first[name]) for name in shared)
    share = (
      '{:.3f} ± {:.3f}'.format(*share_of_gap(model, reference, values['naive']))
      if 'naive' in values
      else ''
    )
    above = cell((model - by_first['model']).mean(1)) if paired and title != first else ''
    averages = [cell(model.mean(1)), cell((model - reference).mean(1)), share, above]
    rows.append([title, *(cell(model[:, k]) for k in shown), *averages])
    if not any(np.array_equal(reference, other) for other in before):
      name = f'{references[title]} ({title})' if len(nats) > 1 else references[title]
      rows.append(
        [f'  {name}', *(cell(reference[:, k]) for k in shown), cell(reference.mean(1)), '', '', '']
      )
      before.append(reference)
  return f'nats per target after k pairs, {count} episodes ± standard error\n' + aligned(rows)
