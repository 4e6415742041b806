"""What each mode does. Locks and checks the folder before JAX is imported."""

import contextlib
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxline_lite import terminal
from jaxline_lite.base_config import check_base_config, nearest
from jaxline_lite.errors import BadInput
from jaxline_lite.evaluated_runs import evaluated_runs
from jaxline_lite.experiment import AbstractExperiment, Evaluation
from jaxline_lite.outputs import check_writable, claim, output_folder
from jaxline_lite.ownership import hold
from jaxline_lite.paths import check_no_urls, expand
from jaxline_lite.rules import Rules
from jaxline_lite.run_folder import (
  flat,
  inherit_auto_fields,
  record_config,
  refuse_another,
)
from jaxline_lite.signals import StopFlag

MODES = ('train', 'train_eval', 'eval', 'sweep', 'status')  # besides the eval modes of a run
DETERMINISTIC = '--xla_gpu_deterministic_ops=true'

MakeExperiment = Callable[[ConfigDict], AbstractExperiment]


def train(
  make: MakeExperiment,
  config: ConfigDict,
  rules: Rules,
  evaluates_along: bool = False,
  quiet_under: StopFlag | None = None,
) -> Path:
  """Trains, or goes on training, the run in `config.checkpoint_dir`, and evaluates it.

  Args:
    make: builds the experiment, once the folder is ours.
    rules: those of the experiment's configs.
    evaluates_along: whether to evaluate every `config.eval_interval` steps as well.
    quiet_under: the flag of a command of many runs, which catches the signals; this run's lines
      are in its `log.txt` only then.

  Returns:
    The run's folder.

  Raises:
    BadInput, Stopped, Diverged.
  """
  check_trains(config)
  folder = expand(config.checkpoint_dir, 'checkpoint_dir')
  flag = StopFlag() if quiet_under is None else contextlib.nullcontext(quiet_under)
  with hold(folder, 'trained') as ownership, flag as stop:
    config = config.copy_and_resolve_references()
    config.sweep = ''  # a run is one point
    inherit_auto_fields(folder, config, rules)
    refuse_another(folder, config, rules)
    from jaxline_lite.eval_records import check_best_metric, check_best_mode

    if evaluates_along:  # nothing else has a best
      check_best_mode(config, folder, rules)
    from jaxline_lite import train as loop
    from jaxline_lite.checkpoint import Checkpoints
    from jaxline_lite.devices import programs_on_disk

    with programs_on_disk(config.compilation_cache):
      experiment = make(config)
      experiment.check_training()
      if not Checkpoints(folder / 'checkpoints', terminal.show).begun():
        experiment.begin()  # all four may refuse the config too, and the folder stays nobody's
      if evaluates_along:
        check_best_metric(config, folder, experiment)
      config = experiment.with_origins(config)
      ownership.check()  # imports and data take a while
      record_config(folder, config, rules)
      loop.train(experiment, config, ownership, stop, evaluates_along, shows=quiet_under is None)
  return folder


def check_trains(config: ConfigDict) -> None:
  """Raises BadInput for a config that says what to evaluate, or no folder to train in."""
  if config.restore_path:
    raise BadInput(
      f'restore_path is {config.restore_path!r}; training resumes from checkpoint_dir, and '
      'restore_path is for modes eval*; to start from the parameters of another run, give '
      '--config.init_from'
    )
  if not config.checkpoint_dir:
    raise BadInput(
      'checkpoint_dir is empty; give the folder of the run, such as '
      '--config.checkpoint_dir=runs/first'
    )


def evaluate(
  make: MakeExperiment, configs: list[ConfigDict], rules: Rules, modes: tuple[str, ...]
) -> list[tuple[int, dict[str, Evaluation]]]:
  """Evaluates checkpoints of finished or running runs, and compares them if there are several.

  Args:
    make: builds the experiment.
    configs: what `evaluated_configs` gives.
    rules: those of the experiment's configs.
    modes: the eval modes.

  Returns:
    The step of each checkpoint and its evaluations by mode.

  Raises:
    BadInput, Stopped.
  """
  runs = evaluated_runs(configs[0])
  outputs = [output_folder(run, modes, configs[0].eval.output_dir) for run, *_ in runs]
  shared = expand(configs[0].eval.output_dir, 'eval.output_dir')
  if len(runs) > 1:
    check_writable(shared)
  from jaxline_lite import evaluate as loop
  from jaxline_lite.devices import programs_on_disk
  from jaxline_lite.eval_records import EvalFolder
  from jaxline_lite.following import follow
  from jaxline_lite.writers import Log

  log, models, one_off = Log(None), [], configs[0].one_off_evaluate
  if one_off:
    for config, (run, step, _) in zip(configs, runs):
      loop.chosen_steps(config, rules, run, log, step)  # refuses before anything is built
  with StopFlag() as stop, programs_on_disk(configs[0].compilation_cache):
    for config, (run, step, title), output in zip(configs, runs, outputs):
      claim(output, run)
      experiment = make(config)
      folders = {mode: EvalFolder(run, mode, config, rules, output) for mode in modes}
      evaluated = (
        loop.evaluate_run(experiment, config, run, step, folders, stop, log)
        if one_off
        else follow(experiment, config, run, folders, stop, log)
      )
      for chosen, evaluations in evaluated:
        models.append(loop.EvaluatedModel(run, title, chosen, config, evaluations))
    if len(runs) > 1:
      loop.compare(experiment, shared, models, stop, log)
  return [(model.step, model.evaluations) for model in models]


def check(config: ConfigDict, mode: str, rules: Rules) -> None:
  """Refuses a config or a mode that cannot be followed.

  Args:
    rules: those of the experiment's configs.

  Raises:
    BadInput.
  """
  check_base_config(config)
  check_no_urls(flat(config.to_dict()))
  followed = config.copy_and_resolve_references()
  if mode.startswith('eval_'):
    followed.eval_modes = (mode,)
  try:
    rules.check(followed)
  except ValueError as error:
    raise BadInput(str(error)) from error
  except (KeyError, AttributeError) as error:
    raise BadInput(
      f'{config.checkpoint_dir}: its config is of another version, of other fields: {error}'
    ) from error
  known = rules.eval_modes(config)
  asked = [('--jaxline_mode', mode)]
  if not mode.startswith('eval_'):
    asked += [('--config.eval_modes', name) for name in config.eval_modes]
  for field, name in asked:
    allowed = known if field == '--config.eval_modes' else (*MODES, *known)
    if name not in allowed:
      reason = rules.why_no_mode(config, name)
      hint = f' of this run, {reason}' if reason else nearest(name, allowed)
      raise BadInput(
        f'{field}: there is no {name!r}{hint}; allowed are {", ".join(dict.fromkeys(allowed))}'
      )


def experiment_class(experiment: str, deterministic: bool) -> Any:
  """Imports JAX and the experiment 'module:Class': a subclass of `AbstractExperiment` that takes a
  config.
  """
  before = os.environ.get('XLA_FLAGS')
  if deterministic:
    os.environ['XLA_FLAGS'] = f'{before or ""} {DETERMINISTIC}'.strip()
  import jax

  jax.local_devices()  # reads the flags, if it is the first to ask: a notebook may have before
  if deterministic and before is None:
    del os.environ['XLA_FLAGS']
  elif before is not None:
    os.environ['XLA_FLAGS'] = before
  module, _, name = experiment.partition(':')
  return getattr(importlib.import_module(module), name)


def make(experiment: str, config: ConfigDict) -> AbstractExperiment:
  """Builds the experiment 'module:Class' of a config."""
  return experiment_class(experiment, config.deterministic)(config)
