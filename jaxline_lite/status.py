"""How far a run or a sweep is, shown from its files alone."""

from pathlib import Path

from ml_collections import ConfigDict

from jaxline_lite import terminal
from jaxline_lite.errors import BadInput
from jaxline_lite.paths import expand
from jaxline_lite.rules import Rules
from jaxline_lite.run_folder import is_sweep, paths_of, sweep_beside
from jaxline_lite.run_status import run_status
from jaxline_lite.sweep_progress import describe, describe_all, read_statuses


def show_status(config: ConfigDict, rules: Rules) -> None:
  """Shows a line for each run, and for each point of each sweep.

  They are those that `restore_path` names, or else the run in `checkpoint_dir` and the sweep beside
  it.

  Raises:
    BadInput: where there is neither.
  """
  if config.restore_path:
    folders = paths_of(config.restore_path)
  else:
    folder = expand(config.checkpoint_dir, 'checkpoint_dir')
    beside = sweep_beside(folder)
    folders = [path for path in (folder, beside) if is_sweep(path) or _is_run(path)]
    if not folders:
      raise BadInput(
        f'{folder}: no run is there, and no sweep in {beside}; name one with --config.restore_path'
      )
  for folder in folders:
    if is_sweep(folder):
      statuses = read_statuses(folder, rules)
      terminal.show(f'{folder}: {describe_all(statuses.values())}')
      for name, status in statuses.items():
        terminal.show(f'  {describe(name, status)}')
    else:
      terminal.show(describe(str(folder), run_status(folder, rules)))


def _is_run(folder: Path) -> bool:
  return (folder / 'config.json').exists()
