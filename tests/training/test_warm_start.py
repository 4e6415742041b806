"""A model of two families that starts from a model of one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icljax import build, checks
from icljax.experiment import Experiment
from icljax.parameters import named
from icljax.subjects import subject_of
from jaxline_lite import modes
from jaxline_lite.checkpoint import Checkpoints
from jaxline_lite.errors import BadInput
from jaxline_lite.run_folder import read_config, record_config
from tests.configs import tiny
from tests.glms import draw_at

LEARNING = {
  'training_steps': 200,
  'optimizer__learning_rate': 5e-3,
  'optimizer__schedule': 'constant',
}


@pytest.fixture(scope='module')
def poisson_of(tmp_path_factory):
  """Poisson runs that have learned what little they can, by their head."""

  @functools.cache
  def run(head: str):
    config = tiny(
      tmp_path_factory.mktemp(head),
      task__families='poisson',
      model__head=head,
      final_eval=False,
      **LEARNING,
    )
    return modes.train(lambda config: Experiment(config, jax.devices()[:1]), config, checks)

  return run


@pytest.fixture
def poisson(poisson_of):
  return poisson_of('mixture')


def scores(config, params):
  """Of the config's model, on poisson episodes."""
  task = subject_of(config).modes(config)['eval_poisson'].task(config)
  task = task.replace(families=task.families[:1], only=None)  # poisson is the first
  episodes = draw_at(task, jnp.arange(256))
  return np.asarray(jax.jit(build.make_predictor(config, params).score)(episodes))


@pytest.mark.parametrize('head', ['mixture', 'eta'])
def test_a_joint_model_starts_at_the_poisson_runs_loss(poisson_of, head, tmp_path):
  run = poisson_of(head)
  config = tiny(
    tmp_path, task__families='poisson,neg_binomial', model__head=head, init_from=str(run)
  )
  machine = Experiment(config, jax.devices()[:1])
  fresh = scores(config, machine.state.params)
  machine.begin()
  source = tiny(run, task__families='poisson', model__head=head, **LEARNING)
  trained = (
    Checkpoints(run / 'checkpoints', print)
    .read_any([200], jax.eval_shape(lambda: build.init_state(source)))[1]
    .params
  )
  theirs, ours = scores(source, trained), scores(config, machine.state.params)
  assert abs(ours.mean() - theirs.mean()) < 1e-3
  np.testing.assert_allclose(ours, theirs, atol=5e-3)
  assert abs(fresh.mean() - theirs.mean()) > 0.02
  assert all(not leaf.any() for leaf in jax.tree.leaves(machine.state.opt_state))
  for name, leaf in named(trained).items():
    np.testing.assert_array_equal(named(machine.state.params)[name], leaf)


def test_a_resumed_run_does_not_start_again(poisson, tmp_path):
  """Only the first command of a run reads `init_from`: its source may be gone by then."""
  config = tiny(
    tmp_path / 'next', task__families='poisson', init_from=str(poisson), final_eval=False
  )
  begun = []

  class Counting(Experiment):
    def begin(self):
      begun.append(1)
      super().begin()

  make = lambda config: Counting(config, jax.devices()[:1])
  config.optimizer.schedule = 'constant'
  config.training_steps = 10
  modes.train(make, config, checks)
  config.training_steps = 20
  modes.train(make, config, checks)
  assert begun == [1]


def test_a_source_of_another_size_is_refused_and_the_folder_stays_free(poisson, tmp_path):
  config = tiny(
    tmp_path, model__width=8, task__families='poisson,neg_binomial', init_from=str(poisson)
  )
  with pytest.raises(
    BadInput, match=r'init_from is .*: its .* \[.*\] is \[.*\] here; set the same sizes'
  ):
    modes.train(lambda config: Experiment(config, jax.devices()[:1]), config, checks)
  assert not list(tmp_path.iterdir())


def test_a_run_records_the_checkpoint_that_it_started_from(poisson, tmp_path):
  """Also if the source has a newer one by the time that the same command goes on."""
  config = tiny(
    tmp_path / 'joint', init_from=str(poisson), task__families='poisson', training_steps=10
  )
  config.final_eval, config.optimizer.schedule = False, 'constant'
  make = lambda config: Experiment(config, jax.devices()[:1])
  modes.train(make, config, checks)
  assert read_config(tmp_path / 'joint', checks).init_from == str(poisson / 'checkpoints' / '200')
  assert config.init_from == str(poisson)
  modes.train(make, config, checks)
  config.init_from = str(tmp_path / 'other')
  with pytest.raises(BadInput, match='another run is there, which differs in init_from'):
    modes.train(make, config, checks)


@pytest.mark.parametrize(
  ('field', 'value'), [('model__heads', 4), ('model__tokens', 'interleaved')]
)
def test_a_source_whose_parameters_mean_something_else_is_refused(poisson, tmp_path, field, value):
  config = tiny(tmp_path, task__families='poisson', init_from=str(poisson), **{field: value})
  with pytest.raises(
    BadInput,
    match=f'init_from is .*: its model.{field[7:]} is .*, here it is {value!r}; set the same',
  ):
    Experiment(config, jax.devices()[:1]).begin()


def test_a_read_out_of_other_families_starts_fresh(tmp_path):
  source = tiny(tmp_path / 'joint', task__families='poisson,neg_binomial')
  (tmp_path / 'joint').mkdir()
  record_config(tmp_path / 'joint', source, checks)
  Checkpoints(tmp_path / 'joint' / 'checkpoints', print).save(1, build.init_state(source), {})
  params = {}
  for families in ('poisson,neg_binomial', 'neg_binomial,poisson', 'poisson,neg_binomial,linear'):
    config = tiny(
      tmp_path / families, task__families=families, init_from=str(tmp_path / 'joint'), random_seed=1
    )
    machine = Experiment(config, jax.devices()[:1])
    fresh = named(machine.state.params)['read_out/kernel']
    machine.begin()
    after = named(machine.state.params)
    assert np.array_equal(after['read_out/kernel'], fresh) == (families != 'poisson,neg_binomial')
    params[families] = after['head/poisson/kernel']
  np.testing.assert_array_equal(params['poisson,neg_binomial'], params['neg_binomial,poisson'])
  np.testing.assert_array_equal(
    params['poisson,neg_binomial'], params['poisson,neg_binomial,linear']
  )


def test_a_source_that_is_not_there_is_refused(tmp_path):
  config = tiny(tmp_path / 'run', init_from=str(tmp_path / 'nowhere'))
  with pytest.raises(BadInput, match='nowhere: no run is there'):
    modes.train(lambda config: Experiment(config, jax.devices()[:1]), config, checks)


def test_a_source_with_more_families_is_refused(tmp_path):
  source = tiny(tmp_path / 'joint', task__families='poisson,neg_binomial')
  (tmp_path / 'joint').mkdir()
  record_config(tmp_path / 'joint', source, checks)
  Checkpoints(tmp_path / 'joint' / 'checkpoints', print).save(1, build.init_state(source), {})
  config = tiny(tmp_path / 'poisson', task__families='poisson', init_from=str(tmp_path / 'joint'))
  with pytest.raises(BadInput, match='does not occur here'):
    modes.train(lambda config: Experiment(config, jax.devices()[:1]), config, checks)
