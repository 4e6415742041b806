"""The command: absl flags in, an exit status out. Imports no JAX until a config is checked."""

import importlib
import pdb
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import cast

from ml_collections import ConfigDict

from jaxline_lite import command_line, evaluated_runs, locks, modes, terminal
from jaxline_lite.errors import BadInput, CommandError
from jaxline_lite.experiment import AbstractExperiment
from jaxline_lite.machine_errors import from_outside
from jaxline_lite.ownership import UNSUPPORTED
from jaxline_lite.rules import Rules, shared_eval_modes, with_chosen_fields
from jaxline_lite.run_folder import flat
from jaxline_lite.signals import StopFlag
from jaxline_lite.status import show_status
from jaxline_lite.sweep import sweep, sweep_folder
from jaxline_lite.sweep_reading import check_modes, finished_configs, read_sweep, swept_folder

USAGE = """\
usage: python run.py --config=FILE[:WORDS] [--jaxline_mode MODE] [--config.FIELD=VALUE ...]

  FILE[:WORDS]    a config such as configs/glm.py; after the colon a preset and a size (quick,
                  paper), in any order
  MODE            train (the default), train_eval, eval, or one eval mode such as eval_poisson;
                  sweep, which trains and evaluates all points of config.sweep; status, which says
                  how far a run or a sweep is
  --config.FIELD  any field of the config, such as --config.training.batch_size=128; FILE and
                  jaxline_lite/base_config.py list them, with a sentence each

  --jaxline_post_mortem        opens the debugger where an exception was raised
  --jaxline_disable_pmap_jit   runs operation by operation

exit status: 0 finished, 1 a bug, 2 bad input, 3 diverged, 75 stopped with everything saved,
130 interrupted twice, or before it began"""

LATER_MODES = ('report',)


def main(experiment: str, checks: str) -> None:
  """Runs one command and exits with its status.

  Args:
    experiment: 'module:Class', an `AbstractExperiment` to be built from a config; imported when
      everything is checked.
    checks: a module without JAX that has the functions of `rules.Rules`.
  """
  if not locks.is_supported():
    print(UNSUPPORTED, file=sys.stderr)  # `terminal` needs a system of this kind too
    sys.exit(BadInput.status)
  terminal.open_missing_streams()
  argv = list(sys.argv)  # ml_collections finds its overrides nowhere else
  if {'--help', '-h', '--helpshort', '--helpfull', '-help'} & set(argv):
    terminal.show(USAGE)
    terminal.end_streams()
    sys.exit(0)
  try:
    _run(experiment, checks, argv)
  except Exception as error:
    if '--jaxline_post_mortem' in argv:
      traceback.print_exc()
      pdb.post_mortem(error.__traceback__)
    outside = error if isinstance(error, CommandError) else from_outside(error)
    if outside is None:
      raise
    terminal.show(' '.join(str(outside).split()), error=True)
    sys.exit(outside.status)
  except KeyboardInterrupt:  # before signals are caught, or after
    terminal.show('interrupted; nothing that was saved is lost', error=True)
    sys.exit(128 + signal.SIGINT)  # as shells count it
  finally:
    terminal.end_streams()


def _refuse_foreign(
  overrides: dict[str, object], configs: Sequence[ConfigDict], rules: Rules
) -> None:
  """Raises BadInput for overrides by which an evaluated run would not be what it is."""
  foreign = {
    name: value
    for name, value in overrides.items()
    if name.split('.')[0] not in evaluated_runs.EVALUATION_FIELDS
  }
  for config in configs:
    own, located = flat(config.to_dict()), rules.located_fields(config)
    differing = [
      f'{name} ({own.get(name)!r} there, {value!r} here)'
      for name, value in foreign.items()
      if own.get(name) != value and name not in located
    ]
    if differing:
      allowed = ', '.join(
        sorted(evaluated_runs.EVALUATION_FIELDS - {'eval'} | {'eval.*'} | located)
      )
      raise BadInput(
        f'--config.{", ".join(differing)}: an evaluated run keeps its own config; free to set are '
        f'{allowed}'
      )


def _run(experiment: str, checks: str, argv: Sequence[str]) -> None:
  rules = cast(Rules, importlib.import_module(checks))
  config, mode, overrides = command_line.parse(argv, rules)
  without_jit = command_line.FLAGS.jaxline_disable_pmap_jit

  def make(config: ConfigDict) -> AbstractExperiment:
    built = modes.make(experiment, config)
    if without_jit:
      import jax

      jax.config.update('jax_disable_jit', True)
    return built

  if mode in LATER_MODES:
    raise BadInput(
      f'--jaxline_mode {mode} is not built yet; allowed are train, train_eval, eval, the eval '
      'modes, sweep and status'
    )
  if 'sweep' in overrides and mode not in ('sweep', 'status'):
    raise BadInput(
      f'--config.sweep is {config.sweep!r}, which changes nothing in mode {mode}; add '
      '--jaxline_mode sweep, or leave it out'
    )
  if mode == 'status':
    show_status(config, rules)
  elif mode == 'sweep':
    folder = sweep_folder(config, is_chosen='checkpoint_dir' in overrides)
    sweep(experiment, checks, config, rules, folder)
  elif mode.startswith('eval'):
    _evaluate(experiment, make, config, mode, overrides, rules)
  else:
    config = with_chosen_fields(config, rules)
    modes.check(config, mode, rules)
    modes.train(make, config, rules, evaluates_along=mode == 'train_eval')


def _evaluate(
  experiment: str,
  make: modes.MakeExperiment,
  config: ConfigDict,
  mode: str,
  overrides: dict[str, object],
  rules: Rules,
) -> None:
  """Evaluates the runs, or the sweep, that the config names."""
  folder = swept_folder(config)
  if folder is not None:
    by_name = finished_configs(config, rules, folder, overrides)
    _refuse_foreign(overrides, list(by_name.values()), rules)
    names = check_modes(by_name, mode, rules)
    with StopFlag() as stop:
      read_sweep(experiment, by_name, rules, folder, names, stop)
    return
  configs = evaluated_runs.evaluated_configs(config, rules, places=overrides)
  _refuse_foreign(overrides, configs, rules)
  for each in configs:
    modes.check(each, mode, rules)
  evaluated = shared_eval_modes(configs) if mode == 'eval' else (mode,)
  modes.evaluate(make, configs, rules, evaluated)
