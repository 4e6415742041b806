"""The Python API does what the command does, to the bit."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import icljax
from icljax.base import draw_batch, stream
from jaxline_lite.errors import BadInput
from jaxline_lite.files import read_lines
from tests.configs import TINY, tiny

ROOT = Path(__file__).parent.parent
JOINT = {'task__families': 'poisson,neg_binomial', 'eval_interval': 20, 'keep_checkpoints': 'every:20'}


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  return icljax.train(tiny(tmp_path_factory.mktemp('runs') / 'joint', **JOINT), evaluates_along=True)


def command(folder: Path, mode: str, *overrides: str) -> None:
  arguments = [sys.executable, 'run.py', '--config=configs/glm.py', f'--jaxline_mode={mode}', *overrides]
  environment = {
    'XLA_FLAGS': '--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0',
    'PATH': '',
    'HOME': '/tmp',
  }
  done = subprocess.run(
    [*arguments, f'--config.checkpoint_dir={folder}'], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
  )
  assert done.returncode == 0, done.stderr


@pytest.fixture(scope='module')
def by_command(tmp_path_factory):
  folder = tmp_path_factory.mktemp('command') / 'joint'
  fields = TINY | {name.replace('__', '.'): value for name, value in JOINT.items()}
  command(folder, 'train_eval', *(f'--config.{name}={value}' for name, value in fields.items()))
  command(folder, 'eval_joint', '--config.eval.episodes=48', '--config.eval.batch_size=16', '--config.eval.posterior_samples=32')
  return folder


def test_training_is_that_of_the_command(run, by_command):
  for name in ('metrics.jsonl', 'eval/metrics.jsonl', 'eval/20.npz', 'eval/40.npz', 'eval/over_training.csv'):
    assert (run / name).read_bytes() == (by_command / name).read_bytes(), name


def test_an_evaluation_is_that_of_the_command(run, by_command):
  numbers = icljax.evaluate(run, 'eval_joint', episodes=48, batch_size=16)
  (record,) = read_lines(by_command / 'eval_joint' / 'metrics.jsonl')
  for name in record.keys() - {'step', 'settings'}:
    assert float(numbers[name]) == record[name] or np.isnan(record[name]), name
  with np.load(by_command / 'eval_joint' / '40_episodes=48.npz') as arrays:
    for name in arrays.files:
      np.testing.assert_array_equal(numbers[name], arrays[name], err_msg=name)
  assert {'family/bayes', 'family/read_out', 'nats/model', 'share_of_gap'} <= numbers.keys()
  again = list(read_lines(run / 'eval_joint' / 'metrics.jsonl'))
  icljax.evaluate(run, 'eval_joint', episodes=48, batch_size=16)
  assert list(read_lines(run / 'eval_joint' / 'metrics.jsonl')) == again


def test_a_checkpoint_can_be_chosen(run):
  early, best = icljax.evaluate(run, checkpoint=20), icljax.evaluate(run, checkpoint='best')
  assert float(early['nats']) != float(best['nats'])
  assert json.loads((run / 'eval' / 'metrics.jsonl').read_text().splitlines()[0])['nats'] == float(early['nats'])


def test_several_checkpoints_are_stacked(run):
  numbers = icljax.evaluate(run, checkpoint='all')
  assert numbers['nats/model'].shape[1:] == (32, 6)
  assert numbers['nats'][-1] == icljax.evaluate(run)['nats']
  single = icljax.evaluate(run / 'checkpoints' / '20')
  assert single['nats'] == icljax.evaluate(run, checkpoint=20)['nats']


def test_at_is_the_row_of_along(run):
  """On contexts of 0 to K - 1 pairs, on episodes of its own task."""

  model = icljax.load(run)
  episodes = draw_batch(model.task, stream(jnp.uint32(1), 'test'), 0, jnp.arange(4))
  rows = jax.jit(lambda found, y: (found.mean(), found.log_prob(y)))(model.along(episodes), episodes.y)
  for k in range(6):
    answer = model.at(episodes.x[2, :k], episodes.y[2, :k], episodes.x[2, k : k + 1])
    np.testing.assert_allclose(answer.mean()[0], rows[0][2, k], atol=1e-5)
    np.testing.assert_allclose(answer.log_prob(episodes.y[2, k : k + 1])[0], rows[1][2, k], atol=1e-5)


def test_all_numbers_are_one_table(run, by_command):
  frame = icljax.metrics(run, fields=['task.r', 'random_seed'])
  assert isinstance(frame, pd.DataFrame)
  assert set(frame['run']) == {str(run)}
  assert frame['task.r'].eq(1.2).all()
  training = frame[frame['mode'] == 'train']
  assert list(training.step) == [10, 20, 30, 40]
  assert list(training.loss) == [line['loss'] for line in read_lines(run / 'metrics.jsonl')]
  evaluated = frame[(frame['mode'] == 'eval') & (frame['eval.episodes'] == 32)]
  assert {20, 40} <= set(evaluated.step)
  both = icljax.metrics(run.parent.parent / '*' / 'joint')
  assert set(both['run']) >= {str(run)}


def test_a_run_says_what_it_is_made_of(run):
  log = (run / 'log.txt').read_text()
  assert 'sequence/block_*/attention/qkv/kernel' in log
  total = sum(leaf.size for leaf in jax.tree.leaves(icljax.load(run).params))
  assert f'\n{total:,} parameters\n' in log


def test_pictures_of_a_run_are_there(run):
  names = {path.name for path in (run / 'eval').iterdir()}
  assert {'curves.png', 'curves.csv', 'families.png', 'families.csv', 'over_training.png', 'over_training.csv'} <= names
  assert (run / 'train.png').stat().st_size > 10_000


def test_several_models_are_one_table_one_picture_and_one_csv(run, by_command, tmp_path, capsys):
  """The same model twice: nothing lies between them."""
  numbers = icljax.compare([run, by_command], titles=['A', 'B'], output_dir=tmp_path)
  np.testing.assert_array_equal(numbers['A']['nats/model'], numbers['B']['nats/model'])
  shown = capsys.readouterr().out
  table = shown[shown.index('eval of A, B, written to') :].splitlines()
  assert [row.split()[0] for row in table[3:]] == ['A', 'bayes', 'B']
  assert table[5].endswith('0.000 ± 0.000')
  assert {path.name for path in (tmp_path / 'eval').iterdir()} >= {'comparison.png', 'comparison.csv'}
  frame = pd.read_csv(tmp_path / 'eval' / 'comparison.csv')
  assert set(frame.title) == {'A', 'B'}
  assert set(frame.predictor) >= {'model', 'bayes', 'naive'}


@pytest.mark.parametrize(
  ('call', 'told'),
  [
    (lambda run: icljax.evaluate(run, 'eval_poison'), "there is no 'eval_poison'"),
    (lambda run: icljax.evaluate(run, episode=5), "no setting 'episode' of an evaluation; allowed are .*episodes"),
    (lambda run: icljax.evaluate(run, checkpoint=30_000), 'there is no checkpoint 30000'),
    (lambda run: icljax.evaluate('nowhere'), 'nowhere: no run is there'),
    (lambda run: icljax.metrics('nowhere/*'), 'no run is there'),
    (lambda run: icljax.metrics(run, fields=['task.q']), "no field 'task.q'"),
    (lambda run: icljax.compare([run]), r'1 run.*give several runs'),
    (lambda run: icljax.train(tiny(run, task__K=0)), 'task.K is 0'),
  ],
)
def test_what_is_wrong_is_told(run, call, told):
  with pytest.raises(BadInput, match=told):
    call(run)
