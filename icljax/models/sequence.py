"""The sequence model that a config names."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
from ml_collections import ConfigDict

from icljax import plugins
from icljax.models.rnn import LSTM, RNN
from icljax.models.transformer import Transformer

PRECISION = {'highest': 'highest', 'tf32': 'tensorfloat32', 'bfloat16': 'bfloat16'}
SEQUENCES: dict[str, Callable[..., nn.Module]] = {
  'transformer': Transformer,
  'lstm': LSTM,
  'rnn': RNN,
}


def settled(config: ConfigDict) -> ConfigDict:
  """The config with what this machine decides filled in: precision is exact on a CPU, TF32 on an
  accelerator.
  """
  config = config.copy_and_resolve_references()
  if config.model.precision == 'auto':
    config.model.precision = 'highest' if jax.default_backend() == 'cpu' else 'tf32'
  return config


def precision(config: ConfigDict) -> str:
  """Of matrix products, as JAX calls it."""
  return PRECISION[settled(config).model.precision]


def at_ends(config: ConfigDict) -> str:
  """Of the products that read inputs and give predictions: targets are numbers, of which 8 bits say
  too little.
  """
  return 'tensorfloat32' if precision(config) == 'bfloat16' else precision(config)


def check_same(config: ConfigDict, source: ConfigDict, *fields: str) -> None:
  """Raises ValueError if a field of the model, on which the meaning of parameters depends, differs
  from the run's they come from.
  """
  for field in fields:
    if config.model[field] != source.model[field]:
      raise ValueError(
        f'its model.{field} is {source.model[field]!r}, here it is {config.model[field]!r}; set '
        'the same'
      )


def sequence_model(config: ConfigDict, length: int, **options: Any) -> nn.Module:
  """`[B, T, E] -> [B, T, E]` for up to `length` tokens.

  Args:
    options: of the transformer alone.

  Raises:
    ValueError: if a model of one's own cannot be made.
  """
  name = config.model.sequence
  make = plugins.find('model.sequence', name) if plugins.is_own(name) else SEQUENCES[name]
  options = options if make is Transformer else {}
  try:
    return make(
      layers=config.model.layers,
      heads=config.model.heads,
      length=length,
      precision=precision(config),
      **options,
    )
  except TypeError as error:
    raise ValueError(
      f'model.sequence is {name!r}, which cannot be made of layers, heads, length and precision: '
      f'{error}'
    ) from error
