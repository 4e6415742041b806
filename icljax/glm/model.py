"""A model of episodes: pairs become tokens, a sequence model reads them, a head predicts every
target.
"""

from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct, traverse_util
from jax import Array

from icljax.base import READ_OUT, Episode, Predictor, score
from icljax.families import Dispersion
from icljax.likelihoods import Eta, Likelihood

TOKENS = {'pairs': 1, 'interleaved': 2}  # tokens per pair


def encode_target(y: Array, classes: int) -> Array:
  """What a token shows of targets `[B]`: y, log(1 + y) where y is positive, and the one-hot class:
  `[B, 2 + classes]`.

  A function of y alone, so that the encoding cannot tell a family.
  """
  return jnp.concatenate(
    [
      y[:, None],
      jnp.log1p(jnp.maximum(y, 0.0))[:, None],
      jax.nn.one_hot(y.astype(jnp.int32), classes),
    ],
    axis=-1,
  )


class InContextModel(nn.Module):
  """(x `[B, K, D]`, y `[B, K]`) -> what the head gives `[B, K]`, and the read-out's logits `[B, K,
  F]` (None if F is 1).

  Row k depends on x[:k+1] and y[:k] only. The read-out is linear in the last hidden state, behind a
  stop_gradient: what it tells is what the model knows of the family, and nothing of the family
  reaches the model.

  Attributes:
    sequence: a causal model `[B, T, E] -> [B, T, E]`.
    head: (hidden `[B*K, E]`, dispersion) -> likelihood or `Eta` `[B*K]`.
    width: E.
    families: F of a joint task, whose family a linear read-out tells; 1 where there is nothing to
      tell.
    classes: C of a categorical target, 0 where there is none.
    tokens: 'interleaved', x_0 y_0 x_1 y_1 ..., predictions being read at the x tokens (Garg et al.
      2022); or 'pairs', one token per query which also carries the pair before it: half the tokens,
      and no layer spent on joining x to its y.
  """

  sequence: nn.Module
  head: nn.Module
  width: int
  families: int = 1
  classes: int = 0
  tokens: str = 'pairs'
  init_scale: float = 0.02
  precision: str | None = None

  @nn.compact
  def __call__(
    self, x: Array, y: Array, dispersion: Dispersion
  ) -> tuple[Likelihood | Eta, Array | None]:
    batch, pairs, dims = x.shape
    normal = nn.initializers.normal(self.init_scale)
    embed = lambda name, values: nn.Dense(
      self.width, kernel_init=normal, precision=self.precision, name=name
    )(values)
    inputs, targets = x.reshape(-1, dims), encode_target(y.reshape(-1), self.classes)
    if self.tokens == 'interleaved':
      tokens = jnp.stack([embed('input', inputs), embed('target', targets)], axis=1)
    else:
      pair = jnp.concatenate([inputs, targets, jnp.ones_like(targets[:, :1])], axis=-1).reshape(
        batch, pairs, -1
      )
      before = jnp.pad(pair, ((0, 0), (1, 0), (0, 0)))[:, :-1].reshape(batch * pairs, -1)
      tokens = embed('query', inputs) + embed('pair', before)
    hidden = self.sequence(tokens.reshape(batch, -1, self.width))
    hidden = hidden[:, :: TOKENS[self.tokens]].reshape(batch * pairs, self.width)
    outputs = self.head(hidden, dispersion), None
    if self.families > 1:
      outputs = outputs[0], nn.Dense(self.families, name=READ_OUT)(jax.lax.stop_gradient(hidden))
    return jax.tree.map(lambda leaf: leaf.reshape(batch, pairs, *leaf.shape[1:]), outputs)


def by_name(intermediates: Any, batch: int) -> dict[str, Array]:
  """What flax kept of a pass over a batch, by path; flat tokens `[B*T, E]` as `[B, T, E]`."""
  found = {}
  for path, calls in traverse_util.flatten_dict(intermediates).items():
    name, value = '/'.join(part for part in path if part != '__call__'), cast(Any, calls)[0]
    if name and isinstance(value, Array):  # models and heads may give distributions
      found[name] = value.reshape(batch, -1, value.shape[-1]) if value.ndim == 2 else value
  return found


class ModelPredictor(Predictor, struct.PyTreeNode):
  """A model with its parameters; `dispersion` is that of the task it was trained on."""

  params: Any
  dispersion: Dispersion
  model: InContextModel = struct.field(pytree_node=False)

  def along(self, episodes: Episode) -> Likelihood | Eta:
    return self.outputs(episodes)[0]

  def outputs(self, episodes: Episode) -> tuple[Likelihood | Eta, Array | None]:
    """What the model predicts `[B, K]`, and its read-out's log-probabilities of the families `[B,
    K, F]`.
    """
    predicted, logits = cast(
      Any, self.model.apply({'params': self.params}, episodes.x, episodes.y, self.dispersion)
    )
    return predicted, None if logits is None else jax.nn.log_softmax(logits)

  def activations(self, x: Array, y: Array) -> dict[str, Array]:
    """What every module gives, and what it keeps to be looked at, by path; tokens that are flat in
    the model as `[B, T, E]`.
    """
    _, kept = self.model.apply(
      {'params': self.params},
      x,
      y,
      self.dispersion,
      capture_intermediates=True,
      mutable=['intermediates'],
    )
    return by_name(cast(Any, kept)['intermediates'], len(x))

  def training_scores(self, episodes: Episode, axis: str | None) -> tuple[Array, Array, None]:
    """The side loss is the read-out's: nats for the family of an episode, a weighted mean over
    positions.
    """
    predicted, log_families = self.outputs(episodes)
    if log_families is None:
      return score(predicted, episodes), jnp.float32(0), None
    true = jnp.take_along_axis(log_families, episodes.task.family[:, None, None], axis=-1)
    return (
      score(predicted, episodes),
      -(true[..., 0] * episodes.weight).sum() / episodes.weight.sum(),
      None,
    )
