"""Trained models of generalized linear models."""

from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from ml_collections import ConfigDict

from icljax import build
from icljax.glm.task import GLM, GLMTruth
from icljax.likelihoods import Likelihood
from icljax.predict.trained import Trained
from icljax.training.step import TrainState


class TrainedPredictor(Trained):
  """The model of a run at one checkpoint: see `Trained`; inputs are `[D]`."""

  def __init__(self, config: ConfigDict, step: int, state: TrainState, path: Path = Path()):
    super().__init__(config, step, state, path)
    self.task = build.task(config)
    self.points, self.item = self.task.points, jax.ShapeDtypeStruct((self.task.dims,), jnp.float32)

  def __repr__(self) -> str:
    names = ', '.join(family.name for family in self.task.families)
    return f'TrainedPredictor({str(self.path)!r}, step={self.step}, D={self.task.dims}, K={self.task.points}, families={names})'

  def at(
    self,
    x_context: ArrayLike,
    y_context: ArrayLike,
    x_query: ArrayLike,
    task: Any = None,
    family: str = '',
  ) -> Likelihood:
    """The predictive distribution at queries `[Q, D]` after a context of k pairs, `[k, D]` and
    `[k]`, k < K: `[Q]`.

    Args:
      task: not needed by a model.
      family: which family an `eta` model is to answer for; needed if it was trained on several.

    Raises:
      ValueError: for wrong shapes, numbers that are not finite, a context that is too long, or a
        family that is missing.
    """
    truth = self._truth(family)
    return self.answers(x_context, y_context, x_query).given(truth)

  def _truth(self, family: str) -> GLMTruth:
    """What completes the answer of an `eta` model."""
    names = [member.name for member in self.task.families]
    if self.config.model.head != 'eta' and family:
      raise ValueError(
        f'family is {family!r}; a {self.config.model.head} model is not told the family: leave it '
        'out'
      )
    if self.config.model.head == 'eta' and len(names) > 1 and family not in names:
      raise ValueError(
        f'family is {family!r}; this model gives a linear predictor for one of {", ".join(names)}: '
        'say which'
      )
    if family and family not in names:
      raise ValueError(f'family is {family!r}; this model was trained on {", ".join(names)}')
    index = names.index(family) if family else 0
    return GLMTruth(
      family=jnp.int32(index),
      w=jnp.zeros((self.task.predictors, self.task.dims)),
      glm=cast(GLM, self.task),
    )
