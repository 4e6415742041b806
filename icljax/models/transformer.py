"""A pre-norm GPT-2 style transformer, `[B, T, E] -> [B, T, E]`.

Tokens stay flat, `[B*T, E]`, from layer to layer and are unfolded only around attention: the gradient of a dense layer on
`[B, T, E]` takes XLA's CPU backend three times as long. Heads stand before time and the mask is added for the same reason.
At precision 'bfloat16' matrix products are; the stream, norms and softmax stay float32, as do the parameters.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

MASKED = -1e9  # added to the logits of tokens that may not be seen


def dtype_of(precision: str | None) -> Any:
  """What matrix products are computed in, where it is not the type of what is multiplied."""
  return jnp.bfloat16 if precision == 'bfloat16' else None


class Attention(nn.Module):
  """Causal self-attention over flat tokens `[B*T, E]`. Its `weights` `[B, H, T, T]` can be looked at."""

  heads: int
  tokens: int
  init_scale: float
  precision: str | None = None

  @nn.compact
  def __call__(self, x: Array) -> Array:
    width = x.shape[-1]
    normal, dtype = nn.initializers.normal(self.init_scale), dtype_of(self.precision)
    qkv = nn.Dense(3 * width, kernel_init=normal, dtype=dtype, precision=self.precision, name='qkv')(x)
    qkv = qkv.reshape(-1, self.tokens, 3, self.heads, width // self.heads)
    q, k, v = jnp.moveaxis(qkv, (2, 3), (0, 2))  # three of [B, H, T, E/H]
    later = jnp.triu(jnp.full((self.tokens, self.tokens), MASKED, x.dtype), k=1)
    logits = jnp.matmul(q * q.shape[-1] ** -0.5, k.swapaxes(-1, -2), precision=self.precision)
    weights = jax.nn.softmax(logits.astype(x.dtype) + later[None, None])
    self.sow('intermediates', 'weights', weights)
    mixed = jnp.matmul(weights.astype(v.dtype), v, precision=self.precision)
    return jnp.moveaxis(mixed, 1, 2).reshape(x.shape)


class Block(nn.Module):
  """Attention and MLP, each read through a layer norm and added to the stream `[B*T, E]`."""

  heads: int
  tokens: int
  init_scale: float
  residual_scale: float
  precision: str | None = None

  @nn.compact
  def __call__(self, x: Array) -> Array:
    width = x.shape[-1]
    dense = lambda features, scale, name: nn.Dense(
      features,
      kernel_init=nn.initializers.normal(scale),
      dtype=dtype_of(self.precision),
      precision=self.precision,
      name=name,
    )
    attended = Attention(self.heads, self.tokens, self.init_scale, self.precision, name='attention')(
      nn.LayerNorm(epsilon=1e-5, name='norm_attention')(x)
    )
    x = x + dense(width, self.residual_scale, 'attention_out')(attended)
    hidden = dense(4 * width, self.init_scale, 'mlp_in')(nn.LayerNorm(epsilon=1e-5, name='norm_mlp')(x))
    return x + dense(width, self.residual_scale, 'mlp_out')(nn.gelu(hidden))


class Transformer(nn.Module):
  """`layers` blocks and a final layer norm, causal, with learned positions for up to `length` tokens.

  Kernels are N(0, init_scale^2), those that write to the stream smaller by sqrt(2 * layers), as in GPT-2.
  """

  layers: int
  heads: int
  length: int
  init_scale: float = 0.02
  precision: str | None = None

  @nn.compact
  def __call__(self, tokens: Array) -> Array:
    batch, length, width = tokens.shape
    positions = self.param('positions', nn.initializers.normal(self.init_scale), (self.length, width))
    x = (tokens + positions[None, :length]).reshape(batch * length, width)
    residual_scale = self.init_scale / (2 * self.layers) ** 0.5
    for layer in range(self.layers):
      x = Block(self.heads, length, self.init_scale, residual_scale, self.precision, name=f'block_{layer}')(x)
    return nn.LayerNorm(epsilon=1e-5, name='norm')(x).reshape(batch, length, width)
