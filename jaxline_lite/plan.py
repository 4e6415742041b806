"""At which steps the loop stops to do something."""

import math

from ml_collections import ConfigDict

from jaxline_lite.base_config import interval, keep_rule


def kept_steps(rule: str, training_steps: int) -> frozenset[int]:
  """The steps whose checkpoints `keep_checkpoints` keeps; among them, if any, is step 0."""
  kind, number = keep_rule(rule)
  if kind == 'none':
    return frozenset()
  if kind == 'every':
    return frozenset(range(0, training_steps + 1, number))
  ratio = math.log(training_steps) / max(number - 1, 1)
  return frozenset(round(math.exp(ratio * i)) for i in range(number)) | {0, training_steps}


class Plan:
  """What is due after how many steps."""

  def __init__(self, config: ConfigDict, evaluates_along: bool):
    self.end = config.training_steps  # earlier where a run stops early
    self._save_steps, self.save_seconds = interval(config.save_checkpoint_interval)
    self._eval_steps = config.eval_interval if evaluates_along else None
    self.kept = kept_steps(config.keep_checkpoints, config.training_steps)

  def evaluates(self, step: int) -> bool:
    return (
      self._eval_steps is not None
      and step > 0
      and (step % self._eval_steps == 0 or step == self.end)
    )

  def evaluations(self, at_the_end: bool) -> int:
    """How many steps are evaluated, of which the last one is where `at_the_end`."""
    steps = {*range(0, self.end, self._eval_steps)[1:], self.end} if self._eval_steps else set()
    return len(steps | ({self.end} if at_the_end else set()))

  def saves(self, step: int) -> bool:
    """Whether the state of this step is saved whatever the clock says; it is, before every
    evaluation.
    """
    periodic = self._save_steps is not None and step > 0 and step % self._save_steps == 0
    return periodic or step in self.kept or step == self.end or self.evaluates(step)

  def count(self, step: int, most: int) -> int:
    """How many steps, up to `most`, can be made before something is due."""
    stops = [self.end] + [kept for kept in self.kept if kept > step]
    stops += [
      (step // every + 1) * every for every in (self._save_steps, self._eval_steps) if every
    ]
    return min(most, min(stops) - step)
