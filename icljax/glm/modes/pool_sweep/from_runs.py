"""From the evaluated points of a sweep, as the loop hands them over, to what is summed up."""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from icljax.eval_modes import Comparison
from icljax.glm.modes import distance
from icljax.glm.modes.diversity import OF_NEW
from icljax.glm.modes.diversity_tables import Predictions, unflatten
from icljax.glm.modes.pool_sweep.runs import NEW_TASKS, POOL_TASKS, PoolRun
from icljax.glm.modes.pool_sweep.summary import draw, summarize, write
from icljax.glm.modes.scores import OF_POOL

# Swept fields that a `PoolRun` names itself; a schedule's warm-up follows the length of the run.
OWN_FIELDS = {'task.n_tasks', 'random_seed', 'training_steps', 'optimizer.warmup_steps'}


def read_pool_sweep(folder: Path, title: str, runs: list) -> Comparison:
  """Writes what the runs of a sweep over `task.n_tasks` show.

  Args:
    runs: the loop's `SweptRun`s, whose evaluations are those of `eval_pretrain`, `eval_latent` and
      `eval_distance`.
  """
  pool_runs = [_pool_run(run) for run in runs]
  summary = summarize(pool_runs)
  write(folder, summary)
  return Comparison(summary.table, functools.partial(draw, folder, title, summary, pool_runs))


def _pool_run(run: Any) -> PoolRun:
  of_pool, of_new, distances = run.evaluations
  evaluated = {POOL_TASKS: (of_pool, OF_POOL), NEW_TASKS: (of_new, OF_NEW)}
  others = sorted((name, value) for name, value in run.fields.items() if name not in OWN_FIELDS)
  return PoolRun(
    name=run.name,
    tasks=run.config.task.n_tasks,
    seed=run.config.random_seed,
    training_steps=run.config.training_steps,
    others=tuple(others),
    scores={
      mode: _scores(run, recorded, exact)
      for mode, (recorded, exact) in evaluated.items()
      if recorded
    },
    valley={step: _distances(recorded.arrays) for step, recorded in distances.items()},
  )


def _scores(run: Any, recorded: dict, exact: tuple[str, ...]) -> Predictions:
  """Those of the last checkpoint."""
  with np.load(recorded[max(recorded)].arrays) as arrays:
    return unflatten(run.config, dict(arrays), exact)


def _distances(path: Path) -> np.ndarray:
  with np.load(path) as arrays:
    return arrays[distance.distance_name(dict(arrays))]
