"""A sweep's folder: a run's folder for each point, and `sweep.json`, which lists them.

The points are those of all sweeps that were ever made there. `sweep.json` is rewritten by every
process that works on the sweep, each time from the files of the runs: it may be read at any time.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxline_lite import files, terminal
from jaxline_lite.errors import BadInput
from jaxline_lite.ownership import hold, owner
from jaxline_lite.rules import Rules
from jaxline_lite.run_folder import (
  SWEEP,
  fixed_fields,
  flat,
  inherit_auto_fields,
  is_sweep,
  plain,
  read_config,
  record_config,
  refuse_another,
)
from jaxline_lite.run_status import FINISHED, RunStatus
from jaxline_lite.sweep_points import Point

Fields = dict[str, Any]  # the swept fields of a point, by dotted name
Entries = dict[str, dict[str, Any]]  # what `sweep.json` says of each point, by its name


def read_points(folder: Path) -> dict[str, Fields]:
  """The swept fields of every point of a sweep, by the name of its folder.

  Raises:
    BadInput: if its list cannot be read.
  """
  return {name: entry['fields'] for name, entry in _read(folder).items()}


def _read(folder: Path) -> Entries:
  try:
    listed = files.from_json((folder / SWEEP).read_text())['points']
    return {entry['name']: {'fields': {}} | entry for entry in listed}
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise BadInput(
      f'{folder / SWEEP} cannot be read ({error}); the same sweep command makes it anew'
    ) from error


def _read_or_rebuild(folder: Path) -> Entries:
  """What is listed, or what can be seen without the list; nothing where there is no sweep."""
  if not is_sweep(folder):
    return {}
  try:
    return _read(folder)
  except BadInput as error:
    terminal.show(
      f'{error}: it lists the runs that are there, without the fields they were made by'
    )
    runs = sorted(path.parent.name for path in folder.glob('*/config.json'))
    return {name: {'name': name, 'fields': {}} for name in runs}


def place(
  points: Sequence[Point],
  folder: Path,
  rules: Rules,
  with_machine_defaults: Callable[[], Callable[[ConfigDict], ConfigDict]],
  wait: Callable[[], None],
) -> None:
  """Gives every point a folder with its `config.json`, or none if one of them cannot have it.

  What decides bits is fixed here, so that all processes that take a point make the same ones.

  Args:
    with_machine_defaults: gives what chooses such fields; called when nothing can be refused any
      more, for it imports JAX.
    wait: called while another process changes the folder, and between two points; it may raise.

  Raises:
    BadInput: naming the first point whose folder has another run, and the fields that differ.
  """
  if (folder / 'config.json').exists():
    raise BadInput(
      f'{folder}: a run is there, and a sweep takes a folder of its own; choose another one with '
      '--config.checkpoint_dir'
    )
  try:
    with hold(folder, 'changed', wait):
      entries = _read_or_rebuild(folder)
      points = _without_twins(points, folder, entries, rules)
      for point in points:
        _check_folder(folder / point.name, point.config, rules)
        wait()
      choose = with_machine_defaults()
      for point in points:
        _record(folder / point.name, choose(point.config), rules)
        entries.setdefault(point.name, {'name': point.name})['fields'] = point.fields
        wait()
      _write(folder, entries, None)
  except PermissionError as error:
    raise BadInput(
      f'{error.filename or folder}: cannot be written ({error.strerror}); choose another '
      '--config.checkpoint_dir'
    ) from error


def _without_twins(
  points: Sequence[Point], folder: Path, entries: Entries, rules: Rules
) -> list[Point]:
  """The points but for those that are there under another name, made by a sweep over other fields;
  these get the fields of both.
  """
  if not entries:
    return list(points)
  values = (flat(plain(point.config)) for point in points)
  auto = {name for fields in values for name, value in fields.items() if value == 'auto'}

  def identity(config: ConfigDict) -> str:
    fixed = fixed_fields(config, rules).items()
    return files.canonical({name: value for name, value in fixed if name not in auto})

  twins = {}
  for name in entries:
    with contextlib.suppress(BadInput):  # of a folder that somebody has deleted
      twins[identity(read_config(folder / name, rules))] = name
  others = []
  for point in points:
    twin = twins.get(identity(point.config), point.name)
    if twin == point.name:
      others.append(point)
    else:
      entries[twin]['fields'] |= point.fields
  return others


def _has_begun(path: Path) -> bool:
  """Whether a run was ever trained in a folder; else its config.json is of a sweep that was not."""
  return (path / 'log.txt').exists() or (path / 'checkpoints').exists()


def _check_folder(path: Path, config: ConfigDict, rules: Rules) -> None:
  """Raises BadInput for a folder that is not this config's, and gives the config its 'auto' fields
  where it is.
  """
  if path.exists() and not path.is_dir():
    raise BadInput(f'{path}: a file is there, where the folder of a point has to be; remove it')
  inherit_auto_fields(path, config, rules)
  try:
    refuse_another(path, config, rules)
  except BadInput:
    if _has_begun(path):
      raise


def _record(path: Path, config: ConfigDict, rules: Rules) -> None:
  """Writes the config.json of a point, unless it says the same, or a process has it for itself."""
  path.mkdir(exist_ok=True)
  if owner(path) is not None:
    return
  if (path / 'config.json').exists():
    before, now = plain(read_config(path, rules)), plain(config)
    if all(before.get(name) == now[name] for name in now.keys() - {'eval', 'checkpoint_dir'}):
      return
    if not _has_begun(path):
      (path / 'config.json').unlink()
  record_config(path, config, rules)


def write_statuses(
  folder: Path, statuses: Mapping[str, RunStatus], wait: Callable[[], None]
) -> None:
  """Rewrites `sweep.json`; points that are new since the statuses were read keep their place."""
  with hold(folder, 'changed', wait):
    entries = _read(folder)
    for name, status in statuses.items():
      entries[name] = entries.get(name, {'name': name, 'fields': {}}) | status._asdict()
    _write(folder, entries, seconds_left(list(statuses.values())))


def _write(folder: Path, entries: Entries, left: float | None) -> None:
  summary = {
    'finished': sum(entry.get('state') == FINISHED for entry in entries.values()),
    'of': len(entries),
    'seconds_left': left,
    'points': list(entries.values()),
  }
  files.replace(folder / SWEEP, files.to_json(summary, indent=1) + '\n')


def seconds_left(statuses: Sequence[RunStatus]) -> float | None:
  """How long the steps that are left take, at the rates of those that are being made now."""
  rate = sum(status.rate for status in statuses if status.seconds_left and status.rate)
  steps = sum(max(0, status.steps - status.step) for status in statuses if status.is_open)
  return steps / rate if rate else (None if steps else 0.0)
