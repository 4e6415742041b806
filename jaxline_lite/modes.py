"""What each mode does. Locks and checks the folder before JAX is imported."""

from collections.abc import Callable
from pathlib import Path

from ml_collections import ConfigDict

from jaxline_lite.errors import BadInput
from jaxline_lite.experiment import AbstractExperiment
from jaxline_lite.run_folder import RESUMABLE, claim, locked, read_config, refuse_another
from jaxline_lite.signals import StopFlag

# Fields that a command may set when it evaluates a run; everything else is the run's own.
EVALUATION_FIELDS = frozenset({'eval', 'eval_modes', 'eval_checkpoints', 'one_off_evaluate', 'restore_path', 'checkpoint_dir'})

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
      f'restore_path is {config.restore_path!r}; training resumes from checkpoint_dir, and restore_path is for modes eval*'
    )
  if not config.checkpoint_dir:
    raise BadInput('checkpoint_dir is empty; give the folder of the run, such as --config.checkpoint_dir=runs/first')
  folder = Path(config.checkpoint_dir)
  with locked(folder, 'trained'), StopFlag() as stop:
    refuse_another(folder, config, RESUMABLE | resumable)
    from jaxline_lite import train as loop

    experiment = make(config)
    experiment.check_training()  # both may refuse the config too, and then the folder stays nobody's
    claim(folder, config, RESUMABLE | resumable)
    loop.train(experiment, config, folder, stop, evaluates_along)
  return folder


def evaluated_run(config: ConfigDict) -> tuple[Path, str | None]:
  """The run folder that `restore_path`, or else `checkpoint_dir`, names, and the step if it names one checkpoint."""
  given = Path(config.restore_path or config.checkpoint_dir)
  if given.parent.name == 'checkpoints' and given.name.isdecimal():
    return given.parent.parent, given.name
  return given, None


def evaluated_config(config: ConfigDict) -> ConfigDict:
  """The config of the run to be evaluated, with the fields of evaluation taken from `config`.

  Raises:
    BadInput: if there is no run.
  """
  merged = read_config(evaluated_run(config)[0])
  for field in EVALUATION_FIELDS:
    merged[field] = config[field]
  return merged


def evaluate(make: MakeExperiment, config: ConfigDict, modes: tuple[str, ...]) -> Path:
  """Evaluates checkpoints of a finished or running run; the run's folder.

  Args:
    make: builds the experiment.
    config: what `evaluated_config` gives.
    modes: the eval modes.

  Raises:
    BadInput, Stopped.
  """
  from jaxline_lite import evaluate as loop
  from jaxline_lite.checkpoint import Checkpoints
  from jaxline_lite.writers import Log

  log = Log(None)
  run, step = evaluated_run(config)
  checkpoints = Checkpoints(run / 'checkpoints', log.say)
  loop.choose(run, config, step or config.eval_checkpoints, checkpoints.steps())  # refuses before anything is built
  experiment = make(config)
  choices = loop.choose(run, config, step or config.eval_checkpoints, checkpoints.steps())  # those that are there by now
  with StopFlag() as stop:
    for steps in choices:
      step, experiment.state = checkpoints.read_any(steps, experiment.state)
      loop.evaluate(experiment, config, run, modes, step, stop, log)
  return run
