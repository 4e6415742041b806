"""Runs of the real experiment: the same bits however they are logged, the same numbers on any
devices.
"""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from icljax import build, checks
from icljax.base import Predictor
from icljax.experiment import Experiment
from icljax.families import Dispersion
from icljax.glm.task import GLM
from icljax.likelihoods import Gaussian
from icljax.paired import draw_episodes
from icljax.predict import load
from jaxline_lite import modes
from jaxline_lite.checkpoint import Checkpoints
from jaxline_lite.errors import BadInput
from jaxline_lite.files import read_lines
from tests import omniglots
from tests.configs import tiny


@functools.cache
def experiment(on: int, steps: int = 40) -> Experiment:
  """One experiment for all runs of so many steps on so many devices: they differ in what the loop
  does only.
  """
  return Experiment(tiny(training_steps=steps), jax.devices()[:on])


def train(config, on: int = 1, along: bool = False):
  """The state after a run, resumed if there is one."""
  machine = experiment(on, config.training_steps)
  machine.state = build.init_state(config)
  modes.train(lambda _: machine, config, checks, evaluates_along=along)
  return machine.state


def test_log_intervals_change_no_bit(tmp_path):
  states = {}
  for every in (1, 7, 100):
    states[every] = train(
      tiny(tmp_path / str(every), log_train_data_interval=every, final_eval=False)
    )
  chex.assert_trees_all_equal(*states.values())
  lines = {
    every: (tmp_path / str(every) / 'metrics.jsonl').read_text().splitlines() for every in states
  }
  assert lines[7] == lines[1][6::7]
  assert lines[100] == []


def test_a_thousand_steps_are_one_program(tmp_path, monkeypatch):
  traced = []
  step_of = build.train_step

  def counted(config, token=None):
    step = step_of(config, token)
    return lambda *arguments, **names: (traced.append(1), step(*arguments, **names))[1]

  monkeypatch.setattr(build, 'train_step', counted)
  config = tiny(
    tmp_path,
    training_steps=1000,
    log_train_data_interval=7,
    save_checkpoint_interval='100',
    eval_interval=250,
  )
  machine = Experiment(config, jax.devices()[:1])
  machine.step(0, 1)
  once = len(traced)
  machine.state = build.init_state(config)
  modes.train(lambda _: machine, config, checks, evaluates_along=True)
  assert len(traced) == once
  assert [record['step'] for record in read_lines(tmp_path / 'eval' / 'metrics.jsonl')] == [
    250,
    500,
    750,
    1000,
  ]
  assert [record['step'] for record in read_lines(tmp_path / 'metrics.jsonl')] == list(
    range(7, 1001, 7)
  )


class Unplugged(Exception):
  """What ends a run in the middle."""


def test_a_run_moves_between_four_devices_and_one(tmp_path, monkeypatch):
  alone = train(tiny(tmp_path / 'alone', final_eval=False))
  config = tiny(tmp_path / 'moved', final_eval=False)
  for on, until in ((4, 10), (1, 30), (4, 40)):
    monkeypatch.setattr(
      Checkpoints, 'save', functools.partialmethod(_save_until, until, Checkpoints.save)
    )
    try:
      moved = train(config, on)
    except Unplugged:
      assert Checkpoints(tmp_path / 'moved' / 'checkpoints', print).steps()[-1] == until
    monkeypatch.undo()
  for ours, theirs in zip(jax.tree.leaves(moved.params), jax.tree.leaves(alone.params)):
    np.testing.assert_allclose(
      np.delete(ours, _keys(ours), -1), np.delete(theirs, _keys(theirs), -1), atol=1e-5
    )


def _save_until(checkpoints, until, save, step, state, about):
  save(checkpoints, step, state, about)
  if step == until < 40:
    raise Unplugged


def _keys(leaf) -> slice:
  """The part of `qkv` that belongs to the keys, whose bias has no gradient but rounding."""
  width = tiny().model.width
  return np.s_[width : 2 * width] if leaf.shape == (3 * width,) else np.s_[0:0]


SHAPES = {
  'glm': (tiny, {'task__scale': 0.9, 'task__noise': 0.3}),
  'omniglot': (omniglots.tiny, {'data__seq_config__p_bursty': 0.5, 'task__pool_seed': 2}),
}


@pytest.mark.parametrize('subject', SHAPES)
def test_two_runs_of_one_shape_share_their_programs(subject, tmp_path):
  """The second one, whose numbers are others, compiles nothing at all."""
  make, numbers = SHAPES[subject]
  numbers = numbers | {'optimizer__learning_rate': 2e-3, 'random_seed': 5, 'eval__seed': 3}
  compiled = []

  def listen(event, seconds, **_):
    if event == '/jax/core/compile/backend_compile_duration':
      compiled.append(seconds)

  def run(folder, **fields):
    config = make(folder, training_steps=20, model__width=24, **fields)  # a shape of its own
    compiled.clear()
    modes.train(lambda config: Experiment(config, jax.devices()[:1]), config, checks)
    return len(compiled)

  jax.monitoring.register_event_duration_secs_listener(listen)
  try:
    assert run(tmp_path / 'first') >= 3  # the first state, the step, an evaluation
    assert run(tmp_path / 'second', **numbers) == 0
  finally:
    jax.monitoring.unregister_event_duration_listener(listen)
  losses = [(tmp_path / name / 'metrics.jsonl').read_text() for name in ('first', 'second')]
  assert losses[0] != losses[1]


class Computed(struct.PyTreeNode):
  """A task whose settings are computed, and that has a reference of its own."""

  glm: GLM

  dims = property(lambda self: self.glm.dims)
  points = property(lambda self: self.glm.points)
  families = property(lambda self: self.glm.families)
  predictors = property(lambda self: self.glm.predictors)
  dispersion = property(lambda self: Dispersion(noise=jnp.float32(0.3), r=jnp.float32(1.0)))

  def at(self, step):
    return self.replace(glm=self.glm.at(step))

  def sample(self, key):
    return self.glm.replace(dispersion=self.dispersion).sample(key)

  def references(self):
    return {'nothing': Nothing()}


def test_a_task_with_computed_settings_is_trained_and_evaluated(tmp_path):
  machine = Experiment(tiny(tmp_path, task__own='tests.test_experiment:Computed'))
  assert np.isfinite(machine.step(0, 2)['loss']).all()
  assert set(machine.evaluate('eval', lambda: None).arrays) == {'nats/model', 'nats/nothing'}


class Nothing(Predictor):
  """Predicts N(0, 1), whatever was seen."""

  def along(self, episodes):
    return Gaussian.of(jnp.zeros_like(episodes.y), jnp.float32(1.0))


@dataclasses.dataclass
class Unhashable:
  """A metric that Python cannot hash, for it may change."""

  power: int = 2

  def __call__(self, predicted, episode):
    return jnp.abs(predicted.mean() - episode.y) ** self.power


unhashable = Unhashable()


def test_an_unhashable_metric_is_refused_before_training(tmp_path):
  with pytest.raises(BadInput, match='cannot be hashed'):
    Experiment(tiny(tmp_path, eval__metrics='tests.test_experiment:unhashable'))


def test_a_mode_with_references_of_its_own_gets_them(tmp_path):
  """Also where another mode has the same task and was evaluated before."""
  machine = Experiment(tiny(tmp_path), jax.devices()[:1])
  machine.evaluate('eval', lambda: None)
  usual = machine._modes['eval']

  def score_references(task, normals, data, indices):
    del normals, data
    return {'mine': Nothing().score(draw_episodes(task, indices))}

  machine._modes['eval'] = dataclasses.replace(usual, score_references=score_references)
  arrays = machine.evaluate('eval', lambda: None).arrays
  assert set(arrays) == {'nats/model', 'nats/mine'}


def test_configs_share_no_settings():
  first, second = tiny(), tiny()
  first.eval.scale = 0.8
  assert second.eval.scale is None
  assert tiny().eval.scale is None


def test_programs_of_user_defined_things_are_not_shared(tmp_path):
  """What their code reads may have changed since a program was compiled, as in a notebook."""
  fields = {'plain': {}, 'own': {'task__own': 'tests.test_experiment:Computed'}}
  for name, others in fields.items():
    config = tiny(tmp_path, **others)
    steps = {build.train_step(config, build.sharing_token(config)) for _ in range(2)}
    assert len(steps) == (1 if name == 'plain' else 2)


def test_evaluations_are_known_before_they_are_made():
  """The names of their numbers, and the bytes of their arrays."""
  machine = experiment(1)
  outline = machine.outline('eval')
  evaluation = machine.evaluate('eval', lambda: None)
  assert set(outline.metrics) == set(evaluation.metrics)
  assert outline.size == sum(array.nbytes for array in evaluation.arrays.values())


def test_a_best_metric_that_no_evaluation_has_is_refused(tmp_path):
  config = tiny(tmp_path, best_model_eval_metric='eval/natz')
  with pytest.raises(BadInput, match=r"eval has no 'natz' .did you mean 'nats'\?.; it has nats, "):
    modes.train(lambda _: experiment(1), config, checks, evaluates_along=True)
  assert not (tmp_path / 'config.json').exists()


def test_kept_checkpoints_have_parameters_alone(tmp_path):
  """And give the same evaluations and predictions as the whole ones that they were."""
  config = tiny(tmp_path, keep_checkpoints='every:10', final_eval=False)
  train(config)
  sizes, params = {}, {}
  for step in (0, 10, 40):
    path = tmp_path / 'checkpoints' / str(step)
    sizes[step] = sum(file.stat().st_size for file in path.rglob('*') if file.is_file())
    params[step] = load(tmp_path, step).params
  assert sizes[0] < 0.6 * sizes[40]
  assert sizes[10] < 0.6 * sizes[40]
  chex.assert_trees_all_equal(params[0], build.init_state(config).params)
  machine = Experiment(config, jax.devices()[:1])
  machine.step(0, 10)
  chex.assert_trees_all_equal(params[10], machine.state.params)
