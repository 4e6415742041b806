"""From a command line to a config, or to one line that says what is wrong. Imports no JAX."""

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from jaxline_lite.base_config import nearest
from jaxline_lite.config_files import load_config
from jaxline_lite.errors import BadInput
from jaxline_lite.paths import expand
from jaxline_lite.rules import Rules
from jaxline_lite.run_folder import flat

FLAGS = flags.FLAGS
NAMES = {
  bool: 'true or false',
  int: 'a whole number',
  float: 'a number',
  str: 'text',
  tuple: "a tuple such as \"('a','b')\"",
}
TRUTH_VALUES = ('true', 'false', '1', '0', 't', 'f')
# What fields are called elsewhere: the last part of a name, here and in other systems' configs.
ALIASES = {
  'batch_size': ('batch', 'batchsize', 'bs', 'train_batch_size'),
  'checkpoint_dir': ('dir', 'log_dir', 'logdir', 'out_dir', 'output', 'save_dir', 'workdir'),
  'clip_norm': ('clip', 'grad_clip', 'gradient_clip', 'max_grad_norm'),
  'components': ('n_components', 'num_components'),
  'heads': ('head_count', 'n_head', 'n_heads', 'num_heads'),
  'layers': ('blocks', 'depth', 'n_layer', 'n_layers', 'num_layers'),
  'learning_rate': ('lr', 'rate', 'step_size'),
  'random_seed': ('rng', 'seed'),
  'restore_path': ('checkpoint', 'ckpt', 'load', 'resume', 'restore'),
  'schedule': ('lr_schedule', 'scheduler'),
  'training_steps': (
    'epochs', 'iterations', 'iters', 'max_steps', 'n_steps', 'num_steps', 'num_train_steps',
    'steps', 'total_steps', 'train_steps',
  ),
  'warmup_steps': ('warmup', 'num_warmup_steps'),
  'weight_decay': ('decay', 'wd'),
  'width': ('d_model', 'dim', 'embed_dim', 'hidden', 'hidden_dim', 'hidden_size', 'n_embd'),
}  # fmt: skip
FIELD_OF_ALIAS = {alias: field for field, aliases in ALIASES.items() for alias in aliases}

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


def _fields_meant_by(path: str, fields: Iterable[str]) -> list[str]:
  """The fields that a wrong name may mean: those whose last part is its own last part, or is what
  that stands for in other systems.
  """
  last = path.rpartition('.')[2].replace('-', '_').casefold()
  name = FIELD_OF_ALIAS.get(last, last)
  return [field for field in fields if field.rpartition('.')[2].casefold() == name]


def _suggestion(path: str, fields: Iterable[str]) -> str:
  """' (did you mean ...?)' where a field may be meant, else where fields are listed."""
  named = ' or '.join(repr(field) for field in _fields_meant_by(path, fields))
  close = f' (did you mean {named}?)' if named else nearest(path, fields)
  return close or '; the config file and jaxline_lite/base_config.py list them'


def _check_override(
  argument: str, value: str | None, config: ConfigDict, hints: Mapping[str, str]
) -> None:
  """Refuses an override of a field that is not there, or with a value of another kind."""
  negated = re.match(r'--?noconfig\.', argument) is not None
  path = re.sub(r'^--?(no)?config\.', '', argument)
  fields = flat(config.to_dict())
  if path not in fields:
    inside = [name for name in fields if name.startswith(path + '.')]
    if inside:
      raise BadInput(f'--config.{path} is a group of fields; set one of them: {", ".join(inside)}')
    raise BadInput(f'--config.{path}: there is no such field{_suggestion(path, fields)}')
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
  if value is None and kind is not bool:
    raise BadInput(f'--config.{path} has no value; give {NAMES[kind]}, as --config.{path}=VALUE')
  _check_kind(path, kind, value, hints)


def _check_kind(path: str, kind: type, value: str | None, hints: Mapping[str, str]) -> None:
  """Refuses the value of an override that is of another kind than its field."""
  parsers: dict[type, Callable[[str], Any]] = {
    int: int,
    float: float,
    tuple: _parse_tuple,
    bool: _parse_bool,
  }
  try:
    if kind in parsers and value is not None:
      parsers[kind](value)
  except (ValueError, SyntaxError) as error:
    whole = _whole_number(value) if kind is int else None
    instead = f' such as {whole}' if whole is not None else ''
    hint = f': {hints[path]}' if path in hints else ''
    allowed = f'{NAMES[kind]}{instead}{hint}'
    raise BadInput(f'--config.{path} is {value!r}; allowed is {allowed}') from error


def _whole_number(text: str | None) -> int | None:
  """The whole number that a text such as '1e3' means, if it does mean one."""
  try:
    return int(float(text or '')) if float(text or '').is_integer() else None
  except ValueError:
    return None


def _parse_tuple(text: str) -> None:
  if not isinstance(ast.literal_eval(text.strip()), tuple):
    raise ValueError(text)


def _parse_bool(text: str) -> None:
  if text.lower() not in TRUTH_VALUES:
    raise ValueError(text)


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
  meant = [name] if name in fields else _fields_meant_by(name, fields)
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
