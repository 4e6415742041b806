"""What a model computes on its way, by name."""

from typing import Any, cast

from flax import traverse_util
from jax import Array


def named_activations(intermediates: Any, batch: int) -> dict[str, Array]:
  """What flax kept of a pass over a batch, by path.

  Args:
    intermediates: the collection of that name.
    batch: B, with which tokens that are flat in the model, `[B*T, E]`, become `[B, T, E]`.
  """
  activations = {}
  for path, calls in traverse_util.flatten_dict(intermediates).items():
    name, value = '/'.join(part for part in path if part != '__call__'), cast(Any, calls)[0]
    if name and isinstance(value, Array):  # models and heads may give distributions
      is_flat = value.ndim == 2
      activations[name] = value.reshape(batch, -1, value.shape[-1]) if is_flat else value
  return activations
