"""A model of two families that starts from a model of one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icljax import build, checks
from icljax.experiment import Experiment
from icljax.parameters import named
from icljax.subjects import WarmStart, subject_of
from icljax.training.warm_start import warm_start
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
    BadInput, match=r'init_from is .*: its model.width is 16, here it is 8; set the same'
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


ALL = 'linear,logistic,poisson,neg_binomial,exponential,multinomial'
OTHER_MEANING = [
  ('task.D', 3), ('task.K', 7), ('task.classes', 3), ('task.noise', 0.7), ('task.r', 3.0),
  ('model.sequence', 'lstm'), ('model.layers', 2), ('model.width', 8), ('model.heads', 4),
  ('model.tokens', 'interleaved'), ('model.head', 'eta'), ('model.components', 3),
]  # fmt: skip
SAME_MEANING = [
  ('task.scale', 0.1), ('task.clip', 2.0), ('model.precision', 'bfloat16'), ('random_seed', 1),
  ('optimizer.name', 'sgd'), ('task.curriculum.interval', 9), ('training.batch_size', 8),
]  # fmt: skip


def replaced(config, field, value):
  config = config.copy_and_resolve_references()
  config.update_from_flattened_dict({field: value})
  return config


@pytest.mark.parametrize(('field', 'value'), OTHER_MEANING)
def test_a_source_whose_parameters_mean_something_else_is_refused(field, value):
  source = tiny(task__families=ALL)
  config = replaced(source, field, value)
  for ours, theirs in ((config, source), (source, config)):
    with pytest.raises(ValueError, match=f'^its {field} is .*, here it is .*; set the same$'):
      build.warm_start_of(ours, theirs)


@pytest.mark.parametrize(('field', 'value'), SAME_MEANING)
def test_what_parameters_mean_does_not_depend_on_the_rest(field, value):
  source = tiny(task__families=ALL)
  assert build.warm_start_of(replaced(source, field, value), source).fresh == ()


def test_a_linear_predictor_means_the_same_with_any_dispersion():
  source = tiny(task__families=ALL, model__head='eta')
  for field, value in (('task.noise', 0.7), ('task.r', 3.0), ('model.components', 3)):
    assert build.warm_start_of(replaced(source, field, value), source).fresh == ()


def test_dispersions_matter_to_the_families_that_have_one():
  source = tiny(task__families='poisson')
  config = tiny(task__families='poisson,neg_binomial,linear', task__r=5.0, task__noise=0.1)
  fresh = build.warm_start_of(config, source).fresh
  assert fresh == ('head/neg_binomial', 'head/linear', 'read_out')


@pytest.mark.parametrize('head', ['mixture', 'eta'])
def test_a_source_of_other_families_is_refused(head):
  config = tiny(task__families='poisson,linear', model__head=head)
  for families in ('neg_binomial', 'poisson,neg_binomial', 'other.module:poisson'):
    source = tiny(task__families=families, model__head=head)
    with pytest.raises(ValueError, match=f"its task.families is '{families}', here it is 'poiss"):
      build.warm_start_of(config, source)


def test_no_parameter_but_those_named_starts_fresh():
  """Layers that one of the two lacks are noticed, whatever the configs say."""
  layer = {'kernel': np.ones((2, 3), np.float32)}
  whole = {'sequence': {'block_0': layer, 'block_1': layer}, 'head': {'poisson': layer}}
  fewer = {'sequence': {'block_0': layer}, 'head': {'poisson': layer}}
  message = r'it has no sequence/block_1/kernel, which is \[2, 3\] here; set the same sizes'
  with pytest.raises(ValueError, match=message):
    warm_start(whole, fewer, WarmStart())
  with pytest.raises(ValueError, match=r'its sequence/block_1/kernel .* does not occur here'):
    warm_start(fewer, whole, WarmStart())
  poisson_2 = whole | {'head': {'poisson': layer, 'poisson_2': layer}}
  with pytest.raises(ValueError, match='it has no head/poisson_2/kernel'):
    warm_start(poisson_2, whole, WarmStart(1, fresh=('head/poisson', 'read_out')))


def test_the_log_names_what_starts_fresh(poisson, tmp_path):
  fields = {'init_from': str(poisson), 'training_steps': 10, 'final_eval': False}
  config = tiny(tmp_path, task__families='poisson,linear', **fields)
  modes.train(lambda config: Experiment(config, jax.devices()[:1]), config, checks)
  source = poisson / 'checkpoints' / '200'
  log = (tmp_path / 'log.txt').read_text()
  assert f'starting from {source} (fresh: head/linear, read_out)' in log


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
  with pytest.raises(BadInput, match='set at least its families'):
    modes.train(lambda config: Experiment(config, jax.devices()[:1]), config, checks)
