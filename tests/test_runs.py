"""The Python API does what the command does, to the bit."""

import os
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import icljax
from jaxline_lite.errors import BadInput
from jaxline_lite.files import read_lines
from tests.configs import TINY, tiny
from tests.glms import draw_at

ROOT = Path(__file__).parent.parent
JOINT = {
  'task__families': 'poisson,neg_binomial',
  'eval_interval': 20,
  'keep_checkpoints': 'every:20',
  'save_checkpoint_interval': '20',
}


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  return icljax.train(
    tiny(tmp_path_factory.mktemp('runs') / 'joint', **JOINT), evaluates_along=True
  )


FIELDS = [f'--config.{name.replace("__", ".")}={value}' for name, value in (TINY | JOINT).items()]
ENVIRONMENT = {name: value for name, value in os.environ.items() if name.startswith(('XLA', 'JAX'))}


def start(folder: Path, mode: str, *overrides: str) -> subprocess.Popen:
  """The command, in a process of its own."""
  arguments = [
    '--config=configs/glm.py',
    f'--jaxline_mode={mode}',
    f'--config.checkpoint_dir={folder}',
    *overrides,
  ]
  output = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True}
  return subprocess.Popen(
    [sys.executable, 'run.py', *arguments], cwd=ROOT, env=ENVIRONMENT, **output
  )


def finish(process: subprocess.Popen) -> None:
  _, errors = process.communicate(timeout=300)
  assert process.returncode == 0, errors


@pytest.fixture(scope='module')
def by_command(tmp_path_factory):
  folder = tmp_path_factory.mktemp('command') / 'joint'
  finish(start(folder, 'train_eval', *FIELDS))
  settings = (
    '--config.eval.episodes=48',
    '--config.eval.batch_size=16',
    '--config.eval.posterior_samples=32',
  )
  finish(start(folder, 'eval_joint', *settings))
  return folder


def test_training_is_that_of_the_command(run, by_command):
  for name in (
    'metrics.jsonl',
    'eval/metrics.jsonl',
    'eval/20.npz',
    'eval/40.npz',
    'eval/over_training.csv',
  ):
    assert (run / name).read_bytes() == (by_command / name).read_bytes(), name


def test_an_evaluation_is_that_of_the_command(run, by_command):
  numbers = icljax.evaluate(run, 'eval_joint', episodes=np.int64(48), batch_size=16, metrics='')
  assert numbers['step'] == 40
  (record,) = read_lines(by_command / 'eval_joint' / 'metrics.jsonl')
  for name in record.keys() - {'step', 'settings'}:
    assert float(numbers[name]) == record[name], name
  with np.load(by_command / 'eval_joint' / '40_episodes=48.npz') as arrays:
    for name in arrays.files:
      np.testing.assert_array_equal(numbers[name], arrays[name], err_msg=name)
  assert {'family/bayes', 'family/read_out', 'nats/model', 'share_of_gap'} <= numbers.keys()


def test_evaluation_beside_training_in_two_processes(by_command, tmp_path):
  """Both end well, every kept checkpoint is evaluated once, and the run is to the bit what it is
  alone.
  """
  folder = tmp_path / 'joint'
  trainer = start(folder, 'train', *FIELDS, '--noconfig.final_eval')
  while not (folder / 'config.json').exists():
    assert trainer.poll() is None
    time.sleep(0.05)
  settings = [field for field in FIELDS if field.startswith('--config.eval.')]
  evaluator = start(folder, 'eval', '--noconfig.one_off_evaluate', *settings)
  finish(trainer)
  finish(evaluator)
  evaluated, along = (
    list(read_lines(run / 'eval' / 'metrics.jsonl')) for run in (folder, by_command)
  )
  assert evaluated[1:] == along
  assert [record['step'] for record in evaluated] == [0, 20, 40]
  assert (folder / 'metrics.jsonl').read_bytes() == (by_command / 'metrics.jsonl').read_bytes()
  for ours, theirs in zip(
    *(jax.tree.leaves(icljax.load(run).params) for run in (folder, by_command))
  ):
    np.testing.assert_array_equal(ours, theirs)


def test_checkpoints_can_be_chosen(run):
  """Several are stacked, step 0 among them; the best is one of them."""
  numbers = icljax.evaluate(run, checkpoint='all')
  assert numbers['nats/model'].shape == (3, 32, 6)
  assert list(numbers['nats']) == [
    record['nats'] for record in read_lines(run / 'eval' / 'metrics.jsonl')
  ]
  best = int(numbers['nats'].argmin())
  assert (
    icljax.load(run, 'best').step
    == icljax.load(run / 'checkpoints' / str([0, 20, 40][best])).step
    == [0, 20, 40][best]
  )


def test_at_is_the_row_of_along(run):
  """On contexts of 0 to K - 1 pairs, on episodes of its own task."""
  model = icljax.load(run)
  episodes = draw_at(model.task, jnp.arange(4))
  ask = jax.jit(lambda found, y: (found.mean(), found.log_prob(y)))
  rows = ask(model.along(episodes), episodes.y)
  for k in range(6):
    answer = model.at(episodes.x[2, :k], episodes.y[2, :k], episodes.x[2, k : k + 1])
    for ours, row in zip(ask(answer, episodes.y[2, k : k + 1]), rows):
      np.testing.assert_allclose(ours[0], row[2, k], atol=1e-5)


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
  assert {
    'curves.png',
    'curves.csv',
    'families.png',
    'families.csv',
    'over_training.png',
    'over_training.csv',
  } <= names
  assert (run / 'train.png').stat().st_size > 10_000


def test_python_takes_a_shells_paths(run, monkeypatch):
  """A home, a relative path, a trailing slash, the folder itself; and no URLs."""
  monkeypatch.setenv('HOME', str(run.parent))
  monkeypatch.chdir(run)
  for path in (
    f'~/{run.name}/',
    Path('~') / run.name,
    '.',
    f'../{run.name}',
    Path('checkpoints/40'),
  ):
    assert icljax.load(path).step == 40
  assert set(icljax.metrics(f'~/{run.name}').run) == {str(run)}
  assert icljax.evaluate(f'~/{run.name}', episodes=16)['step'] == 40
  for call in (
    icljax.load,
    icljax.evaluate,
    icljax.metrics,
    lambda url: icljax.compare([url, run]),
  ):
    with pytest.raises(BadInput, match='nothing is read from or written to URLs'):
      call('hf://org/run')


def test_several_models_are_one_table_one_picture_and_one_csv(run, by_command, tmp_path, capsys):
  """The same model twice: nothing lies between them."""
  numbers = icljax.compare([run, by_command], titles=['A', 'B'], output_dir=tmp_path)
  np.testing.assert_array_equal(numbers['A']['nats/model'], numbers['B']['nats/model'])
  shown = capsys.readouterr().out
  table = shown[shown.index('eval of A, B, written to') :].splitlines()
  assert [row.split()[0] for row in table[3:]] == ['A', 'bayes', 'B']
  assert table[5].endswith('0.000 ± 0.000')
  (folder,) = (tmp_path / 'eval').iterdir()
  assert folder.name.startswith('A@40_B@40_')
  assert {path.name for path in folder.iterdir()} == {'comparison.png', 'comparison.csv'}
  frame = pd.read_csv(folder / 'comparison.csv')
  assert set(frame.title) == {'A', 'B'}
  assert set(frame.predictor) >= {'model', 'bayes', 'naive'}


@pytest.mark.parametrize(
  ('call', 'told'),
  [
    (lambda run: icljax.evaluate(run, 'eval_poison'), "there is no 'eval_poison'"),
    (
      lambda run: icljax.evaluate(run, episode=5),
      "no setting 'episode' of an evaluation; allowed are .*episodes",
    ),
    (lambda run: icljax.evaluate(run, checkpoint=30_000), 'there is no checkpoint 30000'),
    (lambda run: icljax.evaluate('nowhere'), 'nowhere: no run is there'),
    (lambda run: icljax.metrics('nowhere/*'), 'no run is there'),
    (lambda run: icljax.metrics(run, fields=['task.q']), "no field 'task.q'"),
    (lambda run: icljax.evaluate(run, episodes='many'), "eval.episodes is 'many'; allowed is int"),
    (lambda run: icljax.evaluate(run, episodes=16.5), 'eval.episodes is 16.5'),
    (lambda run: icljax.evaluate(run, scale='x'), "eval.scale is 'x'; allowed is a number"),
    (lambda run: icljax.evaluate(run, 'train'), "mode is 'train'; allowed are eval"),
    (
      lambda run: icljax.load(run / 'checkpoints' / '20', 'best'),
      "one checkpoint, and checkpoint is 'best'",
    ),
    (lambda run: icljax.train(run), 'train was given .*; it takes a config'),
    (lambda run: icljax.compare([run]), r'1 run.*give several runs'),
    (lambda run: icljax.train(tiny(run, task__K=0)), 'task.K is 0'),
  ],
)
def test_what_is_wrong_is_told(run, call, told):
  with pytest.raises(BadInput, match=told):
    call(run)
