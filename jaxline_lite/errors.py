"""The ways in which a command ends before its time; each carries its exit status and one line for
the user.
"""

import contextlib
import re
from collections.abc import Iterator


class CommandError(Exception):
  """Ends the command with `status` and the message as one line."""

  status = 1


class BadInput(CommandError):
  """What was given cannot be used; the message says what is allowed and what to do."""

  status = 2


class Occupied(BadInput):
  """Another process has the folder."""


class Diverged(CommandError):
  """The training state is no longer finite; nothing of it was saved."""

  status = 3


class Stopped(CommandError):
  """A signal came, everything is saved, and the same command goes on."""

  status = 75


def in_one_line(error: Exception) -> str:
  """The kind of an error and what it says, without line breaks."""
  return f'{type(error).__name__}: {" ".join(str(error).split())}'


@contextlib.contextmanager
def without_flags(**arguments: str) -> Iterator[None]:
  """Lets errors name what Python code gives, where those of a command name its flags.

  `--config.training_steps` is `config.training_steps` then, and `--jaxline_mode` is `mode`.

  Args:
    arguments: by a field's name, the argument that stands for it.
  """

  def in_python(flag: re.Match[str]) -> str:
    return arguments.get(flag[1], f'config.{flag[1]}')

  try:
    yield
  except (CommandError, ValueError) as error:
    if error.args and isinstance(error.args[0], str):
      text = re.sub(r'--(?:no)?config\.([\w.]*\w)', in_python, error.args[0])
      error.args = (re.sub('--(?:jaxline_(?=mode)|(?=config:))', '', text), *error.args[1:])
    raise
