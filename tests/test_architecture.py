"""Who imports whom, how long things are, and that names in configs are those of the code."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

from icljax import checks
from icljax.families import families
from icljax.glm import checks as glm_checks
from icljax.glm import model as glm_model
from icljax.models import sequence, transformer
from icljax.omniglot import checks as omniglot_checks
from icljax.omniglot import derived, drawings
from icljax.omniglot.kinds import KINDS
from icljax.omniglot.samplers import SAMPLERS
from icljax.subjects import SUBJECTS, checks_of, subject_of
from icljax.training import optimizers, schedules
from jaxline_lite.config_files import load_config

ROOT = Path(__file__).parent.parent
MOST_LINES, MOST_LINES_OF_FUNCTION, MOST_LINES_OF_RUN = 300, 60, 40
# Parts of icljax, the lowest first: each imports only from lines above its own, or from itself.
LEVELS = [
  {'ambient', 'inputs', 'parameters', 'plugins'},
  {'likelihoods'},
  {'families', 'base', 'fields', 'eval_modes'},
  {'subjects', 'figures', 'paired'},
  {'checks', 'tables', 'costs', 'models', 'training', 'answers', 'contexts'},
  {*SUBJECTS, 'build'},
  {'predict', 'measures', 'sweep_pictures'},
  {'experiment'},
  {'runs'},
  {'__init__'},
]
# Modules of a subject, the lowest first.
INSIDE = [
  {'kinds', 'images', 'cholesky', 'least_squares'},
  {'checks', 'derived', 'classes', 'drawings'},
  {'settings', 'priors', 'sweeps', 'costs'},
  {'task', 'labels', 'samplers', 'sequences'},
  {'laplace', 'model'},
  {'oracles', 'copier', 'ridge', 'discrete'},
  {'baselines'},
  {'from_config'},
  {'modes'},
  {'subject'},
]
LEVEL = {part: i for i, level in enumerate(LEVELS) for part in level}
LEVEL_INSIDE = {part: i for i, level in enumerate(INSIDE) for part in level}
KNOWS_THE_LOOP = {'experiment', 'measures', 'predict', 'runs', '__init__'}
WITHOUT_JAX = ('checks', 'kinds', 'derived', 'images', 'sweeps', 'costs')


@functools.cache
def tree(path: Path) -> ast.Module:
  return ast.parse(path.read_text())


def sources(*folders: str) -> list[Path]:
  found = [path for folder in folders for path in sorted((ROOT / folder).rglob('*.py'))]
  return [ROOT / 'run.py', *(path for path in found if 'icljax/configs' not in str(path))]


PRODUCT = sources('icljax', 'jaxline_lite', 'configs')
ICLJAX = [path for path in PRODUCT if path.is_relative_to(ROOT / 'icljax')]


def imports(path: Path) -> set[str]:
  """Modules that a file imports, by full name: `from a import b` is `a.b`, of which b may be less.

  What is imported for annotations alone is left out.
  """
  names = set()
  for_types = {
    id(node)
    for block in ast.walk(tree(path))
    if isinstance(block, ast.If) and getattr(block.test, 'id', '') == 'TYPE_CHECKING'
    for node in ast.walk(block)
  }
  for node in ast.walk(tree(path)):
    if id(node) in for_types:
      continue
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'{path}: a relative import'
      names |= {f'{node.module}.{alias.name}' for alias in node.names}
  return names


def importers(package: str) -> set[str]:
  """The product's files that import a package."""
  return {
    str(path.relative_to(ROOT))
    for path in PRODUCT
    if any(name.split('.')[0] == package for name in imports(path))
  }


def part(path: Path) -> str:
  """The module, or package, of icljax that a file belongs to."""
  return path.relative_to(ROOT / 'icljax').parts[0].removesuffix('.py')


def icljax_imports(path: Path) -> list[list[str]]:
  """What a file imports of icljax, each as the parts of its name behind 'icljax'."""
  names = (name.split('.') for name in imports(path))
  return [name[1:] for name in names if name[0] == 'icljax' and len(name) > 1]


def test_imports_go_down_the_levels():
  wrong = [
    f'{path} imports {".".join(name)}'
    for path in ICLJAX
    for name in icljax_imports(path)
    if name[0] != part(path) and LEVEL[name[0]] >= LEVEL[part(path)]
  ]
  assert not wrong


def test_shared_code_imports_no_subject_and_subjects_not_one_another():
  """Shared code finds them by the names in `subjects.py` alone."""
  wrong = [
    f'{path} imports {".".join(name)}'
    for path in ICLJAX
    for name in icljax_imports(path)
    if name[0] in SUBJECTS and part(path) != name[0]
  ]
  assert not wrong
  named = [
    str(path.relative_to(ROOT))
    for path in ICLJAX
    if part(path) not in SUBJECTS
    for node in ast.walk(tree(path))
    if isinstance(node, ast.Constant) and node.value in [*SUBJECTS, *SUBJECTS.values()]
  ]
  # `checks` says which subject runs had before there were two.
  assert set(named) == {'icljax/subjects.py', 'icljax/checks.py'}


@pytest.mark.parametrize('subject', SUBJECTS)
def test_imports_inside_a_subject_go_down(subject):
  wrong = []
  for path in sorted((ROOT / 'icljax' / subject).rglob('*.py')):
    inside = path.relative_to(ROOT / 'icljax' / subject).parts[0].removesuffix('.py')
    for name in icljax_imports(path):
      is_inside = name[0] == subject and inside != name[1]
      if is_inside and LEVEL_INSIDE[name[1]] > LEVEL_INSIDE[inside]:
        wrong.append(f'{path} imports {".".join(name)}')
  assert not wrong


def test_the_loop_knows_nothing_of_what_it_trains():
  assert not [path for path in importers('icljax') if path.startswith('jaxline_lite/')]


def test_few_files_know_the_loop():
  parts = {part(ROOT / path) for path in importers('jaxline_lite') if path.startswith('icljax/')}
  assert {'experiment', 'predict', 'runs'} <= parts <= KNOWS_THE_LOOP


@pytest.mark.parametrize(
  ('package', 'only'),
  [
    ('matplotlib', {'icljax/figures.py'}),
    ('orbax', {'jaxline_lite/stored_state.py'}),
    ('absl', {'jaxline_lite/command_line.py'}),
    ('tqdm', {'jaxline_lite/writers.py'}),
  ],
)
def test_a_package_has_one_importer(package, only):
  assert importers(package) == only


def test_checks_kinds_and_configs_import_no_jax():
  """Nor does anything that they import, in a process of its own."""
  modules = ['icljax', 'icljax.checks', 'icljax.costs', 'icljax.subjects', 'jaxline_lite.platform']
  modules.append('jaxline_lite.sweep_points')
  for subject in SUBJECTS:
    for path in sorted((ROOT / 'icljax' / subject).rglob('*.py')):
      name = path.relative_to(ROOT).with_suffix('')
      if name.parts[2] in WITHOUT_JAX and path.stem != '__init__':
        modules.append('.'.join(name.parts))
  code = (
    f'import sys, {", ".join(modules)}\n'
    'from configs import glm, linear_regression, omniglot\n'
    'for module in (glm, linear_regression, omniglot):\n'
    '  icljax.checks.check(module.get_config())\n'
    '  icljax.checks.eval_modes(module.get_config())\n'
    'heavy = {"jax", "flax", "optax", "orbax", "matplotlib", "pandas", "tensorflow"}\n'
    'print(*heavy & set(sys.modules))'
  )
  run = {'cwd': ROOT, 'capture_output': True, 'text': True, 'timeout': 300}
  done = subprocess.run([sys.executable, '-c', code], **run)
  assert (done.returncode, done.stdout.strip()) == (0, ''), done.stderr


def test_tfds_is_imported_late():
  at_the_top = {
    name
    for path in PRODUCT
    for node in tree(path).body
    if isinstance(node, ast.Import | ast.ImportFrom)
    for name in [getattr(node, 'module', ''), *(alias.name for alias in node.names)]
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


def test_files_and_functions_stay_short():
  offenders = []
  for path in PRODUCT:
    most = MOST_LINES_OF_RUN if path.name == 'run.py' else MOST_LINES
    lines = len(path.read_text().splitlines())
    if lines > most:
      offenders.append(f'{path.relative_to(ROOT)}: {lines} lines')
    for node in ast.walk(tree(path)):
      if isinstance(node, ast.FunctionDef):
        lines = (node.end_lineno or 0) - node.lineno + 1
        if lines > MOST_LINES_OF_FUNCTION:
          offenders.append(f'{path.relative_to(ROOT)}: {node.name} has {lines} lines')
  assert not offenders


def test_names_that_configs_may_use_are_those_of_the_code():
  assert set(checks.SCHEDULES) == set(schedules.SCHEDULES)
  assert set(checks.OPTIMIZERS) == set(optimizers.OPTIMIZERS)
  assert set(checks.SEQUENCES) == set(sequence.SEQUENCES)
  assert set(checks.PRECISIONS) == {*sequence.PRECISIONS, 'auto'}
  assert (checks.NORMS, checks.GELUS) == (transformer.NORMS, transformer.GELUS)
  assert set(glm_checks.FAMILIES) == set(families(2))
  assert set(glm_checks.TOKENS) == set(glm_model.TOKENS)
  assert omniglot_checks.POSITIONS == transformer.POSITIONS
  assert set(omniglot_checks.INITS) == set(transformer.INITS)
  assert derived.VARIANTS == drawings.VARIANTS
  assert {kind.sampler for kind in KINDS.values()} == set(SAMPLERS)


@pytest.mark.parametrize(
  'words', ['glm:joint', 'glm:poisson', 'omniglot:procedural', 'omniglot:induction']
)
def test_modes_are_those_that_the_checks_name(words):
  """Each reads fields of `config.eval` that are there."""
  file, _, preset = words.partition(':')
  config = load_config(f'{ROOT}/configs/{file}.py:{preset}')
  rules = checks_of(config.subject).mode_rules(config)
  modes = subject_of(config).modes(config)
  assert {name: mode.rule for name, mode in modes.items()} == rules
  assert all(name == rule.name and rule.reads <= set(config.eval) for name, rule in rules.items())
