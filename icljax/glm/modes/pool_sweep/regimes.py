"""Where a model knows its pool by heart, and where it does better than the posterior of its pool.

The second is the non-Bayesian regime of Raventos et al. (2023): on tasks that it never saw the
model is nearer to ridge than to dMMSE, the Bayes answer of what it was trained on, and errs less.
"""

from typing import NamedTuple

import numpy as np

from icljax.glm.modes.pool_sweep.runs import (
  NEW_TASKS,
  POOL_TASKS,
  Baselines,
  Group,
  PoolRun,
  excess,
  mean_over_seeds,
  sign_of,
  text_of_sizes,
)


class Memorisation(NamedTuple):
  """What the model does on its pool's own tasks.

  Attributes:
    error_ratios: the model's error over that of dMMSE, by M; 1 is the least in expectation.
    nearer_to_pool: the M at which it is nearer to dMMSE than to ridge, beyond two standard errors.
    sentence: all of it.
  """

  error_ratios: dict[int, float]
  nearer_to_pool: list[int]
  sentence: str


class Regime(NamedTuple):
  """The non-Bayesian regime.

  Attributes:
    start: the least swept M from which on the model is in it, beyond two standard errors; None
      where that is not so at the largest M.
    sentence: all of it.
  """

  start: int | None
  sentence: str


def describe_memorisation(group: Group, baselines: Baselines) -> Memorisation:
  """How near a group of runs is to dMMSE on the tasks of their pools."""
  ratios, nearer = {}, []
  for size in group.sizes:
    runs = group.at_size(size)
    model, exact = (
      np.mean([run.scores[POOL_TASKS].errors[name] for run in runs])
      for name in ('model', baselines.pool)
    )
    ratios[size] = float(model / exact)
    if _sign_of_nearness(runs, POOL_TASKS, baselines) > 0:
      nearer.append(size)
  if not ratios:
    return Memorisation({}, [], 'no memorisation: every M is infinite, and there is no pool')
  first, last = (f'{ratios[size]:.2f} at M = {size}' for size in (group.sizes[0], group.sizes[-1]))
  of_ratios = first if len(ratios) == 1 else f'{first} and {last}'
  where = f'at M = {text_of_sizes(nearer)}' if nearer else 'at no swept M'
  if len(nearer) > 1 and nearer == group.sizes[: len(nearer)]:
    where = f'at every M up to {nearer[-1]}'
  return Memorisation(
    ratios,
    nearer,
    f"memorisation: on its pool's own tasks the model's error over that of {baselines.pool} is "
    f'{of_ratios}; it is nearer to {baselines.pool} than to {baselines.new} there, beyond two '
    f'standard errors, {where}',
  )


def find_regime(group: Group, baselines: Baselines) -> Regime:
  """The non-Bayesian regime of a group of runs."""
  sizes, start = group.sizes, None
  if not sizes:
    return Regime(None, 'no non-Bayesian regime to look for: every M is infinite')
  signs = {size: _sign_of_regime(group.at_size(size), baselines) for size in sizes}
  for size in reversed(sizes):
    if signs[size] >= 0:
      break
    start = size
  what = (
    f'on new tasks nearer to {baselines.new} than to {baselines.pool}, with an error below that of '
    f'{baselines.pool}, both beyond two standard errors'
  )
  if start is None:
    sentence = f'no non-Bayesian regime: at the largest M, {sizes[-1]}, the model is not {what}'
  else:
    sentence = f'non-Bayesian regime: from M = {start} on the model is {what}'
  unclear = [size for size in sizes if signs[size] == 0]
  if unclear:
    sentence += f'; undetermined at M = {text_of_sizes(unclear)}'
  return Regime(start, sentence)


def _sign_of_regime(runs: list[PoolRun], baselines: Baselines) -> int:
  """-1 inside the regime, 1 outside, 0 where it is not determined."""
  error = mean_over_seeds([excess(run, NEW_TASKS, baselines.pool) for run in runs])
  return max(_sign_of_nearness(runs, NEW_TASKS, baselines), sign_of(*error))


def _sign_of_nearness(runs: list[PoolRun], mode: str, baselines: Baselines) -> int:
  """1 where the model is nearer to dMMSE than to ridge, -1 where it is farther, or 0."""
  differences = []
  for run in runs:
    deltas = run.scores[mode].deltas
    differences.append((deltas[baselines.new] - deltas[baselines.pool]).mean(1))
  return sign_of(*mean_over_seeds(differences))
