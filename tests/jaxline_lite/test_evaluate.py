"""Evaluations: of any checkpoint, each recorded once, and beside training."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest

from jaxline_lite import evaluated_runs, modes
from jaxline_lite.errors import BadInput
from jaxline_lite.eval_records import EvalFolder, best_steps
from jaxline_lite.experiment import Evaluation
from jaxline_lite.files import read_lines
from jaxline_lite.ownership import hold
from jaxline_lite.run_folder import record_config
from tests.jaxline_lite import dummy
from tests.jaxline_lite.dummy import RULES, Dummy, configured, left_by, train


@pytest.fixture
def trained(tmp_path):
  """A run with checkpoints at 0, 20, 40 and 60 that was not evaluated."""
  train(configured(tmp_path, keep_checkpoints='every:20', final_eval=False))
  return tmp_path


def evaluate(folder, *names, **fields):
  """What `--jaxline_mode eval*` does; the steps whose states were evaluated."""
  made = []
  configs = evaluated_runs.evaluated_configs(configured(folder, **fields), RULES)
  make = lambda config: (
    made.append(Dummy(config, on_batch=lambda batch: batches.append(int(made[0].state['count']))))
    or made[-1]
  )
  batches = []
  modes.evaluate(make, configs, RULES, names or ('eval',))
  return batches[::3]


def records(folder, mode='eval'):
  return list(read_lines(folder / mode / 'metrics.jsonl'))


def record(config, step, value):
  """Puts a record on disk, as if `step` had been evaluated by this config."""
  folder = EvalFolder(Path(config.checkpoint_dir), 'eval', config, RULES)
  folder.path.mkdir(exist_ok=True)
  folder.write(step, Evaluation({'score': value}, '', {}))
  folder.mark_drawn(step)


def files(folder):
  return {
    str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()
  }


@pytest.mark.parametrize(
  ('which', 'steps'),
  [('latest', [60]), ('all', [0, 20, 40, 60]), ('40,20', [40, 20]), ('best', [40])],
)
def test_checkpoints_are_chosen(trained, which, steps):
  config = configured(trained, best_model_eval_metric='eval/score')
  record_config(trained, config, RULES)
  for step, score in ((20, 2.0), (40, 1.0), (60, 1.0)):
    record(config, step, score)
  assert evaluate(trained, 'eval_twice', eval_checkpoints=which) == steps
  assert {record['step'] for record in records(trained, 'eval_twice')} == set(steps)


def test_restore_path_is_a_run_or_a_checkpoint(trained):
  assert evaluate('nowhere', restore_path=str(trained)) == [60]
  assert evaluate('nowhere', restore_path=str(trained / 'checkpoints' / '20')) == [20]
  assert [(record['step'], record['distance']) for record in records(trained)] == [
    (20, 30),
    (60, 10),
  ]


@pytest.mark.parametrize(
  ('fields', 'told'),
  [
    ({'eval_checkpoints': '20,30'}, 'there is no checkpoint 30; there are 0, 20, 40, 60'),
    (
      {'eval_checkpoints': 'best'},
      'no best checkpoint is known; it takes mode train_eval and best_model_eval_metric',
    ),
    ({'restore_path': 'nowhere'}, r'nowhere: no run is there \(no config.json\)'),
  ],
)
def test_what_is_not_there_is_told(trained, fields, told):
  with pytest.raises(BadInput, match=told):
    evaluate(trained, **fields)


def test_second_evaluation_replaces_the_first(trained):
  """Also if it differs in what no result depends on, such as the batch size."""
  evaluate(trained, eval_checkpoints='all')
  before = files(trained)
  evaluate(trained, eval_checkpoints='all', eval__batch_size=1)
  assert files(trained) == before
  assert [record['step'] for record in records(trained)] == [0, 20, 40, 60]


def test_other_settings_are_other_records(trained):
  """With arrays of their own; the run's own records, and its config, stay as they are."""
  evaluate(trained)
  before = files(trained)
  evaluate(trained, eval__seed=7)
  evaluate(trained, eval__seed=7, eval__target=10)
  after = files(trained)
  assert [(record['settings'], record['distance']) for record in records(trained)] == [
    ({'seed': 0, 'target': 50}, 10), ({'seed': 7, 'target': 10}, 50), ({'seed': 7, 'target': 50}, 10)
  ]  # fmt: skip
  assert after.keys() - before.keys() == {'eval/60_seed=7.npz', 'eval/60_seed=7_target=10.npz'}
  assert {name for name in before if after[name] != before[name]} == {'eval/metrics.jsonl'}
  assert after['eval/60_seed=7.npz'] != before['eval/60.npz']


def test_arrays_are_those_of_the_state(trained):
  evaluate(trained, eval_checkpoints='20')
  config = configured(trained)
  experiment = Dummy(config)
  experiment.step(0, 20)
  with np.load(trained / 'eval' / '20.npz') as arrays:
    assert arrays.files == ['scores']
    np.testing.assert_array_equal(
      arrays['scores'], experiment.evaluate('eval', lambda: None).arrays['scores']
    )


@pytest.mark.parametrize(
  ('values', 'higher', 'best'),
  [
    ({10: 3.0, 20: 1.0, 30: 2.0}, False, 20),
    ({10: 3.0, 20: 1.0, 30: 2.0}, True, 10),
    ({10: 2.0, 20: 1.0, 30: 1.0}, False, 20),
    ({10: 1.0, 20: 2.0, 30: 2.0}, True, 20),
    ({10: np.nan, 20: 5.0, 30: 4.0}, False, 30),
    ({10: np.nan, 20: 5.0, 30: 4.0}, True, 20),
    ({10: np.nan}, True, None),
    ({}, False, None),
  ],
)
def test_best_is_the_earliest_of_the_best(tmp_path, values, higher, best):
  config = configured(tmp_path)
  record_config(tmp_path, config, RULES)
  for step, value in values.items():
    record(config, step, value)
  config.best_model_eval_metric_higher_is_better = higher
  for metric, expected in {'eval/score': best, 'eval/other': None, '': None}.items():
    config.best_model_eval_metric = metric
    assert best_steps(tmp_path, config, RULES, [10, 20, 30])[:1] == (
      [] if expected is None else [expected]
    )


def test_a_best_metric_that_there_is_not_is_told(trained, capsys):
  evaluate(trained)
  assert 'best_model_eval_metric' not in capsys.readouterr().out
  config = configured(trained, best_model_eval_metric='eval/accuracy')
  record_config(trained, config, RULES)
  evaluate(trained, best_model_eval_metric='eval/accuracy')
  assert (
    "there is no 'accuracy', so no checkpoint will be the best; there are distance, score"
    in capsys.readouterr().out
  )


def test_best_compares_like_with_like(tmp_path):
  """Evaluations with other settings than those asked for, on easier data perhaps, have no say."""
  record_config(tmp_path, configured(tmp_path), RULES)
  for step, target, score in ((10, 50, 2.0), (20, 50, 3.0), (20, 10, 1.0)):
    record(configured(tmp_path, eval__target=target), step, score)
  for target, step in ((50, 10), (10, 20), (7, 10)):  # nothing was evaluated at 7
    config = configured(tmp_path, eval__target=target, best_model_eval_metric='eval/score')
    assert best_steps(tmp_path, config, RULES, [10, 20])[0] == step


def test_a_record_belongs_to_the_settings_that_its_mode_reads(tmp_path):
  """One of an earlier version may have more of them, or fewer, and is found all the same."""
  config = configured(tmp_path)
  record_config(tmp_path, config, RULES)
  folder = EvalFolder(tmp_path, 'eval', config, RULES)
  folder.path.mkdir()
  settings = {'seed': 0, 'target': 50, 'batch_size': 4, 'unread': 1}
  (folder.path / 'metrics.jsonl').write_text(
    json.dumps({'step': 10, 'settings': settings, 'score': 1.0}) + '\n'
  )
  assert folder.has(10)
  record(config, 10, 2.0)
  assert [line['score'] for line in records(tmp_path)] == [2.0]
  assert not EvalFolder(tmp_path, 'eval', configured(tmp_path, eval__target=9), RULES).has(10)


def test_numbers_are_on_disk_before_anything_is_drawn(trained, capsys):
  """A picture that fails is one line, and an evaluation that was not drawn is made again."""

  class Undrawable(Dummy):
    def draw_evaluation(self, mode, folder, *_):
      assert records(folder.parent)
      raise RuntimeError('no such\nfont')

  configs = evaluated_runs.evaluated_configs(configured(trained), RULES)
  modes.evaluate(Undrawable, configs, RULES, ('eval',))
  said = 'eval at step 60 is recorded, but not drawn: RuntimeError: no such font\n'
  assert said in capsys.readouterr().out
  folder = EvalFolder(trained, 'eval', configs[0], RULES)
  assert folder.has(60)
  folder.write(60, Evaluation({'score': 1.0}, '', {}))
  assert not folder.has(60)  # the process may have been killed while drawing


def test_evaluation_goes_on_beside_training(tmp_path):
  """It sees the checkpoints that there are, and the run is the same without it."""
  train(configured(tmp_path / 'alone'))
  seen = []
  hook = lambda step: seen.extend(evaluate(tmp_path / 'run', 'eval_twice')) if step == 45 else None
  train(configured(tmp_path / 'run'), on_step=hook, most_steps=1)
  assert seen == [40]
  ours = left_by(tmp_path / 'run')
  assert {name: ours[name] for name in ours if not name.startswith('eval_twice')} == left_by(
    tmp_path / 'alone'
  )


def test_training_waits_for_another_to_record(tmp_path):
  """Rather than end because somebody else evaluates the same run."""
  held, release = threading.Event(), threading.Event()

  def occupy():
    with hold(tmp_path / 'eval', 'evaluated'):
      held.set()
      release.wait(30)

  other = threading.Thread(target=occupy)
  other.start()
  held.wait(30)
  threading.Timer(0.2, release.set).start()
  train(configured(tmp_path, training_steps=20))
  assert release.is_set()
  assert [record['step'] for record in records(tmp_path)] == [20]
  other.join()


def test_a_run_that_goes_on_with_other_settings_keeps_its_best(tmp_path):
  """Both the best by the settings that it began with, and by those in force."""
  fields = {'best_model_eval_metric': 'eval/distance', 'save_checkpoint_interval': '10'}
  fields |= {'eval_interval': 10, 'eval__target': 10}
  train(configured(tmp_path, **fields), evaluates_along=True)
  assert dummy.steps(tmp_path) == [10, 50, 60]
  fields |= {'training_steps': 100, 'eval__target': 70}
  train(configured(tmp_path, **fields), evaluates_along=True)
  assert dummy.steps(tmp_path) == [10, 70, 90, 100]
