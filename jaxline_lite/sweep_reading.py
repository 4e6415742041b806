"""Reading a sweep: evaluates what its points lack, and puts the points side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from jaxline_lite import evaluated_runs, modes
from jaxline_lite.errors import BadInput, in_one_line
from jaxline_lite.eval_records import EvalFolder
from jaxline_lite.experiment import Recorded, SweptRun
from jaxline_lite.outputs import claim, output_folder
from jaxline_lite.ownership import hold
from jaxline_lite.rules import Rules, share_eval_settings
from jaxline_lite.run_folder import is_sweep, paths_of
from jaxline_lite.run_status import FINISHED
from jaxline_lite.signals import StopFlag
from jaxline_lite.sweep_folder import read_points
from jaxline_lite.sweep_progress import read_status
from jaxline_lite.writers import Log


class Need(NamedTuple):
  """An evaluation of every point that reading a sweep takes.

  Attributes:
    mode: the eval mode; points that cannot have it are read without.
    checkpoints: which ones, as `eval_checkpoints` names them; '' is what the command names.
    settings: fields of `eval` that the reading fixes.
  """

  mode: str
  checkpoints: str = ''
  settings: Mapping[str, Any] = {}


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
  of_sweeps = tuple(rules.sweep_modes(list(configs.values())))
  if mode in of_sweeps:
    return (mode,)
  if mode == 'eval':
    asked = [name for config in configs.values() for name in config.eval_modes]
    return (*dict.fromkeys(asked), *of_sweeps)
  able = [config for config in configs.values() if mode in rules.eval_modes(config)]
  for config in able or list(configs.values())[:1]:
    modes.check(config, mode, rules)  # refuses a mode that no point has, with what there is
  return (mode,)


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
  read_runs = modes.experiment_class(experiment, first.deterministic).read_runs
  for mode in names:
    taken = rules.sweep_modes(list(configs.values())).get(mode)
    needs = [Need(*each) for each in taken] if taken else [Need(mode)]
    runs = []
    for name, config in configs.items():
      stop.check()
      recorded = tuple(
        _evaluations(experiment, config, rules, folder / name, need, stop) for need in needs
      )
      if any(recorded):
        runs.append(SweptRun(name, points[name], config, recorded))
    changed = EvalFolder(folder / runs[0].name, mode, runs[0].config, rules).changed_settings
    output = output_folder(folder, (mode,), first.eval.output_dir)
    claim(output, folder)
    output = output / '_'.join([mode, *changed])
    with hold(output, 'written', wait=stop.check):
      table, draw = read_runs(mode, output, ', '.join([folder.name, mode, *changed]), runs)
      _say_and_draw(f'{mode} of {len(runs)} points, written to {output}\n{table}', draw)


def _say_and_draw(text: str, draw) -> None:
  log = Log(None)
  log.say(text)
  try:
    draw()
  except Exception as error:  # whatever the libraries of pictures raise
    log.say(f'the sweep is recorded, but not drawn: {in_one_line(error)}')


def _evaluations(
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
  config.eval_checkpoints = need.checkpoints or config.eval_checkpoints
  modes.check(config, need.mode, rules)
  output = output_folder(run, (need.mode,), config.eval.output_dir)
  eval_folder, quiet = EvalFolder(run, need.mode, config, rules, output), Log(None, shows=False)
  steps = [each[0] for each in loop.chosen_steps(config, rules, run, quiet)]
  missing = [step for step in steps if not eval_folder.has(step)]
  if missing:
    claim(output, run)
    config.eval_checkpoints = ','.join(map(str, missing))
    with programs_on_disk(config.compilation_cache):
      built = modes.make(experiment, config)
      folders = {need.mode: eval_folder}
      for _ in loop.evaluate_run(
        built, config, run, None, folders, stop, quiet, drawn=(steps[-1],)
      ):
        pass
  recorded = {record['step']: record for record in eval_folder.records()}
  return {
    step: Recorded(recorded[step], eval_folder.arrays_path(step))
    for step in steps
    if step in recorded
  }
