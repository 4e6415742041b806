"""The points of a sweep: an ordinary run, in a folder of its own, for each. Imports no JAX."""

import functools
import hashlib
import itertools
import string
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from jaxline_lite.base_config import get_base_config, nearest
from jaxline_lite.errors import BadInput
from jaxline_lite.fields import kind_of, parse_value, why_no_field
from jaxline_lite.rules import Rules, with_chosen_fields
from jaxline_lite.run_folder import RESUMABLE, flat
from jaxline_lite.sweep_spec import (
  EXAMPLE,
  SWEEP,
  Axis,
  Numbers,
  read_axes,
  read_numbers,
  read_step,
  unquoted,
)

MOST_POINTS = 10_000  # more folders than that nobody looks through
MOST_BYTES = 200  # of a folder's name; file systems take 255, and some use a few for themselves
# What every file system takes, and the same whether or not it tells capitals from small letters.
SAFE = frozenset(string.ascii_lowercase + string.digits + '._+-')
# Stands before the digest of a name that was cut; no other name has it.
CUT = '~'


class Point(NamedTuple):
  """One run of a sweep.

  Attributes:
    name: that of its folder.
    fields: the swept fields by dotted name, in the order of the sweep, of the kinds of the config.
    config: that of the run, complete: nothing in it tells of a sweep.
  """

  name: str
  fields: dict[str, Any]
  config: ConfigDict


def make_points(
  config: ConfigDict, folder: Path, rules: Rules, check: Callable[[ConfigDict], None]
) -> list[Point]:
  """The points of `config.sweep`, all combinations of its axes, the last one fastest.

  Args:
    config: as the user gave it; what it leaves open is chosen for each point.
    folder: that of the sweep, in which the points' folders lie.
    rules: those of the experiment's configs. `config.sweep` may be a name that they publish.
    check: raises BadInput or ValueError for a point that cannot be run.

  Raises:
    BadInput: with one line, for a sweep that cannot be followed or a point that `check` refuses.
  """
  axes = read_axes(_spec(config, rules))
  kinds = _kinds(axes, config, rules)
  _check_count(axes, kinds)
  shown = _shown_names(flat(config.to_dict()))
  base = config.copy_and_resolve_references()
  defaults = get_base_config()
  for field in ('sweep', 'sweep_workers'):
    base[field] = defaults[field]
  points, names = [], set()
  read = functools.partial(_value, config=config, kinds=kinds, hints=rules.hints(config))
  for steps in itertools.product(*(_steps(axis, kinds, read) for axis in axes)):
    fields = {field: value for step in steps for field, value in step.items()}
    full = ','.join(sorted(f'{shown[field]}={_text(value)}' for field, value in fields.items()))
    if full in names:
      raise BadInput(f'{SWEEP}: the point {full} is there twice; give every value once')
    names.add(full)
    points.append(_point(_cut(full), fields, base, folder, rules, check))
  return points


def _spec(config: ConfigDict, rules: Rules) -> str:
  """The spec that `config.sweep` is or names."""
  given, published = config.sweep.strip(), rules.sweeps(config)
  if given in published or '=' in given:
    return published.get(given, given)
  names = f', or a published sweep by name: {", ".join(published)}' if published else ''
  problem = f'there is no sweep {given!r}{nearest(given, published)}' if given else 'it is empty'
  raise BadInput(f"{SWEEP}: {problem}; allowed are fields and values, such as '{EXAMPLE}'{names}")


def _kinds(axes: Iterable[Axis], config: ConfigDict, rules: Rules) -> dict[str, type]:
  """The kind of every swept field, if all of them can be swept."""
  fields, kinds = flat(config.to_dict()), {}
  unswept = RESUMABLE | rules.located_fields(config)
  for field in (field for axis in axes for field in axis.fields):
    if {field, field.split('.')[0]} & unswept:
      instead = f', and give --config.{field}=VALUE for all points' if field in fields else ''
      raise BadInput(
        f'{SWEEP}: {field} cannot be swept, for no parameter of a run depends on it, and each '
        f'point would be the same run; sweep fields of training{instead}'
      )
    if field not in fields:
      raise BadInput(f'{SWEEP}: {field!r}{why_no_field(field, fields)}')
    if field in kinds:
      raise BadInput(f'{SWEEP}: {field} is there twice; give all of its values in one place')
    kind = kind_of(config, field)
    kinds[field] = float if kind is NoneType else kind
  return kinds


def _numbers(field: str, text: str, kinds: Mapping[str, type]) -> Numbers | None:
  """The numbers that a range, or a power, stands for; None for any other text."""
  return read_numbers(text) if kinds[field] in (int, float) else None


def _check_count(axes: Iterable[Axis], kinds: Mapping[str, type]) -> None:
  """Refuses too many points, before there are any."""
  count = 1
  for axis in axes:
    ranges = [_numbers(axis.fields[0], item, kinds) for item in axis.items if len(axis.fields) == 1]
    count *= sum(numbers.count if numbers else 1 for numbers in ranges) or len(axis.items)
    if count > MOST_POINTS:
      raise BadInput(
        f'{SWEEP}: these are {count} points or more; allowed are at most {MOST_POINTS}: give '
        'fewer values, or sweep in several folders'
      )


def _rows(axis: Axis, item: str, kinds: Mapping[str, type]) -> list[list[str]]:
  """The texts, one for each field, of the steps that an item stands for."""
  if len(axis.fields) == 1:
    numbers = _numbers(axis.fields[0], item, kinds)
    return [[text] for text in (numbers.texts() if numbers else [item])]
  row = []
  for field, text in zip(axis.fields, read_step(axis, item)):
    numbers = _numbers(field, text, kinds)
    if numbers and numbers.count > 1:
      raise BadInput(
        f'{SWEEP}: {text!r} is a range, and {field} takes one value in each step; write a step '
        'for each of its numbers'
      )
    row.append(numbers.texts()[0] if numbers else text)
  return [row]


def _steps(
  axis: Axis, kinds: Mapping[str, type], read: Callable[[str, str], Any]
) -> list[dict[str, Any]]:
  """The values of an axis by field, step by step; `read` makes one of a field and a text."""
  rows = [row for item in axis.items for row in _rows(axis, item, kinds)]
  return [{field: read(field, text) for field, text in zip(axis.fields, row)} for row in rows]


def _value(
  field: str,
  text: str,
  config: ConfigDict,
  kinds: Mapping[str, type],
  hints: Mapping[str, str],
) -> Any:
  """The value of a field that a text stands for, as the command line takes it."""
  kind = kinds[field]
  if kind is str:
    return unquoted(text)
  if text == 'none' and flat(config.to_dict())[field] is None:
    return None
  return parse_value(f'{SWEEP}: {field}', kind, text, hints.get(field, ''))


def _point(
  name: str,
  fields: dict[str, Any],
  base: ConfigDict,
  folder: Path,
  rules: Rules,
  check: Callable[[ConfigDict], None],
) -> Point:
  """A point that passes its own checks."""
  config = base.copy_and_resolve_references()
  config.update_from_flattened_dict(fields)
  config.checkpoint_dir = str(folder / name)
  try:
    config = with_chosen_fields(config, rules)
    check(config)
  except (BadInput, ValueError) as error:
    raise BadInput(f'{SWEEP}: the point {name} cannot be run: {error}') from error
  return Point(name, fields, config)


def _shown_names(fields: Iterable[str]) -> dict[str, str]:
  """The shortest end of each dotted name that is no end of another one.

  It depends on all fields and not on those that are swept, so that a folder keeps its name when
  more is swept. Capitals count as small letters, as in some file systems.
  """
  ends = {field: _ends(field) for field in fields}
  counts = Counter(end.casefold() for each in ends.values() for end in each)
  return {
    field: next((end for end in each if counts[end.casefold()] == 1), field)
    for field, each in ends.items()
  }


def _ends(field: str) -> list[str]:
  """'r' and 'task.r' for 'task.r'."""
  parts = field.split('.')
  return ['.'.join(parts[first:]) for first in reversed(range(len(parts)))]


def _text(value: Any) -> str:
  """A value as the name of a folder has it: other values of the same field give other texts."""
  if isinstance(value, float):
    text = repr(value + 0.0).removesuffix('.0')  # the sum of -0.0 and 0.0 is 0.0, its equal
  else:
    text = value if isinstance(value, str) else repr(value)
    text = text.lower() if value is None or isinstance(value, bool) else text
  is_hidden = text.startswith('.')
  return ('%2e' if is_hidden else '') + ''.join(map(_safe, text[is_hidden:]))


def _safe(letter: str) -> str:
  """A letter, or its bytes in UTF-8 as %xx."""
  if letter in SAFE:
    return letter
  return ''.join(f'%{byte:02x}' for byte in letter.encode('utf-8', 'surrogatepass'))


def _cut(name: str) -> str:
  """A name that is not too long: of a long one the beginning, and a digest of all of it."""
  if len(name) <= MOST_BYTES:
    return name
  digest = hashlib.sha256(name.encode()).hexdigest()[:16]
  return name[: MOST_BYTES - len(CUT) - len(digest)] + CUT + digest
