"""The grammar of a sweep: from one string to axes of values, as they were written.

Axes are separated by `;`. Each is `field=item,item` or, for fields that change in step,
`field,field=(item,item),(item,item)`. Commas, semicolons and equals signs inside quotes or
parentheses separate nothing.
"""

import math
import re
from typing import NamedTuple

from jaxline_lite.errors import BadInput

SWEEP = '--config.sweep'  # how messages begin
EXAMPLE = 'task.n_tasks=2^1..2^7,0; random_seed=0..2'
# 18 digits: far more than any field takes, and still few enough to be counted.
WHOLE = re.compile(r'[+-]?[0-9]{1,18}')
POWER = re.compile(r'([0-9]{1,18})\s*\^\s*([+-]?[0-9]{1,18})')
LARGEST_EXPONENT = 1023  # of 2, in a float of 64 bits


class Axis(NamedTuple):
  """Fields that change in step, and what each of their steps is.

  Attributes:
    fields: names, as they were written.
    items: one text for each step; where there are several fields, `(a,b)`.
  """

  fields: tuple[str, ...]
  items: tuple[str, ...]


class Numbers(NamedTuple):
  """The whole numbers from `first` to `last`, or `base` to their power if there is a base."""

  first: int
  last: int
  base: int | None = None

  @property
  def count(self) -> int:
    """How many there are; more, perhaps, than fit into memory."""
    return self.last - self.first + 1

  def texts(self) -> list[str]:
    """The numbers, as they would be written one by one."""
    numbers = range(self.first, self.last + 1)
    return [str(n) if self.base is None else _power(self.base, n) for n in numbers]


def read_axes(spec: str) -> list[Axis]:
  """The axes of a spec, in the order in which they are written.

  Raises:
    BadInput: for a spec, an axis, a name or an item that is empty, or parentheses or quotes that
      are not closed.
  """
  axes = []
  for text in _split(spec, ';'):
    left, equals, right = text.partition('=')
    if not (text and equals):
      problem = f'{text!r} gives no field its values' if text else f'{spec!r} has an empty part'
      raise BadInput(f"{SWEEP}: {problem}; write every part as FIELD=VALUES, such as '{EXAMPLE}'")
    fields, items = tuple(_split(left, ',')), tuple(_split(right, ','))
    if not all(fields):
      raise BadInput(f"{SWEEP}: {text!r} has no name before a comma or '='; write FIELD=VALUES")
    if not all(items):
      raise BadInput(
        f"{SWEEP}: {text!r} has an empty value; write a value on both sides of a comma, and '' for "
        'a text without letters'
      )
    axes.append(Axis(fields, items))
  return axes


def read_step(axis: Axis, item: str) -> list[str]:
  """The values, one for each field, of a step of an axis of several fields.

  Raises:
    BadInput: if they are not as many as the fields, in parentheses.
  """
  is_group = item.startswith('(') and item.endswith(')')
  values = _split(item[1:-1], ',') if is_group else []
  if len(values) != len(axis.fields) or not all(values):
    raise BadInput(
      f'{SWEEP}: {",".join(axis.fields)} takes {len(axis.fields)} values in step, and {item} is '
      f'not that many in parentheses; write {_step_example(axis)} for each step'
    )
  return values


def _step_example(axis: Axis) -> str:
  return f'({",".join(f"VALUE{i + 1}" for i in range(len(axis.fields)))})'


def read_numbers(item: str) -> Numbers | None:
  """What `a..b`, `2^a..2^b` or `2^a` stands for; None for any other item.

  Where one end alone is a power, it is a whole number as any other.

  Raises:
    BadInput: for a range that is not one, runs backwards, or mixes bases.
  """
  texts = [end.strip() for end in item.split('..')]
  is_range = len(texts) > 1
  powers = [match for match in map(POWER.fullmatch, texts) if match]
  if not is_range and '^' not in item:
    return None
  if len(texts) > 2 or not all(WHOLE.fullmatch(end) or POWER.fullmatch(end) for end in texts):
    raise BadInput(
      f'{SWEEP}: {item!r} is neither a range nor a power; allowed are ranges of whole numbers such '
      'as 0..2, ranges of powers such as 2^1..2^20, and one power such as 2^3'
    )
  for match in powers:
    _check_power(match)
  if len(powers) == len(texts):
    bases = [int(match[1]) for match in powers]
    if len(set(bases)) > 1:
      raise BadInput(
        f'{SWEEP}: {item!r} mixes the bases {bases[0]} and {bases[1]}; allowed are powers of one '
        f'base, such as {bases[0]}^1..{bases[0]}^5'
      )
    numbers = Numbers(int(powers[0][2]), int(powers[-1][2]), bases[0])
  else:
    first, last = (int(end) if WHOLE.fullmatch(end) else _whole_power(end) for end in texts)
    numbers = Numbers(first, last)
  if numbers.count < 1:
    raise BadInput(f'{SWEEP}: {item!r} runs backwards; ranges ascend: write {texts[1]}..{texts[0]}')
  return numbers


def _check_power(match: re.Match[str]) -> None:
  base, exponent = int(match[1]), int(match[2])
  if base < 2 or abs(exponent) * math.log2(base) > LARGEST_EXPONENT:
    raise BadInput(
      f'{SWEEP}: {match[0]!r} cannot be used; allowed are powers of 2 and above, from '
      f'2^-{LARGEST_EXPONENT} to 2^{LARGEST_EXPONENT} in size'
    )


def _whole_power(text: str) -> int:
  """The end of a range of whole numbers that is written as a power."""
  base, exponent = map(int, text.split('^'))
  if exponent < 0:
    raise BadInput(
      f'{SWEEP}: {text!r} is the end of a range of whole numbers, and is none; write both ends as '
      'powers, such as 2^-3..2^0'
    )
  return base**exponent


def _power(base: int, exponent: int) -> str:
  """A power of a whole number; rounded once where it is no whole number itself."""
  return str(base**exponent) if exponent >= 0 else repr(1 / base**-exponent)


def unquoted(text: str) -> str:
  """A text without the quotes around it, if there are any."""
  match = re.fullmatch(r"'([^']*)'|\"([^\"]*)\"", text)
  return (match[1] or match[2] or '') if match else text


def _split(text: str, separator: str) -> list[str]:
  """The parts of a text, without blanks around them.

  Raises:
    BadInput: for quotes or parentheses that are not closed, or not opened.
  """
  parts, depth, quote = [''], 0, ''
  for letter in text:
    if quote:
      quote = '' if letter == quote else quote
    elif letter in ('"', "'"):
      quote = letter
    else:
      depth += (letter == '(') - (letter == ')')
    if depth < 0:
      break
    if letter == separator and not (quote or depth):
      parts.append('')
    else:
      parts[-1] += letter
  if quote or depth:
    what = 'quotes' if quote else 'parentheses'
    raise BadInput(f'{SWEEP}: {what} do not match in {text!r}; close each that is opened')
  return [part.strip() for part in parts]
