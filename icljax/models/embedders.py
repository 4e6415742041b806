"""From the items of sequences, `[N, ...]`, to embeddings `[N, E]`; see also `resnet`. All take
(items, training, axis).
"""

import flax.linen as nn
from jax import Array


class Linear(nn.Module):
  """One linear layer over all that an item is: pixels, or features."""

  width: int
  precision: str | None = None

  @nn.compact
  def __call__(self, items: Array, training: bool = False, axis: str | None = None) -> Array:
    return nn.Dense(self.width, precision=self.precision, name='linear')(
      items.reshape(len(items), -1)
    )


class Lookup(nn.Module):
  """A vector for each of `symbols` classes; items are their numbers."""

  width: int
  symbols: int

  @nn.compact
  def __call__(self, items: Array, training: bool = False, axis: str | None = None) -> Array:
    return nn.Embed(
      self.symbols, self.width, embedding_init=nn.initializers.truncated_normal(0.02), name='table'
    )(items)
