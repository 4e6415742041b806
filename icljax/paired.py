"""Predictors compared on the same episodes: curves over positions, standard errors, the share of a
gap that is closed.
"""

import numpy as np
from jax import Array

from icljax.base import Episode, Task, draw_batch, stream

BOOTSTRAPS = 1000


def episodes(task: Task, seed: Array, indices: Array, axis: str | None = None) -> Episode:
  """Evaluation episodes by their indices `[B]`: the same ones for every model, checkpoint and run
  with this seed.
  """
  return draw_batch(task, stream(seed, 'eval'), 0, indices, axis)


def mean_and_error(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Mean over episodes and its standard error: `[...]` from `[n, ...]`."""
  values = np.asarray(values, np.float64)
  with np.errstate(invalid='ignore'):  # a mean of inf has no error
    return values.mean(0), values.std(0, ddof=1) / np.sqrt(len(values))


def share_of_gap(model: np.ndarray, best: np.ndarray, naive: np.ndarray) -> tuple[float, float]:
  """1 - (model - best) / (naive - best), a ratio of means over episodes and positions, with its
  bootstrap standard error.

  Args:
    model, best, naive: nats `[n, K]` on the same episodes.
  """
  # [n, 3].
  rows = np.stack([nats.astype(np.float64).mean(1) for nats in (model, best, naive)], axis=1)
  if not np.isfinite(rows).all():
    return float('nan'), float('nan')
  share = lambda means: 1 - (means[..., 0] - means[..., 1]) / (means[..., 2] - means[..., 1])
  counts = np.random.default_rng(0).multinomial(
    len(rows), np.full(len(rows), 1 / len(rows)), size=BOOTSTRAPS
  )
  return float(share(rows.mean(0))), float(share(counts @ rows / len(rows)).std(ddof=1))


def shown_positions(points: int) -> list[int]:
  """The positions that a table shows."""
  return sorted({k for k in (0, 1, 2, 5, 10) if k < points} | {points - 1})


def table(nats: dict[str, np.ndarray], reference: str) -> str:
  """Nats per position and on average, and the excess over the predictor `reference`, each with its
  standard error.

  Args:
    nats: by predictor, `[n, K]` on the same episodes.
  """
  count, points = nats[reference].shape
  shown = shown_positions(points)
  cell = lambda mean, error: f'{mean:.3f} ± {error:.3f}'
  rows = [['', *(f'k = {k}' for k in shown), 'mean', f'above {reference}']]
  for name, values in nats.items():
    at_shown = map(cell, *mean_and_error(values[:, shown]))
    excess = mean_and_error((values - nats[reference]).mean(1))
    rows.append([name, *at_shown, cell(*mean_and_error(values.mean(1))), cell(*excess)])
  return f'nats per target after k pairs, {count} episodes ± standard error\n' + aligned(rows)


def aligned(rows: list[list[str]]) -> str:
  """Rows of text in columns: the first flush left, the others flush right."""
  widths = [max(map(len, column)) for column in zip(*rows)]
  line = lambda row: '  '.join(
    [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:]))]
  )
  return '\n'.join(map(line, rows))
