"""Where evaluations go: into their run's folder, or elsewhere if that may only be read."""

from collections.abc import Sequence
from pathlib import Path

from jaxline_lite.errors import BadInput
from jaxline_lite.files import digest, is_writable, replace
from jaxline_lite.paths import expand

SOURCE = '.run'  # a file that says of which run a folder elsewhere has the evaluations


def output_folder(run: Path, modes: Sequence[str], output_dir: str) -> Path:
  """The folder of a run's evaluations in some modes.

  It is `<output_dir>/<name of the run>` for a run that may only be read; where that is of another
  run of the same name, there is a digest behind the name.

  Raises:
    BadInput: if evaluations cannot be written there either.
  """
  if all(is_writable(run / mode) for mode in modes):
    return run
  output = expand(output_dir, 'eval.output_dir') / run.name
  source = output / SOURCE
  if source.exists() and source.read_text() != str(run.resolve()):
    output = output.with_name(f'{run.name}_{digest(str(run.resolve()).encode())[:8]}')
  check_writable(output)
  return output


def check_writable(folder: Path) -> None:
  """Raises BadInput if files cannot be written to a folder."""
  if not is_writable(folder):
    raise BadInput(
      f'{folder}: cannot be written; choose another folder with --config.eval.output_dir'
    )


def claim(output: Path, run: Path) -> None:
  """Notes in a folder that is not the run's own of which run it has the evaluations."""
  if output != run:
    output.mkdir(parents=True, exist_ok=True)
    replace(output / SOURCE, str(run.resolve()))
