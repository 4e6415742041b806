"""Machines without a home, without a writable cache, or with a full one: everything works without
the cache, and says so in one line.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from icljax.omniglot.images import omniglot, store
from tests.configs import TINY
from tests.jaxline_lite import dummy
from tests.jaxline_lite.dummy import left_by

ROOT = Path(__file__).parent.parent
# Another user cannot be taken here, for python itself may lie in a home: the list of users is
# empty instead.
UNKNOWN_USER = """
import os, pwd
def unknown(user):
  raise KeyError(f'getpwuid(): uid not found: {user}')
pwd.getpwuid = pwd.getpwnam = unknown
os.getuid = os.geteuid = lambda: 54321
"""
FULL_DISK = """
import errno, tempfile
class Full:
  def __init__(self, *_, **__):
    pass
  def __enter__(self):
    return self
  def __exit__(self, *_):
    pass
  def write(self, data):
    raise OSError(errno.ENOSPC, 'No space left on device')
tempfile.TemporaryFile = Full
"""
DUMMY = """
from pathlib import Path
from tests.jaxline_lite.dummy import configured, train
train(configured(Path({folder!r}), compilation_cache=True))
"""
COMMAND = """
import sys
sys.argv = ['run.py', *{arguments!r}]
from jaxline_lite import platform
platform.main('icljax.experiment:Experiment', checks='icljax.checks')
"""
LINE = 'compiled programs are not kept on disk: '


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
  """A process whose environment has nothing but this, and where python is."""
  return subprocess.run(
    [sys.executable, '-c', code],
    cwd=ROOT,
    env={'PATH': os.environ['PATH'], 'XLA_FLAGS': os.environ['XLA_FLAGS']} | environment,
    capture_output=True,
    text=True,
    timeout=300,
  )


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  folder = tmp_path_factory.mktemp('whole')
  dummy.train(dummy.configured(folder))
  return left_by(folder)


@pytest.mark.parametrize(
  ('prelude', 'environment', 'reason'),
  [
    (UNKNOWN_USER, {}, 'home'),
    ('', {'HOME': '{tmp}/file'}, 'Not a directory'),
    ('', {'HOME': '/proc'}, '/proc/.cache'),  # where not even root can make a folder
    (FULL_DISK, {'HOME': '{tmp}'}, 'No space left'),
  ],
  ids=['no home', 'a file', 'read-only', 'full'],
)
def test_without_a_cache_of_programs_a_run_is_the_same(
  tmp_path, whole, prelude, environment, reason
):
  (tmp_path / 'file').write_text('')
  here = {name: value.format(tmp=tmp_path) for name, value in environment.items()}
  done = run(prelude + DUMMY.format(folder=str(tmp_path / 'run')), **here)
  assert done.returncode == 0, done.stderr
  assert done.stderr.startswith(LINE)
  assert reason in done.stderr
  assert done.stderr.count('\n') == 1
  assert left_by(tmp_path / 'run') == whole


@pytest.mark.parametrize(
  ('environment', 'place'),
  [
    ({'HOME': '{tmp}/home'}, 'home/.cache'),
    ({'HOME': '{tmp}/home', 'XDG_CACHE_HOME': '{tmp}/caches'}, 'caches'),
    ({'HOME': '{tmp}/home', 'XDG_CACHE_HOME': 'relative'}, 'home/.cache'),
  ],
)
def test_programs_are_kept_where_caches_are(tmp_path, environment, place):
  """A relative XDG_CACHE_HOME does not count, by its specification."""
  here = {name: value.format(tmp=tmp_path) for name, value in environment.items()}
  done = run(DUMMY.format(folder=str(tmp_path / 'run')), **here)
  assert (done.returncode, done.stderr) == (0, '')
  assert [path.relative_to(tmp_path) for path in tmp_path.rglob('jaxline_lite')] == [
    Path(place) / 'jaxline_lite'
  ]


def test_a_user_without_a_home_trains_and_predicts(tmp_path):
  """Pictures are drawn too, though matplotlib has no folder of its own."""
  fields = TINY | {'training_steps': 12, 'compilation_cache': True}
  arguments = ['--config=configs/glm.py', f'--config.checkpoint_dir={tmp_path}/run']
  arguments += [f'--config.{name}={value}' for name, value in fields.items()]
  predicts = f"""
import copy, pickle, icljax, numpy as np
model = copy.deepcopy(icljax.load('{tmp_path}/run'))
means = [
  twin.at([[0.0, 1.0]], [2.0], [[1.0, 1.0]]).mean()
  for twin in (model, pickle.loads(pickle.dumps(model)))
]
assert np.isfinite(means[0]).all() and means[0] == means[1]
"""
  trained = run(UNKNOWN_USER + COMMAND.format(arguments=arguments))
  assert trained.returncode == 0, trained.stderr
  assert trained.stderr.startswith(LINE)
  lines = trained.stderr.splitlines()
  assert lines[0].startswith('compiled ')
  assert 'Matplotlib created a temporary cache directory' in lines[1]
  assert len(lines) == 2
  assert (tmp_path / 'run' / 'train.png').exists()
  loaded = run(UNKNOWN_USER + predicts)
  assert loaded.returncode == 0, loaded.stderr
  assert loaded.stderr.count('\n') <= 1  # matplotlib's own line


@pytest.fixture
def no_home(monkeypatch):
  def expanduser(path):
    raise RuntimeError('Could not determine home directory.')

  monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
  monkeypatch.delenv('TFDS_DATA_DIR', raising=False)
  monkeypatch.setattr(Path, 'expanduser', expanduser)


def test_drawings_are_made_anew_without_a_home(no_home):
  said = []
  images = store.load('procedural', classes=2, say=said.append)
  assert images.packed.shape == (2, 20, 98)
  assert len(said) == 2
  assert 'cannot be written' in said[1]


def test_omniglot_without_a_home_asks_for_a_folder(no_home):
  with pytest.raises(ValueError, match='no home folder: give another'):
    omniglot.folder(None)


def test_drawings_are_kept_where_caches_are(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  store.load('procedural', classes=2, say=[].append)
  assert [path.name for path in (tmp_path / 'icljax').iterdir()] == ['procedural_2_0_28.npz']


def test_a_full_cache_of_drawings_keeps_nothing(tmp_path, monkeypatch):
  def full(descriptor):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(os, 'fsync', full)
  said = []
  store.load('procedural', classes=2, cache_dir=str(tmp_path), say=said.append)
  assert 'No space left' in said[-1]
  assert not list(tmp_path.iterdir())
