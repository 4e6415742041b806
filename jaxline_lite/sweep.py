"""A sweep: many runs, which any number of processes make together."""

import time
from collections.abc import Callable
from pathlib import Path

from ml_collections import ConfigDict

from jaxline_lite import modes, terminal
from jaxline_lite.base_config import check_base_config
from jaxline_lite.errors import BadInput, Diverged, Occupied
from jaxline_lite.machine_errors import from_outside, is_out_of_memory
from jaxline_lite.paths import expand
from jaxline_lite.rules import Rules, with_chosen_fields
from jaxline_lite.run_folder import read_valid_config, sweep_beside
from jaxline_lite.run_status import DIVERGED, FINISHED
from jaxline_lite.signals import StopFlag
from jaxline_lite.sweep_folder import place, read_points
from jaxline_lite.sweep_points import make_points
from jaxline_lite.sweep_progress import Progress, read_status
from jaxline_lite.sweep_reading import check_modes, finished_configs, read_sweep
from jaxline_lite.sweep_workers import check_workers, one_device_each, workers

PAUSE = 1.0  # seconds between two looks for a point that another process has left


def sweep_folder(config: ConfigDict, is_chosen: bool) -> Path:
  """The folder of a config's sweep: `checkpoint_dir` if that was chosen for it, else beside it.

  Raises:
    BadInput: if it is empty.
  """
  modes.check_trains(config)
  folder = expand(config.checkpoint_dir, 'checkpoint_dir')
  return folder if is_chosen else sweep_beside(folder)


def sweep(experiment: str, checks: str, config: ConfigDict, rules: Rules, folder: Path) -> None:
  """Trains and evaluates every point of `config.sweep`, then draws what they have found.

  The same call in other processes, or on other machines that see the folder, shares the work;
  `config.sweep_workers` starts some here.

  Args:
    experiment: 'module:Class', an `AbstractExperiment`.
    checks: the module of `rules`.
    folder: of the sweep.

  Raises:
    BadInput: if a point cannot be followed, before anything starts; or at the end, naming the
      points that could not be made.
    Diverged: at the end, naming the points that have diverged.
    Stopped: after a signal; every point is saved.
  """
  check_base_config(with_chosen_fields(config, rules))
  check_workers(config.sweep_workers)
  points = make_points(config, folder, rules, lambda point: modes.check(point, 'train', rules))

  def machine_defaults():
    made = modes.experiment_class(experiment, config.deterministic)
    terminal.show(f'{folder}: {made.describe_sweep([point.config for point in points])}')
    return made.with_machine_defaults

  def make(config: ConfigDict):
    return modes.make(experiment, config)

  with StopFlag() as stop, one_device_each(config.sweep_workers) as devices:
    place(points, folder, rules, machine_defaults, stop.check)
    arguments = experiment, checks, str(folder.absolute())
    beside = workers(config.sweep_workers - 1, devices, arguments, stop.check)
    with Progress(folder, rules), beside:
      failures = work(make, rules, folder, stop)
    try:
      if config.final_eval and len(failures) < len(read_points(folder)):
        configs = finished_configs(config, rules, folder)
        names = check_modes(configs, 'eval', rules)
        read_sweep(experiment, configs, rules, folder, names, stop)
    except BadInput as error:
      if not failures:
        raise
      terminal.show(str(error), error=True)  # what ends the command is that of the points
  conclude(folder, failures)


def conclude(folder: Path, failures: dict[str, Exception]) -> None:
  """Raises what the points of a sweep have ended with, if not all are finished."""
  refused = {name: error for name, error in failures.items() if isinstance(error, BadInput)}
  diverged = [name for name in failures if name not in refused]
  if refused:
    name, error = next(iter(refused.items()))
    raise BadInput(f'{folder}: {len(refused)} point(s) could not be made: {name}: {error}')
  if diverged:
    raise Diverged(
      f'{folder}: {", ".join(diverged)} diverged, the other points are finished; what each says is '
      'in its diverged.json, and a point is made again when its folder is deleted'
    )


def work(
  make: modes.MakeExperiment, rules: Rules, folder: Path, stop: StopFlag
) -> dict[str, Exception]:
  """Makes points that nobody else makes until none is left, in their order.

  A point that another process has is looked at again, for that process may be killed.

  Returns:
    What the points that did not finish have ended with, by name.

  Raises:
    Stopped: after a signal; the point at hand is saved.
  """
  done: set[str] = set()
  failures: dict[str, Exception] = {}
  while waiting := [name for name in read_points(folder) if name not in done]:
    has_worked = False
    for name in waiting:
      stop.check()
      status = read_status(folder / name, rules)
      if status.state in (FINISHED, DIVERGED):
        done.add(name)
        if status.state == DIVERGED:
          failures[name] = Diverged(status.note)
      elif status.owner is None:
        try:
          _make_point(make, rules, folder / name, stop)
        except Occupied:  # somebody was faster
          continue
        except (Diverged, BadInput) as error:
          failures[name] = error
        except Exception as error:
          if not is_out_of_memory(error):
            raise
          failures[name] = from_outside(error) or error
        has_worked = True
        done.add(name)
    if not has_worked:
      _pause(stop.check)
  return failures


def _make_point(make: modes.MakeExperiment, rules: Rules, folder: Path, stop: StopFlag) -> None:
  """Trains and evaluates one point, or goes on with it."""
  config = read_valid_config(folder, rules)
  config.checkpoint_dir = str(folder)  # the sweep may have been moved
  modes.check(config, 'train', rules)
  modes.train(make, config, rules, quiet_under=stop)


def _pause(check: Callable[[], None]) -> None:
  """Waits a little, and not for signals."""
  end = time.monotonic() + PAUSE
  while time.monotonic() < end:
    check()
    time.sleep(0.05)
