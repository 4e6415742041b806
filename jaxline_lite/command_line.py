"""From a command line to a config, or to one line that says what is wrong. Imports no JAX."""

import re
from collections.abc import Sequence

from absl import flags
from ml_collections import ConfigDict, config_flags

from jaxline_lite.base_config import nearest
from jaxline_lite.config_files import load_config
from jaxline_lite.errors import BadInput
from jaxline_lite.run_folder import flat

FLAGS = flags.FLAGS
NAMES = {
  bool: 'true or false',
  int: 'a whole number',
  float: 'a number',
  str: 'text',
  tuple: "a tuple such as \"('a','b')\"",
}

config_flags.DEFINE_config_file(
  'config', None, 'FILE[:WORDS]: a config file, a preset and a size of it.'
)
flags.DEFINE_string(
  'jaxline_mode', 'train', 'What to do: train, train_eval, eval, or one eval mode by name.'
)
flags.DEFINE_bool('jaxline_post_mortem', False, 'Open the debugger where an exception was raised.')
flags.DEFINE_bool('jaxline_disable_pmap_jit', False, 'Run operation by operation, for debugging.')


def _config_file(argv: Sequence[str]) -> str:
  """The value of --config, or BadInput."""
  given = []
  for i, argument in enumerate(argv):
    name, equals, value = argument.partition('=')
    if name in ('--config', '-config'):
      given.append(value if equals else ''.join(argv[i + 1 : i + 2]))
  if len(given) > 1:
    raise BadInput(f'--config is given {len(given)} times, {" and ".join(given)}; give it once')
  if given and given[0] and not given[0].startswith('-'):
    return given[0]
  raise BadInput('--config is missing; give a config file, such as --config=configs/glm.py')


def _check_override(argument: str, value: str | None, config: ConfigDict) -> None:
  """Refuses an override of a field that is not there, or with a value of another kind."""
  negated = re.match(r'--?noconfig\.', argument) is not None
  path = re.sub(r'^--?(no)?config\.', '', argument)
  fields = flat(config.to_dict())
  if path not in fields:
    inside = [name for name in fields if name.startswith(path + '.')]
    if inside:
      raise BadInput(f'--config.{path} is a group of fields; set one of them: {", ".join(inside)}')
    raise BadInput(f'--config.{path}: there is no such field{nearest(path, fields)}')
  *parents, name = path.split('.')
  holder = config
  for parent in parents:
    holder = holder[parent]
  kind = holder.get_type(name)
  if negated and kind is not bool:
    raise BadInput(
      f'--noconfig.{path}: the field is {NAMES.get(kind, kind.__name__)}; only true or false can '
      'be negated'
    )
  parse = {int: int, float: float, tuple: _parse_tuple, bool: _parse_bool}.get(kind)
  try:
    if parse and value is not None:
      parse(value)
  except ValueError as error:
    raise BadInput(f'--config.{path} is {value!r}; allowed is {NAMES[kind]}') from error


def _parse_tuple(text: str) -> None:
  if not re.fullmatch(r'\s*\(.*\)\s*', text):
    raise ValueError(text)


def _parse_bool(text: str) -> None:
  if text.lower() not in ('true', 'false', '1', '0', 't', 'f'):
    raise ValueError(text)


def parse(argv: Sequence[str]) -> tuple[ConfigDict, str, dict[str, object]]:
  """The config with its overrides, the mode, and the overrides by field.

  Raises:
    BadInput: with one line that names the argument, what was given and what is allowed.
  """
  config = load_config(_config_file(argv))
  for i, argument in enumerate(argv[1:], start=1):
    if re.match(r'--?(no)?config\.', argument):
      name, equals, value = argument.partition('=')
      following = argv[i + 1] if i + 1 < len(argv) and not argv[i + 1].startswith('--') else None
      _check_override(name, value if equals else following, config)
  try:
    rest = FLAGS(list(argv))
  # A plain ValueError: '--noconfig.final_eval=1 does not take an argument'.
  except (flags.Error, ValueError) as error:
    raise BadInput(' '.join(str(error).split())) from error
  if len(rest) > 1:
    raise BadInput(
      f'{rest[1]!r} belongs to no flag; flags look like --config.training.batch_size=128'
    )
  return FLAGS.config, FLAGS.jaxline_mode, dict(config_flags.get_override_values(FLAGS['config']))
