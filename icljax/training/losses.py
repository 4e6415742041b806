"""What training makes small: one number per episode."""

from jax import Array

from icljax.base import Episode


def nats(scores: Array, episodes: Episode) -> Array:
  """Weighted mean over positions of -log p(y_k | ...): `[B]` from scores `[B, K]`."""
  return -(scores * episodes.weight).sum(-1) / episodes.weight.sum(-1)
