"""What people give as numbers: lists, data frames, tensors, of any precision. Imports no JAX."""

from typing import Any

import numpy as np

LARGEST = float(np.finfo(np.float32).max)


def as_numbers(name: str, values: Any) -> np.ndarray:
  """Numbers of any kind as an array of 64 bits.

  Args:
    name: what they are called, for the message.

  Raises:
    ValueError: for rows of different lengths, booleans, texts, and what else is no number.
  """
  try:
    given = np.asarray(values)
  except Exception as error:  # whatever lists and tensors of other libraries raise
    raise ValueError(f'{name} cannot be read as an array of numbers: {error}') from error
  if np.ma.is_masked(values):
    raise ValueError(f'{name} has masked values; give numbers alone')
  kinds = {type(value).__name__ for value in given.flat} if given.dtype.kind == 'O' else set()
  if given.dtype.kind == 'b' or kinds & {'bool', 'bool_'}:
    raise ValueError(f'{name} has booleans; give numbers, such as 0 and 1')
  if given.dtype.kind in 'USTcmM' or kinds & {'str', 'bytes', 'NoneType'}:
    what = 'text' if given.dtype.kind in 'UST' else given.dtype.name
    raise ValueError(
      f'{name} has values that are no numbers ({", ".join(sorted(kinds)) or what}); give numbers'
    )
  try:
    return given.astype(np.float64)
  except (TypeError, ValueError, OverflowError) as error:
    raise ValueError(f'{name} has values that are no numbers: {error}') from error


def as_float32(name: str, values: Any) -> np.ndarray:
  """Numbers of any kind in the precision that everything is computed with.

  Raises:
    ValueError: as `as_numbers`, and for finite numbers that are too large.
  """
  numbers = as_numbers(name, values)
  largest = np.abs(numbers[np.isfinite(numbers)]).max(initial=0.0)
  if largest > LARGEST:
    raise ValueError(
      f'{name} has numbers up to {largest:.2g}; allowed are those of 32 bits, up to {LARGEST:.2g}'
    )
  return numbers.astype(np.float32)
