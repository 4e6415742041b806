"""A GPT-2 style transformer, `[B, T, E] -> [B, T, E]`.

Tokens stay flat, `[B*T, E]`, from layer to layer and are unfolded only around attention: the
gradient of a dense layer on `[B, T, E]` takes XLA's CPU backend three times as long. Heads stand
before time and the mask is added for the same reason. At precision 'bfloat16' matrix products are;
the stream, norms and softmax stay float32, as do the parameters.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

MASKED = -1e9  # added to the logits of tokens that may not be seen: exp of it is 0 in float32
ROTARY_BASE = 1e4  # Su et al. 2021
SINUSOIDAL_BASE = 30.0  # the code of Chan et al. 2022, for sequences of tens of tokens
POSITIONS = ('learned', 'sinusoidal', 'rotary')
NORMS = ('pre', 'post')
GELUS = ('tanh', 'erf')
FAN_IN = nn.initializers.variance_scaling(1.0, 'fan_in', 'truncated_normal')


def _gpt2_init(layers: int) -> tuple[Any, Any]:
  """N(0, .02^2), and less where the stream is written (Radford et al. 2019, section 2.3)."""
  return nn.initializers.normal(0.02), nn.initializers.normal(0.02 / (2 * layers) ** 0.5)


def _fan_in_init(layers: int) -> tuple[Any, Any]:
  """Truncated normals of variance 1 / inputs."""
  del layers
  return FAN_IN, FAN_IN


# How kernels start: (layers) -> (those that read the stream, those that write to it).
INITS: dict[str, Callable[[int], tuple[Any, Any]]] = {'gpt2': _gpt2_init, 'fan_in': _fan_in_init}


def dtype_of(precision: str | None) -> Any:
  """What matrix products are computed in, where it is not the type of what is multiplied."""
  return jnp.bfloat16 if precision == 'bfloat16' else None


def rotated(x: Array) -> Array:
  """Queries or keys `[..., T, E]` with each pair (i, i + E/2) turned by its position's angle (Su et
  al. 2021, eq. 34).
  """
  half = x.shape[-1] // 2
  angles = jnp.arange(x.shape[-2])[:, None] * ROTARY_BASE ** (-jnp.arange(half) / half)[None]
  cos, sin = (jnp.expand_dims(turn(angles), range(x.ndim - 2)) for turn in (jnp.cos, jnp.sin))
  first, second = x[..., :half], x[..., half:]
  return jnp.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)


def sinusoids(length: int, width: int) -> Array:
  """`[length, width]`: sines, then cosines, of positions at frequencies 30^(-2i/width) (as in the
  code of Chan et al. 2022).
  """
  angles = jnp.arange(length)[:, None] * SINUSOIDAL_BASE ** (-jnp.arange(0, width, 2) / width)[None]
  return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=1)[:, :width]


class Attention(nn.Module):
  """Causal self-attention over flat tokens `[B*T, E]`. Its `weights` `[B, H, T, T]` can be looked
  at.
  """

  heads: int
  tokens: int
  kernel_init: Any
  rotary: bool = False
  precision: str | None = None

  @nn.compact
  def __call__(self, x: Array) -> Array:
    width = x.shape[-1]
    dtype = dtype_of(self.precision)
    qkv = nn.Dense(
      3 * width, kernel_init=self.kernel_init, dtype=dtype, precision=self.precision, name='qkv'
    )(x)
    qkv = qkv.reshape(-1, self.tokens, 3, self.heads, width // self.heads)
    q, k, v = jnp.moveaxis(qkv, (2, 3), (0, 2))  # three of [B, H, T, E/H]
    if self.rotary:
      q, k = rotated(q), rotated(k)
    later = jnp.triu(jnp.full((self.tokens, self.tokens), MASKED, x.dtype), k=1)
    logits = jnp.matmul(q * q.shape[-1] ** -0.5, k.swapaxes(-1, -2), precision=self.precision)
    weights = jax.nn.softmax(logits.astype(x.dtype) + later[None, None])
    self.sow('intermediates', 'weights', weights)
    mixed = jnp.matmul(weights.astype(v.dtype), v, precision=self.precision)
    return jnp.moveaxis(mixed, 1, 2).reshape(x.shape)


class Block(nn.Module):
  """Attention and, with `mlp`, an MLP, each added to the stream `[B*T, E]`.

  Attributes:
    inits: of kernels that read the stream, and of those that write to it.
    norm: where layer norms stand. 'pre': x + f(norm(x)), and the stream itself is never normed
      (Radford et al. 2019). 'post': norm(x + f(x)) (Vaswani et al. 2017).
    mlp_width: of the MLP's hidden layer; 0 for 4 E.
    gelu: 'tanh', the approximation of GPT-2, or 'erf', x times the normal distribution's cdf.
  """

  heads: int
  tokens: int
  inits: tuple[Any, Any]
  rotary: bool = False
  mlp: bool = True
  precision: str | None = None
  norm: str = 'pre'
  mlp_width: int = 0
  gelu: str = 'tanh'

  @nn.compact
  def __call__(self, x: Array) -> Array:
    width, (reads, writes) = x.shape[-1], self.inits
    dense = lambda features, init, name: nn.Dense(
      features,
      kernel_init=init,
      dtype=dtype_of(self.precision),
      precision=self.precision,
      name=name,
    )

    def attend(x: Array) -> Array:
      attended = Attention(
        self.heads, self.tokens, reads, self.rotary, self.precision, name='attention'
      )(x)
      return dense(width, writes, 'attention_out')(attended)

    def transform(x: Array) -> Array:
      hidden = dense(self.mlp_width or 4 * width, reads, 'mlp_in')(x)
      return dense(width, writes, 'mlp_out')(nn.gelu(hidden, approximate=self.gelu == 'tanh'))

    branches = {'norm_attention': attend} | ({'norm_mlp': transform} if self.mlp else {})
    for name, branch in branches.items():
      norm = nn.LayerNorm(epsilon=1e-5, name=name)
      x = x + branch(norm(x)) if self.norm == 'pre' else norm(x + branch(x))
    return x


class Transformer(nn.Module):
  """`layers` blocks, causal, for up to `length` tokens.

  A final layer norm follows blocks that are normed before; those that are normed after their sums
  end with one (as PyTorch's `TransformerEncoder` of layers with `norm_first=False`).

  Attributes:
    positions: 'learned', N(0, .02^2); 'sinusoidal'; or 'rotary', which turns queries and keys.
    mlp: whether blocks have one; without, it is attention only.
    start: 'gpt2', N(0, .02^2) and smaller by sqrt(2 * layers) where the stream is written; or
      'fan_in', truncated normals of variance 1 / inputs.
    norm, mlp_width, gelu: of the blocks, see `Block`.
  """

  layers: int
  heads: int
  length: int
  positions: str = 'learned'
  mlp: bool = True
  start: str = 'gpt2'
  precision: str | None = None
  norm: str = 'pre'
  mlp_width: int = 0
  gelu: str = 'tanh'

  @nn.compact
  def __call__(self, tokens: Array) -> Array:
    batch, length, width = tokens.shape
    if self.positions == 'learned':
      tokens += self.param('positions', nn.initializers.normal(0.02), (self.length, width))[
        None, :length
      ]
    elif self.positions == 'sinusoidal':
      tokens += sinusoids(length, width)[None]
    x = tokens.reshape(batch * length, width)
    for layer in range(self.layers):
      block = Block(
        self.heads,
        length,
        INITS[self.start](self.layers),
        rotary=self.positions == 'rotary',
        mlp=self.mlp,
        precision=self.precision,
        norm=self.norm,
        mlp_width=self.mlp_width,
        gelu=self.gelu,
        name=f'block_{layer}',
      )
      x = block(x)
    if self.norm == 'pre':
      x = nn.LayerNorm(epsilon=1e-5, name='norm')(x)
    return x.reshape(batch, length, width)
