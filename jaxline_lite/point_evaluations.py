"""The evaluations that reading a sweep takes: of every point, made now where they are missing."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from jaxline_lite import modes
from jaxline_lite.errors import BadInput, Occupied
from jaxline_lite.eval_records import EvalFolder
from jaxline_lite.experiment import Recorded
from jaxline_lite.outputs import claim, output_folder
from jaxline_lite.ownership import hold
from jaxline_lite.plan import kept_steps
from jaxline_lite.rules import Rules
from jaxline_lite.signals import StopFlag
from jaxline_lite.writers import Log

KEPT = 'kept'
# A folder of the sweep, in which processes that read it at the same time hold a point each.
HELD = '.reading'

Evaluations = tuple[dict[int, Recorded], ...]  # for each need by step


class Need(NamedTuple):
  """An evaluation of every point that reading a sweep takes.

  Attributes:
    mode: the eval mode; points that cannot have it are read without.
    checkpoints: which ones, as `eval_checkpoints` names them; '' is what the command names, and
      'kept' those that the run's plan keeps.
    settings: fields of `eval` that the reading fixes.
  """

  mode: str
  checkpoints: str = ''
  settings: Mapping[str, Any] = {}


def evaluate_points(
  experiment: str,
  configs: Mapping[str, ConfigDict],
  rules: Rules,
  folder: Path,
  needs: Sequence[Need],
  stop: StopFlag,
) -> dict[str, Evaluations]:
  """What is recorded of each point, by name. One that another process is evaluating comes later.

  Raises:
    BadInput, Stopped.
  """
  recorded = {}
  for wait in (None, stop.check):
    for name, config in configs.items():
      stop.check()
      if name in recorded:
        continue
      with contextlib.suppress(Occupied), hold(folder / HELD / name, 'evaluated', wait):
        recorded[name] = tuple(
          _evaluate(experiment, config, rules, folder / name, need, stop) for need in needs
        )
  return {name: recorded[name] for name in configs}


def _evaluate(
  experiment: str, config: ConfigDict, rules: Rules, run: Path, need: Need, stop: StopFlag
) -> dict[int, Recorded]:
  """What is recorded of a point's checkpoints, by step, evaluated now where it was not.

  {} where the point cannot have the mode.
  """
  if need.mode not in rules.eval_modes(config):
    return {}
  from jaxline_lite import evaluate as loop
  from jaxline_lite.devices import programs_on_disk

  config = config.copy_and_resolve_references()
  config.update_from_flattened_dict({f'eval.{name}': it for name, it in need.settings.items()})
  quiet = Log(None, shows=False)
  steps = _steps(config, rules, run, need, quiet)
  output = output_folder(run, (need.mode,), config.eval.output_dir)
  eval_folder = EvalFolder(run, need.mode, config, rules, output)
  missing = [step for step in steps if not eval_folder.has(step)]
  if missing:
    claim(output, run)
    with programs_on_disk(config.compilation_cache):
      built, folders = modes.make(experiment, config), {need.mode: eval_folder}
      for step in missing:
        config.eval_checkpoints, drawn = str(step), steps[-1:]
        try:
          list(loop.evaluate_run(built, config, run, None, folders, stop, quiet, drawn))
        except BadInput as error:
          if need.checkpoints != KEPT:
            raise
          Log(None).say(f'{error}; it is left out')
  recorded = {record['step']: record for record in eval_folder.records()}
  return {
    step: Recorded(recorded[step], eval_folder.arrays_path(step))
    for step in steps
    if step in recorded
  }


def _steps(config: ConfigDict, rules: Rules, run: Path, need: Need, log: Log) -> list[int]:
  """The steps of the checkpoints that a need names."""
  from jaxline_lite import evaluate as loop

  is_kept = need.checkpoints == KEPT
  config.eval_checkpoints = 'all' if is_kept else need.checkpoints or config.eval_checkpoints
  steps = [each[0] for each in loop.chosen_steps(config, rules, run, log)]
  # Others are there by the clock, or because the run was killed.
  kept = kept_steps(config.keep_checkpoints, config.training_steps) | {steps[-1]}
  return [step for step in steps if step in kept] if is_kept else steps
