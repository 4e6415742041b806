"""Several models side by side: a table, a picture and a CSV."""

import functools
from pathlib import Path

import pandas as pd
from ml_collections import ConfigDict

from icljax.eval_modes import Comparison, Report
from icljax.omniglot.modes import pictures
from icljax.omniglot.modes.names import describe_data
from icljax.tables import aligned, cell, write_csv


def compare(
  folder: Path, title: str, reports: dict[str, Report], configs: dict[str, ConfigDict]
) -> Comparison:
  """Writes `comparison.csv` of several models, by title; their table and picture."""
  frame = _frame(reports, configs)
  draw = functools.partial(pictures.comparison, folder / 'comparison.png', frame, title)
  return Comparison(_write(folder, title, frame), draw)


def compare_numbers(
  folder: Path, title: str, reports: dict[str, Report], configs: dict[str, ConfigDict]
) -> Comparison:
  """As `compare`, of evaluations that have no accuracy to be drawn."""
  return Comparison(_write(folder, title, _frame(reports, configs)), draw=lambda: None)


def _frame(reports: dict[str, Report], configs: dict[str, ConfigDict]) -> pd.DataFrame:
  """A row per model: its `title`, with its data where these differ, and its metrics."""
  data = {title: describe_data(config) for title, config in configs.items()}
  differ = len(set(data.values())) > 1
  names = {title: f'{title}, {data[title]}' if differ else title for title in reports}
  frame = pd.DataFrame({names[title]: report.metrics for title, report in reports.items()}).T
  return frame.rename_axis('title').reset_index()


def _write(folder: Path, title: str, frame: pd.DataFrame) -> str:
  """Writes the CSV; the table."""
  write_csv(folder / 'comparison.csv', frame)
  rows = [['', *frame.title]]
  for name in frame.columns:
    if f'{name}_se' in frame.columns:
      rows.append([name, *map(cell, frame[name], frame[f'{name}_se'])])
  return f'{title}\n{aligned(rows)}'
