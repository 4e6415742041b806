"""Evaluation beside training: every checkpoint that a run keeps, as it appears."""

import time
from collections.abc import Iterator
from pathlib import Path

from ml_collections import ConfigDict

from jaxline_lite.errors import Diverged, Stopped
from jaxline_lite.eval_records import EvalFolder
from jaxline_lite.evaluate import Evaluations, evaluate, run_checkpoints
from jaxline_lite.experiment import AbstractExperiment
from jaxline_lite.ownership import owner
from jaxline_lite.plan import kept_steps
from jaxline_lite.run_folder import read_config, read_divergence
from jaxline_lite.signals import StopFlag
from jaxline_lite.writers import Log

PAUSE = 0.5  # seconds between two looks for new checkpoints
# Seconds that a run may be without a trainer: one that is started again takes its folder in under
# ten, before it imports JAX.
PATIENCE = 60.0


def follow(
  experiment: AbstractExperiment,
  config: ConfigDict,
  run: Path,
  folders: dict[str, EvalFolder],
  stop: StopFlag,
  log: Log,
) -> Iterator[tuple[int, Evaluations]]:
  """Evaluates every checkpoint that the run keeps, once, as they appear, until the last.

  Args:
    folders: where evaluations are kept, by mode.

  Yields:
    The step of each checkpoint and its evaluations.

  Raises:
    Stopped: after a signal; or when nobody has trained the run for `PATIENCE` seconds.
    Diverged: when it has diverged and nobody trains it.
  """
  checkpoints, target = run_checkpoints(experiment, config, run, log), experiment.state
  passed: set[int] = set()
  gone_since: float | None = None  # when nobody was first seen to train it
  log.say(f'{run}: evaluates the checkpoints that are kept, until the run is finished')
  while True:
    stop.check()
    # Looked at before the checkpoints: what a trainer saves before it ends is evaluated.
    is_trained, divergence = owner(run) is not None, read_divergence(run)
    gone_since = None if is_trained else gone_since or time.monotonic()
    wanted = read_config(run, experiment.rules)  # a run may go on for longer than was planned
    kept, steps = kept_steps(wanted.keep_checkpoints, wanted.training_steps), checkpoints.steps()
    new = [step for step in steps if step not in passed]
    is_finished = bool(steps) and (
      steps[-1] >= wanted.training_steps or (bool(new) and checkpoints.stopped_early(steps[-1]))
    )
    for step in new:
      missing = {mode: folder for mode, folder in folders.items() if not folder.has(step)}
      is_last = is_finished and step == steps[-1]
      if (
        (step in kept or is_last)
        and missing
        and (state := checkpoints.read_kept(step, target)) is not None
      ):
        experiment.state = state
        yield step, evaluate(experiment, config, missing, step, stop, log)
      passed.add(step)
    if is_finished:
      return
    if divergence and not is_trained:
      raise Diverged(f'{run}: {divergence["message"]}; its kept checkpoints are evaluated')
    if gone_since is not None and time.monotonic() - gone_since > PATIENCE:
      raise Stopped(
        f'{run}: nobody has trained it for {PATIENCE:g} seconds, and its last checkpoint is '
        f'{steps[-1] if steps else "still to come"}, of {wanted.training_steps} steps; what there '
        'is is evaluated, and the same command goes on when the training does'
      )
    time.sleep(PAUSE)
