"""What each mode does. Locks and checks the folder before JAX is imported."""

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxline_lite.base_config import check_base_config, nearest
from jaxline_lite.errors import BadInput
from jaxline_lite.experiment import AbstractExperiment, Evaluation
from jaxline_lite.run_folder import RESUMABLE, adopt, claim, locked, read_config, refuse_another, run_of
from jaxline_lite.signals import StopFlag

# Fields that a command may set when it evaluates a run; everything else is the run's own.
EVALUATION_FIELDS = frozenset({'eval', 'eval_modes', 'eval_checkpoints', 'one_off_evaluate', 'restore_path', 'checkpoint_dir'})

DETERMINISTIC = '--xla_gpu_deterministic_ops=true'

MakeExperiment = Callable[[ConfigDict], AbstractExperiment]


def train(
  make: MakeExperiment, config: ConfigDict, evaluates_along: bool = False, resumable: frozenset[str] = frozenset()
) -> Path:
  """Trains, or goes on training, the run in `config.checkpoint_dir`, and evaluates it; the run's folder.

  Args:
    make: builds the experiment, once the folder is ours.
    evaluates_along: whether to evaluate every `config.eval_interval` steps as well.
    resumable: fields in which this config may differ from the run's, besides those of the loop.

  Raises:
    BadInput, Stopped, Diverged.
  """
  if config.restore_path:
    raise BadInput(
      f'restore_path is {config.restore_path!r}; training resumes from checkpoint_dir, and restore_path is for modes eval*; to start from the parameters of another run, give --config.init_from'
    )
  if not config.checkpoint_dir:
    raise BadInput('checkpoint_dir is empty; give the folder of the run, such as --config.checkpoint_dir=runs/first')
  folder = Path(config.checkpoint_dir)
  with locked(folder, 'trained'), StopFlag() as stop:
    config = config.copy_and_resolve_references()
    adopt(folder, config)
    refuse_another(folder, config, RESUMABLE | resumable)
    from jaxline_lite import train as loop
    from jaxline_lite.checkpoint import Checkpoints

    experiment = make(config)
    experiment.check_training()
    if not Checkpoints(folder / 'checkpoints', print).begun():
      experiment.begin()  # all three may refuse the config too, and then the folder stays nobody's
    config = experiment.settled(config)
    claim(folder, config, RESUMABLE | resumable)
    loop.train(experiment, config, folder, stop, evaluates_along)
  return folder


def evaluated_runs(config: ConfigDict) -> list[tuple[Path, str | None]]:
  """What `restore_path`, or else `checkpoint_dir`, names."""
  return [run_of(Path(name.strip())) for name in (config.restore_path or config.checkpoint_dir).split(',')]


def evaluated_configs(config: ConfigDict) -> list[ConfigDict]:
  """The config of each run to be evaluated, with the fields of evaluation taken from `config`.

  Raises:
    BadInput: if there is no run, or titles for another number of them.
  """
  runs = evaluated_runs(config)
  if config.eval.titles and config.eval.titles.count(',') + 1 != len(runs):
    raise BadInput(f'eval.titles is {config.eval.titles!r}, for {len(runs)} run(s) in restore_path; give one for each, or none')
  configs = []
  for run, _ in runs:
    merged = read_config(run)
    for field in EVALUATION_FIELDS:
      merged[field] = config[field]
    configs.append(merged)
  return configs


def evaluate(make: MakeExperiment, configs: list[ConfigDict], modes: tuple[str, ...]) -> list[dict[str, Evaluation]]:
  """Evaluates checkpoints of finished or running runs, and compares them if there are several; each one's outcome by mode.

  Args:
    make: builds the experiment.
    configs: what `evaluated_configs` gives.
    modes: the eval modes.

  Raises:
    BadInput, Stopped.
  """
  from jaxline_lite import evaluate as loop
  from jaxline_lite.writers import Log

  log, evaluated, runs = Log(None), [], evaluated_runs(configs[0])
  titles = configs[0].eval.titles.split(',') if configs[0].eval.titles else [run.name for run, _ in runs]
  for config, (run, step) in zip(configs, runs):
    loop.check_choice(config, run, step, log)  # refuses before anything is built
  with StopFlag() as stop:
    for config, (run, step), title in zip(configs, runs, titles):
      experiment = make(config)
      for found, outcome in loop.evaluate_run(experiment, config, run, step, modes, stop, log):
        evaluated.append((title.strip(), found, config, outcome))
    if len(runs) > 1:
      loop.compare(experiment, Path(configs[0].eval.output_dir), evaluated, log)
  return [outcome for *_, outcome in evaluated]


def check(config: ConfigDict, mode: str, rules: Any) -> None:
  """Refuses a config or a mode that cannot be followed.

  Args:
    rules: a module as `platform.main` takes it.

  Raises:
    BadInput.
  """
  check_base_config(config)
  try:
    rules.check(config)
  except ValueError as error:
    raise BadInput(str(error)) from error
  known = rules.eval_modes(config)
  for field, name in [('--jaxline_mode', mode), *(('--config.eval_modes', name) for name in config.eval_modes)]:
    allowed = known if field == '--config.eval_modes' else ('train', 'train_eval', 'eval', *known)
    if name not in allowed:
      raise BadInput(f'{field}: there is no {name!r}{nearest(name, allowed)}; allowed are {", ".join(dict.fromkeys(allowed))}')


def make(experiment: str, config: ConfigDict) -> AbstractExperiment:
  """Imports JAX and builds the experiment 'module:Class'."""
  flags = os.environ.get('XLA_FLAGS', '')
  if config.deterministic and DETERMINISTIC not in flags:
    os.environ['XLA_FLAGS'] = f'{flags} {DETERMINISTIC}'  # read when JAX first looks for devices
  from jaxline_lite import devices

  if config.compilation_cache:
    devices.cache_programs()
  module, _, name = experiment.partition(':')
  return getattr(importlib.import_module(module), name)(config)
