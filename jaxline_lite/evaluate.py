"""Evaluations of checkpoints and their records: one line per (checkpoint step, evaluation settings)."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from jaxline_lite import files
from jaxline_lite.errors import BadInput
from jaxline_lite.experiment import AbstractExperiment, Evaluation
from jaxline_lite.run_folder import flat, locked, plain, read_config
from jaxline_lite.signals import StopFlag
from jaxline_lite.writers import Log

PRESENTATION = frozenset({'batch_size'})  # fields of config.eval on which results depend in their rounding only


def settings_of(config: ConfigDict) -> dict[str, Any]:
  """The fields of config.eval on which an evaluation's numbers depend."""
  return {name: value for name, value in flat(plain(config.eval)).items() if name not in PRESENTATION}


class EvalFolder:
  """`<run>/<mode>/`: metrics.jsonl, the arrays of each record, pictures."""

  def __init__(self, run: Path, mode: str):
    self.path = run / mode
    self._run = run
    self._lines = self.path / 'metrics.jsonl'

  def records(self) -> list[dict[str, Any]]:
    return list(files.read_lines(self._lines))

  def has(self, step: int, settings: dict[str, Any]) -> bool:
    return any(record['step'] == step and record['settings'] == settings for record in self.records())

  def shifts(self, settings: dict[str, Any]) -> list[str]:
    """What is set otherwise than in the run, as name=value."""
    usual = settings_of(read_config(self._run))
    return [f'{name}={value}' for name, value in sorted(settings.items()) if usual.get(name) != value]

  def arrays_path(self, step: int, settings: dict[str, Any]) -> Path:
    """Where the arrays are: `<step>.npz`, and behind the step whatever is set otherwise than in the run."""
    return self.path / ('_'.join([str(step), *self.shifts(settings)]) + '.npz')

  def write(self, step: int, settings: dict[str, Any], evaluation: Evaluation) -> None:
    """Puts the arrays, then the record, on disk, in place of an earlier one of the same step and settings."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **evaluation.arrays)
    files.replace(self.arrays_path(step, settings), buffer.getvalue())
    others = [record for record in self.records() if (record['step'], record['settings']) != (step, settings)]
    records = [*others, {'step': step, 'settings': settings, **evaluation.metrics}]
    files.replace_lines(self._lines, sorted(records, key=lambda record: (record['step'], json.dumps(record['settings']))))


def evaluate(
  experiment: AbstractExperiment, config: ConfigDict, run: Path, modes: tuple[str, ...], step: int, stop: StopFlag, log: Log
) -> None:
  """Evaluates the experiment's state, that of `step`, in each mode; shows and records the outcome.

  Raises:
    Stopped: between two batches, if a signal came; what is recorded stays.
  """
  settings = settings_of(config)
  for mode in modes:
    folder = EvalFolder(run, mode)
    evaluation = experiment.evaluate(mode, stop.check)
    with locked(folder.path, 'evaluated', wait=stop.check):
      shifts = folder.shifts(settings)
      experiment.draw_evaluation(mode, folder.path, step, shifts, evaluation)  # first: what is recorded is not drawn again
      folder.write(step, settings, evaluation)
    log.say(f'{", ".join([f"{mode} at step {step}", *shifts])}, written to {folder.path}\n{evaluation.table}')


def best_step(run: Path, metric: str, higher_is_better: bool) -> int | None:
  """The step of the run's best evaluation by MODE/METRIC; the earliest where several are equal. None without records."""
  mode, _, name = metric.partition('/')
  if not name:
    return None
  usual = settings_of(read_config(run))
  records = [record for record in EvalFolder(run, mode).records() if record['settings'] == usual]
  records = [record for record in records if not np.isnan(record.get(name, np.nan))]
  if not records:
    return None
  sign = -1 if higher_is_better else 1
  return min(records, key=lambda record: (sign * record[name], record['step']))['step']


def choose(run: Path, config: ConfigDict, which: str, steps: list[int]) -> list[list[int]]:
  """The checkpoints that `which` (latest, best, all, or steps) names; each with what may stand in for it.

  Raises:
    BadInput: naming what there is.
  """
  there = f'there are {", ".join(map(str, steps))}' if steps else 'there is none'
  if which == 'best':
    best = best_step(run, config.best_model_eval_metric, config.best_model_eval_metric_higher_is_better)
    if best is None:
      raise BadInput(f'{run}: no best checkpoint is known; it takes mode train_eval and best_model_eval_metric')
    which = str(best)
  wanted = steps if which in ('latest', 'all') else [int(step) for step in which.split(',')]
  absent = [step for step in wanted if step not in steps]
  if absent or not wanted:
    raise BadInput(f'{run}: there is no checkpoint {", ".join(map(str, absent)) or "at all"}; {there}')
  return [wanted[::-1]] if which == 'latest' else [[step] for step in wanted]
