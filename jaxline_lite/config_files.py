"""From FILE[:WORDS] to a config, and from flat defaults and differences. Imports no JAX."""

import copy
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxline_lite.base_config import SIZES, get_base_config, nearest, read_words, run_folder
from jaxline_lite.errors import BadInput

Fields = Mapping[str, Any]  # values by dotted name


def load_config(argument: str) -> ConfigDict:
  """The config of FILE[:WORDS].

  Raises:
    BadInput: if there is no such file, or it cannot be run.
  """
  file, _, words = argument.partition(':')
  path = Path(file)
  if not path.is_file():
    if path.is_dir() or Path(argument).is_file():
      reason = 'is a folder' if path.is_dir() else 'has a colon in its name, which begins its words'
      raise BadInput(f'--config: {argument!r} {reason}; give a config file such as configs/glm.py')
    known = (
      [str(other) for other in sorted(path.parent.glob('*.py'))] if path.parent.is_dir() else []
    )
    raise BadInput(f'--config: there is no file {file!r}{nearest(file, known)}')
  spec = importlib.util.spec_from_file_location(path.stem, path)
  if spec is None or spec.loader is None:
    raise BadInput(f'--config: {file!r} is no Python file')
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
    config = module.get_config(words) if words else module.get_config()
  except BadInput:
    raise
  except (Exception, SystemExit) as error:
    where = f', line {error.lineno}' if isinstance(error, SyntaxError) else ''
    raise BadInput(
      f'--config: {file}{where} cannot be used: {type(error).__name__}: {error}'
    ) from error
  if not isinstance(config, ConfigDict):
    raise BadInput(
      f'--config: get_config() of {file} gives a {type(config).__name__}; it has to give an '
      'ml_collections.ConfigDict'
    )
  return config


def make_config(
  words: str,
  *,
  file: str,
  default: str,
  defaults: Fields,
  presets: Mapping[str, Fields],
  paper: Fields,
  paper_presets: Mapping[str, Fields],
) -> ConfigDict:
  """A config from flat defaults and the differences that words name.

  Args:
    words: what follows FILE: on the command line, at most one preset and one size.
    file: the name of the config file, after which run folders are called.
    default: the preset where none is named.
    defaults: every field that the loop does not have, and what it is to have otherwise.
    presets: what each preset sets otherwise.
    paper: what the published size sets otherwise, before the preset does.
    paper_presets: what it sets otherwise for some presets, last of all.

  Raises:
    BadInput: for a word that is neither a preset nor a size, or two of one kind.
  """
  preset, size = read_words(words, presets, default)
  config = get_base_config()
  for field, value in defaults.items():
    *groups, name = field.split('.')
    holder = config
    for group in groups:
      if group not in holder:
        holder[group] = ConfigDict()
      holder = holder[group]
    holder[name] = copy.copy(value)  # placeholders are objects, which configs may not share
  is_paper = size != SIZES[0]
  if is_paper:
    config.update_from_flattened_dict(paper)
  config.update_from_flattened_dict(presets[preset])
  if is_paper:
    config.update_from_flattened_dict(paper_presets.get(preset, {}))
  config.checkpoint_dir = run_folder(file, preset, default, size)
  return config
