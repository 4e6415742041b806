"""Sequence models and precisions by the names that configs give them."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

from icljax import plugins
from icljax.models.rnn import LSTM, RNN
from icljax.models.transformer import Transformer

# What JAX calls the precision of matrix products.
PRECISIONS = {'highest': 'highest', 'tf32': 'tensorfloat32', 'bfloat16': 'bfloat16'}
SEQUENCES: dict[str, Callable[..., nn.Module]] = {
  'transformer': Transformer,
  'lstm': LSTM,
  'rnn': RNN,
}


def machine_precision(name: str) -> str:
  """The precision that 'auto' stands for here: exact on a CPU, TF32 on an accelerator."""
  if name != 'auto':
    return name
  return 'highest' if jax.default_backend() == 'cpu' else 'tf32'


def product_precision(name: str) -> str:
  """The precision of a model's matrix products, as JAX calls it."""
  return PRECISIONS[machine_precision(name)]


def end_precision(name: str) -> str:
  """The precision of the products that read inputs and give predictions.

  It is at least TF32: targets are numbers, of which the 8 bits of bfloat16 say too little.
  """
  precision = product_precision(name)
  return 'tensorfloat32' if precision == 'bfloat16' else precision


def make_sequence_model(
  name: str, *, layers: int, heads: int, length: int, precision: str, **options: Any
) -> nn.Module:
  """A causal model `[B, T, E] -> [B, T, E]`.

  Args:
    name: one of `SEQUENCES`, or 'module:name' of a user-defined one.
    length: the most tokens T that it has to read.
    precision: a key of `PRECISIONS`, or 'auto'.
    options: of the transformer alone.

  Raises:
    ValueError: if a user-defined model cannot be imported or made.
  """
  is_user_defined = plugins.is_user_defined(name)
  make = plugins.import_object('model.sequence', name) if is_user_defined else SEQUENCES[name]
  settings = {
    'layers': layers,
    'heads': heads,
    'length': length,
    'precision': product_precision(precision),
  }
  try:
    return make(**settings, **(options if make is Transformer else {}))
  except TypeError as error:
    raise ValueError(
      f'model.sequence is {name!r}, which cannot be made of {", ".join(settings)}: {error}'
    ) from error
