"""The training loop: from the newest checkpoint to the last step, then the final evaluation."""

import contextlib
import math
import time
from collections.abc import Generator, Iterable
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxline_lite.errors import BadInput, CommandError, Diverged, Stopped
from jaxline_lite.eval_records import EvalFolder, best_steps
from jaxline_lite.evaluate import evaluate, run_checkpoints
from jaxline_lite.experiment import AbstractExperiment
from jaxline_lite.files import canonical, digest, sync_note
from jaxline_lite.ownership import Ownership
from jaxline_lite.plan import Plan
from jaxline_lite.run_folder import (
  fixed_fields,
  forget_divergence,
  plain,
  record_divergence,
)
from jaxline_lite.signals import StopFlag
from jaxline_lite.sizes import describe_size
from jaxline_lite.writers import Log, Rate, RunRecords, clock, draw_or_say

SECONDS_PER_CALL = 2.0  # how long a signal may wait

# What a trainer asks for: (first step, count). What it gets: each metric's values `[count]`.
Requests = Generator[tuple[int, int], dict[str, np.ndarray], None]


class Trainer:
  """One process's work on one run; the folder is ours, and its config is recorded.

  Attributes:
    step: how many steps the experiment's state has made.
    loss: that of the last step, NaN before there is one.
  """

  def __init__(
    self,
    experiment: AbstractExperiment,
    config: ConfigDict,
    ownership: Ownership,
    stop: StopFlag,
    evaluates_along: bool,
    log: Log,
  ):
    self.experiment, self.config, self.stop = experiment, config, stop
    self.ownership, self.folder = ownership, ownership.folder
    self.plan, self.log = Plan(config, evaluates_along), log
    self.checkpoints = run_checkpoints(experiment, config, self.folder, log)
    self.rate = Rate()
    self.loss = math.nan
    self.step = self._restore()
    ownership.check()
    self.records = RunRecords(self.folder, up_to=self.step)
    self.saved_at = time.perf_counter()

  def _restore(self) -> int:
    """Puts the newest intact checkpoint into the experiment; its step, or 0."""
    self.ownership.check()
    self.checkpoints.clear_leftovers()
    restored = self.checkpoints.restore_latest(self.experiment.state)
    if restored is None:
      return 0
    step, self.experiment.state = restored
    self._compare_arithmetic(step)
    return step

  def _compare_arithmetic(self, step: int) -> None:
    """Says so if the program that made a checkpoint would have made other bits from here on.

    Raises:
      BadInput: if that program is newer than this one.
    """
    there, here = self.checkpoints.arithmetic(step), self.experiment.arithmetic
    if there > here:
      raise BadInput(
        f'{self.checkpoints.path(step)} was made by a newer version (arithmetic {there}, here '
        f'{here}); go on with that version, or choose another --config.checkpoint_dir'
      )
    if there < here:
      self.log.say(
        f'{self.checkpoints.path(step)} is continued by newer arithmetic ({there} there, {here} '
        'here): equal in law, not in bits'
      )

  def _missing_evaluations(self, step: int) -> tuple[str, ...]:
    """The modes of `config.eval_modes` that a step lacks."""
    rules = self.experiment.rules
    return tuple(
      mode
      for mode in self.config.eval_modes
      if not EvalFolder(self.folder, mode, self.config, rules).has(step)
    )

  def _evaluate(self, modes: tuple[str, ...]) -> None:
    """Evaluates the present state in these modes."""
    rules, check = self.experiment.rules, self.ownership.check
    folders = {mode: EvalFolder(self.folder, mode, self.config, rules) for mode in modes}
    evaluate(self.experiment, self.config, folders, self.step, self.stop, self.log, check)

  def _draw(self) -> None:
    """Draws the training."""
    self.ownership.check()
    draw_or_say(lambda: self.experiment.draw_training(self.folder), 'the training', self.log)

  def run(self) -> Requests:
    """Trains and evaluates whatever is not on disk yet.

    It does what is due, and leaves the steps to whoever drives it.

    Yields:
      The next steps, whose metrics it is to be sent.

    Raises:
      Stopped: after a signal, when everything is saved.
      Diverged: at the first loss or state that is not finite.
    """
    if self.experiment.stopped:
      self.plan.end = self.step
    end = max(self.step, self.plan.end)  # a run may go on with fewer steps than it has made
    is_evaluated = self.config.final_eval or self.plan.evaluates(end)
    if self.step >= end and not (is_evaluated and self._missing_evaluations(end)):
      # In case the last process was killed before it did.
      self._draw()
      self.log.say(
        f'{self.folder} is finished: {self.step} steps; choose another --config.checkpoint_dir '
        'for another run'
      )
      return
    self.ownership.check()
    described = (
      f'\n{self.experiment.describe()}\n{describe_size(self.experiment, self.config, self.plan)}'
      if self.step == 0
      else ''
    )
    self.log.say(f'{self.folder}: from step {self.step} to {end}{described}')
    self.log.show_progress(end, self.step)
    forget_divergence(self.folder)
    yield from self._advance()
    if self.config.final_eval:
      self._evaluate(self._missing_evaluations(self.step))
    self._draw()

  def _advance(self) -> Requests:
    """Asks for the steps up to the end, doing at each what is due there."""
    while True:
      self._do_what_is_due()
      if self.step >= self.plan.end:
        return
      most = self.rate.steps_in(SECONDS_PER_CALL, self.experiment.most_steps)
      count = self.plan.count(self.step, most)
      self.rate.start()
      metrics = yield self.step, count
      self.rate.stop(count)
      self._record(metrics)

  def _do_what_is_due(self) -> None:
    """Saves and evaluates the present state where it is time to, and ends if a signal came."""
    is_late = (
      self.plan.save_seconds is not None
      and time.perf_counter() - self.saved_at > self.plan.save_seconds
    )
    # Looked at once: a signal after this waits for the next save.
    stopping = self.stop.received is not None
    if self.plan.saves(self.step) or (self.step > 0 and (is_late or stopping)):
      self._save()
    if self.plan.evaluates(self.step) and (missing := self._missing_evaluations(self.step)):
      self._evaluate(missing)
      self._prune()
    if stopping:
      self.stop.check()

  def _record(self, metrics: dict[str, np.ndarray]) -> None:
    """Writes the lines of the steps just made, up to the one with which the run may have stopped.

    Args:
      metrics: of each of these steps, `[count]`.
    """
    before, end = self.step, self.plan.end
    stopped = metrics.get('stopped', np.zeros(len(metrics['loss'])))
    count = int(stopped.argmax()) + 1 if stopped.any() else len(stopped)
    for i, step in enumerate(range(before + 1, before + count + 1)):
      row = {name: float(values[i]) for name, values in metrics.items() if name != 'stopped'}
      if not np.isfinite(row['loss']):
        self._diverged(step, row['loss'])
      rate, is_logged = self.rate.per_second, step % self.config.log_train_data_interval == 0
      if is_logged:
        self.ownership.check()
        self.records.append(step, row, rate)
      if is_logged or step == end:  # so that a run of few steps shows a loss too
        pace = f'  {rate:.1f} steps/s  {clock((end - step) / rate)} left' if rate else ''
        self.log.step(f'step {step}/{end}  loss {row["loss"]:.4f}{pace}')
    self.step, self.loss = before + count, float(metrics['loss'][count - 1])
    self.log.progress(self.step, loss=f'{self.loss:.4f}')
    if stopped.any():
      self.plan.end = self.step
      self.log.say(f'stopped early after step {self.step}: the loss has ceased to fall')

  def _save(self) -> None:
    """Saves the state with the records that belong to it, then deletes checkpoints nobody keeps."""
    state = self.experiment.state
    inexact = (leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.inexact))
    if not all(np.isfinite(leaf).all() for leaf in inexact):
      self._diverged(self.step, self.loss)
    self.ownership.check()
    self.records.sync()
    self.checkpoints.save(self.step, state, self._about())
    self.saved_at = time.perf_counter()
    self._prune()

  def _about(self) -> dict[str, Any]:
    """What a checkpoint's manifest tells of it."""
    return {
      'config': digest(canonical(plain(self.config)).encode()),
      'run': fixed_fields(self.config, self.experiment.rules),
      'kept': self.step in self.plan.kept,
      'stopped_early': self.step == self.plan.end < self.config.training_steps,
      'arithmetic': self.experiment.arithmetic,
    }

  def _prune(self) -> None:
    """Deletes the checkpoints that nobody keeps, and what nobody needs of the others."""
    best = best_steps(self.folder, self.config, self.experiment.rules, self.checkpoints.steps())
    self.checkpoints.prune(self.plan.kept, best)

  def _diverged(self, step: int, loss: float) -> NoReturn:
    """Ends the run, and says so in its folder."""
    self.ownership.check()
    good = self.checkpoints.steps()
    last = self.checkpoints.path(good[-1]) if good else None
    raise Diverged(record_divergence(self.folder, step, loss, last))


def drive(trainers: Iterable[Trainer]) -> None:
  """Makes the steps that trainers ask for, one trainer after another."""
  for trainer in trainers:
    requests = trainer.run()
    with contextlib.closing(requests):
      asked = next(requests, None)
      while asked is not None:
        metrics = trainer.experiment.step(*asked)
        try:
          asked = requests.send(metrics)
        except StopIteration:
          asked = None


def train(
  experiment: AbstractExperiment,
  config: ConfigDict,
  ownership: Ownership,
  stop: StopFlag,
  evaluates_along: bool,
  shows: bool = True,
) -> None:
  """Trains to `config.training_steps` in a folder that is ours and whose config is recorded.

  It goes on where an earlier call ended.

  Args:
    shows: whether the terminal shows what `log.txt` gets.
  """
  ownership.check()
  with contextlib.closing(Log(ownership.folder / 'log.txt', shows)) as log:
    for note in (ownership.note, sync_note(ownership.folder)):
      if note:
        log.say(note)
    try:
      trainer = Trainer(experiment, config, ownership, stop, evaluates_along, log)
      with contextlib.closing(trainer.records):
        drive([trainer])
    except CommandError as error:
      with contextlib.suppress(Stopped):
        ownership.check()  # of a folder that was taken over the log is another's too
        log.record(str(error))  # the command shows it, and perhaps nobody is left to see that
      raise
