"""Who imports whom, how long things are, and that the names which configs may use are those of the
code.
"""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

from configs import glm as glm_config
from icljax import build, experiment
from icljax import checks as shared
from icljax.families import families
from icljax.glm import checks as glm_checks
from icljax.glm import model as in_context
from icljax.models import sequence, transformer
from icljax.omniglot import checks as omniglot_checks
from icljax.omniglot import drawings
from icljax.omniglot import sequences as omniglot
from icljax.predict import load
from icljax.training import optimizers, schedules

ROOT = Path(__file__).parent.parent
# Each imports only from lines above its own, or from its own package.
LEVELS = [
  {'likelihoods', 'parameters', 'plugins', 'figures', 'fields'},
  {'families', 'base'},
  {'paired'},
  {'models', 'training'},
  {'glm', 'omniglot', 'build', 'predict', 'checks'},
  {'experiment', 'sweep', 'report'},
  {'runs'},
  {'__init__'},
]
LEVEL = {part: i for i, level in enumerate(LEVELS) for part in level}
KNOWS_THE_LOOP = {'predict', 'glm', 'omniglot', 'experiment', 'sweep', 'report', 'runs'}
READS_CONFIGS = {'build', 'checks', 'fields', 'models'} | KNOWS_THE_LOOP


@functools.cache
def tree(path: Path) -> ast.Module:
  return ast.parse(path.read_text())


def sources(*folders: str) -> list[Path]:
  return [
    ROOT / 'run.py',
    *(path for folder in folders for path in sorted((ROOT / folder).rglob('*.py'))),
  ]


PRODUCT = sources('icljax', 'jaxline_lite', 'configs')


def imports(path: Path) -> set[str]:
  """Modules that a file imports anywhere, by full name: `from a import b` is `a.b`, where b may be
  less than a module.
  """
  found = set()
  for node in ast.walk(tree(path)):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'{path}: a relative import'
      found |= {f'{node.module}.{alias.name}' for alias in node.names}
  return found


def importers(package: str) -> set[str]:
  """The product's files that import a package."""
  return {
    str(path.relative_to(ROOT))
    for path in PRODUCT
    if any(name.split('.')[0] == package for name in imports(path))
  }


def part(path: Path) -> str:
  """The module, or package below it, of icljax that a file belongs to."""
  return path.relative_to(ROOT / 'icljax').parts[0].removesuffix('.py')


@pytest.mark.parametrize(
  'path', sorted((ROOT / 'icljax').rglob('*.py')), ids=lambda path: str(path.relative_to(ROOT))
)
def test_imports_go_down_the_levels(path):
  ours = part(path)
  assert ours in LEVEL, f'{ours} has no place in tests/test_architecture.py'
  for name in imports(path):
    package, _, rest = name.partition('.')
    theirs = rest.split('.')[0]
    if package == 'icljax' and theirs != ours:
      assert LEVEL[theirs] <= LEVEL[ours], f'{path} imports {name}'


def test_the_loop_knows_nothing_of_what_it_trains():
  assert not [path for path in importers('icljax') if not path.startswith('icljax/')]


def test_few_files_know_the_loop_or_read_configs():
  icljax = lambda package: {
    part(ROOT / path) for path in importers(package) if path.startswith('icljax/')
  }
  assert {'experiment', 'predict', 'runs'} <= icljax('jaxline_lite') <= KNOWS_THE_LOOP
  assert {'build', 'checks'} <= icljax('ml_collections') <= READS_CONFIGS


@pytest.mark.parametrize(
  ('package', 'only'),
  [
    ('matplotlib', {'icljax/figures.py'}),
    ('orbax', {'jaxline_lite/checkpoint.py'}),
    ('absl', {'jaxline_lite/command_line.py'}),
    ('tqdm', {'jaxline_lite/writers.py'}),
  ],
)
def test_a_package_has_one_importer(package, only):
  assert importers(package) == only


def test_images_know_no_jax_and_tfds_is_imported_late():
  assert not [path for path in importers('jax') if path.startswith('icljax/omniglot/images/')]
  at_the_top = {
    name
    for path in PRODUCT
    for node in tree(path).body
    if isinstance(node, ast.ImportFrom)
    for name in [node.module]
  }
  at_the_top |= {
    alias.name
    for path in PRODUCT
    for node in tree(path).body
    if isinstance(node, ast.Import)
    for alias in node.names
  }
  assert not [name for name in at_the_top if (name or '').startswith('tensorflow_datasets')]


def test_one_file_says_pmap():
  says = {
    str(path.relative_to(ROOT))
    for path in PRODUCT
    for node in ast.walk(tree(path))
    if 'pmap' in (getattr(node, 'attr', ''), getattr(node, 'id', ''), getattr(node, 'name', ''))
  }
  assert says == {'jaxline_lite/devices.py'}


@pytest.mark.parametrize('path', PRODUCT, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_short(path):
  most = 40 if path.name == 'run.py' else 400
  assert len(path.read_text().splitlines()) <= most
  for node in ast.walk(tree(path)):
    if isinstance(node, ast.FunctionDef):
      assert (node.end_lineno or 0) - node.lineno < 80, f'{node.name} in {path}'


def test_a_command_line_is_checked_without_jax():
  code = (
    'import sys, icljax, icljax.checks, jaxline_lite.platform; from configs import glm, omniglot; '
    'icljax.checks.check(glm.get_config()); icljax.checks.check(omniglot.get_config());'
    'print(*{"jax", "flax", "optax", "orbax", "matplotlib", "pandas", "tensorflow"} & '
    'set(sys.modules))'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, timeout=300
  )
  assert (done.returncode, done.stdout.strip()) == (0, ''), done.stderr


def test_names_that_configs_may_use_are_those_of_the_code():
  assert (
    set(shared.SUBJECTS) == set(build.SUBJECTS) == set(experiment.OUTCOMES) == set(load.TRAINED)
  )
  assert set(shared.SCHEDULES) == set(schedules.SCHEDULES)
  assert set(shared.OPTIMIZERS) == set(optimizers.OPTIMIZERS)
  assert set(shared.SEQUENCES) == set(sequence.SEQUENCES)
  assert set(shared.PRECISIONS) == {*sequence.PRECISION, 'auto'}
  assert set(glm_checks.FAMILIES) == set(families(2)) == set(glm_config.FAMILIES)
  assert set(glm_checks.TOKENS) == set(in_context.TOKENS)
  assert set(omniglot_checks.SEQUENCES) == set(omniglot.SEQUENCES)
  assert omniglot_checks.NON_BURSTY == omniglot.NON_BURSTY
  assert omniglot_checks.POSITIONS == transformer.POSITIONS
  assert set(omniglot_checks.INITS) == set(transformer.INITS)
  assert omniglot_checks.VARIANTS == drawings.VARIANTS
