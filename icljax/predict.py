"""Trained models as predictors: `load(run).at(x_context, y_context, x_query)`."""

import fnmatch
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from ml_collections import ConfigDict

from icljax import build
from icljax.base import Episode, Predictor
from icljax.likelihoods import Eta, Likelihood
from icljax.tasks.glm import GLM, GLMTruth
from jaxline_lite.checkpoint import Checkpoints
from jaxline_lite.errors import BadInput
from jaxline_lite.evaluate import choose
from jaxline_lite.run_folder import read_config, run_of

QUERIES = 64  # answered at once


class TrainedPredictor(Predictor):
  """The model of a run at one checkpoint.

  Attributes:
    config: the run's config.
    step: the checkpoint's step.
    params: the model's parameters.
    path: where the checkpoint is.
  """

  def __init__(self, config: ConfigDict, step: int, params: Any, path: Path = Path()):
    self.config, self.step, self.params, self.path = config, step, params, path
    self.task = build.task(config)
    self._model = build.predictor(config, params)
    self._along = jax.jit(lambda model, episodes: model.along(episodes))
    self._inside = jax.jit(lambda model, x, y: model.activations(x, y))

  def __repr__(self) -> str:
    names = ', '.join(family.name for family in self.task.families)
    return f'TrainedPredictor({str(self.path)!r}, step={self.step}, D={self.task.dims}, K={self.task.points}, families={names})'

  def along(self, episodes: Episode) -> Likelihood | Eta:
    with jax.default_matmul_precision('highest'):
      return self._along(self._model, episodes)

  def at(self, x_context: ArrayLike, y_context: ArrayLike, x_query: ArrayLike, task: Any = None, family: str = '') -> Likelihood:
    """The predictive distribution at queries `[Q, D]` after a context of k pairs, `[k, D]` and `[k]`, k < K: `[Q]`.

    Args:
      task: not needed by a model.
      family: which family an `eta` model is to answer for; needed if it was trained on several.

    Raises:
      ValueError: for wrong shapes, numbers that are not finite, a context that is too long, or a family that is missing.
    """
    x, y, queries = self._checked(x_context, y_context, x_query)
    truth = self._truth(family)
    answers = [self._answer(x, y, queries[i : i + QUERIES]) for i in range(0, len(queries), QUERIES)]
    joined = jax.tree.map(lambda *leaves: jnp.asarray(np.concatenate(leaves)), *answers)
    return joined.given(truth)

  def activations(self, x: ArrayLike, y: ArrayLike, names: str = '*') -> dict[str, np.ndarray]:
    """What the model computes on its way, by name, for episodes `[B, K, D]` and `[B, K]` of up to the trained K pairs.

    `sequence/block_0` `[B, T, E]` is what a block gives, `sequence/block_0/attention/weights` `[B, H, T, T]` who looks at whom
    (query, key); every layer has its own name. With tokens 'pairs' T is K, with 'interleaved' 2 K.

    Args:
      names: a pattern such as 'sequence/block_*/attention/weights'; a * stands for slashes too.

    Raises:
      ValueError: for wrong shapes, numbers that are not finite, or if nothing has such a name; it lists those that there are.
    """
    x, y = np.asarray(x, np.float32), np.asarray(y, np.float32)
    if x.ndim != 3 or x.shape[1] > self.task.points or x.shape[2] != self.task.dims or y.shape != x.shape[:2]:
      wanted = f'[B, K, {self.task.dims}] and [B, K] with K up to {self.task.points}'
      raise ValueError(f'x and y have shapes {list(x.shape)} and {list(y.shape)}; this model takes {wanted}')
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
      raise ValueError('x and y have numbers that are not finite')
    with jax.default_matmul_precision('highest'):
      found = self._inside(self._model, x, y)
    chosen = {name: np.asarray(value) for name, value in found.items() if fnmatch.fnmatch(name, names)}
    if not chosen:
      raise ValueError(f'no activation is called {names!r}; there are {", ".join(found)}')
    return chosen

  def _answer(self, x: np.ndarray, y: np.ndarray, queries: np.ndarray) -> Likelihood | Eta:
    """At most QUERIES answers, in numpy. Everything is padded to one shape, so that one program serves every context."""
    k, padded = len(y), np.zeros((QUERIES, self.task.points, self.task.dims), np.float32)
    targets = np.zeros(padded.shape[:2], np.float32)
    padded[:, :k], targets[:, :k] = x, y
    padded[: len(queries), k] = queries
    along = self.along(Episode(x=jnp.asarray(padded), y=jnp.asarray(targets), weight=jnp.ones(targets.shape), task=None))
    return jax.tree.map(lambda leaf: np.asarray(leaf)[: len(queries), k], along)

  def _checked(self, x: ArrayLike, y: ArrayLike, queries: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y, queries = (np.asarray(values, np.float32) for values in (x, y, queries))
    dims, most = self.task.dims, self.task.points - 1
    for name, values, wanted in (('x_context', x, f'[k, {dims}]'), ('x_query', queries, f'[Q, {dims}]')):
      if values.ndim != 2 or values.shape[1] != dims:
        raise ValueError(f'{name} has shape {list(values.shape)}; this model takes {wanted}')
    if y.shape != x.shape[:1]:
      raise ValueError(f'y_context has shape {list(y.shape)}; it has to be [{len(x)}], one target for each row of x_context')
    if len(x) > most:
      raise ValueError(f'the context has {len(x)} pairs; this model was trained on at most {most}')
    if len(queries) == 0:
      raise ValueError('x_query is empty; give at least one query')
    for name, values in (('x_context', x), ('y_context', y), ('x_query', queries)):
      if not np.isfinite(values).all():
        raise ValueError(f'{name} has {int((~np.isfinite(values)).sum())} numbers that are not finite')
    return x, y, queries

  def _truth(self, family: str) -> GLMTruth:
    """What completes the answer of an `eta` model."""
    names = [member.name for member in self.task.families]
    if self.config.model.head != 'eta' and family:
      raise ValueError(f'family is {family!r}; a {self.config.model.head} model is not told the family: leave it out')
    if self.config.model.head == 'eta' and len(names) > 1 and family not in names:
      raise ValueError(f'family is {family!r}; this model gives a linear predictor for one of {", ".join(names)}: say which')
    if family and family not in names:
      raise ValueError(f'family is {family!r}; this model was trained on {", ".join(names)}')
    index = names.index(family) if family else 0
    return GLMTruth(family=jnp.int32(index), w=jnp.zeros((self.task.predictors, self.task.dims)), glm=cast(GLM, self.task))


def load(run: str | Path, checkpoint: int | str = 'latest') -> TrainedPredictor:
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
    raise BadInput(f'{run} is one checkpoint, and checkpoint is {checkpoint!r}; give the run, or leave that out')
  checkpoints = Checkpoints(folder / 'checkpoints', print)
  (steps,) = choose(folder, config, named or str(checkpoint), checkpoints.steps())
  step, state = checkpoints.read_any(steps, jax.eval_shape(lambda: build.init(config)))
  return TrainedPredictor(config, step, state.params, checkpoints.path(step))
