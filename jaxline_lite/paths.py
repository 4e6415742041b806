"""From what a user writes to a path: `~` and relative ones as a shell takes them, and no URLs."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxline_lite.errors import BadInput

# A scheme has two letters or more; `Path` makes one slash of two.
URL = re.compile(r'\s*[A-Za-z][A-Za-z0-9+.-]+:/')


def expand(path: str | os.PathLike[str], field: str) -> Path:
  """The path that a text means.

  Args:
    path: such as 'runs/first', '~/runs/first/' or '../first'.
    field: what it was given for, for messages.

  Raises:
    BadInput: for a URL, or a `~` without a home.
  """
  _refuse_url(str(path), field)
  try:
    return Path(str(path).strip()).expanduser()
  except RuntimeError as error:
    raise BadInput(
      f'{field} is {str(path)!r}: {" ".join(str(error).split())} give a path without ~'
    ) from error


def check_no_urls(fields: Mapping[str, Any]) -> None:
  """Raises BadInput for a field, by its name, that is a URL or a list that has one."""
  for field, value in fields.items():
    if isinstance(value, str):
      for part in value.split(','):
        _refuse_url(part, field)


def _refuse_url(text: str, field: str) -> None:
  if URL.match(text):
    raise BadInput(
      f'{field} is {text!r}: nothing is read from or written to URLs; give a folder or a file of '
      'this machine'
    )
