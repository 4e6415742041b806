"""Early stopping: when, never before the peak, and to the same bits however a run is cut."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icljax import build, checks
from icljax.experiment import Experiment
from icljax.training.early_stopping import Rule, init_stop_state, update_stop_state
from jaxline_lite import modes
from jaxline_lite.files import read_lines
from tests.configs import tiny


def stop_after(losses, **rule) -> int | None:
  """The step after which a run with these losses stops."""
  rule = {'patience': 4, 'min_delta': 0.0, 'window': 2, 'earliest': 0} | rule
  rule = Rule(**{name: jnp.asarray(value) for name, value in rule.items()})
  losses = jnp.asarray(losses, jnp.float32)

  def update(before, step):
    t, loss = step
    after = update_stop_state(rule, before, loss, t)
    return after, after.stopped

  steps = jnp.arange(len(losses)), losses
  stopped = np.asarray(jax.lax.scan(update, init_stop_state(), steps)[1])
  return int(stopped.argmax()) + 1 if stopped.any() else None


def test_a_run_stops_when_patience_is_over():
  falling, flat = list(np.linspace(2, 1, 10)), [1.0] * 20
  assert stop_after(falling) is None
  # The mean of steps 11 and 12 is the best, and 4 steps go by.
  assert stop_after(falling + flat) == 16
  assert stop_after(falling + flat, patience=10) == 22
  assert stop_after(flat) == 6


def test_a_mean_has_to_be_lower_by_min_delta():
  slowly = 2 - 0.01 * np.arange(40)  # .02 from window to window
  assert stop_after(slowly, min_delta=0.01) is None
  assert stop_after(slowly, min_delta=0.03) is None  # every other window is better
  assert stop_after(slowly, min_delta=0.05) == 6


@pytest.mark.parametrize('peak', [0, 7, 20])
def test_a_run_never_stops_before_the_peak(peak):
  """The first window that begins after it is the best, whatever happened before, and patience
  begins there.
  """
  after = stop_after(np.arange(40.0), earliest=peak)  # it only gets worse
  assert after == peak + (peak % 2) + 2 + 4


def test_what_was_before_the_full_size_does_not_count():
  """A curriculum starts easy: its first losses are the lowest, and end nothing."""
  easy, hard = [1.0] * 10, list(np.linspace(3, 2, 20))
  assert stop_after(easy + hard, earliest=10) is None
  assert stop_after(easy + hard, earliest=0) == 6


@pytest.mark.parametrize(
  ('fields', 'earliest'),
  [
    ({}, 4),
    ({'optimizer__schedule': 'constant'}, 0),
    (
      {
        'task__curriculum__interval': 10,
        'task__curriculum__points_start': 3,
        'task__curriculum__points_increment': 2,
      },
      20,
    ),
    (
      {
        'task__curriculum__interval': 10,
        'task__curriculum__points_start': 3,
        'task__curriculum__points_increment': 0,
      },
      2**31 - 1,
    ),
  ],
)
def test_the_earliest_step_is_that_of_the_peak_and_the_full_size(fields, earliest):
  assert (
    int(build.make_settings(tiny(early_stopping__patience=5, **fields)).stop.earliest) == earliest
  )


@pytest.fixture(scope='module')
def stubborn():
  """A run that cannot improve: it learns nothing, and stops at the first window that is allowed to
  end it.
  """
  config = tiny(
    training_steps=400, optimizer__learning_rate=1e-12, optimizer__warmup_steps=60,
    early_stopping__patience=20, early_stopping__window=10, early_stopping__min_delta=5.0,
  )  # fmt: skip
  machine = Experiment(config, jax.devices()[:1])

  def run(folder, **fields):
    config.checkpoint_dir = str(folder)
    machine.state = build.init_state(config)
    changed = config.copy_and_resolve_references()
    changed.update(fields)
    modes.train(lambda _: machine, changed, checks)
    return machine.state

  return run


def test_a_run_stops_early_is_finished_and_evaluated(stubborn, tmp_path, capsys):
  """At step 90: the window after the peak at 60 is the best, and 20 steps go by."""
  state = stubborn(tmp_path)
  assert int(state.opt_state[1][0].count) == 90
  assert [line['step'] for line in read_lines(tmp_path / 'metrics.jsonl')] == list(
    range(10, 91, 10)
  )
  assert [line['step'] for line in read_lines(tmp_path / 'eval' / 'metrics.jsonl')] == [90]
  assert 'stopped early after step 90' in capsys.readouterr().out
  stubborn(tmp_path)
  assert f'{tmp_path} is finished: 90 steps' in capsys.readouterr().out


def test_a_stopped_run_has_the_same_bits_in_other_pieces(stubborn, tmp_path):
  first = stubborn(tmp_path / 'a', final_eval=False)
  second = stubborn(
    tmp_path / 'b', final_eval=False, save_checkpoint_interval='7', log_train_data_interval=3
  )
  for ours, theirs in zip(jax.tree.leaves(first), jax.tree.leaves(second)):
    np.testing.assert_array_equal(ours, theirs)
