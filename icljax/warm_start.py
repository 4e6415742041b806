"""Starting a model from the parameters of another one, trained on fewer families."""

from typing import Any

import jax.numpy as jnp
from flax import traverse_util
from jax import Array

from icljax.parameters import named

RARE = -8.0  # logit of a component that a mixture is to have, but not to use yet


def warm_start(fresh: Any, trained: Any, components: int) -> Any:
  """Parameters in the structure of `fresh`: those of `trained` where it has them.

  A family that `trained` does not know keeps its fresh layer in the head, but so little weight in the mixture that the model
  predicts what `trained` does. A read-out that `trained` does not have is fresh.

  Args:
    components: of the mixture, for each family.

  Raises:
    ValueError: if `trained` has a parameter of another shape, or one that `fresh` does not have.
  """
  ours, theirs = named(fresh), named(trained)
  for path, leaf in theirs.items():
    if path not in ours or ours[path].shape != leaf.shape:
      here = list(ours[path].shape) if path in ours else 'absent'
      raise ValueError(f'its {path} is {list(leaf.shape)}, this model has {here}; set the same sizes of task and model')
  merged = {path: jnp.asarray(theirs[path]) if path in theirs else _unused(path, leaf, components) for path, leaf in ours.items()}
  return traverse_util.unflatten_dict(merged, sep='/')


def _unused(path: str, leaf: Array, components: int) -> Array:
  """A fresh leaf; in the layer of a new family, whose first outputs are its logits, these are `RARE` whatever is read."""
  if not path.startswith('head/'):
    return leaf
  return jnp.asarray(leaf).at[..., :components].set(RARE if path.endswith('bias') else 0.0)
