"""The training loop: from the newest checkpoint to the last step, then the final evaluation."""

import contextlib
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxline_lite.checkpoint import Checkpoints
from jaxline_lite.errors import Diverged
from jaxline_lite.evaluate import EvalFolder, best_step, evaluate, settings_of
from jaxline_lite.experiment import AbstractExperiment
from jaxline_lite.files import JsonLines, canonical, digest
from jaxline_lite.plan import Plan
from jaxline_lite.run_folder import plain
from jaxline_lite.signals import StopFlag
from jaxline_lite.writers import Log, Rate, clock

SECONDS_PER_CALL = 2.0  # how long a signal may wait
LATEST = 2  # checkpoints that are always kept


class Trainer:
  """One process's work on one run; the folder is locked and its config claimed."""

  def __init__(
    self,
    experiment: AbstractExperiment,
    config: ConfigDict,
    folder: Path,
    stop: StopFlag,
    evaluates_along: bool,
  ):
    self.experiment, self.config, self.folder, self.stop = experiment, config, folder, stop
    self.plan = Plan(config, evaluates_along)
    self.log = Log(folder / 'log.txt')
    self.checkpoints = Checkpoints(folder / 'checkpoints', self.log.say)
    self.rate = Rate()
    self.saved_at = time.perf_counter()

  def restore(self) -> int:
    """Puts the newest intact checkpoint into the experiment; its step, or 0."""
    self.checkpoints.clear_leftovers()
    restored = self.checkpoints.restore_latest(self.experiment.state)
    if restored is None:
      return 0
    step, self.experiment.state = restored
    return step

  def missing_evaluations(self, step: int) -> tuple[str, ...]:
    settings = settings_of(self.config)
    return tuple(
      mode
      for mode in self.config.eval_modes
      if not EvalFolder(self.folder, mode).has(step, settings)
    )

  def run(self) -> None:
    """Trains and evaluates whatever is not on disk yet.

    Raises:
      Stopped: after a signal, when everything is saved.
      Diverged: at the first loss or state that is not finite.
    """
    step = self.restore()
    if self.experiment.stopped:
      self.plan.end = step
    end = max(step, self.plan.end)  # a run may go on with fewer steps than it has made
    missing = (
      self.missing_evaluations(end) if self.config.final_eval or self.plan.evaluates(end) else ()
    )
    if step >= end and not missing:
      # In case the last process was killed before it did.
      self.experiment.draw_training(self.folder)
      self.log.say(
        f'{self.folder} is finished: {step} steps; choose another --config.checkpoint_dir for '
        'another run'
      )
      return
    self.log.say(
      f'{self.folder}: from step {step} to {end}'
      + (f'\n{self.experiment.describe()}' if step == 0 else '')
    )
    self.log.show_progress(end, step)
    self.metrics = JsonLines(self.folder / 'metrics.jsonl', up_to=step)
    self.timing = JsonLines(self.folder / 'timing.jsonl', up_to=step)
    with contextlib.closing(self.metrics), contextlib.closing(self.timing):
      self.advance(step)
    if self.config.final_eval:
      end = max(step, self.plan.end)
      evaluate(
        self.experiment,
        self.config,
        self.folder,
        self.missing_evaluations(end),
        end,
        self.stop,
        self.log,
      )
    self.experiment.draw_training(self.folder)

  def advance(self, step: int) -> None:
    """From `step` to the end, doing at each step what is due there."""
    while True:
      clock_says = (
        self.plan.save_seconds is not None
        and time.perf_counter() - self.saved_at > self.plan.save_seconds
      )
      # Looked at once: a signal after this waits for the next save.
      stopping = self.stop.received is not None
      if step > 0 and (self.plan.saves(step) or clock_says or stopping):
        self.save(step)
      if self.plan.evaluates(step) and (missing := self.missing_evaluations(step)):
        evaluate(self.experiment, self.config, self.folder, missing, step, self.stop, self.log)
        self.prune()
      if stopping:
        self.stop.check()
      if step >= self.plan.end:
        return
      count = self.plan.count(
        step, self.rate.steps_in(SECONDS_PER_CALL, self.experiment.most_steps)
      )
      self.rate.start()
      metrics = self.experiment.step(step, count)
      self.rate.stop(count)
      step = self.record(step, metrics)

  def record(self, before: int, metrics: dict[str, np.ndarray]) -> int:
    """Writes the lines of the steps after `before` that are due; the last step, with which the run
    may have stopped.
    """
    every, end = self.config.log_train_data_interval, self.plan.end
    stopped = metrics.get('stopped', np.zeros(len(metrics['loss'])))
    count = int(stopped.argmax()) + 1 if stopped.any() else len(stopped)
    self.loss = metrics['loss'][count - 1]
    for i, step in enumerate(range(before + 1, before + count + 1)):
      row = {name: float(values[i]) for name, values in metrics.items() if name != 'stopped'}
      if not np.isfinite(row['loss']):
        self.diverged(step, f'loss {row["loss"]}')
      if step % every == 0:
        self.metrics.append({'step': step, **row})
        rate = self.rate.per_second
        self.timing.append({'step': step, 'time': time.time(), 'steps_per_second': rate})
        pace = f'  {rate:.1f} steps/s  {clock((end - step) / rate)} left' if rate else ''
        self.log.step(f'step {step}/{end}  loss {row["loss"]:.4f}{pace}')
    self.log.progress(before + count, loss=f'{self.loss:.4f}')
    if stopped.any():
      self.plan.end = before + count
      self.log.say(f'stopped early after step {self.plan.end}: the loss has ceased to fall')
    return before + count

  def save(self, step: int) -> None:
    """Saves the state with the records that belong to it, then deletes the checkpoints nobody
    keeps.
    """
    state = self.experiment.state
    if not all(
      np.isfinite(leaf).all()
      for leaf in jax.tree.leaves(state)
      if jnp.issubdtype(leaf.dtype, jnp.inexact)
    ):
      self.diverged(step, f'loss {self.loss}, but the state is not finite')
    self.metrics.sync()
    self.timing.sync()
    self.checkpoints.save(step, state, self.about(step))
    self.saved_at = time.perf_counter()
    self.prune()

  def about(self, step: int) -> dict[str, Any]:
    """What a checkpoint's manifest tells of it."""
    stopped = step == self.plan.end < self.config.training_steps
    return {'config': digest(canonical(plain(self.config)).encode()), 'stopped_early': stopped}

  def prune(self) -> None:
    steps = self.checkpoints.steps()
    best = best_step(
      self.folder,
      self.config.best_model_eval_metric,
      self.config.best_model_eval_metric_higher_is_better,
    )
    self.checkpoints.keep(self.plan.kept | {*steps[-LATEST:], best})

  def diverged(self, step: int, how: str) -> None:
    good = self.checkpoints.steps()
    last = (
      f'the last good checkpoint is {self.checkpoints.path(good[-1])}'
      if good
      else 'there is no checkpoint yet'
    )
    raise Diverged(f'diverged at step {step}: {how}; {last}')


def train(
  experiment: AbstractExperiment,
  config: ConfigDict,
  folder: Path,
  stop: StopFlag,
  evaluates_along: bool,
) -> None:
  """Trains to `config.training_steps` in a folder that is locked and claimed; goes on where an
  earlier call ended.
  """
  trainer = Trainer(experiment, config, folder, stop, evaluates_along)
  with contextlib.closing(trainer.log):
    trainer.run()
