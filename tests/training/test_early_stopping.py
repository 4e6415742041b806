"""Early stopping: when, never before the peak, and to the same bits however a run is cut."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icljax import build, checks
from icljax.base import draw_batch, stream
from icljax.experiment import Experiment
from icljax.training.early_stopping import Rule, init_stop_state, update_stop_state
from jaxline_lite import modes
from jaxline_lite.files import read_lines
from tests.configs import tiny
from tests.glms import draw_at


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


def test_a_held_out_loss_is_read_at_the_end_of_a_window_alone():
  """The training loss falls all the time; what counts ceases to at step 6."""
  rule = Rule(*map(jnp.asarray, (4, 0.0, 2, 0)))
  stop_state, stopped = init_stop_state(), []
  for t in range(12):
    held_out = jnp.float32(max(10 - t, 5) if t % 2 else -100)
    stop_state = update_stop_state(rule, stop_state, jnp.float32(-t), jnp.int32(t), held_out)
    stopped.append(bool(stop_state.stopped))
  assert float(stop_state.best) == 5
  assert int(stop_state.best_step) == 6
  assert stopped.index(True) + 1 == 10


HELD_OUT = {
  'task__n_tasks': 4, 'early_stopping__patience': 20, 'early_stopping__window': 10,
  'optimizer__schedule': 'constant', 'optimizer__warmup_steps': 0,
}  # fmt: skip


@pytest.mark.parametrize(('on', 'is_fresh'), [('pretrain', False), ('latent', True)])
def test_held_out_episodes_are_of_the_pool_or_of_new_tasks(on, is_fresh):
  settings = build.make_settings(tiny(early_stopping__on=on, **HELD_OUT))
  index = draw_at(settings.held_out, jnp.arange(32)).task.index
  assert bool((index == -1).all()) == is_fresh
  assert int(settings.task.prior.size) == 4


def test_where_nothing_is_held_out_settings_are_as_they_were():
  assert build.make_settings(tiny(early_stopping__on='train', **HELD_OUT)).held_out is None
  without_patience = HELD_OUT | {'early_stopping__patience': 0, 'early_stopping__on': 'latent'}
  assert build.make_settings(tiny(**without_patience)).held_out is None


@pytest.mark.parametrize('on', ['pretrain', 'latent'])
def test_the_held_out_loss_is_that_of_the_model_after_the_window(on):
  """It is the loss on 64 episodes of a stream of its own, and changes no parameter."""
  config = tiny(early_stopping__on=on, **HELD_OUT)
  experiment = Experiment(config, jax.devices()[:1])
  experiment.step(0, 10)
  watch, settings = experiment.state.watch, build.make_settings(config)
  key = stream(jnp.uint32(config.random_seed), 'held_out')
  episodes = draw_batch(settings.held_out, key, 0, jnp.arange(64))
  model = build.make_predictor(config, experiment.state.params)
  expected = -float(model.score(episodes).mean())
  assert float(watch.best) == pytest.approx(expected, abs=1e-5)
  assert int(watch.best_step) == 10
  plain = Experiment(tiny(**HELD_OUT), jax.devices()[:1])
  plain.step(0, 10)
  for ours, theirs in zip(
    jax.tree.leaves(experiment.state.params), jax.tree.leaves(plain.state.params)
  ):
    np.testing.assert_array_equal(ours, theirs)


def test_a_run_that_memorises_its_pool_stops_on_new_tasks_alone():
  """Two tasks are soon known, at which time new ones are predicted ever worse."""
  fields = HELD_OUT | {
    'task__n_tasks': 2, 'training_steps': 400, 'optimizer__learning_rate': 1e-2,
    'early_stopping__patience': 60, 'task__scale': 1.0,
  }  # fmt: skip
  stopped = {}
  for on in ('pretrain', 'latent'):
    experiment = Experiment(tiny(early_stopping__on=on, **fields), jax.devices()[:1])
    for first in range(0, 200, 40):
      experiment.step(first, 40)
    stopped[on] = experiment.stopped
  assert stopped == {'pretrain': False, 'latent': True}


def test_a_run_on_a_held_out_loss_has_the_same_bits_in_other_pieces():
  config = tiny(early_stopping__on='latent', **HELD_OUT)
  states = []
  for pieces in ((0, 30), (0, 7, 20, 30)):
    experiment = Experiment(config, jax.devices()[:1])
    for first, end in itertools.pairwise(pieces):
      experiment.step(first, end - first)
    states.append(experiment.state)
  for ours, theirs in zip(*map(jax.tree.leaves, states)):
    np.testing.assert_array_equal(ours, theirs)


def test_a_run_on_a_held_out_loss_never_stops_before_the_peak():
  fields = HELD_OUT | {'optimizer__schedule': 'triangle', 'optimizer__warmup_steps': 25}
  rule = build.make_settings(tiny(early_stopping__on='latent', **fields)).stop
  assert int(rule.earliest) == 25


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
