"""`load(run)`: the trained model of a run."""

from pathlib import Path

import jax

from icljax import build
from icljax.glm.trained import TrainedPredictor
from icljax.omniglot.trained import TrainedLabels
from icljax.predict.trained import Trained
from jaxline_lite.checkpoint import Checkpoints
from jaxline_lite.errors import BadInput
from jaxline_lite.evaluate import choose
from jaxline_lite.run_folder import read_config, run_of

TRAINED = {'glm': TrainedPredictor, 'omniglot': TrainedLabels}


def load(run: str | Path, checkpoint: int | str = 'latest') -> Trained:
  """The trained model of a run.

  Args:
    run: a run's folder, or one checkpoint in it.
    checkpoint: 'latest', 'best', or a step.

  Raises:
    BadInput: if there is no run, or no such checkpoint that is intact.
  """
  folder, named = run_of(Path(run))
  config = read_config(folder)
  if checkpoint not in ('latest', 'best') and not str(checkpoint).isdecimal():
    raise BadInput(f"checkpoint is {checkpoint!r}; allowed are 'latest', 'best' and a step")
  if named and checkpoint != 'latest':
    raise BadInput(
      f'{run} is one checkpoint, and checkpoint is {checkpoint!r}; give the run, or leave that out'
    )
  checkpoints = Checkpoints(folder / 'checkpoints', print)
  (steps,) = choose(folder, config, named or str(checkpoint), checkpoints.steps())
  step, state = checkpoints.read_any(steps, jax.eval_shape(lambda: build.init(config)))
  return TRAINED[config.subject](config, step, state, checkpoints.path(step))
