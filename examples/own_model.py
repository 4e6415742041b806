r"""A user-defined sequence model: gated linear recurrences (a minimal GRU, Feng et al. 2024) in
place of attention.

    python run.py --config=configs/glm.py:linear --config.model.sequence=examples.own_model:MinGRU \
      --config.checkpoint_dir=runs/linear_mingru

It maps `[B, T, E] -> [B, T, E]`, causally; it is made with the config's layers and heads, the most
tokens of a sequence, and the precision of matrix products.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array


class MinGRU(nn.Module):
  """h_t = (1 - z_t) h_{t-1} + z_t c_t with gate z and candidate c of the token alone, so that all t
  are found at once.
  """

  layers: int
  heads: int  # it has none
  length: int  # it reads sequences of any length
  precision: str | None = None

  @nn.compact
  def __call__(self, tokens: Array) -> Array:
    batch, length, width = tokens.shape
    x = tokens.reshape(batch * length, width)
    for layer in range(self.layers):
      dense = lambda features, name: nn.Dense(
        features, precision=self.precision, name=f'block_{layer}_{name}'
      )
      read = nn.LayerNorm(name=f'norm_{layer}')(x)
      gate, candidate = jnp.split(
        dense(2 * width, 'gate_and_candidate')(read).reshape(batch, length, -1), 2, axis=-1
      )
      gate = nn.sigmoid(gate)
      join = lambda before, after: (before[0] * after[0], before[1] * after[0] + after[1])
      _, h = jax.lax.associative_scan(join, (1 - gate, gate * candidate), axis=1)
      x = x + dense(width, 'out')(nn.gelu(h.reshape(batch * length, width)))
      x = x + dense(width, 'mlp_out')(
        nn.gelu(dense(4 * width, 'mlp_in')(nn.LayerNorm(name=f'norm_mlp_{layer}')(x)))
      )
    return nn.LayerNorm(name='norm')(x).reshape(batch, length, width)
