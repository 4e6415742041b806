"""Tables of text: positions that are shown, cells with errors, aligned columns."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from icljax.paired import mean_and_error


def shown_positions(points: int) -> list[int]:
  """The positions of K that a table shows."""
  return sorted({k for k in (0, 1, 2, 5, 10) if k < points} | {points - 1})


def cell(mean: float | np.ndarray, error: float | np.ndarray) -> str:
  """A mean with its standard error."""
  return f'{mean:.3f} ± {error:.3f}'


def aligned(rows: list[list[str]]) -> str:
  """Rows of text in columns: the first flush left, the others flush right."""
  widths = [max(map(len, column)) for column in zip(*rows)]
  lines = []
  for first, *others in rows:
    padded = [text.rjust(width) for text, width in zip(others, widths[1:])]
    lines.append('  '.join([first.ljust(widths[0]), *padded]))
  return '\n'.join(lines)


def nats_table(nats: dict[str, np.ndarray], reference: str | None) -> str:
  """Nats per position and on average, and the excess over the predictor `reference` if there is
  one.

  Args:
    nats: by predictor, `[n, K]` on the same episodes.
  """
  count, points = next(iter(nats.values())).shape
  shown = shown_positions(points)
  excess_title = [f'above {reference}'] if reference else []
  rows = [['', *(f'k = {k}' for k in shown), 'mean', *excess_title]]
  for name, values in nats.items():
    at_shown = map(cell, *mean_and_error(values[:, shown]))
    means = [values.mean(1)]
    if reference:
      means.append((values - nats[reference]).mean(1))
    rows.append([name, *at_shown, *(cell(*mean_and_error(mean)) for mean in means)])
  return f'nats per target after k pairs, {count} episodes ± standard error\n' + aligned(rows)


def write_csv(path: Path, frame: pd.DataFrame) -> None:
  """Writes a CSV file that is whole or absent."""
  temporary = path.with_name(f'.{path.name}.writing')
  frame.to_csv(temporary, index=False)
  temporary.replace(path)


def write_json(path: Path, values: Any) -> None:
  """Writes a JSON file that is whole or absent.

  Raises:
    ValueError: if a number is not finite, for which JSON has no name.
  """
  text = json.dumps(values, indent=1, allow_nan=False)
  temporary = path.with_name(f'.{path.name}.writing')
  temporary.write_text(text + '\n')
  temporary.replace(path)
