"""Trained models of labelled items."""

from pathlib import Path
from typing import Any, cast

import numpy as np
from flax import struct
from jax import Array
from jax.typing import ArrayLike
from ml_collections import ConfigDict

from icljax import build
from icljax.likelihoods import Categorical
from icljax.omniglot import subject as omniglot
from icljax.predict.trained import Trained
from icljax.training.step import TrainState


class Items(struct.PyTreeNode):
  """Inputs that are the items themselves, not handles."""

  def look_up(self, x: Array) -> Array:
    return x


class TrainedLabels(Trained):
  """The model of a run at one checkpoint: see `Trained`.

  Inputs are drawings `[side, side]` from 0, paper, to 1, ink; or features `[F]`; or symbols.
  """

  def __init__(self, config: ConfigDict, step: int, state: TrainState, path: Path = Path()):
    super().__init__(config, step, state, path)
    self.points, self.item, self.labels = (
      omniglot.items(config),
      omniglot.item(config),
      omniglot.outputs(config),
    )

  def _as_predictor(self) -> Any:
    task = build.task(self.config).replace(noise=None)
    return build.predictor(self.config, self.params, self.model_state, Items()).replace(task=task)

  def __repr__(self) -> str:
    shape = list(self.item.shape)
    return f'TrainedLabels({str(self.path)!r}, step={self.step}, items={shape}, K={self.points}, labels={self.labels})'

  def at(
    self, x_context: ArrayLike, y_context: ArrayLike, x_query: ArrayLike, task: Any = None
  ) -> Categorical:
    """The distribution of the labels of queries `[Q, ...]` after k labelled items, `[k, ...]` and
    `[k]`, k < K: `[Q]`.

    Args:
      task: not needed by a model.

    Raises:
      ValueError: for wrong shapes, numbers that are not finite, a context that is too long,
        drawings that are not from 0 to 1, or labels that the model does not have.
    """
    y = np.asarray(y_context)
    if not np.isin(y[np.isfinite(y)], np.arange(self.labels)).all():
      raise ValueError(
        f'y_context has labels from {y.min()} to {y.max()}; allowed are whole numbers from 0 to '
        f'{self.labels - 1}'
      )
    if len(self.item.shape) == 2:
      self._check_drawings(x_context, x_query)
    if self.item.shape == ():
      self._check_symbols(x_context, x_query)
    return cast(Categorical, self.answers(x_context, y, x_query))

  def _check_drawings(self, *given: ArrayLike) -> None:
    """Raises ValueError for drawings that are not from 0 to 1, but for noise."""
    for items in map(np.asarray, given):
      if (
        not self.config.data.generator_config.noise_scale
        and items.size
        and (items.min() < 0 or items.max() > 1)
      ):
        raise ValueError(
          f'drawings have numbers from {items.min():g} to {items.max():g}; allowed are 0, paper, '
          'to 1, ink: of an image in grey levels take 1 - image / 255'
        )

  def _check_symbols(self, *given: ArrayLike) -> None:
    """Raises ValueError for items that are none of the symbols."""
    symbols = self.config.data.symbolic_config.dataset_size
    for items in map(np.asarray, given):
      if not np.isin(items, np.arange(symbols)).all():
        raise ValueError(
          f'items have symbols from {items.min()} to {items.max()}; allowed are whole numbers from '
          f'0 to {symbols - 1}'
        )
