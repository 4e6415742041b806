"""What the README promises is what the files say."""

import json
import re
import tomllib
from pathlib import Path

from benchmarks import image_results, results

ROOT = Path(__file__).resolve().parent.parent


def requirements() -> tuple[list[str], list[str]]:
  """The product's requirements, and those below the comment, of the tests."""
  product, tests = (ROOT / 'requirements.txt').read_text().split('# for the tests\n')
  return product.split(), tests.split()


def test_the_table_is_what_the_runs_gave():
  measured = json.loads(results.RESULTS.read_text())
  for which, table in results.TABLES.items():
    assert results.between(results.README.read_text(), which)[1] == table(measured)
  assert measured.keys() == results.COMMANDS.keys()


def test_the_table_of_image_sequences_is_what_the_runs_gave():
  measured = json.loads(image_results.RESULTS.read_text())
  assert results.between(results.README.read_text(), 'image results')[1] == image_results.table(
    measured
  )
  assert measured.keys() == image_results.COMMANDS.keys()


def test_the_picture_is_there():
  names = re.findall(r'!\[.*\]\((.*)\)', results.README.read_text())
  assert names
  assert all((ROOT / name).stat().st_size > 10_000 for name in names)


def test_requirements_are_those_of_the_package():
  project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
  product, tests = requirements()
  assert product == project['dependencies']
  assert set(tests) <= set(project['optional-dependencies']['dev'])
