"""Starting a model from the parameters of another one, trained on fewer families."""

from typing import Any

import jax.numpy as jnp
from flax import traverse_util
from jax import Array

from icljax.base import READ_OUT
from icljax.parameters import named
from icljax.subjects import WarmStart

# The logit of a component that a mixture is to have, but not to use yet: beside the logits near 0
# of trained ones its weight is exp(-8) = 3e-4, and moves predictions by less than that in nats.
RARE = -8.0


def warm_start(fresh: Any, trained: Any, how: WarmStart) -> Any:
  """Parameters in the structure of `fresh`: those of `trained` where it has them.

  A family that `trained` does not know keeps its fresh layer in the head, but so little weight in
  the mixture that the model predicts what `trained` does. A read-out of other families is fresh.

  Args:
    fresh, trained: parameters as pytrees of dicts.
    how: how those of `trained` are to be understood.

  Raises:
    ValueError: if `trained` has a parameter of another shape, or one that `fresh` does not have.
  """
  ours, theirs = named(fresh), named(trained)
  if not how.same_families:
    theirs = {path: leaf for path, leaf in theirs.items() if not path.startswith(READ_OUT)}
  for path, leaf in theirs.items():
    if path not in ours or ours[path].shape != leaf.shape:
      here = f'is {list(ours[path].shape)} here' if path in ours else 'does not occur here'
      raise ValueError(
        f'its {path} {list(leaf.shape)} {here}; set the same sizes and at least its families'
      )
  merged = {
    path: jnp.asarray(theirs[path]) if path in theirs else _unused(path, leaf, how.components)
    for path, leaf in ours.items()
  }
  return traverse_util.unflatten_dict(merged, sep='/')


def _unused(path: str, leaf: Array, components: int) -> Array:
  """A fresh leaf, whose components have the logit `RARE` if it is the layer of a new family.

  The first outputs of such a layer are the logits of its components, whatever is read.
  """
  if not path.startswith('head/'):
    return leaf
  return jnp.asarray(leaf).at[..., :components].set(RARE if path.endswith('bias') else 0.0)
