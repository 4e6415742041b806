"""What a command evaluates: which runs, and each under its own config. Imports no JAX."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from jaxline_lite.errors import BadInput
from jaxline_lite.paths import expand
from jaxline_lite.rules import Rules, share_eval_settings, with_chosen_fields
from jaxline_lite.run_folder import paths_of, read_valid_config, run_of
from jaxline_lite.signals import StopFlag

# Fields that a command may set when it evaluates a run; everything else is the run's own.
EVALUATION_FIELDS = frozenset(
  {'eval', 'eval_modes', 'eval_checkpoints', 'one_off_evaluate', 'restore_path', 'checkpoint_dir'}
)
PATIENCE = 60.0  # seconds to wait for a run that is to be followed


class Evaluated(NamedTuple):
  """What is to be evaluated: a run, under a title, at a step if one checkpoint of it was named."""

  run: Path
  step: str | None
  title: str


def evaluated_runs(config: ConfigDict) -> list[Evaluated]:
  """What `restore_path`, or else `checkpoint_dir`, names; called as `eval.titles` says, else as its
  folder if that tells it apart.

  Raises:
    BadInput: for titles that are not one for each, or not distinct.
  """
  paths = (
    paths_of(config.restore_path)
    if config.restore_path
    else [expand(config.checkpoint_dir, 'checkpoint_dir')]
  )
  runs = [run_of(path) for path in paths]
  names = [run.name for run, _ in runs]
  titles = (
    [title.strip() for title in config.eval.titles.split(',')] if config.eval.titles else names
  )
  if config.eval.titles and len(titles) == len(runs) == 1:
    raise BadInput(
      f'eval.titles is {config.eval.titles!r}, which changes nothing: one run is evaluated, and '
      'titles are of several that are compared; leave it out'
    )
  if len(titles) != len(runs) or (config.eval.titles and len(set(titles)) < len(runs)):
    raise BadInput(
      f'eval.titles is {config.eval.titles!r}, for {len(runs)} run(s) in restore_path; give each '
      'one of its own, or none at all'
    )
  told = lambda i: titles[i] if titles.count(titles[i]) == 1 else str(paths[i])
  return [Evaluated(run, step, told(i)) for i, (run, step) in enumerate(runs)]


def evaluated_configs(
  config: ConfigDict, rules: Rules, places: Mapping[str, Any] | None = None
) -> list[ConfigDict]:
  """The config of each run to be evaluated, with the fields of evaluation taken from `config`.

  Args:
    places: where data lie on this machine, by field, where it is not where the run had them; what
      are no such fields of a run is passed over.

  Raises:
    BadInput: if there is no run, or it cannot be followed, or `config` is of another kind.
  """
  configs, runs = [], evaluated_runs(config)
  if not config.one_off_evaluate:
    if len(runs) > 1 or runs[0].step or config.eval_checkpoints != 'latest':
      raise BadInput(
        'one_off_evaluate is False, which follows one run from checkpoint to checkpoint; '
        f'restore_path is {config.restore_path!r} and eval_checkpoints '
        f'{config.eval_checkpoints!r}: give one run, and no checkpoints'
      )
    _await(runs[0].run)
  for run, *_ in runs:
    merged = read_valid_config(run, rules)
    try:
      rules.check_evaluated(config, merged)
    except ValueError as error:
      raise BadInput(f'{run}: {error}') from error
    located = rules.located_fields(merged)
    merged.update_from_flattened_dict(
      {field: value for field, value in (places or {}).items() if field in located}
    )
    for field in EVALUATION_FIELDS:
      merged[field] = config[field]
    configs.append(with_chosen_fields(merged, rules))
  share_eval_settings(configs)
  return configs


def _await(run: Path) -> None:
  """Waits for a run that is being started at the same time."""
  end = time.monotonic() + PATIENCE
  with StopFlag() as stop:
    while not (run / 'config.json').exists() and time.monotonic() < end:
      stop.check()
      time.sleep(0.1)
