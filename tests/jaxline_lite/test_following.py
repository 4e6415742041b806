"""Evaluation beside training, from checkpoint to checkpoint, and several runs side by side."""

import shutil
import signal
import threading
import time
from pathlib import Path
from typing import ClassVar

import pytest

from jaxline_lite import modes
from jaxline_lite.errors import BadInput, Stopped
from jaxline_lite.experiment import Evaluation
from jaxline_lite.files import read_lines
from tests.jaxline_lite.dummy import RULES, Dummy, configured, left_by, train

FOLLOWED = {
  'keep_checkpoints': 'every:10',
  'save_checkpoint_interval': '5',
  'final_eval': False,
  'training_steps': 60,
}


def follow(folder, make=Dummy, **fields):
  config = configured(folder, **(FOLLOWED | fields), one_off_evaluate=False)
  return modes.evaluate(make, modes.evaluated_configs(config, RULES), RULES, ('eval',))


def steps(folder: Path) -> list[int]:
  return [record['step'] for record in read_lines(folder / 'eval' / 'metrics.jsonl')]


def test_every_kept_checkpoint_of_a_growing_run_is_evaluated_once(tmp_path):
  """And the run is to the bit what it is alone."""
  train(configured(tmp_path / 'alone', **FOLLOWED))
  evaluated = []

  class Counting(Dummy):
    def evaluate(self, mode, check):
      evaluated.append(int(self.state['count']))
      return super().evaluate(mode, check)

  def begun():
    while not (tmp_path / 'run' / 'checkpoints').exists():
      time.sleep(0.01)
    follow(tmp_path / 'run', Counting)

  follower = threading.Thread(target=begun)
  follower.start()
  train(
    configured(tmp_path / 'run', **FOLLOWED), on_step=lambda step: time.sleep(0.02), most_steps=1
  )
  follower.join(60)
  assert not follower.is_alive()
  assert evaluated == steps(tmp_path / 'run') == [0, 10, 20, 30, 40, 50, 60]
  ours = left_by(tmp_path / 'run')
  assert {name: ours[name] for name in ours if not name.startswith('eval')} == left_by(
    tmp_path / 'alone'
  )


def test_what_is_evaluated_is_not_evaluated_again(tmp_path):
  train(configured(tmp_path, **FOLLOWED))
  assert len(follow(tmp_path)) == 7
  assert follow(tmp_path) == []
  assert len(follow(tmp_path, eval__seed=5)) == 7


def test_a_damaged_checkpoint_is_passed_over(tmp_path, capsys):
  train(configured(tmp_path, **FOLLOWED))
  (tmp_path / 'checkpoints' / '20' / 'manifest.json').write_text('{}')
  follow(tmp_path)
  assert steps(tmp_path) == [0, 10, 30, 40, 50, 60]
  assert 'checkpoint 20 is damaged' in capsys.readouterr().out


def test_a_run_that_goes_on_is_followed_to_its_new_end(tmp_path):
  """Its old last checkpoint is not the end, whatever was said of it; and with fewer steps than it
  has, it is finished.
  """
  train(configured(tmp_path, **(FOLLOWED | {'training_steps': 30})))
  train(configured(tmp_path, **FOLLOWED))
  assert len(follow(tmp_path)) == 7
  train(configured(tmp_path, **(FOLLOWED | {'training_steps': 30})))
  follow(tmp_path, eval__seed=3)


def test_a_run_that_is_about_to_begin_is_waited_for(tmp_path):
  threading.Timer(0.5, lambda: train(configured(tmp_path / 'run', **FOLLOWED))).start()
  assert len(follow(tmp_path / 'run')) == 7


def test_a_run_that_does_not_begin_is_not_waited_for_forever(tmp_path, monkeypatch):
  monkeypatch.setattr(modes, 'PATIENCE', 0.2)
  with pytest.raises(BadInput, match='no run is there'):
    follow(tmp_path / 'run')


def test_one_checkpoint_cannot_be_followed(tmp_path):
  train(configured(tmp_path, **FOLLOWED))
  with pytest.raises(
    BadInput, match=r'follows one run .*; restore_path is .*20.*give one run, and no checkpoints'
  ):
    follow(tmp_path, restore_path=str(tmp_path / 'checkpoints' / '20'))


def test_a_signal_ends_it(tmp_path, monkeypatch):
  train(configured(tmp_path, **(FOLLOWED | {'training_steps': 30})))
  flag = modes.StopFlag()
  flag.received = signal.SIGTERM
  monkeypatch.setattr(modes, 'StopFlag', lambda: flag)
  with pytest.raises(Stopped):
    follow(tmp_path)


def test_names_may_have_commas(tmp_path):
  """As those of the points of a sweep do."""
  for name in ('n=1,seed=0', 'n=1,seed=1'):
    train(configured(tmp_path / name, training_steps=20, final_eval=False))
    modes.evaluate(
      Dummy,
      modes.evaluated_configs(configured(tmp_path / name, training_steps=20), RULES),
      RULES,
      ('eval',),
    )
    assert steps(tmp_path / name) == [20]
  assert (
    len(follow(tmp_path / 'none', restore_path=str(tmp_path / 'n=1,seed=0'), eval__seed=2)) == 1
  )
  compare(tmp_path, 'n=1,seed=0', 'n=1,seed=1/checkpoints/20')
  assert list(Comparing.compared[0][2]) == ['n=1,seed=0', 'n=1,seed=1']


class Comparing(Dummy):
  compared: ClassVar[list] = []

  def compare(self, mode, folder, evaluations, configs):
    self.compared.append(
      (mode, folder, {title: found.metrics['distance'] for title, found in evaluations.items()})
    )
    assert configs.keys() == evaluations.keys()
    assert all(isinstance(found, Evaluation) for found in evaluations.values())
    return super().compare(mode, folder, evaluations, configs)


def compare(tmp_path, *names, **fields):
  paths = ','.join(str(tmp_path / name) for name in names)
  config = configured(
    tmp_path / 'none', restore_path=paths, eval__output_dir=str(tmp_path / 'compare'), **fields
  )
  Comparing.compared = []
  return modes.evaluate(
    Comparing, modes.evaluated_configs(config, RULES), RULES, ('eval', 'eval_twice')
  )


@pytest.fixture
def two(tmp_path):
  for name, end in (('a', 60), ('b', 40)):
    train(configured(tmp_path / name, training_steps=end))
  return tmp_path


def test_several_runs_are_evaluated_and_compared(two, capsys):
  compare(two, 'a', 'b', eval__titles='one, other')
  assert [(folder.parent, distances) for _, folder, distances in Comparing.compared] == [
    (two / 'compare' / mode, {'one': 10.0, 'other': 10.0}) for mode in ('eval', 'eval_twice')
  ]
  told = f'eval of one, other, written to {two}/compare/eval/one@60_other@40_'
  assert told in capsys.readouterr().out
  assert steps(two / 'a') == [60]
  assert steps(two / 'b') == [40]


def test_without_titles_models_are_called_by_their_folders_and_steps(two):
  compare(two, 'a', 'b', 'a/checkpoints/40')
  assert list(Comparing.compared[0][2]) == [str(two / 'a'), 'b', str(two / 'a/checkpoints/40')]
  (two / 'c').mkdir()
  shutil.copytree(two / 'a', two / 'c' / 'a')
  compare(two, 'a', 'c/a')
  assert list(Comparing.compared[0][2]) == [str(two / 'a'), str(two / 'c' / 'a')]
  compare(two, 'a', 'b', eval_checkpoints='all')
  assert list(Comparing.compared[0][2]) == [
    f'{run} at step {step}' for run, step in (('a', 40), ('a', 60), ('b', 20), ('b', 40))
  ]
  compare(two, 'a')
  assert Comparing.compared == []


@pytest.mark.parametrize(
  ('names', 'fields', 'told'),
  [
    (
      ['a', 'b'],
      {'eval__titles': 'one'},
      r"eval.titles is 'one', for 2 run\(s\) in restore_path; give each one of its own, or none at all",
    ),
    (['a', 'b'], {'eval__titles': 'A, A'}, r"eval.titles is 'A, A', for 2 run"),
    (['a', 'c'], {}, r'c: no run is there'),
    (['a', 'b'], {'eval_checkpoints': '60'}, 'b: there is no checkpoint 60'),
  ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_written(two, names, fields, told):
  before = (two / 'a' / 'eval' / 'metrics.jsonl').read_bytes()
  with pytest.raises(BadInput, match=told):
    compare(two, *names, **fields)
  assert not (two / 'compare').exists()
  assert (two / 'a' / 'eval' / 'metrics.jsonl').read_bytes() == before
