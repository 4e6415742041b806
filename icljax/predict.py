"""Trained models and baselines: `load(run).at(x_context, y_context, x_query)`, and activations."""

import fnmatch
import functools
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from jax.typing import ArrayLike
from ml_collections import ConfigDict

from icljax import build, checks
from icljax.ambient import fixed_arithmetic
from icljax.answers import AnsweringPredictor
from icljax.base import Episode
from icljax.inputs import as_float32
from icljax.likelihoods import Eta, Likelihood
from icljax.training.step import TrainState
from jaxline_lite import terminal
from jaxline_lite.checkpoint import Checkpoints
from jaxline_lite.errors import BadInput, without_flags
from jaxline_lite.evaluate import choose_steps
from jaxline_lite.paths import expand
from jaxline_lite.run_folder import changed_fields, read_valid_config, run_of


@without_flags(restore_path='the argument run')
@fixed_arithmetic()
def load(
  run: str | Path, checkpoint: int | str = 'latest', data: Mapping[str, str] | None = None
) -> 'TrainedModel':
  """The trained model of a run.

  Args:
    run: a run's folder, or one checkpoint in it.
    checkpoint: 'latest', 'best', or a step.
    data: where data lie, if not where the run had them, as of `icljax.evaluate`.

  Raises:
    BadInput: if there is no run, or no such checkpoint that is intact.
  """
  folder, named = run_of(expand(run, 'run'))
  config = read_valid_config(folder, checks)
  try:
    config.update_from_flattened_dict(checks.data_places(config, data or {}))
  except ValueError as error:
    raise BadInput(str(error)) from error
  if checkpoint not in ('latest', 'best') and not str(checkpoint).isdecimal():
    raise BadInput(f"checkpoint is {checkpoint!r}; allowed are 'latest', 'best' and a step")
  if named and checkpoint != 'latest':
    raise BadInput(
      f'{run} is one checkpoint, and checkpoint is {checkpoint!r}; give the run, or leave that out'
    )
  changes = functools.partial(changed_fields, config=config, rules=checks)
  checkpoints = Checkpoints(folder / 'checkpoints', terminal.show, TrainState.light, changes)
  which = named or str(checkpoint)
  (steps,) = choose_steps(folder, config, checks, which, checkpoints.steps())
  target = jax.eval_shape(lambda: build.init_state(config))
  step, state = checkpoints.read_any(steps, target)
  return TrainedModel(config, step, state, checkpoints.path(step))


@without_flags(restore_path='the argument run')
@fixed_arithmetic()
def predictor(name: str, run: str | Path) -> 'Baseline':
  """An exact or classical answer for the task of a run, such as 'ridge' or 'dmmse'.

  Args:
    name: of linear regression `ridge`, `dmmse` where the run has a pool, `ols` and `zero`; of other
      families `bayes`, and `bayes_pool` where the run has a pool.
    run: a run's folder.

  Raises:
    BadInput: if there is no run, or it has no such baseline.
  """
  config = read_valid_config(run_of(expand(run, 'run'))[0], checks)
  return Baseline(config, name)


class Baseline(AnsweringPredictor):
  """What can be known of a run's task without training.

  Attributes:
    name: as in tables of evaluations.
  """

  @fixed_arithmetic()
  def __init__(self, config: ConfigDict, name: str):
    super().__init__(config)
    baselines = self._subject.baselines(config)
    if name not in baselines:
      listed = f'there are {", ".join(baselines)}' if baselines else 'there is none'
      raise BadInput(f'name is {name!r}; of the task of this run {listed}')
    self.name = name
    self._predictor = baselines[name]
    self._along = jax.jit(lambda predictor, episodes: predictor.along(episodes))

  def __reduce__(self):
    """Pickles and copies what the baseline is made from; its program is compiled anew."""
    return Baseline, (self.config, self.name)

  def __repr__(self) -> str:
    return f'Baseline({self.name!r}, {self._subject.describe(self.config)})'

  def along(self, episodes: Episode) -> Likelihood:
    """The predictive distribution of every target of episodes, `[B, K]`."""
    with fixed_arithmetic():
      return self._along(self._predictor, episodes)

  def _complete(self, answer: Likelihood, family: str) -> Likelihood:
    if family:
      raise ValueError(f'family is {family!r}; {self.name} is not told the family: leave it out')
    return answer

  def _numbers(self, answer: Likelihood) -> list[jax.Array]:
    return [answer.mean()]  # what sums over a pool holds the task's settings, whose clip may be inf


class TrainedModel(AnsweringPredictor):
  """The model of a run at one checkpoint, whatever its subject.

  Attributes:
    step: the checkpoint's step.
    params, model_state: the model's parameters, and its averages of batch norm if it has any.
    path: where the checkpoint is.
  """

  @fixed_arithmetic()
  def __init__(self, config: ConfigDict, step: int, state: TrainState, path: Path = Path()):
    super().__init__(config)
    self.step, self.path = step, path
    self.params, self.model_state = state.params, state.model_state
    self._model = build.make_predictor(config, self.params, self.model_state)
    self._along = jax.jit(lambda model, episodes: model.along(episodes))
    self._activations = jax.jit(lambda model, x, y: model.activations(x, y))

  def __reduce__(self):
    """Pickles and copies what the model is made from; its programs are compiled anew."""
    params, model_state = jax.tree.map(np.asarray, (self.params, self.model_state))
    state = TrainState(params, (), model_state=model_state)
    return TrainedModel, (self.config, self.step, state, self.path)

  def __repr__(self) -> str:
    described = self._subject.describe(self.config)
    return f'TrainedModel({str(self.path)!r}, step={self.step}, {described})'

  def along(self, episodes: Episode) -> Likelihood | Eta:
    """The predictive distribution of every target of episodes, `[B, K]`."""
    with fixed_arithmetic():
      return self._along(self._model, episodes)

  def activations(self, x: ArrayLike, y: ArrayLike, names: str = '*') -> dict[str, np.ndarray]:
    """What the model computes on its way, by name.

    `sequence/block_0` `[B, T, E]` is what a block gives, `sequence/block_0/attention/weights`
    `[B, H, T, T]` who looks at whom (query, key); every layer has its own name. T is the number of
    tokens that the episodes make.

    Args:
      x: inputs `[B, K, ...]` of up to the trained K pairs.
      y: targets `[B, K]`.
      names: a pattern such as 'sequence/block_*/attention/weights'; a * stands for slashes too.

    Raises:
      ValueError: for wrong shapes, numbers that are not finite, or a pattern that nothing matches.
    """
    x, y = self._as_items('x', x), as_float32('y', y)
    fits = x.ndim == len(self.item.shape) + 2 and x.shape[2:] == self.item.shape
    if not fits or x.shape[:2] != y.shape or x.shape[1] > self.points:
      wanted = f'{self._shape("B", "K")} and [B, K] with K up to {self.points}'
      raise ValueError(
        f'x and y have shapes {list(x.shape)} and {list(y.shape)}; this model takes {wanted}'
      )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
      raise ValueError('x and y have numbers that are not finite')
    with fixed_arithmetic():
      activations = self._activations(self._model, x, y)
    chosen = {
      name: np.asarray(value) for name, value in activations.items() if fnmatch.fnmatch(name, names)
    }
    if not chosen:
      raise ValueError(f'no activation is called {names!r}; there are {", ".join(activations)}')
    return chosen
