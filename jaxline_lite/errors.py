"""The ways in which a command ends before its time; each carries its exit status and one line for
the user.
"""


class CommandError(Exception):
  """Ends the command with `status` and the message as one line."""

  status = 1


class BadInput(CommandError):
  """What was given cannot be used; the message says what is allowed and what to do."""

  status = 2


class Diverged(CommandError):
  """The training state is no longer finite; nothing of it was saved."""

  status = 3


class Stopped(CommandError):
  """A signal came, everything is saved, and the same command goes on."""

  status = 75


def in_one_line(error: Exception) -> str:
  """The kind of an error and what it says, without line breaks."""
  return f'{type(error).__name__}: {" ".join(str(error).split())}'
