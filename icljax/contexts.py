"""Prompts of linear regression, made by hand: pairs of one or of several tasks, then queries."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Prompt(NamedTuple):
  """A context and queries, as `at` of a predictor takes them.

  Attributes:
    x_context: inputs `[k, D]`.
    y_context: targets with noise `[k]`.
    x_query: inputs `[Q, D]`.
    targets: what the query's task gives there, without noise `[Q]`.
  """

  x_context: np.ndarray
  y_context: np.ndarray
  x_query: np.ndarray
  targets: np.ndarray


def prompt(
  tasks: Sequence[tuple[ArrayLike, int]],
  query: ArrayLike,
  queries: int = 1,
  noise: float = 0.0,
  seed: int = 0,
  data_scale: float = 1.0,
) -> Prompt:
  """A context of pairs y = w.x + noise, one task after another, and queries of a task.

  Inputs, noise and queries are from streams of their own, so that other weights, another noise or a
  longer context leave the others as they are.

  Args:
    tasks: pairs (w, n), a task's weights `[D]` and how many pairs of it there are.
    query: the weights `[D]` of the queries' task.
    queries: Q.
    noise: standard deviation of the noise in the context.
    seed: of inputs and noise, from 0.
    data_scale: standard deviation of the inputs.

  Raises:
    ValueError: for weights of different sizes or that are not finite, or negative numbers.
  """
  weights = [np.asarray(w, np.float64) for w, _ in tasks] + [np.asarray(query, np.float64)]
  counts = [count for _, count in tasks]
  _check(weights, counts, queries, seed)
  for name, value in (('noise', noise), ('data_scale', data_scale)):
    if not 0 <= value < np.inf:
      raise ValueError(f'{name} is {value}; allowed are numbers from 0')
  dims = weights[-1].size
  x_stream, noise_stream, query_stream = np.random.default_rng(seed).spawn(3)
  x_context = data_scale * x_stream.normal(size=(sum(counts), dims))
  x_query = data_scale * query_stream.normal(size=(queries, dims))
  of_pairs = np.repeat(np.stack(weights[:-1] or [weights[-1]]), counts or [0], axis=0)
  y = (x_context * of_pairs).sum(1) + noise * noise_stream.normal(size=sum(counts))
  x_context, y, x_query, targets = (
    values.astype(np.float32) for values in (x_context, y, x_query, x_query @ weights[-1])
  )
  return Prompt(x_context, y, x_query, targets)


def _check(weights: list[np.ndarray], counts: list[int], queries: int, seed: int) -> None:
  shapes = sorted({w.shape for w in weights})
  if len(shapes) > 1 or len(shapes[0]) != 1:
    raise ValueError(
      f'tasks and query have weights of shapes {", ".join(map(str, map(list, shapes)))}; allowed '
      'is one shape [D]'
    )
  if not all(np.isfinite(w).all() for w in weights):
    raise ValueError('tasks and query have weights that are not finite')
  numbers = [*counts, queries, seed]
  if not all(isinstance(n, int | np.integer) and n >= 0 for n in numbers):
    raise ValueError(
      f'tasks have {counts} pairs, queries is {queries} and seed {seed}; allowed are whole numbers '
      'from 0'
    )
