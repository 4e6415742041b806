"""The loop: the same run however it is cut, and nothing on disk that is not sound."""

import json
import types

import numpy as np
import pytest

from jaxline_lite import train as loop
from jaxline_lite.errors import Diverged
from jaxline_lite.files import read_lines
from tests.jaxline_lite import dummy
from tests.jaxline_lite.dummy import configured, left_by, train


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """What a run leaves that nothing disturbs, with a line for every step."""
  folder = tmp_path_factory.mktemp('whole')
  train(configured(folder, log_train_data_interval=1))
  return left_by(folder)


@pytest.fixture(scope='module')
def alone():
  """State and losses of the 60 steps without any loop."""
  experiment = dummy.Dummy(configured('unused'))
  losses = experiment.step(0, 60)['loss']
  return experiment.state, losses


@pytest.mark.parametrize(('interval', 'most_steps'), [(1, 1), (7, 16), (100, 60)])
def test_log_interval_chooses_lines_and_changes_nothing_else(
  tmp_path, whole, alone, interval, most_steps
):
  experiment = train(configured(tmp_path, log_train_data_interval=interval), most_steps=most_steps)
  np.testing.assert_equal(experiment.state, alone[0])
  due = range(interval, 61, interval)
  assert list(read_lines(tmp_path / 'metrics.jsonl')) == [
    {'step': step, 'loss': alone[1][step - 1]} for step in due
  ]
  ours = left_by(tmp_path)
  assert {**ours, 'metrics.jsonl': b''} == {**whole, 'metrics.jsonl': b''}


def test_only_timing_knows_the_clock(tmp_path):
  train(configured(tmp_path))
  assert all(record.keys() == {'step', 'loss'} for record in read_lines(tmp_path / 'metrics.jsonl'))
  timing = list(read_lines(tmp_path / 'timing.jsonl'))
  assert [record['step'] for record in timing] == [7, 14, 21, 28, 35, 42, 49, 56]
  assert all(record.keys() == {'step', 'time', 'steps_per_second'} for record in timing)


def crash_at(steps):
  """A hook that fails once at each of the steps."""
  pending = set(steps)

  def on_step(step):
    if step in pending:
      pending.remove(step)
      raise RuntimeError('the machine is gone')

  return on_step


@pytest.mark.parametrize('crashes', [(0,), (19, 20, 21), (33, 34, 47), (59,)], ids=str)
def test_restarts_change_no_bit(tmp_path, whole, crashes):
  config, hook = configured(tmp_path, log_train_data_interval=1), crash_at(crashes)
  for _ in crashes:
    with pytest.raises(RuntimeError, match='the machine is gone'):
      train(config, on_step=hook)
  train(config, on_step=hook)
  assert left_by(tmp_path) == whole


def test_resume_rewrites_later_lines(tmp_path, whole):
  config = configured(tmp_path, log_train_data_interval=1)
  with pytest.raises(RuntimeError):
    train(config, on_step=crash_at([40]), most_steps=1)
  with (tmp_path / 'metrics.jsonl').open('a') as file:
    file.write(json.dumps({'step': 41, 'loss': 9.9}) + '\n{"step": 42, "lo')
  train(config)
  assert left_by(tmp_path) == whole


def test_finished_run_says_so(tmp_path, capsys):
  train(configured(tmp_path))
  before = left_by(tmp_path), (tmp_path / 'timing.jsonl').read_bytes()
  capsys.readouterr()
  train(configured(tmp_path), on_step=crash_at(range(100)), on_batch=crash_at(range(3)))
  assert (
    capsys.readouterr().out
    == f'{tmp_path} is finished: 60 steps; choose another --config.checkpoint_dir for another run\n'
  )
  assert (left_by(tmp_path), (tmp_path / 'timing.jsonl').read_bytes()) == before


@pytest.mark.parametrize('interrupted', ['train', 'train_eval'])
def test_missing_evaluation_is_made_up_for(tmp_path, interrupted):
  """A run is finished only with its last evaluation, which in mode train_eval is due whatever
  final_eval says.
  """
  along = interrupted == 'train_eval'
  config = configured(tmp_path, training_steps=20, final_eval=not along)
  with pytest.raises(RuntimeError):
    train(config, along, on_batch=crash_at([1]))
  assert dummy.steps(tmp_path) == [20]
  assert not (tmp_path / 'eval' / 'metrics.jsonl').exists()
  train(config, along, on_step=crash_at(range(20)))
  assert [record['step'] for record in read_lines(tmp_path / 'eval' / 'metrics.jsonl')] == [20]


def test_without_final_eval_nothing_is_evaluated(tmp_path):
  train(configured(tmp_path, final_eval=False), on_batch=crash_at([0]))
  assert not (tmp_path / 'eval').exists()


@pytest.mark.parametrize('most_steps', [1, 60])
def test_loss_that_is_not_finite_ends_the_run(tmp_path, most_steps):
  """With one line, nothing saved after the last good checkpoint, and again if it is tried again."""
  config = configured(tmp_path, log_train_data_interval=1, model__bad_loss_at=34)
  for _ in range(2):
    with pytest.raises(Diverged) as caught:
      train(config, most_steps=most_steps)
    assert (
      str(caught.value)
      == f'diverged at step 34: loss nan; the last good checkpoint is {tmp_path}/checkpoints/20'
    )
    assert caught.value.status == 3
    assert dummy.steps(tmp_path) == [20]
    assert [record['step'] for record in read_lines(tmp_path / 'metrics.jsonl')] == list(
      range(1, 34)
    )


def test_loss_that_is_not_finite_before_a_checkpoint(tmp_path):
  with pytest.raises(Diverged, match='diverged at step 3: loss nan; there is no checkpoint yet'):
    train(configured(tmp_path, model__bad_loss_at=3))


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_state_that_is_not_finite_is_never_saved(tmp_path, alone, dtype):
  config = configured(tmp_path, model__bad_state_at=40, model__dtype=dtype)
  loss = r'loss 0\.[0-9]+, but the state is not finite'
  with pytest.raises(
    Diverged,
    match=f'diverged at step 40: {loss}; the last good checkpoint is {tmp_path}/checkpoints/20',
  ):
    train(config)
  assert dummy.steps(tmp_path) == [20]


@pytest.mark.parametrize(('higher', 'best'), [(False, 40), (True, 20)])
def test_latest_best_and_kept_checkpoints_stay(tmp_path, higher, best):
  """The distances at 20, 40, 60 and 80 are 30, 10, 10 and 30: of two that are equally good the
  earliest is the best.
  """
  config = configured(
    tmp_path, training_steps=80, save_checkpoint_interval='10', keep_checkpoints='every:30',
    best_model_eval_metric='eval/distance', best_model_eval_metric_higher_is_better=higher,
  )  # fmt: skip
  on_disk = {}
  train(
    config,
    evaluates_along=True,
    on_step=lambda step: on_disk.setdefault(step, dummy.steps(tmp_path)),
    most_steps=1,
  )
  assert [record['distance'] for record in read_lines(tmp_path / 'eval' / 'metrics.jsonl')] == [
    30,
    10,
    10,
    30,
  ]
  assert on_disk[30] == [0, 20, 30]
  assert on_disk[50] == sorted({0, best, 30, 40, 50})
  assert dummy.steps(tmp_path) == sorted({0, best, 30, 60, 70, 80})


def test_train_eval_evaluates_at_every_interval_and_at_the_end(tmp_path):
  train(
    configured(tmp_path, training_steps=50, eval_modes=('eval', 'eval_twice')), evaluates_along=True
  )
  for mode in ('eval', 'eval_twice'):
    assert [record['step'] for record in read_lines(tmp_path / mode / 'metrics.jsonl')] == [
      20,
      40,
      50,
    ]
    assert {path.name for path in (tmp_path / mode).glob('*.npz')} == {'20.npz', '40.npz', '50.npz'}


def test_seconds_between_checkpoints(tmp_path, monkeypatch):
  """Ten seconds a step, more than 100 between checkpoints."""
  now = [0.0]
  monkeypatch.setattr(
    loop, 'time', types.SimpleNamespace(perf_counter=lambda: now[0], time=lambda: now[0])
  )
  newest = []

  def on_step(step):
    now[0] += 10
    newest.append(max(dummy.steps(tmp_path), default=0))

  train(
    configured(tmp_path, training_steps=30, save_checkpoint_interval='100s'),
    on_step=on_step,
    most_steps=1,
  )
  assert newest == [0] * 11 + [11] * 11 + [22] * 8
  assert dummy.steps(tmp_path) == [22, 30]


def test_loop_and_evaluation_fields_may_change(tmp_path, whole):
  """Every field that may differ does, and the run is the same to the bit where they do not show."""
  with pytest.raises(RuntimeError):
    train(configured(tmp_path), on_step=crash_at([33]))
  train(configured(
    tmp_path, log_train_data_interval=1, save_checkpoint_interval='7s', keep_checkpoints='log:3', eval_interval=9,
    eval_modes=('eval', 'eval_twice'), eval_checkpoints='all', final_eval=True, one_off_evaluate=False,
    best_model_eval_metric='eval/score', best_model_eval_metric_higher_is_better=True, eval__seed=0, eval__batch_size=1,
  ))  # fmt: skip
  ours = left_by(tmp_path)
  for name in ('w', 'count', 'eval/60.npz', 'eval/metrics.jsonl'):
    assert ours[name] == whole[name]


def test_fewer_steps_than_were_made(tmp_path):
  """The evaluation is recorded at the step whose state it is of."""
  train(configured(tmp_path, final_eval=False))
  train(configured(tmp_path, training_steps=30), on_step=crash_at(range(100)))
  assert [
    (record['step'], record['distance'])
    for record in read_lines(tmp_path / 'eval' / 'metrics.jsonl')
  ] == [(60, 10)]


def test_a_picture_that_fails_is_a_line_and_the_run_is_whole(tmp_path, monkeypatch, capsys):
  def fail(self, folder):
    raise RuntimeError('latex could not\nbe found')

  monkeypatch.setattr(dummy.Dummy, 'draw_training', fail)
  train(configured(tmp_path))
  said = 'the training is recorded, but not drawn: RuntimeError: latex could not be found\n'
  assert capsys.readouterr().out.endswith(said)
  assert (tmp_path / 'log.txt').read_text().endswith(said)
  assert (tmp_path / 'eval' / 'metrics.jsonl').exists()
