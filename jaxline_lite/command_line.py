"""From a command line to a config, or to one line that says what is wrong. Imports no JAX."""

import re
from collections.abc import Mapping, Sequence

from absl import flags
from ml_collections import ConfigDict, config_flags

from jaxline_lite.base_config import nearest
from jaxline_lite.config_files import load_config
from jaxline_lite.errors import BadInput
from jaxline_lite.fields import KINDS, fields_meant_by, kind_of, parse_value, why_no_field
from jaxline_lite.paths import expand
from jaxline_lite.rules import Rules
from jaxline_lite.run_folder import flat

FLAGS = flags.FLAGS

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
  raise BadInput(
    '--config is missing; give a config file, such as --config=configs/glm.py (--help says more)'
  )


def _check_override(
  argument: str, value: str | None, config: ConfigDict, hints: Mapping[str, str]
) -> None:
  """Refuses an override of a field that is not there, or with a value of another kind."""
  negated = re.match(r'--?noconfig\.', argument) is not None
  path = re.sub(r'^--?(no)?config\.', '', argument)
  fields = flat(config.to_dict())
  if path not in fields:
    raise BadInput(f'--config.{path}{why_no_field(path, fields)}')
  kind = kind_of(config, path)
  if negated and kind is not bool:
    raise BadInput(
      f'--noconfig.{path}: the field is {KINDS.get(kind, kind.__name__)}; only true or false can '
      'be negated'
    )
  if value is not None:
    parse_value(f'--config.{path}', kind, value, hints.get(path, ''))
  elif kind is not bool:
    raise BadInput(f'--config.{path} has no value; give {KINDS[kind]}, as --config.{path}=VALUE')


def _check_overrides(argv: Sequence[str], config: ConfigDict, hints: Mapping[str, str]) -> None:
  """Refuses the first override that the config cannot take."""
  for i, argument in enumerate(argv[1:], start=1):
    if re.match(r'--?(no)?config\.', argument):
      name, equals, value = argument.partition('=')
      following = argv[i + 1] if i + 1 < len(argv) and not argv[i + 1].startswith('--') else None
      _check_override(name, value if equals else following, config, hints)


def _unknown_flag(name: str, argv: Sequence[str], config: ConfigDict) -> BadInput:
  """What is said of a flag that there is not: often a field without `config.`."""
  fields = flat(config.to_dict())
  (_, equals, value), *_ = (
    argument.partition('=') for argument in argv if re.match(f'--?{re.escape(name)}(=|$)', argument)
  )
  meant = [name] if name in fields else fields_meant_by(name, fields)
  if meant:
    given = value if equals else 'VALUE'
    written = ' or '.join(f'--config.{field}={given}' for field in meant)
    return BadInput(f'--{name}: there is no such flag; a field of the config is set by {written}')
  own = [flag for flag in FLAGS if flag == 'config' or flag.startswith('jaxline_')]
  ending = [flag for flag in own if flag.endswith(f'_{name}')]
  return BadInput(
    f'--{name}: there is no such flag{nearest(ending[0] if ending else name, own)}; flags are '
    f'{", ".join(f"--{flag}" for flag in sorted(own))}, and fields of the config are set as '
    '--config.FIELD=VALUE'
  )


def _expand_home(match: re.Match[str]) -> str:
  return match[1] + str(expand(match[2], '--config'))


def parse(argv: Sequence[str], rules: Rules) -> tuple[ConfigDict, str, dict[str, object]]:
  """The config with its overrides, the mode, and the overrides by field.

  Raises:
    BadInput: with one line that names the argument, what was given and what is allowed.
  """
  # Shells leave ~ alone behind an equals sign.
  argv = [re.sub(r'^(--?config=)(~[^/]*)', _expand_home, argument) for argument in argv]
  config = load_config(_config_file(argv))
  _check_overrides(argv, config, rules.hints(config))
  try:
    rest = FLAGS(list(argv))
  except flags.UnrecognizedFlagError as error:
    raise _unknown_flag(error.flagname, argv, config) from error
  # A plain ValueError: '--noconfig.final_eval=1 does not take an argument'.
  except (flags.Error, ValueError) as error:
    raise BadInput(' '.join(str(error).split())) from error
  if len(rest) > 1:
    raise BadInput(
      f'{rest[1]!r} belongs to no flag; flags look like --config.training.batch_size=128, and true '
      'or false is written behind an =, as --config.final_eval=false'
    )
  return FLAGS.config, FLAGS.jaxline_mode, dict(config_flags.get_override_values(FLAGS['config']))
