"""The table of what can go wrong: every situation names a test that there is."""

import re
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parent
LEAST_OF_A_KIND = 3


def rows() -> list[list[str]]:
  """The cells of each row: kind, situation, what happens, tests."""
  text = (TESTS.parent / 'docs' / 'reliability.md').read_text()
  lines = [line for line in text.splitlines() if line.startswith('| ')][1:]
  return [[cell.strip() for cell in re.split(r'(?<!\\)\|', line)[1:-1]] for line in lines]


def test_every_situation_names_a_test_that_there_is():
  path, missing = '', []
  for cells in rows():
    assert len(cells) == 4, cells
    named = re.findall(r'`([^`]+)`', cells[3])
    assert named or 'same test' in cells[3], cells
    for name in named:
      given, _, function = name.partition('::')
      if 'test' not in given and not function:  # a command
        continue
      path = given or path
      file = TESTS / path
      if not file.exists() or (function and f'def {function}(' not in file.read_text()):
        missing.append(f'{path}::{function}')
  assert not missing


def test_there_are_several_situations_of_each_kind():
  kinds = Counter(cells[0] for cells in rows())
  assert min(kinds.values()) >= LEAST_OF_A_KIND, kinds
  assert sum(kinds.values()) >= 60
