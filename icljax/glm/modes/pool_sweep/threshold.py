"""The published threshold: the least M from which on longer training leads nearer to ridge."""

from collections.abc import Sequence
from typing import NamedTuple

from icljax.glm.modes.pool_sweep.runs import (
  Baselines,
  Group,
  deltas,
  mean_over_seeds,
  sign_of,
  text_of_sizes,
)

LENGTHENING = 2  # how many times as long the longer run is, at least (Raventos et al. 2023)


class Threshold(NamedTuple):
  """What two lengths of training say of the threshold.

  Attributes:
    shorter, longer: training steps.
    differences: delta_ridge after the longer run less that after the shorter, by M, with its
      standard error.
    above, at_most: the threshold is greater than the one and at most the other; None where the
      data set no such bound.
    sentence: all of it.
  """

  shorter: int
  longer: int
  differences: dict[int, tuple[float, float]]
  above: int | None
  at_most: int | None
  sentence: str


def estimate_thresholds(groups: Sequence[Group], baselines: Baselines) -> list[Threshold]:
  """The threshold of each length that has one at least twice as long.

  Args:
    groups: that differ in training steps alone.
  """
  groups = sorted(groups, key=lambda group: group.training_steps)
  pairs = []
  for shorter in groups:
    for longer in groups:
      if longer.training_steps >= LENGTHENING * shorter.training_steps:
        pairs.append((shorter, longer))
        break
  return [_estimate(shorter, longer, baselines) for shorter, longer in pairs]


def _estimate(shorter: Group, longer: Group, baselines: Baselines) -> Threshold:
  sizes = [size for size in shorter.sizes if size in longer.sizes]
  differences = {size: _difference(shorter, longer, size, baselines) for size in sizes}
  signs = {size: sign_of(*difference) for size, difference in differences.items()}
  above = max((size for size in sizes if signs[size] > 0), default=None)
  at_most = None
  for size in reversed(sizes):
    if signs[size] >= 0:
      break
    at_most = size
  steps = f'{shorter.training_steps:,} and {longer.training_steps:,} steps'
  unclear = [size for size in sizes if signs[size] == 0]
  sentence = f'threshold, of runs of {steps}: {_describe(sizes, above, at_most, baselines.new)}'
  if unclear:
    sentence += f'; undetermined within two standard errors at M = {text_of_sizes(unclear)}'
  if sizes and not (shorter.has_seeds and longer.has_seeds):
    sentence += '; these errors are of episodes alone, for not every M has two seeds'
  return Threshold(
    shorter.training_steps, longer.training_steps, differences, above, at_most, sentence
  )


def _difference(
  shorter: Group, longer: Group, size: int, baselines: Baselines
) -> tuple[float, float]:
  """delta_ridge of the longer runs less that of the shorter at one M, and its standard error.

  Episodes are paired. Seeds are not: runs of two lengths share their first episodes, but neither
  their schedule nor what they become.
  """
  after, before = (
    [deltas(run, baselines.new) for run in group.at_size(size)] for group in (longer, shorter)
  )
  return mean_over_seeds(after, minus=before)


def _describe(sizes: list[int], above: int | None, at_most: int | None, name: str) -> str:
  """The bracket in words."""
  if not sizes:
    return 'not determined, for they have no finite M in common'
  if above is not None and at_most is not None:
    return f'between M = {above}, where delta_{name} grows, and {at_most}, from where on it shrinks'
  if at_most is not None:
    return f'at or below M = {at_most}, for delta_{name} grows at no swept M'
  if above is not None:
    return (
      f'above M = {above}, the largest at which delta_{name} grows; up to the largest M there is '
      'none from which on it shrinks'
    )
  return f'not determined, for delta_{name} neither grows nor shrinks at the largest M'
