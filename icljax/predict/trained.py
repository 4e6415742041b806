"""Trained models as predictors, whatever their subject: `at(x_context, y_context, x_query)`, and a
look inside.
"""

import fnmatch
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from ml_collections import ConfigDict

from icljax import build
from icljax.base import Episode, Predictor
from icljax.likelihoods import Eta, Likelihood
from icljax.training.step import TrainState

QUERIES = 64  # answered at once


class Trained(Predictor):
  """The model of a run at one checkpoint.

  Attributes:
    config: the run's config.
    step: the checkpoint's step.
    params, model_state: the model's parameters, and its averages of batch norm if it has any.
    path: where the checkpoint is.
    item: shape and type of one input.
    points: K of the episodes that it was trained on.
  """

  item: jax.ShapeDtypeStruct
  points: int

  def __init__(self, config: ConfigDict, step: int, state: TrainState, path: Path = Path()):
    self.config, self.step, self.path = config, step, path
    self.params, self.model_state = state.params, state.model_state
    self._model = self._as_predictor()
    self._along = jax.jit(lambda model, episodes: model.along(episodes))
    self._inside = jax.jit(lambda model, x, y: model.activations(x, y))

  def _as_predictor(self) -> Any:
    """The model with its parameters, as it reads episodes with the inputs themselves."""
    return build.predictor(self.config, self.params, self.model_state)

  def along(self, episodes: Episode) -> Likelihood | Eta:
    with jax.default_matmul_precision('highest'):
      return self._along(self._model, episodes)

  def answers(
    self, x_context: ArrayLike, y_context: ArrayLike, x_query: ArrayLike
  ) -> Likelihood | Eta:
    """What the model gives at queries `[Q, ...]` after k pairs `[k, ...]` and `[k]`, k < K: `[Q]`.

    Raises:
      ValueError: for wrong shapes, numbers that are not finite, or a context that is too long.
    """
    x, y, queries = self._checked(x_context, y_context, x_query)
    answers = [
      self._answer(x, y, queries[i : i + QUERIES]) for i in range(0, len(queries), QUERIES)
    ]
    return jax.tree.map(lambda *leaves: jnp.asarray(np.concatenate(leaves)), *answers)

  def activations(self, x: ArrayLike, y: ArrayLike, names: str = '*') -> dict[str, np.ndarray]:
    """What the model computes on its way, by name, for episodes `[B, K, ...]` and `[B, K]` of up to
    the trained K pairs.

    `sequence/block_0` `[B, T, E]` is what a block gives, `sequence/block_0/attention/weights` `[B,
    H, T, T]` who looks at whom (query, key); every layer has its own name. T is the number of
    tokens that the episodes make.

    Args:
      names: a pattern such as 'sequence/block_*/attention/weights'; a * stands for slashes too.

    Raises:
      ValueError: for wrong shapes, numbers that are not finite, or a pattern that nothing matches.
    """
    x, y = np.asarray(x, self.item.dtype), np.asarray(y, np.float32)
    if (
      x.ndim != len(self.item.shape) + 2
      or x.shape[:2] != y.shape
      or x.shape[1] > self.points
      or x.shape[2:] != self.item.shape
    ):
      wanted = f'[{", ".join(["B", "K", *map(str, self.item.shape)])}] and [B, K] with K up to {self.points}'
      raise ValueError(
        f'x and y have shapes {list(x.shape)} and {list(y.shape)}; this model takes {wanted}'
      )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
      raise ValueError('x and y have numbers that are not finite')
    with jax.default_matmul_precision('highest'):
      found = self._inside(self._model, x, y)
    chosen = {
      name: np.asarray(value) for name, value in found.items() if fnmatch.fnmatch(name, names)
    }
    if not chosen:
      raise ValueError(f'no activation is called {names!r}; there are {", ".join(found)}')
    return chosen

  def _answer(self, x: np.ndarray, y: np.ndarray, queries: np.ndarray) -> Likelihood | Eta:
    """At most QUERIES answers, in numpy. Everything is padded to one shape, so that one program
    serves every context.
    """
    k, padded = len(y), np.zeros((QUERIES, self.points, *self.item.shape), self.item.dtype)
    targets = np.zeros(padded.shape[:2], np.float32)
    padded[:, :k], targets[:, :k] = x, y
    padded[: len(queries), k] = queries
    along = self.along(
      Episode(
        x=jnp.asarray(padded), y=jnp.asarray(targets), weight=jnp.ones(targets.shape), task=None
      )
    )
    return jax.tree.map(lambda leaf: np.asarray(leaf)[: len(queries), k], along)

  def _checked(
    self, x: ArrayLike, y: ArrayLike, queries: ArrayLike
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y, queries = (
      np.asarray(x, self.item.dtype),
      np.asarray(y, np.float32),
      np.asarray(queries, self.item.dtype),
    )
    most, shape = self.points - 1, self.item.shape
    wanted = lambda count: '[' + ', '.join([count, *map(str, shape)]) + ']'
    for name, values, count in (('x_context', x, 'k'), ('x_query', queries, 'Q')):
      if values.ndim != len(shape) + 1 or values.shape[1:] != shape:
        raise ValueError(f'{name} has shape {list(values.shape)}; this model takes {wanted(count)}')
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
        raise ValueError(
          f'{name} has {int((~np.isfinite(values)).sum())} numbers that are not finite'
        )
    return x, y, queries
