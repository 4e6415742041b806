"""The crossing: the pool's size at which a model is as far from ridge as from dMMSE on new tasks.

The ratio delta_ridge / delta_dmmse falls with M, and its logarithm is interpolated linearly in
log2 M. The distances change by factors from one M to the next, so that the logarithm is
straighter than the difference. One run of the quick model at each of M = 4, 8, 16, 32, 64 crosses
between 16 and 32, at 20.2 by the logarithm and at 21.5 by the difference; from the wider brackets
(8, 32), (16, 64), (4, 32) the logarithm gives 17.4, 20.3 and 20.3, the difference 22.1, 24.5 and
24.5.
"""

from typing import NamedTuple

import numpy as np

from icljax.glm.modes.pool_sweep.runs import Baselines, Group, deltas
from icljax.paired import BOOTSTRAPS

# Nothing is interpolated between neighbours more than four times apart: from (8, 64) of the numbers
# above, the logarithm gives 16.2 and the difference 29.
WIDEST_FACTOR = 4
COVERAGE = 0.95
# By the seeds at every M, the percentage of synthetic sweeps whose interval covered the crossing
# where seeds differ, and episodes do not. With 5 seeds it is 92.
COVERAGE_OF_SEEDS = {2: 66, 3: 86}


class Crossing(NamedTuple):
  """What the data say of the crossing.

  Attributes:
    size: M at the crossing, or None where it is not fitted.
    low, high: ends of the interval; None where there is none, or where an end lies outside the
      swept M, as `interval` says.
    interval: in words, '' where there is none.
    sentence: all of it.
  """

  size: float | None
  low: float | None
  high: float | None
  interval: str
  sentence: str


def estimate_crossing(group: Group, baselines: Baselines) -> Crossing:
  """The crossing of a group of runs, with a bootstrap interval where it can be fitted.

  Where the means cross nowhere inside the swept M, there is an interval if it reaches inside.
  """
  sizes = group.sizes
  if not sizes:
    return _unfitted('no crossing: every M is infinite')
  if len(sizes) == 1:
    return _unfitted(f'no crossing can be fitted to one M, {sizes[0]}')
  distances = _distances(group, baselines)
  infinite = [
    str(size) for size, each in zip(sizes, distances) if not np.isfinite(each.sum(dtype=float))
  ]
  if infinite:
    return _unfitted(
      f'no crossing is fitted: not all deltas are finite at M = {", ".join(infinite)}'
    )
  means = np.stack([each.mean((1, 2)) for each in distances])
  ratios = _log_ratios(means)
  problem = _find_problem(sizes, ratios, baselines)
  if problem:
    return _unfitted(problem)
  where = np.log2(sizes)
  replicates = _crossings(where, _log_ratios(_resample(distances, group.has_seeds)))
  ends = np.quantile(replicates, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2], method='inverted_cdf')
  return _describe(group, baselines, float(_crossings(where, ratios[None])[0]), ends)


def _unfitted(sentence: str) -> Crossing:
  return Crossing(None, None, None, '', sentence)


def _distances(group: Group, baselines: Baselines) -> list[np.ndarray]:
  """For each M, distances to the exact answers for new tasks and for the pool, `[2, seeds, n]`."""
  return [
    np.stack([[deltas(run, name) for run in group.at_size(size)] for name in baselines.names])
    for size in group.sizes
  ]


def _log_ratios(means: np.ndarray) -> np.ndarray:
  """log(delta_ridge / delta_dmmse), `[...]` from `[..., 2]`: positive where M is small."""
  # A distance of exactly 0 gives a ratio that is large, but finite.
  logs = np.log(np.maximum(means, np.finfo(np.float64).tiny))
  return logs[..., 0] - logs[..., 1]


def _find_problem(sizes: list[int], ratios: np.ndarray, baselines: Baselines) -> str:
  """Why a crossing is not to be fitted, '' if nothing speaks against it."""
  is_near_pool = ratios > 0
  changes = np.flatnonzero(is_near_pool[1:] != is_near_pool[:-1])
  brackets = [f'{sizes[i]} and {sizes[i + 1]}' for i in changes]
  if len(changes) > 1:
    return f'{len(changes)} crossings, none of them fitted: between {"; between ".join(brackets)}'
  if len(changes) == 1 and not is_near_pool[0]:
    return (
      f'no crossing is fitted: between {brackets[0]} the model goes from nearer to {baselines.new} '
      f'to nearer to {baselines.pool}'
    )
  if len(changes) == 1 and sizes[changes[0] + 1] > WIDEST_FACTOR * sizes[changes[0]]:
    return (
      f'the crossing lies between M = {brackets[0]}, more than {WIDEST_FACTOR} times apart: it is '
      'not interpolated; sweep M between them'
    )
  return ''


def _crossings(where: np.ndarray, ratios: np.ndarray) -> np.ndarray:
  """log2 M at which log ratios `[B, sizes]` cross 0, `[B]`; -inf or inf where they do not.

  It is the length of the axis along which the interpolated ratio is positive. For one crossing
  that is the crossing itself; where noise makes several of one it lies between them.
  """
  left, right = ratios[:, :-1], ratios[:, 1:]
  # Of each segment, the part where a straight line from left to right is above 0.
  above, span = np.maximum(left, 0) + np.maximum(right, 0), np.abs(left) + np.abs(right)
  shares = np.divide(above, span, out=np.zeros_like(span), where=span > 0)
  crossings = where[0] + shares @ np.diff(where)
  crossings[(ratios > 0).all(1)] = np.inf
  crossings[(ratios <= 0).all(1)] = -np.inf
  return crossings


def _resample(distances: list[np.ndarray], has_seeds: bool) -> np.ndarray:
  """Bootstrap replicates of the means, `[BOOTSTRAPS, sizes, 2]`.

  All runs get the same resampled episodes. With several seeds at every M, s - 1 of its s seeds are
  drawn with replacement within each M: their mean has the variance of a mean of s seeds, while
  that of s drawn ones is too small by (s - 1) / s (Rao and Wu 1988), which is half for two seeds.
  A spread of few seeds is itself uncertain: `COVERAGE_OF_SEEDS`. Where seeds differ by nothing but
  the noise of episodes the interval is too wide, for that noise is counted with both.

  Args:
    distances: for each M, `[2, seeds, n]`.
  """
  draws = np.random.default_rng(0)
  rows = np.concatenate([each.reshape(-1, each.shape[-1]) for each in distances]).T  # [n, R]
  count = len(rows)
  means = np.stack(
    [
      np.bincount(draws.integers(count, size=count), minlength=count) @ rows / count
      for _ in range(BOOTSTRAPS)
    ]
  )
  replicates, first = [], 0
  for each in distances:
    seeds = each.shape[1]
    by_seed = means[:, first : first + 2 * seeds].reshape(BOOTSTRAPS, 2, seeds)
    first += 2 * seeds
    if has_seeds:
      chosen = draws.integers(seeds, size=(BOOTSTRAPS, 1, seeds - 1))
      by_seed = np.take_along_axis(by_seed, chosen, axis=2)
    replicates.append(by_seed.mean(2))
  return np.stack(replicates, axis=1)


def _describe(group: Group, baselines: Baselines, where: float, ends: np.ndarray) -> Crossing:
  """The crossing in words, from log2 M of the estimate and of the interval's ends."""
  sizes, count = group.sizes, len(deltas(group.runs[0], baselines.new))
  low, high = (float(2**end) if np.isfinite(end) else None for end in ends)
  is_inside = bool(np.isfinite(where) or np.isfinite(ends).any() or ends[0] != ends[1])
  interval = f'{_end(ends[0], sizes)} to {_end(ends[1], sizes)}' if is_inside else ''
  seeds = 'alone, for not every M has two seeds'
  if group.has_seeds:
    fewest = min(len(group.at_size(size)) for size in sizes)
    seeds = f'and seeds, {fewest} or more at every M'
    if fewest in COVERAGE_OF_SEEDS:
      percent = COVERAGE_OF_SEEDS[fewest]
      seeds += f' (where seeds differ more than episodes do it is narrow, and covers {percent}%)'
  about = (
    f'; 95% interval {interval}, of {BOOTSTRAPS:,} resamples of {count:,} paired episodes {seeds}; '
    'it holds for this pool of tasks'
  )
  if np.isfinite(where):
    size = float(2**where)
    sentence = (
      f'crossing: delta_{baselines.new} = delta_{baselines.pool} on new tasks at M = {_round(size)}'
    )
    return Crossing(size, low, high, interval, sentence + about)
  if where > 0:
    greater, place = 'greater', f'above {sizes[-1]}'
  else:
    greater, place = 'smaller', f'below {sizes[0]}'
  sentence = (
    f'no crossing inside the swept M: on new tasks delta_{baselines.new} is {greater} than '
    f'delta_{baselines.pool} at every M from {sizes[0]} to {sizes[-1]}, so that it would lie '
    f'{place}'
  )
  return Crossing(None, low, high, interval, sentence + about * is_inside)


def _end(where: float, sizes: list[int]) -> str:
  """An end of an interval, at log2 M, in words."""
  if np.isfinite(where):
    return _round(2**where)
  return f'above {sizes[-1]}' if where > 0 else f'below {sizes[0]}'


def _round(size: float) -> str:
  return f'{size:.1f}' if size < 100 else f'{size:,.0f}'
