"""A model of episodes: pairs become tokens, a sequence model reads them, a head predicts every target."""

from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from icljax.base import Episode, Predictor
from icljax.families import Dispersion
from icljax.likelihoods import Eta, Likelihood

TOKENS = {'pairs': 1, 'interleaved': 2}  # tokens per pair


def encode_target(y: Array, classes: int) -> Array:
  """What a token shows of targets `[B]`: y, log(1 + y) where y is positive, and the one-hot class: `[B, 2 + classes]`.

  A function of y alone, so that the encoding cannot tell a family.
  """
  return jnp.concatenate(
    [y[:, None], jnp.log1p(jnp.maximum(y, 0.0))[:, None], jax.nn.one_hot(y.astype(jnp.int32), classes)], axis=-1
  )


class InContextModel(nn.Module):
  """(x `[B, K, D]`, y `[B, K]`) -> what the head gives `[B, K]`; row k depends on x[:k+1] and y[:k] only.

  Attributes:
    sequence: a causal model `[B, T, E] -> [B, T, E]`.
    head: (hidden `[B*K, E]`, dispersion) -> likelihood or `Eta` `[B*K]`.
    width: E.
    classes: C of a categorical target, 0 where there is none.
    tokens: 'interleaved', x_0 y_0 x_1 y_1 ..., predictions being read at the x tokens (Garg et al. 2022); or 'pairs', one
      token per query which also carries the pair before it: half the tokens, and no layer spent on joining x to its y.
  """

  sequence: nn.Module
  head: nn.Module
  width: int
  classes: int = 0
  tokens: str = 'pairs'
  init_scale: float = 0.02
  precision: str | None = None

  @nn.compact
  def __call__(self, x: Array, y: Array, dispersion: Dispersion) -> Likelihood | Eta:
    batch, pairs, dims = x.shape
    normal = nn.initializers.normal(self.init_scale)
    embed = lambda name, values: nn.Dense(self.width, kernel_init=normal, precision=self.precision, name=name)(values)
    inputs, targets = x.reshape(-1, dims), encode_target(y.reshape(-1), self.classes)
    if self.tokens == 'interleaved':
      tokens = jnp.stack([embed('input', inputs), embed('target', targets)], axis=1)
    else:
      pair = jnp.concatenate([inputs, targets, jnp.ones_like(targets[:, :1])], axis=-1).reshape(batch, pairs, -1)
      before = jnp.pad(pair, ((0, 0), (1, 0), (0, 0)))[:, :-1].reshape(batch * pairs, -1)
      tokens = embed('query', inputs) + embed('pair', before)
    hidden = self.sequence(tokens.reshape(batch, -1, self.width))
    flat = self.head(hidden[:, :: TOKENS[self.tokens]].reshape(batch * pairs, self.width), dispersion)
    return jax.tree.map(lambda leaf: leaf.reshape(batch, pairs, *leaf.shape[1:]), flat)


class ModelPredictor(Predictor, struct.PyTreeNode):
  """A model with its parameters; `dispersion` is that of the task it was trained on."""

  params: Any
  dispersion: Dispersion
  model: InContextModel = struct.field(pytree_node=False)

  def along(self, episodes: Episode) -> Likelihood | Eta:
    return cast(Likelihood | Eta, self.model.apply({'params': self.params}, episodes.x, episodes.y, self.dispersion))
