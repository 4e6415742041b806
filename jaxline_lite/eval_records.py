"""Records of evaluations: one line per (checkpoint step, evaluation settings) and mode."""

import io
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from jaxline_lite import files
from jaxline_lite.base_config import ABSENT_FIELDS, nearest
from jaxline_lite.errors import BadInput
from jaxline_lite.experiment import AbstractExperiment, Evaluation
from jaxline_lite.rules import Rules
from jaxline_lite.run_folder import flat, plain, read_config


class EvalFolder:
  """`<run>/<mode>/`, seen under the evaluation settings of a config.

  Of a run that may only be read it is `<output>/<mode>/`.

  It holds `metrics.jsonl`, a line per record; the arrays of each record; and pictures. A record
  belongs to a checkpoint step and to the values of those fields of `config.eval` that its mode
  reads.

  Attributes:
    path: the folder.
    settings: the fields of `config.eval` that the mode reads, with their values.
  """

  def __init__(
    self, run: Path, mode: str, config: ConfigDict, rules: Rules, output: Path | None = None
  ):
    self.path = (output or run) / mode
    fields = rules.eval_fields(config, mode)
    self.settings = _settings(config, fields)
    self._run, self._rules, self._fields = run, rules, fields
    self._absent = ABSENT_FIELDS | dict(rules.absent_fields(config))
    self._lines = self.path / 'metrics.jsonl'

  def _has_settings(self, record: dict[str, Any]) -> bool:
    """Whether a record belongs to the settings; one of an earlier version may lack some fields."""
    recorded = record['settings']
    return all(
      recorded.get(name, self._absent.get(f'eval.{name}')) == value
      for name, value in self.settings.items()
    )

  def records(self) -> list[dict[str, Any]]:
    """The records with these settings, by step."""
    return [record for record in files.read_lines(self._lines) if self._has_settings(record)]

  def has(self, step: int) -> bool:
    """Whether the evaluation of a step is recorded, and its pictures are drawn."""
    recorded = any(record['step'] == step for record in self.records())
    return recorded and not self._marker(step).exists()

  def _marker(self, step: int) -> Path:
    """A file that is there while an evaluation is recorded, but not drawn."""
    return self.path / f'.{self.arrays_path(step).stem}.undrawn'

  @property
  def changed_settings(self) -> list[str]:
    """The settings that are not the run's own, as name=value."""
    usual = _settings(read_config(self._run, self._rules), self._fields)
    return [f'{name}={value}' for name, value in self.settings.items() if usual[name] != value]

  def arrays_path(self, step: int) -> Path:
    """Where the arrays are: `<step>.npz`, with the changed settings behind the step."""
    return self.path / ('_'.join([str(step), *self.changed_settings]) + '.npz')

  def write(self, step: int, evaluation: Evaluation) -> None:
    """Puts the arrays, then the record, on disk, in place of those of the same step and settings.

    Until `mark_drawn` is called, `has` counts the evaluation as missing.
    """
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **evaluation.arrays)
    files.replace(self.arrays_path(step), buffer.getvalue())
    others = [
      record
      for record in files.read_lines(self._lines)
      if record['step'] != step or not self._has_settings(record)
    ]
    records = [*others, {'step': step, 'settings': self.settings, **evaluation.metrics}]
    self._marker(step).touch()
    files.replace_lines(self._lines, sorted(records, key=_place))

  def mark_drawn(self, step: int) -> None:
    """Says that the pictures of an evaluation are drawn."""
    self._marker(step).unlink(missing_ok=True)


def _place(record: dict[str, Any]) -> tuple[int, str]:
  """Where a record stands in its file."""
  return record['step'], files.canonical(record['settings'])


def _settings(config: ConfigDict, fields: frozenset[str]) -> dict[str, Any]:
  """The values of some fields of `config.eval`, in the order of their names."""
  values = flat(plain(config.eval))
  return {name: values[name] for name in sorted(fields)}


def best_steps(run: Path, config: ConfigDict, rules: Rules, steps: Collection[int]) -> list[int]:
  """The steps of a run's best evaluations, by `config.best_model_eval_metric`, MODE/METRIC.

  First that of the evaluations with the settings of `config.eval`, then that of those with the
  run's own settings, where there are any. Of several that are equal it is the earliest.

  Args:
    steps: those whose checkpoints are on disk; evaluations of others have no say.
  """
  mode, _, name = config.best_model_eval_metric.partition('/')
  if not name:
    return []
  sign = -1 if config.best_model_eval_metric_higher_is_better else 1
  best = []
  for settings in (config, read_config(run, rules)):
    records = [
      record
      for record in EvalFolder(run, mode, settings, rules).records()
      if record['step'] in steps and not np.isnan(record.get(name, np.nan))
    ]
    if records:
      best.append(min(records, key=lambda record: (sign * record[name], record['step']))['step'])
  return best


def check_best_mode(config: ConfigDict, run: Path, rules: Rules) -> None:
  """Checks that the metric that `best` means is of a mode that the run evaluates.

  A run that began with it, as one of an earlier version, goes on.

  Raises:
    BadInput: naming the nearest mode.
  """
  best = config.best_model_eval_metric
  mode, _, name = best.partition('/')
  if not best or (name and mode in config.eval_modes):
    return
  if not _has_recorded(run, config, rules, 'best_model_eval_metric', 'eval_modes'):
    raise BadInput(
      f"best_model_eval_metric is {best!r}; allowed are '' for none, and MODE/METRIC with a MODE "
      f'of eval_modes{nearest(mode, config.eval_modes)}: {", ".join(config.eval_modes)}'
    )


def check_best_metric(config: ConfigDict, run: Path, experiment: AbstractExperiment) -> None:
  """Checks that evaluations have the metric that `best` means, with the same exception.

  Raises:
    BadInput: naming the nearest metric.
  """
  mode, _, name = config.best_model_eval_metric.partition('/')
  if not name or _has_recorded(run, config, experiment.rules, 'best_model_eval_metric', 'eval'):
    return
  outline = experiment.outline(mode) if mode in config.eval_modes else None
  if outline is not None and name not in outline.metrics:
    raise BadInput(
      f'best_model_eval_metric is {config.best_model_eval_metric!r}: {mode} has no {name!r}'
      f'{nearest(name, outline.metrics)}; it has {", ".join(outline.metrics)}'
    )


def _has_recorded(run: Path, config: ConfigDict, rules: Rules, *fields: str) -> bool:
  """Whether there is a run in the folder, whose fields are those of a config."""
  if not (run / 'config.json').exists():
    return False
  before, now = plain(read_config(run, rules)), plain(config)
  return all(before[field] == now[field] for field in fields)
