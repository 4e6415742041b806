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


def test_the_pools_of_the_readme_are_described():
  """The runs of the sweep are not kept: the sentences that were read off them have to be there."""
  table = results.between(results.README.read_text(), 'pools')[1]
  assert [line.split('|')[1].strip() for line in table.splitlines()[2:10]] == [
    *(str(2**i) for i in range(1, 8)),
    '∞',
  ]
  assert 'crossing: delta_ridge = delta_dmmse' in table
