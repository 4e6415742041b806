"""Paths mean what a shell user means, and refused commands leave nothing."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from absl.testing import flagsaver

from jaxline_lite import command_line, evaluated_runs, modes
from jaxline_lite.errors import BadInput
from jaxline_lite.paths import expand
from jaxline_lite.run_folder import inherit_auto_fields, paths_of, record_config, run_of
from tests.jaxline_lite import dummy
from tests.jaxline_lite.dummy import RULES, Dummy, configured, train

URLS = ['gs://bucket/run', 's3://bucket/run', 'http://host/run', 'hf://org/run', ' GS://x']


@pytest.fixture
def home(tmp_path, monkeypatch):
  """A home and current folder that are both empty."""
  (tmp_path / 'home').mkdir()
  (tmp_path / 'here').mkdir()
  monkeypatch.setenv('HOME', str(tmp_path / 'home'))
  monkeypatch.chdir(tmp_path / 'here')
  return tmp_path / 'home'


def evaluate(restore_path: str, **fields):
  config = configured(Path('nowhere'), restore_path=restore_path, **fields)
  return modes.evaluate(Dummy, evaluated_runs.evaluated_configs(config, RULES), RULES, ('eval',))


def test_a_home_is_that_of_the_user(home):
  assert expand('~/run', 'x') == home / 'run'
  assert expand('~', 'x') == home
  assert expand(Path('~') / 'run', 'x') == home / 'run'
  assert expand('~root/run', 'x') == Path('/root/run')
  assert expand(' runs/first/ ', 'x') == Path('runs/first')
  with pytest.raises(BadInput, match=r'x is .~nobody-of-that-name/run.: .* give a path without ~'):
    expand('~nobody-of-that-name/run', 'x')


@pytest.mark.parametrize('url', [*URLS, Path('gs://bucket/run')])
def test_urls_are_refused(home, url):
  with pytest.raises(BadInput, match=r'x is .*: nothing is read from or written to URLs'):
    expand(url, 'x')


@pytest.mark.parametrize('field', ['checkpoint_dir', 'init_from', 'eval.output_dir', 'model.dtype'])
@pytest.mark.parametrize('mode', ['train', 'eval'])
def test_urls_in_any_field_are_refused_before_anything_is_written(home, field, mode):
  config = configured(home / 'run')
  config.update_from_flattened_dict({field: 'gs://bucket/run'})
  with pytest.raises(BadInput, match=f'^{field} is .gs://bucket/run.: nothing is read'):
    modes.check(config, mode, RULES)
  with pytest.raises(BadInput, match=r'^restore_path is .s3://x.: nothing is read'):
    paths_of('runs/a,s3://x')
  assert not list(home.iterdir())
  assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize('given', ['~/a/run', '../home/a/run/', './../home/./a/run', 'link/a/run'])
def test_a_run_is_trained_resumed_and_evaluated_by_any_of_its_paths(home, given):
  Path('link').symlink_to(home)
  config = configured(Path('x'), training_steps=20, final_eval=False)
  config.checkpoint_dir = given
  train(config)
  assert dummy.steps(home / 'a' / 'run') == [20]
  config.training_steps = 40
  train(config)
  assert dummy.steps(home / 'a' / 'run') == [20, 40]
  assert [step for step, _ in evaluate(given)] == [40]
  assert [step for step, _ in evaluate(f'{given.rstrip("/")}/checkpoints/20/')] == [20]
  assert {path.name for path in Path.cwd().iterdir()} == {'link'}


def test_a_run_is_evaluated_from_inside(home, monkeypatch):
  """And the folder has its name, not that of the path."""
  train(configured(home / 'run', training_steps=40, final_eval=False))
  for inside, given, steps in [
    ('run', '.', [40]),
    ('run', 'checkpoints/20', [20]),
    ('run/checkpoints', '..', [40]),
    ('run/checkpoints', '20', [20]),
    ('run/checkpoints/20', '.', [20]),
  ]:
    monkeypatch.chdir(home / inside)
    assert run_of(Path(given))[0].name == 'run'
    assert [step for step, _ in evaluate(given)] == steps


@pytest.mark.parametrize('umask', [0o002, 0o077])
def test_the_permissions_of_a_run_follow_the_umask(home, umask):
  """Of every file and folder, whoever writes it."""
  before = os.umask(umask)
  try:
    train(configured(home / 'run', training_steps=20))
  finally:
    os.umask(before)
  paths = [home / 'run', *(home / 'run').rglob('*')]
  assert {path.name for path in paths} >= {'metrics.jsonl', '20.npz', 'manifest.json', 'd'}
  for path in paths:
    usual = 0o777 if path.is_dir() else 0o666
    assert path.stat().st_mode & 0o777 == usual & ~umask, path


# ml_collections reads config files with it.
@pytest.mark.filterwarnings('ignore:the load_module:DeprecationWarning')
def test_a_config_file_may_lie_at_home(home, monkeypatch):
  shutil.copy(dummy.__file__, home / 'config.py')
  argv = ['run.py', '--config=~/config.py:fast', '--config.training_steps=20']
  monkeypatch.setattr(sys, 'argv', argv)
  with flagsaver.flagsaver():
    config, _, overrides = command_line.parse(argv, dummy.RULES)
  assert (config.model.rate, config.training_steps, overrides) == (0.5, 20, {'training_steps': 20})


def test_a_run_goes_on_from_the_same_source_however_its_path_is_written(home):
  """`init_from` records the checkpoint that it was; the same command means the same one."""
  config = configured(home / 'run', init_from=str(home / 'source' / 'checkpoints' / '60'))
  (home / 'run').mkdir()
  record_config(home / 'run', config, RULES)
  for given in ('~/source', '../home/source/', f'{home}/x/../source'):
    (home / 'x').mkdir(exist_ok=True)
    again = configured(home / 'run', init_from=given)
    inherit_auto_fields(home / 'run', again, RULES)
    assert again.init_from == config.init_from
