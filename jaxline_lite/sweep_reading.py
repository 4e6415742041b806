"""Reading a sweep: evaluates what its points lack, and puts the points side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxline_lite import evaluated_runs, modes
from jaxline_lite.errors import BadInput
from jaxline_lite.eval_records import EvalFolder
from jaxline_lite.experiment import SweptRun
from jaxline_lite.outputs import claim, output_folder
from jaxline_lite.ownership import hold
from jaxline_lite.point_evaluations import Need, evaluate_points
from jaxline_lite.rules import Rules, share_eval_settings
from jaxline_lite.run_folder import differing_fields, flat, is_sweep, paths_of
from jaxline_lite.run_status import FINISHED
from jaxline_lite.signals import StopFlag
from jaxline_lite.sweep_folder import read_points
from jaxline_lite.sweep_progress import read_status
from jaxline_lite.writers import Log, draw_or_say


def swept_folder(config: ConfigDict) -> Path | None:
  """The sweep that `restore_path` names; None if it names runs.

  Raises:
    BadInput: for a sweep among several.
  """
  paths = paths_of(config.restore_path) if config.restore_path else []
  sweeps = [path for path in paths if is_sweep(path)]
  if sweeps and len(paths) > 1:
    raise BadInput(
      f'restore_path is {config.restore_path!r}, of which {sweeps[0]} is a sweep; give one sweep '
      'alone, or runs'
    )
  if sweeps and not config.one_off_evaluate:
    raise BadInput(
      f'one_off_evaluate is False, which follows one run, and {sweeps[0]} is a sweep; leave it out'
    )
  return sweeps[0] if sweeps else None


def finished_configs(
  config: ConfigDict, rules: Rules, folder: Path, places: Mapping[str, Any] | None = None
) -> dict[str, ConfigDict]:
  """The config of each finished point, by name, as `evaluated_configs` gives it; the others are
  named, and left out.

  Raises:
    BadInput: if no point is finished.
  """
  states = {name: read_status(folder / name, rules).state for name in read_points(folder)}
  left_out = [f'{name} ({state})' for name, state in states.items() if state != FINISHED]
  if len(left_out) == len(states):
    raise BadInput(
      f'{folder}: no point of this sweep is finished: {", ".join(left_out)}; --jaxline_mode sweep '
      'goes on with it'
    )
  if left_out:
    Log(None).say(f'{folder}: left out, for they are not finished: {", ".join(left_out)}')
  configs = {}
  for name, state in states.items():
    if state == FINISHED:
      chosen = config.copy_and_resolve_references()
      chosen.restore_path, chosen.eval.titles = str(folder / name), ''
      (configs[name],) = evaluated_runs.evaluated_configs(chosen, rules, places)
  share_eval_settings(list(configs.values()))
  return configs


def check_modes(configs: Mapping[str, ConfigDict], mode: str, rules: Rules) -> tuple[str, ...]:
  """The eval modes in which a sweep is read: `mode`, or for 'eval' all that its points ask for and
  those of sweeps.

  Raises:
    BadInput: if no point, and no sweep of this kind, has the mode.
  """
  of_sweeps, first = tuple(rules.sweep_modes(list(configs.values()))), next(iter(configs.values()))
  if mode in of_sweeps:
    return (mode,)
  if mode == 'eval':
    asked = [name for config in configs.values() for name in config.eval_modes]
    names = tuple(dict.fromkeys(asked))
    for name in names:
      if not _able(configs, name, rules):
        modes.check(first, name, rules)  # which refuses it, with what there is
    return names + of_sweeps
  modes.check(next(iter(_able(configs, mode, rules)), first), mode, rules)
  return (mode,)


def _able(configs: Mapping[str, ConfigDict], mode: str, rules: Rules) -> list[ConfigDict]:
  """The points that can have a mode."""
  return [config for config in configs.values() if mode in rules.eval_modes(config)]


def read_sweep(
  experiment: str,
  configs: Mapping[str, ConfigDict],
  rules: Rules,
  folder: Path,
  names: Sequence[str],
  stop: StopFlag,
) -> None:
  """Evaluates points where they are not evaluated yet, and writes `<sweep>/<mode>/`.

  Args:
    experiment: 'module:Class'.
    configs: as `finished_configs` gives them.
    names: the modes.

  Raises:
    BadInput, Stopped.
  """
  points, first = read_points(folder), next(iter(configs.values()))
  differing = differing_fields(configs.values())
  read_runs = modes.experiment_class(experiment, first.deterministic).read_runs
  for mode in names:
    taken = rules.sweep_modes(list(configs.values())).get(mode)
    needs = [Need(*each) for each in taken] if taken else [Need(mode)]
    recorded = evaluate_points(experiment, configs, rules, folder, needs, stop)
    runs = [
      SweptRun(name, _fields(points[name], config, differing), config, recorded[name])
      for name, config in configs.items()
      if any(recorded[name])
    ]
    if not runs:
      continue
    changed = _changed_settings(folder, needs, runs[0], rules)
    output = output_folder(folder, (mode,), first.eval.output_dir)
    claim(output, folder)
    output = output / '_'.join([mode, *changed])
    with hold(output, 'written', wait=stop.check):
      table, draw = read_runs(mode, output, ', '.join([folder.name, mode, *changed]), runs)
      log = Log(None)
      log.say(f'{mode} of {len(runs)} points, written to {output}\n{table}')
      draw_or_say(draw, 'the sweep', log)


def _fields(swept: dict[str, Any], config: ConfigDict, differing: Sequence[str]) -> dict[str, Any]:
  """The swept fields of a point, then others in which the points differ, with their values."""
  values = flat(config.to_dict())
  return {name: values.get(name) for name in (*swept, *differing)}


def _changed_settings(
  folder: Path, needs: Sequence[Need], run: SweptRun, rules: Rules
) -> list[str]:
  """The settings that are not the run's own, of all evaluations that are read."""
  point = folder / run.name
  return list(
    dict.fromkeys(
      setting
      for need in needs
      for setting in EvalFolder(point, need.mode, run.config, rules).changed_settings
      if setting.partition('=')[0] not in need.settings
    )
  )
