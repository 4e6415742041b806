"""The evaluated points of a sweep over the pool's size M, in groups that differ in M and seed."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from icljax.glm.modes.diversity_tables import Predictions
from icljax.glm.modes.scores import OF_POOL
from icljax.paired import mean_and_error

INFINITE = 0  # what a config calls a pool without end: new weights in every episode
POOL_TASKS, NEW_TASKS = 'eval_pretrain', 'eval_latent'
# A difference of less than two standard errors has an undetermined sign: bands are as wide.
ERRORS = 2


class PoolRun(NamedTuple):
  """One point of the sweep, evaluated.

  Attributes:
    name: of its folder.
    tasks: M; 0 is infinite.
    seed: `random_seed`.
    training_steps: of its config.
    others: the other swept fields and their values, sorted.
    scores: by mode, of the last checkpoint, `[n, K]` each: 'eval_pretrain', absent where M is
      infinite, and 'eval_latent'. All runs are scored on the same n episodes.
    valley: of kept checkpoints, by step, the distance to the exact answer for new tasks on new
      tasks, a mean over positions for each episode `[n']`; it may be empty.
  """

  name: str
  tasks: int
  seed: int
  training_steps: int
  others: tuple[tuple[str, Any], ...]
  scores: dict[str, Predictions]
  valley: dict[int, np.ndarray]


class Group(NamedTuple):
  """Runs that differ in M and seed alone."""

  training_steps: int
  others: tuple[tuple[str, Any], ...]
  runs: tuple[PoolRun, ...]

  @property
  def label(self) -> str:
    settings = [f'{field}={value}' for field, value in self.others]
    return ', '.join([f'{self.training_steps:,} steps', *settings])

  @property
  def sizes(self) -> list[int]:
    """The finite M, ascending."""
    return sorted({run.tasks for run in self.runs} - {INFINITE})

  @property
  def all_sizes(self) -> list[int]:
    """Every M, ascending, the infinite one last."""
    return self.sizes + [INFINITE] * any(run.tasks == INFINITE for run in self.runs)

  @property
  def has_seeds(self) -> bool:
    """Whether there are two seeds or more at every finite M."""
    return all(len(self.at_size(size)) > 1 for size in self.sizes)

  def at_size(self, size: int) -> list[PoolRun]:
    """The runs with this M, by seed."""
    return sorted((run for run in self.runs if run.tasks == size), key=lambda run: run.seed)


class Baselines(NamedTuple):
  """What runs are measured against.

  Attributes:
    new: the name of the exact answer for new tasks.
    pool: that of the exact answer for the pool's own; '' where no run has a finite pool.
    quantity: 'errors', or 'nats' where targets are classes, which have no means.
  """

  new: str
  pool: str
  quantity: str

  @property
  def names(self) -> list[str]:
    return [name for name in (self.new, self.pool) if name]


def make_groups(runs: Iterable[PoolRun]) -> list[Group]:
  """Runs by their other fields, in the order in which these come, then by training steps."""
  by_others: dict[str, dict[int, list[PoolRun]]] = {}  # values of fields may have no hash
  for run in runs:
    by_others.setdefault(str(run.others), {}).setdefault(run.training_steps, []).append(run)
  return [
    Group(steps, group[0].others, tuple(group))
    for by_steps in by_others.values()
    for steps, group in sorted(by_steps.items())
  ]


def find_baselines(runs: Sequence[PoolRun]) -> Baselines:
  """What the runs of a sweep, which have one family, are measured against."""
  latent = [run.scores[NEW_TASKS] for run in runs]
  of_pool = (name for each in latent for name in OF_POOL if name in each.nats)
  quantity = 'errors' if all(each.errors for each in latent) else 'nats'
  return Baselines(latent[0].exact, next(of_pool, ''), quantity)


def deltas(run: PoolRun, baseline: str) -> np.ndarray:
  """Distances to a baseline on new tasks, means over positions, `[n]`."""
  return run.scores[NEW_TASKS].deltas[baseline].mean(1)


def has_delta(run: PoolRun, baseline: str) -> bool:
  """Whether a run has this baseline: that of a pool is missing where M is infinite."""
  return baseline in run.scores[NEW_TASKS].deltas


def excess(run: PoolRun, mode: str, baseline: str) -> np.ndarray:
  """The model's error less a baseline's, means over positions, `[n]`."""
  errors = run.scores[mode].errors
  return (errors['model'] - errors[baseline]).mean(1)


def mean_over_seeds(
  values: Sequence[np.ndarray], minus: Sequence[np.ndarray] = ()
) -> tuple[float, float]:
  """The mean over seeds and episodes, or a difference of two, and its standard error.

  The error is that of the mean over episodes, whose seeds are averaged first because they share
  the episodes. Where there are several seeds, the error of the mean over them is added in
  quadrature; of one seed, the spread of seeds is not part of it.

  Args:
    values: `[n]` for each seed, on the same episodes.
    minus: what is subtracted, of seeds that are not paired with those of `values`.
  """
  by_episode = np.mean(values, axis=0) - (np.mean(minus, axis=0) if minus else 0)
  mean, error = mean_and_error(by_episode)
  for seeds in (values, minus):
    if len(seeds) > 1:
      error = np.hypot(error, mean_and_error(np.mean(seeds, axis=1))[1])
  return float(mean), float(error)


def sign_of(mean: float, error: float) -> int:
  """1 or -1, or 0 within two standard errors."""
  return int(np.sign(mean)) if abs(mean) > ERRORS * error else 0


def key_of(size: int) -> str:
  """How files call an M."""
  return 'inf' if size == INFINITE else f'{size}'


def text_of(size: int) -> str:
  """How tables and pictures call an M."""
  return '∞' if size == INFINITE else f'{size}'


def text_of_sizes(sizes: Iterable[int]) -> str:
  return ', '.join(map(text_of, sizes))
