"""A sweep's folder: a run's folder for each point, and `sweep.json`, which lists them.

The points are those of all sweeps that were ever made there. `sweep.json` is rewritten by every
process that works on the sweep, each time from the files of the runs: it may be read at any time.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxline_lite import files
from jaxline_lite.errors import BadInput
from jaxline_lite.ownership import hold, owner
from jaxline_lite.rules import Rules
from jaxline_lite.run_folder import (
  SWEEP,
  inherit_auto_fields,
  is_sweep,
  record_config,
  refuse_another,
)
from jaxline_lite.run_status import FINISHED, RunStatus
from jaxline_lite.sweep_points import Point

Fields = dict[str, Any]  # the swept fields of a point, by dotted name


def read_points(folder: Path) -> dict[str, Fields]:
  """The swept fields of every point of a sweep, by the name of its folder.

  Raises:
    BadInput: if its list cannot be read.
  """
  try:
    listed = files.from_json((folder / SWEEP).read_text())
    return {point['name']: point['fields'] for point in listed['points']}
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise BadInput(
      f'{folder / SWEEP} cannot be read ({error}); the same sweep command makes it anew'
    ) from error


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
    wait: called while another process changes the folder.

  Raises:
    BadInput: naming the first point whose folder has another run, and the fields that differ.
  """
  if (folder / 'config.json').exists():
    raise BadInput(
      f'{folder}: a run is there, and a sweep takes a folder of its own; choose another one with '
      '--config.checkpoint_dir'
    )
  with hold(folder, 'changed', wait):
    for point in points:
      path = folder / point.name
      if path.exists() and not path.is_dir():
        raise BadInput(f'{path}: a file is there, where the folder of a point has to be; remove it')
      inherit_auto_fields(path, point.config, rules)
      refuse_another(path, point.config, rules)
    listed = read_points(folder) if is_sweep(folder) else {}
    choose = with_machine_defaults()
    for point in points:
      path = folder / point.name
      path.mkdir(exist_ok=True)
      if owner(path) is None:  # else its config.json is that process's
        record_config(path, choose(point.config), rules)
    _write(folder, listed | {point.name: point.fields for point in points}, {})


def write_statuses(
  folder: Path, statuses: Mapping[str, RunStatus], wait: Callable[[], None]
) -> None:
  """Rewrites `sweep.json`; points that are new since the statuses were read keep their place."""
  with hold(folder, 'changed', wait):
    _write(folder, read_points(folder), statuses)


def _write(folder: Path, points: dict[str, Fields], statuses: Mapping[str, RunStatus]) -> None:
  listed = [
    {'name': name, 'fields': fields} | (statuses[name]._asdict() if name in statuses else {})
    for name, fields in points.items()
  ]
  finished = sum(status.state == FINISHED for status in statuses.values())
  summary = {
    'finished': finished,
    'of': len(points),
    'seconds_left': seconds_left(list(statuses.values())),
    'points': listed,
  }
  files.replace(folder / SWEEP, files.to_json(summary, indent=1) + '\n')


def seconds_left(statuses: Sequence[RunStatus]) -> float | None:
  """How long the steps that are left take, at the rates of those that are being made now."""
  rate = sum(status.rate for status in statuses if status.seconds_left and status.rate)
  steps = sum(max(0, status.steps - status.step) for status in statuses if status.is_open)
  return steps / rate if rate else (None if steps else 0.0)
