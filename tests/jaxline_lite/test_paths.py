"""Paths mean what a shell user means, and refused commands leave nothing."""

from pathlib import Path

import pytest

from jaxline_lite import modes
from jaxline_lite.errors import BadInput
from jaxline_lite.paths import expand
from jaxline_lite.run_folder import paths_of, run_of
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
  return modes.evaluate(Dummy, modes.evaluated_configs(config, RULES), RULES, ('eval',))


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
