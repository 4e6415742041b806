"""Evaluations of checkpoints and their records: one line per (checkpoint step, evaluation
settings).
"""

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from jaxline_lite import files
from jaxline_lite.checkpoint import Checkpoints
from jaxline_lite.errors import BadInput
from jaxline_lite.experiment import AbstractExperiment, Evaluation
from jaxline_lite.plan import kept_steps
from jaxline_lite.run_folder import flat, locked, plain, read_config
from jaxline_lite.signals import StopFlag
from jaxline_lite.writers import Log

FOLLOWING = 0.5  # seconds between two looks for new checkpoints
# Fields of config.eval that change no number, but perhaps its rounding, how it is shown, or what is
# measured besides.
PRESENTATION = frozenset({'batch_size', 'output_dir', 'titles', 'metrics'})


def settings_of(config: ConfigDict) -> dict[str, Any]:
  """The fields of config.eval on which an evaluation's numbers depend."""
  return {
    name: value for name, value in flat(plain(config.eval)).items() if name not in PRESENTATION
  }


class EvalFolder:
  """`<run>/<mode>/`: metrics.jsonl, the arrays of each record, pictures."""

  def __init__(self, run: Path, mode: str):
    self.path = run / mode
    self._run = run
    self._lines = self.path / 'metrics.jsonl'

  def records(self, settings: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl by step; only those of these settings if they are given."""
    return [
      record
      for record in files.read_lines(self._lines)
      if settings is None or record['settings'] == settings
    ]

  def has(self, step: int, settings: dict[str, Any]) -> bool:
    return any(record['step'] == step for record in self.records(settings))

  def shifts(self, settings: dict[str, Any]) -> list[str]:
    """What is set otherwise than in the run, as name=value."""
    usual = settings_of(read_config(self._run))
    return [
      f'{name}={value}' for name, value in sorted(settings.items()) if usual.get(name) != value
    ]

  def arrays_path(self, step: int, settings: dict[str, Any]) -> Path:
    """Where the arrays are: `<step>.npz`, and behind the step whatever is set otherwise than in the
    run.
    """
    return self.path / ('_'.join([str(step), *self.shifts(settings)]) + '.npz')

  def with_record(
    self, step: int, settings: dict[str, Any], metrics: dict[str, float]
  ) -> list[dict[str, Any]]:
    """All records with a new one, in place of an earlier one of the same step and settings."""
    others = [
      record
      for record in self.records()
      if (record['step'], record['settings']) != (step, settings)
    ]
    records = [*others, {'step': step, 'settings': settings, **metrics}]
    return sorted(records, key=lambda record: (record['step'], json.dumps(record['settings'])))

  def write(self, step: int, settings: dict[str, Any], evaluation: Evaluation) -> None:
    """Puts the arrays, then the record, on disk."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **evaluation.arrays)
    files.replace(self.arrays_path(step, settings), buffer.getvalue())
    files.replace_lines(self._lines, self.with_record(step, settings, evaluation.metrics))


def evaluate(
  experiment: AbstractExperiment,
  config: ConfigDict,
  run: Path,
  modes: tuple[str, ...],
  step: int,
  stop: StopFlag,
  log: Log,
) -> dict[str, Evaluation]:
  """Evaluates the experiment's state, that of `step`, in each mode; shows, records and returns the
  outcome.

  Raises:
    Stopped: between two batches, if a signal came; what is recorded stays.
  """
  settings, outcome = settings_of(config), {}
  for mode in modes:
    folder = EvalFolder(run, mode)
    outcome[mode] = experiment.evaluate(mode, stop.check)
    with locked(folder.path, 'evaluated', wait=stop.check):
      shifts = folder.shifts(settings)
      records = [
        r
        for r in folder.with_record(step, settings, outcome[mode].metrics)
        if r['settings'] == settings
      ]
      experiment.draw_evaluation(
        mode, folder.path, step, shifts, outcome[mode], records
      )  # first: what is recorded is not drawn again
      folder.write(step, settings, outcome[mode])
    best_mode, _, best = config.best_model_eval_metric.partition('/')
    if mode == best_mode and best not in outcome[mode].metrics:
      log.say(
        f'best_model_eval_metric is {config.best_model_eval_metric!r}: there is no {best!r}, so no '
        f'checkpoint will be the best; there are {", ".join(outcome[mode].metrics)}'
      )
    log.say(
      f'{", ".join([f"{mode} at step {step}", *shifts])}, written to '
      f'{folder.path}\n{outcome[mode].table}'
    )
  return outcome


def evaluate_run(
  experiment: AbstractExperiment,
  config: ConfigDict,
  run: Path,
  step: str | None,
  modes: tuple[str, ...],
  stop: StopFlag,
  log: Log,
) -> Iterator[tuple[int, dict[str, Evaluation]]]:
  """Evaluates the checkpoints of a run that the config, or `step`, names, and with
  `one_off_evaluate=False` all that come.

  Yields:
    The step and the outcome of each evaluation.

  Raises:
    BadInput, Stopped.
  """
  if not config.one_off_evaluate:
    yield from _follow(experiment, config, run, modes, stop, log)
    return
  checkpoints = Checkpoints(run / 'checkpoints', log.say)
  for steps in choose(run, config, step or config.eval_checkpoints, checkpoints.steps()):
    found, experiment.state = checkpoints.read_any(steps, experiment.state)
    yield found, evaluate(experiment, config, run, modes, found, stop, log)


def check_choice(config: ConfigDict, run: Path, step: str | None, log: Log) -> None:
  """Raises BadInput if the checkpoints that the config, or `step`, names are not there."""
  if config.one_off_evaluate:
    choose(
      run,
      config,
      step or config.eval_checkpoints,
      Checkpoints(run / 'checkpoints', log.say).steps(),
    )


def _follow(
  experiment: AbstractExperiment,
  config: ConfigDict,
  run: Path,
  modes: tuple[str, ...],
  stop: StopFlag,
  log: Log,
) -> Iterator[tuple[int, dict[str, Evaluation]]]:
  """Evaluates every checkpoint that the run keeps, once, as they appear, until the last."""
  checkpoints = Checkpoints(run / 'checkpoints', log.say)
  settings, passed, finished = settings_of(config), set(), False
  log.say(f'{run}: evaluates the checkpoints that are kept, until the run is finished')
  while not finished:
    stop.check()
    wanted = read_config(run)  # a run may go on for longer than was planned
    kept, steps = kept_steps(wanted.keep_checkpoints, wanted.training_steps), checkpoints.steps()
    finished = bool(steps) and (
      steps[-1] >= wanted.training_steps or checkpoints.stopped_early(steps[-1])
    )
    for step in [step for step in steps if step not in passed]:
      missing = tuple(mode for mode in modes if not EvalFolder(run, mode).has(step, settings))
      is_last = finished and step == steps[-1]
      if (
        (step in kept or is_last)
        and missing
        and (state := checkpoints.read_kept(step, experiment.state)) is not None
      ):
        experiment.state = state
        yield step, evaluate(experiment, config, run, missing, step, stop, log)
      passed.add(step)
    if not finished:
      time.sleep(FOLLOWING)


def compare(
  experiment: AbstractExperiment,
  folder: Path,
  evaluated: list[tuple[str, int, ConfigDict, dict[str, Evaluation]]],
  log: Log,
) -> None:
  """Puts the evaluations of several models side by side, below `folder`; of each its title, step,
  config, and outcome by mode.
  """
  titles = [title for title, *_ in evaluated]
  unique = [
    title if titles.count(title) == 1 else f'{title} at step {step}'
    for title, step, *_ in evaluated
  ]
  configs = {title: config for title, (_, _, config, _) in zip(unique, evaluated)}
  for mode in evaluated[0][3]:
    with locked(folder / mode, 'written'):
      found = {title: outcome[mode] for title, (*_, outcome) in zip(unique, evaluated)}
      table = experiment.compare(mode, folder / mode, found, configs)
    log.say(f'{mode} of {", ".join(unique)}, written to {folder / mode}\n{table}')


def best_step(run: Path, metric: str, higher_is_better: bool) -> int | None:
  """The step of the run's best evaluation by MODE/METRIC; the earliest where several are equal.
  None without records.
  """
  mode, _, name = metric.partition('/')
  if not name:
    return None
  usual = settings_of(read_config(run))
  records = [
    record
    for record in EvalFolder(run, mode).records(usual)
    if not np.isnan(record.get(name, np.nan))
  ]
  if not records:
    return None
  sign = -1 if higher_is_better else 1
  return min(records, key=lambda record: (sign * record[name], record['step']))['step']


def choose(run: Path, config: ConfigDict, which: str, steps: list[int]) -> list[list[int]]:
  """The checkpoints that `which` (latest, best, all, or steps) names; each with what may stand in
  for it.

  Raises:
    BadInput: naming what there is.
  """
  there = f'there are {", ".join(map(str, steps))}' if steps else 'there is none'
  if which == 'best':
    best = best_step(
      run, config.best_model_eval_metric, config.best_model_eval_metric_higher_is_better
    )
    if best is None:
      raise BadInput(
        f'{run}: no best checkpoint is known; it takes mode train_eval and best_model_eval_metric'
      )
    which = str(best)
  wanted = steps if which in ('latest', 'all') else [int(step) for step in which.split(',')]
  absent = [step for step in wanted if step not in steps]
  if absent or not wanted:
    raise BadInput(
      f'{run}: there is no checkpoint {", ".join(map(str, absent)) or "at all"}; {there}'
    )
  return [wanted[::-1]] if which == 'latest' else [[step] for step in wanted]
