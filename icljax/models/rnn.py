"""Recurrent sequence models, `[B, T, E] -> [B, T, E]`: what a transformer is compared with."""

from typing import cast

import flax.linen as nn
import jax
from jax import Array

from icljax.models.transformer import dtype_of


class Recurrent(nn.Module):
  """`layers` recurrent layers of the input's width, one on top of the other, each from a state of
  zeros.
  """

  layers: int
  heads: int  # they have none
  length: int  # and read sequences of any length
  precision: str | None = None

  def cell(self, width: int, name: str) -> nn.RNNCellBase:
    raise NotImplementedError

  @nn.compact
  def __call__(self, tokens: Array) -> Array:
    for layer in range(self.layers):
      over_time = nn.RNN(self.cell(tokens.shape[-1], f'block_{layer}'), name=f'over_time_{layer}')
      with jax.default_matmul_precision(self.precision):
        tokens = cast(Array, over_time(tokens)).astype(tokens.dtype)
    return tokens


class LSTM(Recurrent):
  """Hochreiter & Schmidhuber 1997."""

  def cell(self, width: int, name: str) -> nn.RNNCellBase:
    return nn.OptimizedLSTMCell(width, dtype=dtype_of(self.precision), name=name)


class RNN(Recurrent):
  """Elman 1990: h_t = tanh(W x_t + U h_{t-1} + b)."""

  def cell(self, width: int, name: str) -> nn.RNNCellBase:
    return nn.SimpleCell(width, dtype=dtype_of(self.precision), name=name)
