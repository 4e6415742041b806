"""Starting a model from the parameters of another one, trained on fewer families."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import traverse_util
from jax import Array

from icljax.parameters import named
from icljax.subjects import WarmStart

# The logit of a component that a mixture is to have, but not to use yet: beside the logits near 0
# of trained ones its weight is exp(-8) = 3e-4, and moves predictions by less than that in nats.
RARE = -8.0


class WarmParameters(NamedTuple):
  """The parameters that a run starts from.

  Attributes:
    params: a pytree of dicts.
    fresh: the parts of the model whose parameters are not the source's, such as 'read_out'.
  """

  params: Any
  fresh: tuple[str, ...]


def warm_start(fresh: Any, trained: Any, how: WarmStart) -> WarmParameters:
  """Parameters in the structure of `fresh`: those of `trained`, but for the parts `how.fresh`.

  A family that `trained` does not know keeps its fresh layer in the head, but so little weight in
  the mixture that the model predicts what `trained` does.

  Args:
    fresh, trained: parameters as pytrees of dicts.
    how: how those of `trained` are to be understood.

  Raises:
    ValueError: if one has a parameter that the other lacks or has in another shape.
  """
  ours = named(fresh)
  theirs = {path: leaf for path, leaf in named(trained).items() if not _part(path, how)}
  for path in sorted(ours.keys() | theirs.keys()):
    here, source = (f'{list(of[path].shape)}' if path in of else '' for of in (ours, theirs))
    if not source and not _part(path, how):
      raise ValueError(f'it has no {path}, which is {here} here; set the same sizes')
    if source and here != source:
      compared = f'is {here} here' if here else 'does not occur here'
      raise ValueError(f'its {path} {source} {compared}; set the same sizes')
  merged = {
    path: jnp.asarray(theirs[path]) if path in theirs else _unused(path, leaf, how.components)
    for path, leaf in ours.items()
  }
  parts = dict.fromkeys(part for path in ours if (part := _part(path, how)))
  return WarmParameters(traverse_util.unflatten_dict(merged, sep='/'), tuple(parts))


def _part(path: str, how: WarmStart) -> str:
  """The part of `how.fresh` to which a parameter belongs, or ''."""
  return next((part for part in how.fresh if path.startswith(f'{part}/')), '')


def _unused(path: str, leaf: Array, components: int) -> Array:
  """A fresh leaf, whose components have the logit `RARE` if it is the layer of a new family.

  The first outputs of such a layer are the logits of its components, whatever is read.
  """
  if not path.startswith('head/'):
    return leaf
  return jnp.asarray(leaf).at[..., :components].set(RARE if path.endswith('bias') else 0.0)
