"""Real drawings for tests, where they are at hand."""

from pathlib import Path

import pytest

FOLDERS = [Path(__file__).parents[4] / 'shared/data/omniglot', Path('/work/shared/data/omniglot')]


def archive(name: str) -> Path:
  """Where an archive of Omniglot lies; without it the test is skipped."""
  for folder in FOLDERS:
    if (folder / name).exists():
      return folder / name
  pytest.skip(f'no {name} in {FOLDERS[0]}')
