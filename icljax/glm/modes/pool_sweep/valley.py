"""t*: the step at which a model is nearest to the exact answer for tasks that it never saw."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from icljax.glm.modes.pool_sweep.runs import ERRORS
from icljax.paired import mean_and_error


class Valley(NamedTuple):
  """Where training is nearest to the exact answer for new tasks.

  Attributes:
    step: t*, or None where there is no minimum inside the run.
    low, high: the first and the last step whose delta is within two standard errors of the least;
      None where t* is.
    sentence: all of it.
  """

  step: int | None
  low: int | None
  high: int | None
  sentence: str


def estimate_valley(curve: Mapping[int, np.ndarray]) -> Valley:
  """t* of one run.

  Steps are compared with that of least delta by paired differences. Those that are within two
  standard errors of it make the valley; if the first or the last kept step is one of them, then
  the data do not tell the minimum from an end of the run.

  Args:
    curve: distances to the exact answer by step, `[n]` each, on the same episodes.
  """
  steps = sorted(curve)
  if len(steps) < 3:
    return _without(f'{len(steps)} kept checkpoints were evaluated, and a minimum needs three')
  values = np.stack([curve[step] for step in steps], axis=1)
  if not np.isfinite(values.sum(dtype=np.float64)):
    return _without('not all deltas are finite')
  best = int(values.mean(0).argmin())
  difference, error = mean_and_error(values - values[:, [best]])
  near = np.flatnonzero(difference <= ERRORS * error)
  if near[0] == 0 or near[-1] == len(steps) - 1:
    end = 'the last' if near[-1] == len(steps) - 1 else 'the first'
    at_end = steps[-1] if end == 'the last' else steps[0]
    return _without(
      f'no minimum inside the run: {end} kept step, {at_end:,}, is within two standard errors of '
      'the least'
    )
  low, high = steps[near[0]], steps[near[-1]]
  text = f'step {steps[best]:,}'
  if low < high:
    text += f', a valley from {low:,} to {high:,}'
  return Valley(steps[best], low, high, text)


def _without(sentence: str) -> Valley:
  return Valley(None, None, None, sentence)
