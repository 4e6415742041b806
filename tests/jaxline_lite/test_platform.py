"""The command in its own process: what it takes and how it ends. Wrong command lines are in
tests/test_command_line.py.
"""

import signal
import sys
import time

import jax
import pytest
from absl.testing import flagsaver

from jaxline_lite import command_line, modes, platform
from jaxline_lite.files import read_lines
from jaxline_lite.run_folder import read_config
from jaxline_lite.signals import StopFlag
from tests.jaxline_lite import dummy
from tests.jaxline_lite.dummy import RULES

FILE = dummy.__file__
# ml_collections reads config files with it.
pytestmark = pytest.mark.filterwarnings('ignore:the load_module:DeprecationWarning')


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
  """Runs the dummy's command; its exit status and the lines on stdout and stderr."""

  def run(*arguments, words=''):
    folder = f'--config.checkpoint_dir={tmp_path / "run"}'
    monkeypatch.setattr(sys, 'argv', ['run.py', f'--config={FILE}{words}', folder, *arguments])
    capsys.readouterr()
    status = 0
    try:
      with flagsaver.flagsaver():
        platform.main('tests.jaxline_lite.dummy:Dummy', checks='tests.jaxline_lite.dummy')
    except SystemExit as end:
      status = end.code
    shown = capsys.readouterr()
    return status, shown.out.splitlines(), shown.err.splitlines()

  return run


def test_an_interrupt_before_anything_has_begun_is_a_line(command, monkeypatch):
  """As while libraries are imported, before the run's own listener."""

  def interrupt(*_, **__):
    raise KeyboardInterrupt

  monkeypatch.setattr(modes, 'check', interrupt)
  status, out, err = command()
  assert (status, out, err) == (130, [], ['interrupted; nothing that was saved is lost'])


def test_command_trains_and_evaluates(tmp_path, command):
  status, out, err = command(
    '--config.training_steps', '40', '--noconfig.final_eval', '--config.eval.seed=3', words=':fast'
  )
  assert (status, err) == (0, [])
  assert not (tmp_path / 'run' / 'eval').exists()
  config = read_config(tmp_path / 'run', RULES)
  assert (config.training_steps, config.final_eval, config.eval.seed, config.model.rate) == (
    40,
    False,
    3,
    0.5,
  )
  for mode, made in (('eval', 'eval'), ('eval_twice', 'eval_twice')):
    status, out, err = command(
      '--jaxline_mode', mode, '--config.eval_checkpoints=20,40', '--config.eval.target=5'
    )
    assert (status, err) == (0, [])
    assert out[0] == f'{made} at step 20, seed=0, target=5, written to {tmp_path / "run" / made}'
    lines = read_lines(tmp_path / 'run' / made / 'metrics.jsonl')
    assert [(line['step'], line['distance'], line['settings']) for line in lines] == [
      (20, 15, {'seed': 0, 'target': 5}), (40, 35, {'seed': 0, 'target': 5})
    ]  # fmt: skip


def test_same_command_finds_the_run_finished(command):
  assert command('--jaxline_mode=train_eval', '--config.training_steps=40')[0] == 0
  status, out, err = command('--jaxline_mode=train_eval', '--config.training_steps=40')
  assert (status, len(out), err) == (0, 1, [])
  assert 'is finished: 40 steps' in out[0]


@pytest.mark.parametrize(
  ('arguments', 'status', 'told'),
  [
    (['--config.model.rate=-1'], 2, 'model.rate is -1.0; allowed are numbers above 0'),
    (
      ['--jaxline_mode=eval_thrice'],
      2,
      "--jaxline_mode: there is no 'eval_thrice' (did you mean 'eval_twice'?)",
    ),
    (
      ['--jaxline_mode=eval_three_times'],
      2,
      "--jaxline_mode: there is no 'eval_three_times' of this run, for it takes three; allowed",
    ),
    (
      ['--jaxline_mode=eval', '--config.model.rate=2'],
      2,
      '--config.model.rate (0.1 there, 2.0 here): an evaluated run keeps its own config',
    ),
    (['--config.random_seed=1'], 2, 'random_seed (0 there, 1 here)'),
    (
      ['--config.training_steps=60', '--config.model.bad_loss_at=50'],
      2,
      'model.bad_loss_at (0 there, 50 here)',
    ),
  ],
)
def test_bad_input_is_one_line(command, arguments, status, told):
  command('--config.training_steps=20')
  ended, _, err = command(*arguments)
  assert (ended, len(err)) == (status, 1)
  assert told in err[0]


def test_a_run_of_few_steps_shows_its_last_loss(tmp_path, command):
  """On the terminal; `metrics.jsonl` has steps that the interval divides, and no others."""
  status, out, _ = command('--config.training_steps=5', '--config.log_train_data_interval=100')
  assert status == 0
  assert [line.partition('  loss ')[0] for line in out if '  loss ' in line] == ['step 5/5']
  assert not list(read_lines(tmp_path / 'run' / 'metrics.jsonl'))


def test_divergence_is_one_line(command):
  status, _, err = command('--config.model.bad_loss_at=30')
  assert (status, len(err)) == (3, 1)
  assert err[0].startswith('diverged at step 30: loss nan; the last good checkpoint is ')


def test_bug_shows_its_traceback(command, monkeypatch):
  monkeypatch.setattr(dummy, 'update', lambda *_: 1 // 0)
  with pytest.raises(ZeroDivisionError):
    command()


def test_stopped_command_goes_on(tmp_path, command, monkeypatch):
  flag, update = StopFlag(), dummy.update

  def stop(config, state, step):
    if step == 30:
      signal.raise_signal(signal.SIGTERM)
      deadline = time.monotonic() + 30
      while not flag.received:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return update(config, state, step)

  with monkeypatch.context() as interrupted:
    interrupted.setattr(dummy, 'update', stop)
    interrupted.setattr(modes, 'StopFlag', lambda: flag)
    status, _, err = command()
  assert (status, err) == (
    75,
    ['stopped by SIGTERM; everything is saved and the same command goes on'],
  )
  stopped_at = dummy.steps(tmp_path / 'run')[-1]
  assert 30 < stopped_at < 60
  status, out, _ = command()
  assert status == 0
  assert out[0] == f'{tmp_path}/run: from step {stopped_at} to 60'


def test_absl_flags_and_help(command):
  assert command('--logtostderr', '-v', '1', '--config.training_steps=20')[0] == 0
  status, out, err = command('--help')
  assert (status, err) == (0, [])
  assert out[0].startswith('usage: python run.py --config=FILE')


def test_operations_one_by_one(command):
  try:
    assert command('--jaxline_disable_pmap_jit', '--config.training_steps=20')[0] == 0
    assert jax.config.jax_disable_jit
  finally:
    jax.config.update('jax_disable_jit', False)


def test_overrides_are_told_from_what_the_config_says(monkeypatch):
  monkeypatch.setattr(
    sys,
    'argv',
    ['run.py', '--config', f'{FILE}:paper,fast', '--config.eval_modes=("eval","eval_twice")'],
  )
  with flagsaver.flagsaver():
    config, mode, overrides = command_line.parse(sys.argv, RULES)
  assert (mode, overrides) == ('train', {'eval_modes': ('eval', 'eval_twice')})
  assert (config.eval_modes, config.checkpoint_dir) == (
    ('eval', 'eval_twice'),
    'runs/dummy_fast_paper',
  )
