"""Things of one's own, which a config names as 'module:name': a family, a task, a sequence model, a
metric.

Imports no JAX. A module is found as any other, so that it may lie beside `run.py` or be installed.
"""

import importlib
import importlib.util
from typing import Any


def is_own(name: str) -> bool:
  """Whether a name says where to import from."""
  return ':' in name


def short(name: str) -> str:
  """What a thing is called in tables, modes and folders: the part behind the colon."""
  return name.rpartition(':')[2]


def check(field: str, name: str) -> None:
  """Raises ValueError if `name` is not 'module:name' with a module that can be found. Imports at
  most its packages.
  """
  module, _, attribute = name.partition(':')
  if not (module and attribute.isidentifier()):
    raise ValueError(
      f"{field} is {name!r}; allowed is 'module:name', such as 'examples.own_metric:squared_error'"
    )
  try:
    found = importlib.util.find_spec(module)
  except ModuleNotFoundError:
    found = None
  except Exception as error:  # whatever the packages that it lies in do when they are imported
    raise ValueError(
      f'{field} is {name!r}; {module!r} cannot be looked for: {type(error).__name__}: {error}'
    ) from error
  if found is None:
    raise ValueError(
      f'{field} is {name!r}; there is no module {module!r} beside run.py or installed'
    )


def find(field: str, name: str) -> Any:
  """The thing itself.

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
