"""The parameters of a model by name, looked at from outside."""

import math
import re
from typing import Any, cast

from flax import traverse_util
from jax import Array


def named(params: Any) -> dict[str, Array]:
  """Every leaf by its path, such as 'sequence/block_0/mlp_in/kernel'."""
  return cast(dict[str, Array], traverse_util.flatten_dict(params, sep='/'))


def parameter_table(params: Any) -> str:
  """Name, shape and count of every parameter, those of blocks that are alike in one line, and how
  many there are.
  """
  groups: dict[tuple[str, tuple[int, ...]], int] = {}
  for name, leaf in named(params).items():
    alike = re.sub(r'block_[0-9]+', 'block_*', name), leaf.shape
    groups[alike] = groups.get(alike, 0) + 1
  rows = [
    (name, str(list(shape)), times, times * math.prod(shape))
    for (name, shape), times in groups.items()
  ]
  widest = max(len(name) for name, *_ in rows)
  lines = [
    f'{name:{widest}}  {shape:>12}  {times:>3} x  {count:>12,}'
    for name, shape, times, count in rows
  ]
  return '\n'.join([*lines, f'{sum(count for *_, count in rows):,} parameters'])
