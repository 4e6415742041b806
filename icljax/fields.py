"""Rules for single fields of a config: each raises ValueError with the field, what was given and
what is allowed.
"""

import math
import numbers
from collections.abc import Iterable, Iterator
from typing import Any

from ml_collections import ConfigDict

from icljax import plugins


def names(listed: str) -> tuple[str, ...]:
  """The members of a comma-separated field."""
  return tuple(filter(None, (name.strip() for name in listed.split(','))))


def get(config: ConfigDict, path: str) -> Any:
  """The value of a field by its dotted name."""
  value = config
  for name in path.split('.'):
    value = value[name]
  return value


def leaves(config: ConfigDict, prefix: str = '') -> Iterator[tuple[str, Any]]:
  """Every field by its dotted name, with its value."""
  for name, value in config.items():
    if isinstance(value, ConfigDict):
      yield from leaves(value, f'{prefix}{name}.')
    else:
      yield prefix + name, value


def one_of(config: ConfigDict, path: str, allowed: Iterable[str]) -> None:
  """Checks that a field is one of the names that are allowed."""
  if get(config, path) not in allowed:
    raise ValueError(f'{path} is {get(config, path)!r}; allowed are {", ".join(allowed)}')


def user_defined_or(field: str, given: str, allowed: Iterable[str]) -> None:
  """Checks that a name is one of those allowed, or a user-defined thing that can be found."""
  if isinstance(given, str) and plugins.is_user_defined(given):
    plugins.check_importable(field, given)
  elif given not in allowed:
    raise ValueError(
      f'{field} is {given!r}; allowed are {", ".join(allowed)}, and user-defined ones as '
      "'module:name'"
    )


def _is_number(value: Any, kind: type = numbers.Real) -> bool:
  """Whether a value is a number, and no truth value: a config.json can hold anything."""
  return isinstance(value, kind) and not isinstance(value, bool)


def flags(config: ConfigDict, *fields: str) -> None:
  """Checks that fields are true or false."""
  for field in fields:
    if not isinstance(get(config, field), bool):
      raise ValueError(f'{field} is {get(config, field)!r}; allowed are true and false')


def texts(config: ConfigDict, *fields: str) -> None:
  """Checks that fields are text."""
  for field in fields:
    if not isinstance(get(config, field), str):
      raise ValueError(f'{field} is {get(config, field)!r}; allowed is text')


def at_least(config: ConfigDict, least: int, *fields: str) -> None:
  """Checks that fields are whole numbers of a least size."""
  for field in fields:
    value = get(config, field)
    if not _is_number(value, numbers.Integral) or value < least:
      raise ValueError(f'{field} is {value!r}; allowed are whole numbers from {least}')


def positive(config: ConfigDict, *fields: str, infinite: bool = False) -> None:
  """Checks that fields are above 0, and finite unless `infinite`."""
  for field in fields:
    value = get(config, field)
    if not _is_number(value) or not (0 < value < math.inf or (infinite and value == math.inf)):
      raise ValueError(
        f'{field} is {value!r}; allowed are numbers above 0'
        + (', and inf for none' if infinite else '')
      )


def between(config: ConfigDict, least: float, most: float, *fields: str) -> None:
  """Checks that fields lie in an interval with its ends; `inf` itself is never allowed."""
  for field in fields:
    value = get(config, field)
    if not _is_number(value) or not (least <= value <= most and value < math.inf):
      wanted = f'numbers from {least:g}' + (f' to {most:g}' if most < math.inf else '')
      raise ValueError(f'{field} is {value!r}; allowed are {wanted}')


def check_same(config: ConfigDict, source: ConfigDict, *fields: str) -> None:
  """Checks the fields on which the meaning of parameters depends.

  Args:
    source: the config of the run that they come from.

  Raises:
    ValueError: if one differs.
  """
  for field in fields:
    there, here = get(source, field), get(config, field)
    if there != here:
      raise ValueError(f'its {field} is {there!r}, here it is {here!r}; set the same')
