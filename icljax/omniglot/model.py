"""A model of labelled items: tokens x_0 y_0 x_1 y_1 ... x_{K-1}, and the label of every item
predicted where it is read.
"""

from typing import Any, cast

import flax.linen as nn
import jax.numpy as jnp
from flax import struct
from jax import Array

from icljax.base import Episode, Predictor, score
from icljax.likelihoods import Categorical
from icljax.models.activations import named_activations


class LabelledItems(nn.Module):
  """(items `[B, K, ...]`, labels `[B, K]`) -> logits `[B, K, C]`; row k depends on items[:k+1] and
  labels[:k] only.

  With `last`, only the last row is computed, `[B, 1, C]`.

  Attributes:
    embedder: (items `[N, ...]`, training, axis) -> `[N, E]`; its batch norm, if it has one, is over
      all devices of the axis.
    sequence: a causal model `[B, T, E] -> [B, T, E]`, T = 2 K - 1.
    width: E.
    labels: C.
    label_scale: standard deviation of the embeddings of labels at the start.
  """

  embedder: nn.Module
  sequence: nn.Module
  width: int
  labels: int
  label_scale: float = 0.02
  precision: str | None = None

  @nn.compact
  def __call__(
    self,
    items: Array,
    labels: Array,
    training: bool = False,
    axis: str | None = None,
    last: bool = False,
  ) -> Array:
    batch, pairs = labels.shape
    embedded = self.embedder(items.reshape(batch * pairs, *items.shape[2:]), training, axis)
    scale = nn.initializers.truncated_normal(self.label_scale)
    named = nn.Embed(self.labels, self.width, embedding_init=scale, name='label')(
      labels.reshape(-1).astype(jnp.int32)
    )
    tokens = jnp.stack([embedded, named], axis=1).reshape(batch, 2 * pairs, self.width)[:, :-1]
    hidden = self.sequence(tokens)[:, -1 if last else 0 :: 2].reshape(-1, self.width)
    return nn.Dense(self.labels, precision=self.precision, name='head')(hidden).reshape(
      batch, -1, self.labels
    )


class LabelPredictor(Predictor, struct.PyTreeNode):
  """A model with its parameters; the inputs of episodes are the items themselves.

  Attributes:
    model_state: the running averages of batch norm, or None.
    scores_query: whether in training only the label of the query, the last one, is scored.
  """

  params: Any
  model_state: Any
  model: LabelledItems = struct.field(pytree_node=False)
  scores_query: bool = struct.field(pytree_node=False)

  def _logits(self, items: Array, labels: Array, **options: Any) -> Any:
    variables = {'params': self.params, **(self.model_state or {})}
    return self.model.apply(variables, items, labels, **options)

  def at_query(self, episodes: Episode) -> Categorical:
    """The predictive distribution of the last label, `[B]`."""
    return Categorical(self._logits(episodes.x, episodes.y, last=True)[:, 0])

  def along(self, episodes: Episode) -> Categorical:
    return Categorical(self._logits(episodes.x, episodes.y))

  def training_scores(self, episodes: Episode, axis: str | None) -> tuple[Array, Array, Any]:
    """As `Predictor.training_scores`; rows that are not scored are 0."""
    options = {'training': True, 'axis': axis, 'last': self.scores_query}
    mutable = list(self.model_state or {})
    logits, state = self._logits(episodes.x, episodes.y, mutable=mutable, **options)
    if not self.scores_query:
      return score(Categorical(logits), episodes), jnp.float32(0), state or None
    at_query = Categorical(logits[:, 0]).log_prob(episodes.y[:, -1])
    scores = jnp.zeros_like(episodes.y).at[:, -1].set(at_query)
    return scores, jnp.float32(0), state or None

  def activations(self, x: Array, y: Array) -> dict[str, Array]:
    """What every module gives, and what it keeps to be looked at, by path.

    Args:
      x, y: items `[B, K, ...]` and labels `[B, K]`. Flat tokens come as `[B, T, E]`.
    """
    _, kept = self._logits(x, y, capture_intermediates=True, mutable=['intermediates'])
    return named_activations(cast(Any, kept)['intermediates'], len(x))
