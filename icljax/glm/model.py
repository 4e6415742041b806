"""A model of episodes: pairs become tokens, a sequence model reads them, a head predicts every
target.
"""

from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from icljax.base import READ_OUT, Episode, Predictor, score
from icljax.families import Dispersion
from icljax.likelihoods import Eta, Likelihood
from icljax.models.activations import named_activations
from icljax.models.heads import KnownNoiseHead
from icljax.training import losses

TOKENS = {'pairs': 1, 'interleaved': 2, 'interleaved_plain': 2}  # tokens per pair


def encode_target(y: Array, classes: int) -> Array:
  """What a token shows of targets `[B]`, as `[B, 2 + classes]`.

  It is y, log(1 + y) where y is positive, and the one-hot class: a function of y alone, so that the
  encoding cannot tell a family.
  """
  logarithm = jnp.log1p(jnp.maximum(y, 0.0))
  one_hot = jax.nn.one_hot(y.astype(jnp.int32), classes)
  return jnp.concatenate([y[:, None], logarithm[:, None], one_hot], axis=-1)


class Outputs(NamedTuple):
  """What a model gives.

  Attributes:
    predicted: a likelihood or `Eta` of every target, `[B, K]`.
    family_logits: the read-out's logits of the families, `[B, K, F]`; None if F is 1.
  """

  predicted: Any
  family_logits: Array | None


class InContextModel(nn.Module):
  """(x `[B, K, D]`, y `[B, K]`, dispersion) -> `Outputs`.

  Row k depends on x[:k+1] and y[:k] only. The read-out is linear in the last hidden state, behind a
  stop_gradient: it tells what the model knows of the family, and nothing of the family reaches the
  model.

  Attributes:
    sequence: a causal model `[B, T, E] -> [B, T, E]`.
    head: (hidden `[B*K, E]`, dispersion) -> likelihood or `Eta` `[B*K]`.
    width: E.
    families: F of a joint task, whose family a linear read-out tells; 1 where there is nothing to
      tell.
    classes: C of a categorical target, 0 where there is none.
    tokens: 'interleaved', x_0 y_0 x_1 y_1 ..., predictions being read at the x tokens (Garg et al.
      2022); 'interleaved_plain', the same as `[0, x]` and `[y, 0, ..., 0]`, read by one linear
      layer; or 'pairs', one token per query which also carries the pair before it: half the tokens,
      and no layer spent on joining x to its y.
    token_bias: whether the one layer of 'interleaved_plain' has a bias; the others have.
    init_scale: standard deviation of the embeddings' kernels at the start, as in GPT-2.
  """

  sequence: nn.Module
  head: nn.Module
  width: int
  families: int = 1
  classes: int = 0
  tokens: str = 'pairs'
  token_bias: bool = False
  init_scale: float = 0.02
  precision: str | None = None

  @nn.compact
  def __call__(self, x: Array, y: Array, dispersion: Dispersion) -> Outputs:
    batch, pairs, _ = x.shape
    hidden = self.sequence(self._tokens(x, y))
    hidden = hidden[:, :: TOKENS[self.tokens]].reshape(batch * pairs, self.width)
    predicted, logits = self.head(hidden, dispersion), None
    if self.families > 1:
      logits = nn.Dense(self.families, name=READ_OUT)(jax.lax.stop_gradient(hidden))
    outputs = Outputs(predicted, logits)
    return jax.tree.map(lambda leaf: leaf.reshape(batch, pairs, *leaf.shape[1:]), outputs)

  def _tokens(self, x: Array, y: Array) -> Array:
    """The tokens of episodes, `[B, T, E]`."""
    batch, pairs, dims = x.shape
    normal = nn.initializers.normal(self.init_scale)

    def embed(name: str, values: Array, use_bias: bool = True) -> Array:
      layer = nn.Dense(
        self.width, use_bias=use_bias, kernel_init=normal, precision=self.precision, name=name
      )
      return layer(values)

    inputs, targets = x.reshape(-1, dims), encode_target(y.reshape(-1), self.classes)
    if self.tokens == 'interleaved_plain':
      queries = jnp.pad(inputs, ((0, 0), (1, 0)))
      answers = jnp.pad(y.reshape(-1, 1), ((0, 0), (0, dims)))
      plain = jnp.stack([queries, answers], axis=1).reshape(-1, dims + 1)
      tokens = embed('token', plain, self.token_bias)
    elif self.tokens == 'interleaved':
      tokens = jnp.stack([embed('input', inputs), embed('target', targets)], axis=1)
    else:
      pair = jnp.concatenate([inputs, targets, jnp.ones_like(targets[:, :1])], axis=-1)
      pair = pair.reshape(batch, pairs, -1)
      before = jnp.pad(pair, ((0, 0), (1, 0), (0, 0)))[:, :-1].reshape(batch * pairs, -1)
      tokens = embed('query', inputs) + embed('pair', before)
    return tokens.reshape(batch, -1, self.width)


class ModelPredictor(Predictor, struct.PyTreeNode):
  """A model with its parameters.

  Attributes:
    dispersion: that of the task that it was trained on.
  """

  params: Any
  dispersion: Dispersion
  model: InContextModel = struct.field(pytree_node=False)

  def along(self, episodes: Episode) -> Likelihood | Eta:
    return self.outputs(episodes)[0]

  def outputs(self, episodes: Episode) -> tuple[Likelihood | Eta, Array | None]:
    """What the model predicts `[B, K]`; its read-out's log-probabilities `[B, K, F]`, or None."""
    outputs = self.model.apply({'params': self.params}, episodes.x, episodes.y, self.dispersion)
    predicted, logits = cast(Outputs, outputs)
    return predicted, None if logits is None else jax.nn.log_softmax(logits)

  def activations(self, x: Array, y: Array) -> dict[str, Array]:
    """What every module gives, and what it keeps to be looked at, by path.

    Args:
      x, y: episodes `[B, K, D]`, `[B, K]`. Tokens that are flat in the model come as `[B, T, E]`.
    """
    _, kept = self.model.apply(
      {'params': self.params},
      x,
      y,
      self.dispersion,
      capture_intermediates=True,
      mutable=['intermediates'],
    )
    return named_activations(cast(Any, kept)['intermediates'], len(x))

  def training_metrics(self, scores: Array, episodes: Episode) -> dict[str, Array]:
    """`error` `[]` where the noise is known.

    It is (mean - y)^2 / D against the noisy targets: the weighted mean over positions, then the
    mean over episodes. It follows from the loss, which is that over 2 noise^2 and a constant.
    """
    if not isinstance(self.model.head, KnownNoiseHead):
      return {}
    noise, dims = self.dispersion.noise, episodes.x.shape[-1]
    least = jnp.log(noise) + 0.5 * jnp.log(2 * jnp.pi)  # nats of a mean that is right
    return {'error': 2 * noise**2 / dims * (losses.nats(scores, episodes).mean() - least)}

  def training_scores(self, episodes: Episode, axis: str | None) -> tuple[Array, Array, None]:
    """As `Predictor.training_scores`; the side loss is the read-out's.

    It is the nats of an episode's family, a weighted mean over positions.
    """
    predicted, log_families = self.outputs(episodes)
    if log_families is None:
      return score(predicted, episodes), jnp.float32(0), None
    log_true = jnp.take_along_axis(log_families, episodes.task.family[:, None, None], axis=-1)
    side_loss = -(log_true[..., 0] * episodes.weight).sum() / episodes.weight.sum()
    return score(predicted, episodes), side_loss, None
