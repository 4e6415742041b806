"""What a user writes for a field of a config: its dotted name, and a value of its kind.

Imports neither JAX nor absl, so that it serves Python as well as the command.
"""

import ast
from collections.abc import Callable, Iterable
from typing import Any

from ml_collections import ConfigDict

from jaxline_lite.base_config import nearest
from jaxline_lite.errors import BadInput

KINDS = {
  bool: 'true or false',
  int: 'a whole number',
  float: 'a number',
  str: 'text',
  tuple: "a tuple such as \"('a','b')\"",
}
TRUTH_VALUES = {'true': True, 't': True, '1': True, 'false': False, 'f': False, '0': False}
# What fields are called elsewhere: the last part of a name, here and in other systems' configs.
ALIASES = {
  'batch_size': ('batch', 'batchsize', 'bs', 'train_batch_size'),
  'checkpoint_dir': ('dir', 'log_dir', 'logdir', 'out_dir', 'output', 'save_dir', 'workdir'),
  'clip_norm': ('clip', 'grad_clip', 'gradient_clip', 'max_grad_norm'),
  'components': ('n_components', 'num_components'),
  'heads': ('head_count', 'n_head', 'n_heads', 'num_heads'),
  'layers': ('blocks', 'depth', 'n_layer', 'n_layers', 'num_layers'),
  'learning_rate': ('lr', 'rate', 'step_size'),
  'random_seed': ('rng', 'seed'),
  'restore_path': ('checkpoint', 'ckpt', 'load', 'resume', 'restore'),
  'schedule': ('lr_schedule', 'scheduler'),
  'training_steps': (
    'epochs', 'iterations', 'iters', 'max_steps', 'n_steps', 'num_steps', 'num_train_steps',
    'steps', 'total_steps', 'train_steps',
  ),
  'warmup_steps': ('warmup', 'num_warmup_steps'),
  'weight_decay': ('decay', 'wd'),
  'width': ('d_model', 'dim', 'embed_dim', 'hidden', 'hidden_dim', 'hidden_size', 'n_embd'),
}  # fmt: skip
FIELD_OF_ALIAS = {alias: field for field, aliases in ALIASES.items() for alias in aliases}


def fields_meant_by(path: str, fields: Iterable[str]) -> list[str]:
  """The fields that a wrong name may mean: those whose last part is its own last part, or is what
  that stands for in other systems.
  """
  last = path.rpartition('.')[2].replace('-', '_').casefold()
  name = FIELD_OF_ALIAS.get(last, last)
  return [field for field in fields if field.rpartition('.')[2].casefold() == name]


def why_no_field(path: str, fields: Iterable[str]) -> str:
  """What is said behind a name that is no field's: which ones it may mean, or where they are."""
  inside = [name for name in fields if name.startswith(path + '.')]
  if inside:
    return f' is a group of fields; set one of them: {", ".join(inside)}'
  named = ' or '.join(repr(field) for field in fields_meant_by(path, fields))
  close = f' (did you mean {named}?)' if named else nearest(path, fields)
  listed = '; the config file and jaxline_lite/base_config.py list them'
  return f': there is no such field{close or listed}'


def kind_of(config: ConfigDict, path: str) -> type:
  """The type of a field by its dotted name, also of one that has no value yet."""
  *parents, name = path.split('.')
  for parent in parents:
    config = config[parent]
  return config.get_type(name)


def parse_value(label: str, kind: type, text: str, hint: str = '') -> Any:
  """The value of a field of some kind that a text stands for.

  Args:
    label: what the field is called in a message.
    hint: what else is said of a value of another kind.

  Raises:
    BadInput: if the text is no value of that kind.
  """
  parsers: dict[type, Callable[[str], Any]] = {
    int: int,
    float: float,
    tuple: _parse_tuple,
    bool: _parse_bool,
  }
  try:
    return parsers.get(kind, str)(text)
  except (ValueError, SyntaxError, TypeError) as error:  # the last for a set that cannot be made
    whole = _whole_number(text) if kind is int else None
    instead = f' such as {whole}' if whole is not None else ''
    more = f': {hint}' if hint else ''
    raise BadInput(f'{label} is {text!r}; allowed is {KINDS[kind]}{instead}{more}') from error


def _whole_number(text: str) -> int | None:
  """The whole number that a text such as '1e3' means, if it does mean one."""
  try:
    return int(float(text)) if float(text).is_integer() else None
  except ValueError:
    return None


def _parse_tuple(text: str) -> tuple[Any, ...]:
  value = ast.literal_eval(text.strip())
  if not isinstance(value, tuple):
    raise ValueError(text)
  return value


def _parse_bool(text: str) -> bool:
  if text.lower() not in TRUTH_VALUES:
    raise ValueError(text)
  return TRUTH_VALUES[text.lower()]
