"""User-defined things, which a config names as 'module:name': families, tasks, models, metrics.

Imports no JAX. A module is found as any other, so that it may lie beside `run.py` or be installed.
"""

import importlib
import importlib.util
from typing import Any


def is_user_defined(name: str) -> bool:
  """Whether a name says where to import from."""
  return ':' in name


def short_name(name: str) -> str:
  """The part behind the colon, by which a thing goes in tables, modes and folders."""
  return name.rpartition(':')[2]


def check_importable(field: str, name: str) -> None:
  """Checks that a name is 'module:name' and that its module exists. Imports at most its packages.

  Args:
    field: the field of the config, for the message.

  Raises:
    ValueError: if it is not.
  """
  module, _, attribute = name.partition(':')
  if not (module and attribute.isidentifier()):
    raise ValueError(
      f"{field} is {name!r}; allowed is 'module:name', such as 'examples.own_metric:squared_error'"
    )
  try:
    spec = importlib.util.find_spec(module)
  except ModuleNotFoundError:
    spec = None
  except Exception as error:  # whatever the packages that it lies in do when they are imported
    raise ValueError(
      f'{field} is {name!r}; {module!r} cannot be looked for: {type(error).__name__}: {error}'
    ) from error
  if spec is None:
    raise ValueError(
      f'{field} is {name!r}; there is no module {module!r} beside run.py or installed'
    )


def import_object(field: str, name: str) -> Any:
  """The thing that a name stands for.

  Args:
    field: the field of the config, for the message.

  Raises:
    ValueError: if its module fails to import, or does not have it.
  """
  module, _, attribute = name.partition(':')
  try:
    return getattr(importlib.import_module(module), attribute)
  except Exception as error:
    raise ValueError(
      f'{field} is {name!r}, which cannot be imported: {type(error).__name__}: {error}'
    ) from error
