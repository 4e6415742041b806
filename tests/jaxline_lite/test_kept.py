"""Which checkpoints stay, whole or with what evaluations need alone, and whose they are."""

import json
import shutil
import types
from pathlib import Path

import numpy as np
import pytest

from jaxline_lite import evaluated_runs, files, modes, stored_state
from jaxline_lite.checkpoint import Checkpoints
from jaxline_lite.errors import BadInput
from jaxline_lite.eval_records import best_steps
from jaxline_lite.run_folder import record_config
from jaxline_lite.stored_state import MANIFEST, drop_rest, read, read_manifest, write
from tests.jaxline_lite import dummy
from tests.jaxline_lite.dummy import RULES, Dummy, configured
from tests.jaxline_lite.test_files import strict


class Heavy(Dummy):
  """A dummy whose state has a part that training alone needs, which every step changes."""

  def __init__(self, config, *hooks, **options):
    super().__init__(config, *hooks, **options)
    self.state['momentum'] = np.zeros(1000, np.float32)

  def step(self, first, count):
    momentum = self.state['momentum']  # of whole states alone
    metrics = super().step(first, count)
    self.state['momentum'] = momentum + np.float32(count)
    return metrics

  def lighten(self, state):
    return {name: leaf for name, leaf in state.items() if name != 'momentum'}


RUN = {'save_checkpoint_interval': '10', 'keep_checkpoints': 'every:20', 'final_eval': False}


def train(folder, along=False, **fields):
  """A run of the heavy dummy; the experiment at the end."""
  made, hooks = [], {name: fields.pop(name) for name in ('on_step', 'most_steps') if name in fields}
  config = configured(folder, **(RUN | fields))
  make = lambda config: made.append(Heavy(config, **hooks)) or made[-1]
  modes.train(make, config, RULES, along)
  return made[-1]


def evaluate(folder, **fields):
  """What `--jaxline_mode eval` does; the steps that are evaluated."""
  configs = evaluated_runs.evaluated_configs(configured(folder, **fields), RULES)
  return [step for step, _ in modes.evaluate(Heavy, configs, RULES, ('eval',))]


def kinds(folder: Path) -> dict[int, bool]:
  """Whether each checkpoint is whole, by step."""
  paths = {step: folder / 'checkpoints' / str(step) for step in dummy.steps(folder)}
  whole = {step: read_manifest(path)['whole'] for step, path in paths.items()}
  assert whole == {step: (path / 'rest').exists() for step, path in paths.items()}
  return whole


def test_latest_two_are_whole_and_those_that_are_kept_are_light(tmp_path):
  """And so is step 0; all of them are evaluated, and the run is as it was without them."""
  experiment = train(tmp_path / 'run')
  light, whole = [0, 20, 40], [50, 60]
  assert kinds(tmp_path / 'run') == {step: step in whole for step in light + whole}
  assert evaluate(tmp_path / 'run', eval_checkpoints='all') == light + whole
  alone = train(tmp_path / 'alone', keep_checkpoints='none')
  assert kinds(tmp_path / 'alone') == {50: True, 60: True}
  np.testing.assert_equal(experiment.state, alone.state)
  for name in ('0', '20'):
    path = tmp_path / 'run' / 'checkpoints' / name
    state = read(path, Heavy(configured('')).state, experiment.lighten)
    assert state.keys() == {'w', 'count'}
    assert state['count'] == int(name)


def test_a_run_that_was_killed_before_its_first_save_begins_again(tmp_path):
  """What is saved of step 0 is no progress."""
  with pytest.raises(ZeroDivisionError):
    train(tmp_path / 'run', on_step=lambda step: 1 // (5 - step), most_steps=1)
  assert kinds(tmp_path / 'run') == {0: False}
  steps = []
  experiment = train(tmp_path / 'run', on_step=steps.append)
  assert steps == list(range(60))
  np.testing.assert_equal(experiment.state, train(tmp_path / 'alone').state)


def test_a_damaged_step_0_is_written_again(tmp_path):
  with pytest.raises(ZeroDivisionError):
    train(tmp_path, on_step=lambda step: 1 // (5 - step), most_steps=1)
  (tmp_path / 'checkpoints' / '0' / MANIFEST).write_text('{')
  train(tmp_path)
  assert kinds(tmp_path)[0] is False


def test_training_goes_on_from_whole_checkpoints_alone(tmp_path):
  train(tmp_path)
  for step in ('50', '60'):
    shutil.rmtree(tmp_path / 'checkpoints' / step)
  told = 'checkpoints 0, 20, 40 have parameters alone, and none with the state of the optimizer'
  with pytest.raises(BadInput, match=told) as caught:
    train(tmp_path)
  assert caught.value.status == 2
  assert dummy.steps(tmp_path) == [0, 20, 40]
  assert evaluate(tmp_path, eval_checkpoints='latest') == [40]


def test_a_light_checkpoint_becomes_whole_when_its_step_is_made_again(tmp_path):
  """Where an older whole one, the best, was all that was intact."""
  fields = {'best_model_eval_metric': 'eval/distance', 'eval__target': 10, 'eval_interval': 10}
  train(tmp_path / 'run', along=True, **fields)
  assert kinds(tmp_path / 'run') == {0: False, 10: True, 20: False, 40: False, 50: True, 60: True}
  for step in ('50', '60'):
    shutil.rmtree(tmp_path / 'run' / 'checkpoints' / step)
  stop = {'on_step': lambda step: 1 // (25 - step), 'most_steps': 1}
  with pytest.raises(ZeroDivisionError):
    train(tmp_path / 'run', along=True, **stop, **fields)
  assert kinds(tmp_path / 'run') == {0: False, 10: True, 20: True, 40: False}
  made = []
  experiment = train(tmp_path / 'run', along=True, on_step=made.append, **fields)
  assert made == list(range(20, 60))
  np.testing.assert_equal(experiment.state, train(tmp_path / 'alone').state)


@pytest.mark.parametrize(
  'fields', [{'keep_checkpoints': 'every:50'}, {'keep_checkpoints': 'none'}, {}], ids=str
)
def test_a_run_that_is_lengthened_loses_no_kept_checkpoint(tmp_path, fields):
  """Nor does one that is to keep others from now on; the old end keeps its evaluation."""
  train(tmp_path, final_eval=True, keep_checkpoints='log:4')
  before = set(dummy.steps(tmp_path)) - {50}  # the last but one, which no plan keeps
  assert before == {0, 1, 4, 15, 60}
  train(tmp_path, **({'keep_checkpoints': 'log:4', 'training_steps': 100} | fields))
  assert before <= set(dummy.steps(tmp_path))
  assert kinds(tmp_path)[60] is False
  assert [record['step'] for record in files.read_lines(tmp_path / 'eval/metrics.jsonl')] == [60]
  assert (tmp_path / 'eval' / '60.npz').exists()


def test_checkpoints_of_earlier_versions_stay_whole(tmp_path):
  """Their manifests do not say that they are kept, and they have one part alone."""
  train(tmp_path, training_steps=40)
  for step in dummy.steps(tmp_path):
    shutil.rmtree(tmp_path / 'checkpoints' / str(step))
  states = {}
  for step in (10, 30, 40):
    states[step] = {**Heavy(configured('')).state, 'count': np.array(step, np.int32)}
    path = tmp_path / 'checkpoints' / str(step)
    write(path, states[step], {'step': step})
    manifest = json.loads((path / MANIFEST).read_text())
    for name in ('whole', 'rest', 'digest'):
      del manifest[name]
    manifest['digest'] = files.digest(files.canonical(manifest).encode())
    (path / MANIFEST).write_text(json.dumps(manifest))
  assert evaluate(tmp_path, eval_checkpoints='all') == [10, 30, 40]
  train(tmp_path)
  assert dummy.steps(tmp_path) == [10, 30, 40, 50, 60]
  for step, state in states.items():
    np.testing.assert_equal(read(tmp_path / 'checkpoints' / str(step), state), state)


class Killed(BaseException):
  """The process ends here."""


def kill_at(monkeypatch, number):
  """Ends the process, as it were, at the call with this number that changes a name; the calls."""
  calls = []

  def counted(function):
    def call(*arguments, **options):
      calls.append(function)
      if len(calls) == number:
        raise Killed
      return function(*arguments, **options)

    return call

  for owner, name in (
    (files, 'replace'), (Path, 'rename'), (Path, 'replace'), (shutil, 'rmtree'),
    (stored_state, '_write_manifest'),
  ):  # fmt: skip
    monkeypatch.setattr(owner, name, counted(getattr(owner, name)))
  return calls


def test_a_kill_at_any_moment_of_making_light_loses_nothing(tmp_path, monkeypatch):
  """Steps 0, 20 and 30 are there: 40 is saved, 20 made light, 30 replaced and 10 deleted."""
  state, light = Heavy(configured('')).state, Heavy(configured('')).lighten
  begun = Checkpoints(tmp_path / 'begun', print, light)
  for step in (0, 10, 20, 30):
    begun.save(step, state, {'kept': step != 10})
  drop_rest(begun.path(30), begun.manifest(30))

  def work(checkpoints):
    checkpoints.clear_leftovers()
    checkpoints.save(30, state, {'kept': True})
    checkpoints.save(40, state, {'kept': True})
    checkpoints.prune(kept=(0, 20, 30, 40), best=())

  number, was_killed = 0, True
  while was_killed:
    number, was_killed = number + 1, False
    folder = shutil.copytree(tmp_path / 'begun', tmp_path / str(number) / 'checkpoints')
    checkpoints = Checkpoints(folder, print, light)
    with monkeypatch.context() as patched:
      kill_at(patched, number)
      try:
        work(checkpoints)
      except Killed:
        was_killed = True
    checkpoints.clear_leftovers()
    for step in (0, 20, 30):
      assert checkpoints.read_any([step], state)[1].keys() == {'w', 'count'}
    if dummy.steps(folder.parent)[-1] == 40:
      assert checkpoints.restore_latest(state)[0] == 40
    work(checkpoints)
    assert kinds(folder.parent) == {0: False, 20: False, 30: True, 40: True}
    assert not list(folder.glob('.*'))
  assert number > 10


def test_a_replacement_that_was_cut_short_is_finished(tmp_path):
  """A whole checkpoint takes the place of a light one by two changes of names."""
  state = Heavy(configured('')).state
  checkpoints = Checkpoints(tmp_path, print, Heavy(configured('')).lighten)
  checkpoints.save(20, state, {'kept': True})
  (tmp_path / '20').rename(tmp_path / '.20.replaced')
  checkpoints.clear_leftovers()
  assert checkpoints.steps() == [20]
  shutil.copytree(tmp_path / '20', tmp_path / '.20.replaced')
  checkpoints.clear_leftovers()
  assert [path.name for path in tmp_path.iterdir()] == ['20']
  np.testing.assert_equal(read(tmp_path / '20', state), state)


def test_an_evaluation_reads_a_checkpoint_that_is_made_light_meanwhile(tmp_path, monkeypatch):
  experiment = Heavy(configured(''))
  write(tmp_path / '20', experiment.state, {'step': 20}, experiment.lighten)
  digests = stored_state._digests

  def digests_after(folder, names):
    monkeypatch.setattr(stored_state, '_digests', digests)
    drop_rest(folder, read_manifest(folder))
    return digests(folder, names)

  monkeypatch.setattr(stored_state, '_digests', digests_after)
  light = experiment.lighten(experiment.state)
  np.testing.assert_equal(read(tmp_path / '20', experiment.state, experiment.lighten), light)


def test_what_cannot_be_read_is_not_pruned(tmp_path, monkeypatch):
  """Nobody knows whether it is kept."""
  train(tmp_path)
  (tmp_path / 'checkpoints' / '20' / MANIFEST).write_text('{')
  train(tmp_path, keep_checkpoints='none', training_steps=80)
  assert 20 in dummy.steps(tmp_path)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
  """By training, evaluation and comparison, in a line that names what differs."""
  train(tmp_path / 'ours')
  train(tmp_path / 'theirs', random_seed=3, model__rate=0.2)
  for step in ('40', '60'):
    shutil.rmtree(tmp_path / 'ours' / 'checkpoints' / step)
    theirs = tmp_path / 'theirs' / 'checkpoints' / step
    shutil.copytree(theirs, tmp_path / 'ours' / 'checkpoints' / step)
  told = (
    "is another run's, which differs in model.rate .0.2 there, 0.1 here., random_seed .3 there, "
    '0 here.; remove it'
  )
  for call in (
    lambda: train(tmp_path / 'ours', training_steps=80),
    lambda: evaluate(tmp_path / 'ours'),
    lambda: evaluate(tmp_path / 'ours', eval_checkpoints='40'),
  ):
    with pytest.raises(BadInput, match=told) as caught:
      call()
    assert caught.value.status == 2
  assert dummy.steps(tmp_path / 'ours') == [0, 20, 40, 50, 60]
  shutil.rmtree(tmp_path / 'ours' / 'checkpoints' / '60')
  train(tmp_path / 'ours', training_steps=80)


def test_a_checkpoint_under_another_step_is_refused(tmp_path):
  train(tmp_path)
  shutil.copytree(tmp_path / 'checkpoints' / '60', tmp_path / 'checkpoints' / '80')
  with pytest.raises(BadInput, match='80 is of step 60, as if it had been copied; remove it'):
    evaluate(tmp_path)


def test_a_run_is_the_same_when_versions_add_fields_or_free_them(tmp_path, monkeypatch):
  """Fields that may change, that are newer or that were 'auto' make a checkpoint no other's."""
  train(tmp_path, model__rate=0.1)

  path = tmp_path / 'checkpoints' / '60'
  manifest = read_manifest(path)
  assert manifest['run']['random_seed'] == 0
  assert not {'training_steps', 'checkpoint_dir', 'eval.seed'} & manifest['run'].keys()
  del manifest['run']['model.rate']  # as if it were newer than the checkpoint
  manifest['run'] |= {'model.dtype': 'auto', 'model.width': 5, 'model.lost': 1}
  stored_state._write_manifest(path, manifest)
  freed = {'resumable': lambda config: frozenset({'training_steps', 'model.width'})}
  monkeypatch.setattr(Heavy, 'rules', types.SimpleNamespace(**(vars(RULES) | freed)))
  train(tmp_path, training_steps=70)
  monkeypatch.undo()
  (tmp_path / 'config.json').write_text(
    (tmp_path / 'config.json').read_text().replace('"rate": 0.1', '"rate": 0.5')
  )
  with pytest.raises(BadInput, match=r'differs in model.rate \(0.1 there, 0.5 here\), model.width'):
    evaluate(tmp_path, eval_checkpoints='60')


@pytest.mark.parametrize(
  ('metric', 'told'),
  [
    (
      'eval/distanse',
      r"eval has no 'distanse' \(did you mean 'distance'\?\); it has distance, score",
    ),
    ('eval/accuracy', "eval has no 'accuracy'; it has distance, score"),
  ],
)
def test_a_best_metric_that_does_not_exist_is_refused_before_the_first_step(tmp_path, metric, told):
  """A wrong one is refused on resume too, and the folder stays as it is."""
  steps = []
  with pytest.raises(BadInput, match=told):
    train(tmp_path, along=True, best_model_eval_metric=metric, on_step=steps.append)
  assert steps == []
  assert {path.name for path in tmp_path.iterdir()} <= {'.lock'}
  train(tmp_path, best_model_eval_metric='eval/score')
  before = (tmp_path / 'config.json').read_bytes()
  with pytest.raises(BadInput, match=told):
    train(tmp_path, along=True, best_model_eval_metric=metric, training_steps=80)
  assert (tmp_path / 'config.json').read_bytes() == before


@pytest.mark.parametrize(
  ('metric', 'told'),
  [
    ('evil/score', r"of eval_modes \(did you mean 'eval'\?\): eval$"),
    ('eval_twice/score', 'of eval_modes'),
    ('eval', 'allowed are .* MODE/METRIC'),
  ],
)
def test_the_mode_of_the_best_metric_is_one_of_eval_modes(tmp_path, metric, told):
  """Unless the run began with it, as those of earlier versions may have."""
  fields = {'best_model_eval_metric': metric, 'training_steps': 20}
  with pytest.raises(BadInput, match=f'best_model_eval_metric is {metric!r}; .*{told}'):
    train(tmp_path, along=True, **fields)
  assert {path.name for path in tmp_path.iterdir()} <= {'.lock'}
  record_config(tmp_path, configured(tmp_path, **(RUN | fields)), RULES)
  train(tmp_path, along=True, **fields)
  with pytest.raises(BadInput, match=f'best_model_eval_metric is {metric!r}'):
    train(tmp_path, along=True, **fields, eval_modes=('eval', 'eval_other'))


def test_the_best_is_one_of_those_on_disk(tmp_path):
  """By another metric the best may be a checkpoint that was deleted: it has no say."""
  fields = {'keep_checkpoints': 'none', 'eval_interval': 10, 'eval__target': 100}
  fields |= {'best_model_eval_metric': 'eval/distance'}
  train(tmp_path, along=True, **fields)
  assert dummy.steps(tmp_path) == [50, 60]
  fields['best_model_eval_metric_higher_is_better'] = True  # 10 was better still
  config = configured(tmp_path, **fields)
  assert best_steps(tmp_path, config, RULES, dummy.steps(tmp_path)) == [50, 50]
  train(tmp_path, along=True, training_steps=100, **fields)
  assert dummy.steps(tmp_path) == [50, 90, 100]
  assert evaluate(tmp_path, eval_checkpoints='best', eval__target=100) == [50]


class Odd(Heavy):
  """Its metric is NaN at step 20, and the same at all others but 30 and 40."""

  def evaluate(self, mode, check):
    found = super().evaluate(mode, check)
    score = {20: np.nan, 30: 1.0, 40: 1.0}.get(int(self.state['count']), 2.0)
    return found._replace(metrics={'distance': 0.0, 'score': score})


def test_nan_and_equal_metrics_do_not_lose_the_best(tmp_path):
  fields = {'keep_checkpoints': 'none', 'eval_interval': 10, 'final_eval': False}
  fields |= {'save_checkpoint_interval': '5', 'best_model_eval_metric': 'eval/score'}
  on_disk = {}
  make = lambda config: Odd(
    config, lambda step: on_disk.setdefault(step, dummy.steps(tmp_path)), most_steps=1
  )
  modes.train(make, configured(tmp_path, **fields), RULES, True)
  assert on_disk[26] == [10, 20, 25]  # NaN is not better than 2, and 25 is not evaluated
  assert on_disk[46] == [30, 40, 45]  # the earlier of two that are equal
  assert dummy.steps(tmp_path) == [30, 55, 60]
  for path in tmp_path.rglob('*.json*'):
    for text in [path.read_text()] if path.suffix == '.json' else path.read_text().splitlines():
      strict(text)


def test_a_run_says_what_it_will_leave(tmp_path):
  """4000 bytes of momentum and 16 of the rest; once, at its start."""
  fields = {'final_eval': True, 'best_model_eval_metric': 'eval/score'}
  train(tmp_path, **fields)
  (line,) = [
    line for line in (tmp_path / 'log.txt').read_text().splitlines() if 'will leave' in line
  ]
  assert line == (
    'will leave about 0.0 MB: 3 whole checkpoints of 0.0 MB, 3 with parameters alone of 0.0 MB, '
    '1 time(s) the arrays of eval, 0.0 MB'
  )
  train(tmp_path, training_steps=80, **fields)
  assert (tmp_path / 'log.txt').read_text().count('will leave') == 1
