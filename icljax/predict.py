"""Trained models as predictors: `load(run).at(x_context, y_context, x_query)`, and activations."""

import fnmatch
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from ml_collections import ConfigDict

from icljax import build, checks
from icljax.ambient import fixed_arithmetic
from icljax.base import Episode, Predictor
from icljax.inputs import as_float32, as_numbers
from icljax.likelihoods import Eta, Likelihood
from icljax.subjects import subject_of
from icljax.training.step import TrainState
from jaxline_lite import terminal
from jaxline_lite.checkpoint import Checkpoints
from jaxline_lite.errors import BadInput, without_flags
from jaxline_lite.evaluate import choose_steps
from jaxline_lite.paths import expand
from jaxline_lite.run_folder import changed_fields, read_valid_config, run_of

QUERIES = 64  # answered at once; fewer are filled up to as many, so that one program serves all


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


class TrainedModel(Predictor):
  """The model of a run at one checkpoint, whatever its subject.

  Inputs are what the model reads: vectors `[D]` of generalized linear models; of image sequences
  drawings `[side, side]` from 0, paper, to 1, ink, or features `[F]`, or symbols `[]`.

  Attributes:
    config: the run's config.
    step: the checkpoint's step.
    params, model_state: the model's parameters, and its averages of batch norm if it has any.
    path: where the checkpoint is.
    item: shape and type of one input.
    points: K of the longest episodes that the model reads, query included.
    task: the task that it was trained on.
  """

  @fixed_arithmetic()
  def __init__(self, config: ConfigDict, step: int, state: TrainState, path: Path = Path()):
    self.config, self.step, self.path = config, step, path
    self.params, self.model_state = state.params, state.model_state
    self._subject = subject_of(config)
    self.item, self.points = self._subject.item(config), self._subject.points(config)
    self.task = self._subject.task(config)
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

  @fixed_arithmetic()
  def at(
    self,
    x_context: ArrayLike,
    y_context: ArrayLike,
    x_query: ArrayLike,
    task: Any = None,
    family: str = '',
  ) -> Likelihood:
    """The predictive distribution at queries after a context of k pairs, k < K.

    Args:
      x_context: inputs `[k, ...]`.
      y_context: targets `[k]`.
      x_query: inputs `[Q, ...]`.
      task: not needed by a model.
      family: which family an `eta` model is to answer for; needed if it was trained on several.

    Returns:
      A distribution for each query, `[Q]`.

    Raises:
      ValueError: for what is no number, wrong shapes, numbers that are not finite or from which
        no finite answer follows, a context that is too long, inputs or targets that cannot occur,
        or a family that is missing.
    """
    x, y, queries = self._check_shapes(x_context, y_context, x_query)
    self._subject.check_pairs(self.config, x, y, queries)
    parts = [self._answer(x, y, queries[i : i + QUERIES]) for i in range(0, len(queries), QUERIES)]
    answer = jax.tree.map(lambda *leaves: jnp.asarray(np.concatenate(leaves)), *parts)
    if not all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(answer)):
      largest = max(float(np.abs(values).max(initial=0.0)) for values in (x, y, queries))
      raise ValueError(
        f'the answer is not finite: inputs and targets of up to {largest:.2g} are too far from '
        'what this model was trained on; give them in its units'
      )
    return self._subject.complete(self.config, answer, family)

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

  def _answer(self, x: np.ndarray, y: np.ndarray, queries: np.ndarray) -> Likelihood | Eta:
    """At most QUERIES answers, in numpy.

    Everything is padded to one shape, so that one program serves every context.
    """
    k, padded = len(y), np.zeros((QUERIES, self.points, *self.item.shape), self.item.dtype)
    targets = np.zeros(padded.shape[:2], np.float32)
    padded[:, :k], targets[:, :k] = x, y
    padded[: len(queries), k] = queries
    weight = jnp.ones(targets.shape)
    episodes = Episode(x=jnp.asarray(padded), y=jnp.asarray(targets), weight=weight, task=None)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[: len(queries), k], self.along(episodes))

  def _check_shapes(
    self, x: ArrayLike, y: ArrayLike, queries: ArrayLike
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The context and the queries as arrays.

    Raises:
      ValueError: for wrong shapes, numbers that are not finite, or a context that is too long.
    """
    x, queries = self._as_items('x_context', x), self._as_items('x_query', queries)
    y, most, shape = as_float32('y_context', y), self.points - 1, self.item.shape
    for name, values, count in (('x_context', x, 'k'), ('x_query', queries, 'Q')):
      if values.ndim != len(shape) + 1 or values.shape[1:] != shape:
        raise ValueError(
          f'{name} has shape {list(values.shape)}; this model takes {self._shape(count)}'
        )
    if y.shape != x.shape[:1]:
      raise ValueError(
        f'y_context has shape {list(y.shape)}; it has to be [{len(x)}], one target for each row of '
        'x_context'
      )
    if len(x) > most:
      raise ValueError(f'the context has {len(x)} pairs; this model was trained on at most {most}')
    if len(queries) == 0:
      raise ValueError('x_query is empty; give at least one query')
    for name, values in (('x_context', x), ('y_context', y), ('x_query', queries)):
      if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise ValueError(f'{name} has {count} numbers that are not finite')
    return x, y, cast(np.ndarray, queries)

  def _as_items(self, name: str, values: ArrayLike) -> np.ndarray:
    """Inputs in the type that the model reads.

    Raises:
      ValueError: for what is no number, and numbers that are not whole, where they are names of
        symbols.
    """
    if not np.issubdtype(self.item.dtype, np.integer):
      return as_float32(name, values)
    items = as_numbers(name, values)
    is_whole = np.isfinite(items) & (items == np.floor(items)) & (np.abs(items) < 2**31)
    if not is_whole.all():
      raise ValueError(
        f'items have symbols from {items.min()} to {items.max()}; allowed are whole numbers'
      )
    return items.astype(self.item.dtype)

  def _shape(self, *leading: str) -> str:
    """The shape of inputs with some leading axes, as text."""
    sizes: Sequence[str] = [*leading, *map(str, self.item.shape)]
    return f'[{", ".join(sizes)}]'
