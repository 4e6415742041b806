"""Predictors that answer people: arrays of many kinds in, checked, a distribution per query out."""

from collections.abc import Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from ml_collections import ConfigDict

from icljax.ambient import fixed_arithmetic
from icljax.base import Episode, Predictor
from icljax.inputs import as_float32, as_numbers
from icljax.likelihoods import Eta, Likelihood
from icljax.subjects import subject_of

QUERIES = 64  # answered at once; fewer are filled up to as many, so that one program serves all


class AnsweringPredictor(Predictor):
  """A predictor of a run's task whose `at` takes what people have.

  Inputs are what the run's model reads: vectors `[D]` of generalized linear models; of image
  sequences drawings `[side, side]` from 0, paper, to 1, ink, or features `[F]`, or symbols `[]`.

  Attributes:
    config: the run's config.
    item: shape and type of one input.
    points: K of the longest episodes that the model reads, query included.
    task: the task that it was trained on.
  """

  def __init__(self, config: ConfigDict):
    self.config = config
    self._subject = subject_of(config)
    self.item, self.points = self._subject.item(config), self._subject.points(config)
    self.task = self._subject.task(config)

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
      task: not needed.
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
    if not all(bool(jnp.isfinite(leaf).all()) for leaf in self._numbers(answer)):
      largest = max(float(np.abs(values).max(initial=0.0)) for values in (x, y, queries))
      raise ValueError(
        f'the answer is not finite: inputs and targets of up to {largest:.2g} are too far from '
        'what this run was trained on; give them in its units'
      )
    return self._complete(answer, family)

  def _complete(self, answer: Any, family: str) -> Likelihood:
    """The distribution that an answer stands for."""
    return self._subject.complete(self.config, answer, family)

  def _numbers(self, answer: Any) -> list[jax.Array]:
    """What has to be finite in an answer."""
    return jax.tree.leaves(answer)

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
    if x.shape == y.shape == (0,):  # an empty context, as [], []
      x = x.reshape(0, *shape)
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
