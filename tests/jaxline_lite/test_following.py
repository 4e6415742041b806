"""Evaluation beside training, from checkpoint to checkpoint, and several runs side by side."""

import json
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from jaxline_lite import checkpoint, evaluated_runs, following, modes, stored_state
from jaxline_lite.errors import BadInput, Diverged, Stopped
from jaxline_lite.experiment import Evaluation
from jaxline_lite.files import read_lines
from jaxline_lite.ownership import hold, owner
from tests.jaxline_lite import dummy
from tests.jaxline_lite.dummy import RULES, Dummy, configured, left_by, train

FOLLOWED = {
  'keep_checkpoints': 'every:10',
  'save_checkpoint_interval': '5',
  'final_eval': False,
  'training_steps': 60,
}


def follow(folder, make=Dummy, **fields):
  config = configured(folder, **(FOLLOWED | fields), one_off_evaluate=False)
  return modes.evaluate(make, evaluated_runs.evaluated_configs(config, RULES), RULES, ('eval',))


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
  monkeypatch.setattr(evaluated_runs, 'PATIENCE', 0.2)
  with pytest.raises(BadInput, match='no run is there'):
    follow(tmp_path / 'run')


def test_a_run_that_diverged_ends_its_follower(tmp_path):
  """When what it has saved is evaluated; and when it goes on to its end, the follower does too."""
  diverging = FOLLOWED | {'model__bad_loss_at': 35, 'model__schedule': 'cosine'}
  with pytest.raises(Diverged) as caught:
    train(configured(tmp_path, **diverging))
  told = f'diverged at step 35: loss nan; the last good checkpoint is {tmp_path}/checkpoints/30'
  assert str(caught.value) == told
  assert json.loads((tmp_path / 'diverged.json').read_text()) == {
    'step': 35,
    'loss': None,  # NaN, which JSON has not
    'last_checkpoint': '30',
    'message': told,
  }
  with pytest.raises(
    Diverged, match=f'^{tmp_path}: {told}; its kept checkpoints are eval'
  ) as ended:
    follow(tmp_path)
  assert ended.value.status == 3
  assert steps(tmp_path) == [0, 10, 20, 30]


def test_the_record_of_a_divergence_goes_when_the_run_goes_on(tmp_path, monkeypatch):
  """As it does when the disk, or a device, was to blame."""

  def broken(config, state, step):
    after, loss = update(config, state, step)
    return ({**after, 'w': after['w'] * np.inf} if step == 34 else after), loss

  update = dummy.update
  monkeypatch.setattr(dummy, 'update', broken)
  with pytest.raises(Diverged):
    train(configured(tmp_path, **FOLLOWED), most_steps=1)
  monkeypatch.undo()
  record = json.loads((tmp_path / 'diverged.json').read_text())
  assert (record['step'], type(record['loss'])) == (35, float)
  assert 'but the state is not finite' in record['message']
  seen = []
  train(
    configured(tmp_path, **FOLLOWED),
    on_step=lambda step: seen.append((tmp_path / 'diverged.json').exists()),
  )
  assert not any(seen)
  assert len(follow(tmp_path)) == 7


def test_a_run_whose_trainer_is_gone_ends_its_follower(tmp_path, monkeypatch):
  """With a status that says that the same command goes on; it does, when the training does."""
  monkeypatch.setattr(following, 'PATIENCE', 0.3)

  def stop(step):
    if step == 33:
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    train(configured(tmp_path, **FOLLOWED), on_step=stop)
  with pytest.raises(
    Stopped, match=r'nobody has trained it for 0.3 seconds, .* is 30, of 60 steps'
  ):
    follow(tmp_path)
  assert steps(tmp_path) == [0, 10, 20, 30]
  trainer = threading.Thread(
    target=lambda: train(
      configured(tmp_path, **FOLLOWED), on_step=lambda step: time.sleep(0.05), most_steps=1
    )
  )
  trainer.start()
  while owner(tmp_path) is None:
    time.sleep(0.01)
  follow(tmp_path)  # for longer than its patience, since the run has a trainer
  trainer.join()
  assert steps(tmp_path) == [0, 10, 20, 30, 40, 50, 60]


def test_a_follower_that_waits_reads_no_arrays(tmp_path, monkeypatch):
  """Of a checkpoint that it has seen it reads nothing again."""
  monkeypatch.setattr(following, 'PATIENCE', 0.5)
  monkeypatch.setattr(following, 'PAUSE', 0.01)

  def stop(step):
    if step == 33:
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    train(configured(tmp_path, **FOLLOWED), on_step=stop)
  with pytest.raises(Stopped):
    follow(tmp_path)  # evaluates what there is
  digests, manifests = [], []
  digest, read_manifest = stored_state._digests, checkpoint.read_manifest
  monkeypatch.setattr(
    stored_state, '_digests', lambda *given: digests.append(given) or digest(*given)
  )
  monkeypatch.setattr(
    checkpoint, 'read_manifest', lambda folder: manifests.append(folder) or read_manifest(folder)
  )
  with pytest.raises(Stopped):
    follow(tmp_path)
  assert digests == []
  assert [folder.name for folder in manifests] == ['30']


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
      evaluated_runs.evaluated_configs(configured(tmp_path / name, training_steps=20), RULES),
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
    Comparing, evaluated_runs.evaluated_configs(config, RULES), RULES, ('eval', 'eval_twice')
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


class Drawing(Dummy):
  """Leaves a file of its own in a comparison's folder."""

  def compare(self, mode, folder, evaluations, configs):
    (folder / 'comparison.txt').write_text(' '.join(evaluations))
    return super().compare(mode, folder, evaluations, configs)


def drawn(tmp_path, *names, **fields):
  """The comparisons that are there after another one."""
  paths = ','.join(str(tmp_path / name) for name in names)
  output = tmp_path / 'compare'
  config = configured(tmp_path, restore_path=paths, eval__output_dir=str(output), **fields)
  modes.evaluate(Drawing, evaluated_runs.evaluated_configs(config, RULES), RULES, ('eval',))
  return sorted(path.parent.name for path in (output / 'eval').glob('*/comparison.txt'))


def test_comparisons_replace_themselves_and_no_other(two):
  """They differ by runs, steps, titles and settings."""
  shutil.copytree(two / 'a', two / 'c' / 'a')
  first = drawn(two, 'a', 'b')
  assert len(first) == 1
  assert first[0].startswith('a@60_b@40_')
  assert drawn(two, 'a', 'b') == first
  for count, (names, fields) in enumerate(
    [
      (('b', 'a'), {}),
      (('c/a', 'b'), {}),
      (('a/checkpoints/40', 'b'), {}),
      (('a', 'b'), {'eval__titles': 'one,two'}),
      (('a', 'b'), {'eval__seed': 5}),
      (('a', 'b'), {'eval__titles': f'{"long" * 50},two / of them: ÄÖ'}),
    ],
    start=2,
  ):
    comparisons = drawn(two, *names, **fields)
    assert len(comparisons) == count
    assert set(first) <= set(comparisons)
  assert any('seed=5' in name for name in comparisons)
  assert max(map(len, comparisons)) <= 70


def test_two_comparisons_at_a_time_do_not_mix(two):
  """The second waits until the first is written."""
  name = drawn(two, 'a', 'b')[0]
  folder, waiting = two / 'compare' / 'eval' / name, []

  def second():
    drawn(two, 'a', 'b')
    waiting.append('over')

  with hold(folder, 'written'):
    (folder / 'comparison.txt').write_text('by the first')
    thread = threading.Thread(target=second)
    thread.start()
    time.sleep(0.5)
    assert waiting == []
    assert (folder / 'comparison.txt').read_text() == 'by the first'
  thread.join(60)
  assert waiting == ['over']
  assert (folder / 'comparison.txt').read_text() == 'a b'
