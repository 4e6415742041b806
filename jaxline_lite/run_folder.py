"""A run's folder: which run it holds (`config.json`). Who writes to it: `ownership.py`."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxline_lite import files
from jaxline_lite.base_config import ABSENT_FIELDS, get_base_config
from jaxline_lite.errors import BadInput
from jaxline_lite.paths import expand
from jaxline_lite.rules import Rules

DIVERGED, SWEEP = 'diverged.json', 'sweep.json'
# What may differ between a run and its continuation: nothing that reaches a parameter.
RESUMABLE = frozenset({
  'log_train_data_interval', 'save_checkpoint_interval', 'keep_checkpoints', 'eval_interval',
  'eval_modes', 'eval_checkpoints', 'final_eval', 'one_off_evaluate', 'best_model_eval_metric',
  'best_model_eval_metric_higher_is_better', 'eval', 'compilation_cache', 'checkpoint_dir',
  'restore_path', 'sweep', 'sweep_workers',
})  # fmt: skip
NAMED = 12  # fields of another run that a line names: more of them help nobody


def plain(config: ConfigDict) -> dict[str, Any]:
  """A config as JSON would give it back: tuples are lists."""
  return files.from_json(files.to_json(config.to_dict()))


def flat(config: dict[str, Any], prefix: str = '') -> dict[str, Any]:
  """The fields of a nested config by dotted name."""
  fields = {}
  for name, value in config.items():
    fields |= flat(value, f'{prefix}{name}.') if isinstance(value, dict) else {prefix + name: value}
  return fields


def _tuples(value: Any) -> Any:
  """A value from JSON as a config has it: lists are tuples."""
  if isinstance(value, dict):
    return {name: _tuples(member) for name, member in value.items()}
  return tuple(map(_tuples, value)) if isinstance(value, list) else value


def run_of(path: Path) -> tuple[Path, str | None]:
  """The run folder that a path names, and the step if it names one checkpoint.

  Paths without a name of their own, such as '.' and '..', are named as the folders that they are;
  a number is looked at from inside `checkpoints` too.
  """
  if path.name in ('', '..'):
    path = path.resolve()
  parent = path.absolute().parent
  if parent.name == 'checkpoints' and path.name.isdecimal():
    run = path.parent.parent
    return (run if path.parent.name and run.name else parent.parent), path.name
  return path, None


def is_sweep(folder: Path) -> bool:
  """Whether a folder is that of a sweep."""
  return (folder / SWEEP).is_file()


def sweep_beside(run: Path) -> Path:
  """The folder beside a run's that a sweep of its config has."""
  named = run if run.name else run.resolve()
  return named.with_name(f'{named.name}_sweep')


def paths_of(text: str) -> list[Path]:
  """Paths separated by commas, where the name of a run may have commas too: the longest that is
  there counts as one.
  """
  parts, paths = text.strip().strip(',').split(','), []
  while parts:
    joined = {
      count: expand(','.join(parts[:count]), 'restore_path') for count in range(len(parts), 0, -1)
    }
    is_there = lambda path: is_sweep(path) or (run_of(path)[0] / 'config.json').exists()
    count = next((count for count, path in joined.items() if is_there(path)), 1)
    paths.append(joined[count])
    parts = parts[count:]
  return paths


def read_config(folder: Path, rules: Rules) -> ConfigDict:
  """The config that a run was trained with.

  Fields that it lacks, because they are newer than the run, have the values that do what was done
  then.

  Raises:
    BadInput: if there is no run in the folder.
  """
  try:
    stored = files.from_json((folder / 'config.json').read_text())
  except (FileNotFoundError, NotADirectoryError) as error:
    beside = sweep_beside(folder)
    sweep = f' (a sweep is in {beside})' if is_sweep(beside) else ''
    raise BadInput(
      f'{folder}: no run is there (no config.json); give a run folder with --config.restore_path'
      f'{sweep}, or train first'
    ) from error
  except ValueError as error:
    raise BadInput(f'{folder}/config.json cannot be read: {error}') from error
  try:
    config = ConfigDict(_tuples(stored))
    _add_absent(config, ABSENT_FIELDS)
    _add_absent(config, rules.absent_fields(config))
  except (TypeError, AttributeError) as error:  # a list, or a value where a group has to be
    raise BadInput(f'{folder}/config.json is no config of a run: {error}') from error
  return config


def read_valid_config(folder: Path, rules: Rules) -> ConfigDict:
  """What `read_config` gives, if it can be followed.

  Raises:
    BadInput: naming the file and the field, if there is no run, or somebody has changed its config.
  """
  config, file = read_config(folder, rules), folder / 'config.json'
  fields = flat(config.to_dict())
  for field, usual in flat(get_base_config().to_dict()).items():
    value = fields.get(field)
    if usual is not None and type(value) is not type(usual):
      raise BadInput(
        f'{file}: {field} is {value!r}; allowed is a value of the kind of {usual!r}: put back what '
        'was there'
      )
  followed = config.copy_and_resolve_references()
  try:
    # Of settings of evaluations it is of no interest here by which mode they are read.
    followed.eval_modes = rules.eval_modes(config)
    rules.check(followed)
  except ValueError as error:
    raise BadInput(f'{file}: {error}') from error
  except (KeyError, AttributeError) as error:
    raise BadInput(f'{file} is of another version, of other fields: {error}') from error
  return config


def _add_absent(config: ConfigDict, values: Mapping[str, Any]) -> None:
  """Gives a config the fields, by dotted name, that it lacks."""
  present = flat(config.to_dict())
  for field in [field for field in values if field not in present]:
    *groups, name = field.split('.')
    holder = config
    for group in groups:
      if group not in holder:
        holder[group] = ConfigDict()
      holder = holder[group]
    holder[name] = values[field]


def inherit_auto_fields(folder: Path, config: ConfigDict, rules: Rules) -> None:
  """Gives fields the values that were chosen for them when the run in the folder began.

  Those are fields that are 'auto', and the checkpoint of the run that `init_from` names. Without
  a run in the folder nothing changes.
  """
  if (folder / 'config.json').exists():
    before, now = flat(plain(read_config(folder, rules))), flat(plain(config))
    config.update_from_flattened_dict(
      {name: before.get(name, value) for name, value in now.items() if value == 'auto'}
    )
    source = before.get('init_from')
    if source and config.init_from:
      (run, step), (given, named) = map(
        run_of, (Path(source), expand(config.init_from, 'init_from'))
      )
      if run.resolve() == given.resolve() and named in (None, step):
        config.init_from = source


def _fixed(fields: Mapping[str, Any], config: ConfigDict, rules: Rules) -> dict[str, Any]:
  """Those of some fields that may not change when the run of a config is continued."""
  free = RESUMABLE | rules.resumable(config)
  return {name: value for name, value in fields.items() if not {name, name.split('.')[0]} & free}


def fixed_fields(config: ConfigDict, rules: Rules) -> dict[str, Any]:
  """What makes a run this one and no other: the fields that may not change, by dotted name."""
  return _fixed(flat(plain(config)), config, rules)


def differing_fields(configs: Iterable[ConfigDict]) -> list[str]:
  """The names of fields in which runs differ, but for those that a continuation may change."""
  all_fields = [flat(config.to_dict()) for config in configs]
  return [
    name
    for name in sorted(set().union(*all_fields))
    if not {name, name.split('.')[0]} & RESUMABLE
    and len({str(fields.get(name)) for fields in all_fields}) > 1
  ]


def changed_fields(recorded: Mapping[str, Any], config: ConfigDict, rules: Rules) -> str:
  """The fields in which a checkpoint, with these `fixed_fields`, is not of the run of a config.

  Fields that only one of them has are newer, or were given up, and those that are 'auto' were not
  decided: they are passed over. A checkpoint of an earlier version, without any, is of every run.

  Returns:
    The names and values; '' where there are none.
  """
  if not recorded:
    return ''
  absent = ABSENT_FIELDS | dict(rules.absent_fields(config))
  before = _fixed(files.from_json(files.to_json(absent)) | recorded, config, rules)
  now = fixed_fields(config, rules)
  differing = [
    name
    for name in sorted(before.keys() & now.keys())
    if before[name] != now[name] and 'auto' not in (before[name], now[name])
  ]
  return _changes(differing, before, now)


def _changes(names: list[str], before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
  """The values of some fields before and now, as text, of `NAMED` at most."""
  changes = [f'{name} ({before.get(name)!r} there, {now.get(name)!r} here)' for name in names]
  others = f' and {len(names) - NAMED} more' if len(names) > NAMED else ''
  return ', '.join(changes[:NAMED]) + others


def refuse_another(folder: Path, config: ConfigDict, rules: Rules) -> None:
  """Checks that the folder is this config's or nobody's.

  A field that is 'auto' in config.json was not decided when the run began, and may be anything.

  Raises:
    BadInput: if another run is there, naming the fields that differ.
  """
  if not (folder / 'config.json').exists():
    return
  before, now = flat(plain(read_config(folder, rules))), fixed_fields(config, rules)
  fixed = _fixed(before, config, rules)
  both_first = lambda name: (name not in fixed or name not in now, name)
  differing = [
    name
    for name in sorted(fixed.keys() | now.keys(), key=both_first)
    if fixed.get(name) not in (now.get(name), 'auto')
  ]
  if changes := _changes(differing, before, now):
    raise BadInput(
      f'{folder}: another run is there, which differs in {changes}; choose another folder with '
      '--config.checkpoint_dir'
    )


def record_config(folder: Path, config: ConfigDict, rules: Rules) -> None:
  """Writes config.json, unless the folder is another run's.

  The group `eval` of an earlier config.json stays: results are named after it.

  Raises:
    BadInput: if another run is there, naming the fields that differ.
  """
  refuse_another(folder, config, rules)
  recorded = plain(config)
  if (folder / 'config.json').exists():
    recorded['eval'] = plain(read_config(folder, rules))['eval']
  files.replace(folder / 'config.json', files.to_json(recorded, indent=1) + '\n')


def record_divergence(folder: Path, step: int, loss: float, checkpoint: Path | None) -> str:
  """Leaves `diverged.json`, until the training goes on; what it says, in a sentence.

  Args:
    step: at which the run diverged.
    loss: that of the step; not finite where it was the first sign.
    checkpoint: the last one, which is good; None where there is none yet.
  """
  how = f'loss {loss}' + (', but the state is not finite' if math.isfinite(loss) else '')
  good = f'the last good checkpoint is {checkpoint}' if checkpoint else 'there is no checkpoint yet'
  message = f'diverged at step {step}: {how}; {good}'
  record = {
    'step': step,
    'loss': loss,
    'last_checkpoint': checkpoint and checkpoint.name,
    'message': message,
  }
  files.replace(folder / DIVERGED, files.to_json(record, indent=1) + '\n')
  return message


def read_divergence(folder: Path) -> dict[str, Any] | None:
  """The record of the divergence with which a run ended, if it did."""
  try:
    return files.from_json((folder / DIVERGED).read_text())
  except FileNotFoundError:
    return None


def forget_divergence(folder: Path) -> None:
  """Deletes the record, because training goes on."""
  (folder / DIVERGED).unlink(missing_ok=True)
