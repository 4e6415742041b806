"""Predictors on the same episodes: means, standard errors, the share of a gap that is closed."""

import numpy as np
from flax import struct
from jax import Array

from icljax.base import Episode, Task, draw_batch, stream

BOOTSTRAPS = 1000  # resamples; they give the standard error of a share to 2%


class Indices(struct.PyTreeNode):
  """Which evaluation episodes a score is of.

  Attributes:
    seed: `eval.seed`, `[]`.
    numbers: their global indices, `[B]`.
    axis: the name of a mapped axis whose members share the episodes among them, or None.
  """

  seed: Array
  numbers: Array
  axis: str | None = struct.field(pytree_node=False, default=None)


def draw_episodes(task: Task, indices: Indices) -> Episode:
  """Evaluation episodes, `[B]`, or this device's share of them.

  They are the same for every model, checkpoint and run with this seed.
  """
  return draw_batch(task, stream(indices.seed, 'eval'), 0, indices.numbers, indices.axis)


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
