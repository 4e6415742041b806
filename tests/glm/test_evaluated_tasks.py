"""A model is measured against the answers of the task that is evaluated, or alone, and the table
says so.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

import icljax
from icljax import checks
from icljax.base import Predictor
from icljax.eval_modes import EvalContext
from icljax.experiment import Experiment
from icljax.glm import modes
from icljax.glm.modes.scores import PairedScores
from icljax.glm.modes.summary import SummaryOptions, summarize
from icljax.glm.oracles import ORACLES, has_oracles
from icljax.glm.task import GLM
from icljax.likelihoods import Gaussian
from jaxline_lite import modes as loop
from jaxline_lite.errors import BadInput
from tests.configs import tiny
from tests.glms import glm

HERE = 'tests.glm.test_evaluated_tasks'


class HeavyTails(GLM):
  """Weights that the oracles know nothing of."""

  def sample(self, key):
    w_key, key = jax.random.split(key)
    episode = super().sample(key)
    truth = episode.task.replace(w=jax.random.t(w_key, 2.0, episode.task.w.shape))
    noise = episode.y - episode.task.eta(episode.x)[:, 0]
    return episode.replace(task=truth, y=truth.eta(episode.x)[:, 0] + noise)


class Steep(GLM):
  """Another linear predictor."""

  def eta(self, w, x):
    return 3.0 * super().eta(w, x)


class WideInputs(GLM):
  """Inputs of another law, and the same law of targets given them."""

  changes_only_inputs = True

  def sample(self, key):
    return GLM.sample(self.replace(scale=self.scale), key)


class WideAndSteep(WideInputs):
  """What its base class says of itself is not said of it."""

  def eta(self, w, x):
    return 3.0 * super().eta(w, x)


class Wrapped(struct.PyTreeNode):
  """A task that hands on whatever it is asked for."""

  glm: GLM

  def __getattr__(self, name):
    return getattr(self.glm, name)

  def at(self, step):
    return self.replace(glm=self.glm.at(step))

  def sample(self, key):
    return self.glm.sample(key)


class WrappedInputs(Wrapped):
  """The same, which says what it does not change."""

  changes_only_inputs = True


class Turned(GLM):
  """Targets of the opposite weights: it promises what it does not keep."""

  changes_only_inputs = True

  def sample(self, key):
    episode = super().sample(key)
    return episode.replace(task=episode.task.replace(w=-episode.task.w))


class Blunt(GLM):
  """Its exact answer is none."""

  def references(self):
    return {'bayes': Wide()}


class Wide(Predictor):
  """Predicts N(0, 10,000), whatever was seen."""

  def along(self, episodes):
    return Gaussian.of(jnp.zeros_like(episodes.y), jnp.float32(100.0))


def make(kind):
  return kind if kind is GLM else lambda task: kind(**vars(task))


heavy_tails, steep, wide_inputs, wide_and_steep, turned, blunt = map(
  make, (HeavyTails, Steep, WideInputs, WideAndSteep, Turned, Blunt)
)
wrapped, wrapped_inputs = Wrapped, WrappedInputs
WITHOUT = ('heavy_tails', 'steep', 'wide_and_steep', 'wrapped')
WITH = ('wide_inputs', 'wrapped_inputs')


def evaluate(folder, **fields):
  """The evaluation of a model as it was initialised."""
  return Experiment(tiny(folder, **fields), jax.devices()[:1]).evaluate('eval', lambda: None)


@pytest.mark.parametrize('name', WITHOUT)
def test_a_task_that_may_have_another_law_is_measured_alone(tmp_path, name):
  evaluation = evaluate(tmp_path, task__own=f'{HERE}:{name}')
  assert set(evaluation.arrays) == {'nats/model'}
  assert np.isfinite(evaluation.metrics['nats'])
  assert not {'regret', 'share_of_gap', 'nats_bayes'} & evaluation.metrics.keys()
  class_name = {'wide_and_steep': 'WideAndSteep', 'heavy_tails': 'HeavyTails'}
  reason = f'no oracles: {class_name.get(name, name.capitalize())} is a user-defined task'
  assert reason in evaluation.table
  assert 'references()' in evaluation.table
  assert 'above' not in evaluation.table


@pytest.mark.parametrize('name', WITH)
def test_a_task_that_changes_only_inputs_has_the_oracles(tmp_path, name):
  evaluation = evaluate(tmp_path, task__own=f'{HERE}:{name}')
  assert {f'nats/{oracle}' for oracle in ORACLES} < evaluation.arrays.keys()
  assert 'no oracles' not in evaluation.table
  plain = evaluate(tmp_path)
  np.testing.assert_array_equal(plain.arrays['nats/bayes'], evaluation.arrays['nats/bayes'])


def test_what_a_class_says_is_not_said_of_those_that_inherit_from_it():
  task = glm('linear')
  assert has_oracles(task)
  assert has_oracles(wide_inputs(task))
  assert not has_oracles(wide_and_steep(task))
  assert not has_oracles(steep(task))


def test_a_run_without_oracles_is_trained_drawn_and_compared(tmp_path, capsys):
  fields = {'task__own': f'{HERE}:heavy_tails', 'training_steps': 20, 'eval_interval': 10}
  runs = [icljax.train(tiny(tmp_path / name, **fields), True) for name in 'ab']
  assert {'over_training.png', 'curves.png'} <= {path.name for path in (runs[0] / 'eval').iterdir()}
  compared = icljax.compare(runs, output_dir=tmp_path / 'compare')
  np.testing.assert_array_equal(compared['a']['nats/model'], compared['b']['nats/model'])
  assert len(list((tmp_path / 'compare' / 'eval').glob('*/comparison.png'))) == 1
  shown = capsys.readouterr().out
  assert 'no oracles: HeavyTails' in shown
  assert 'not drawn' not in shown


def test_true_worse_than_naive_is_warned_of(tmp_path):
  table = evaluate(tmp_path, task__own=f'{HERE}:turned', eval__episodes=64).table
  assert 'WARNING: true is worse than naive by' in table


def test_a_model_better_than_bayes_is_warned_of(tmp_path):
  table = evaluate(tmp_path, task__own=f'{HERE}:blunt', eval__episodes=64).table
  assert 'WARNING: the model is better than bayes by' in table


@pytest.mark.parametrize(
  ('families', 'head'),
  [('linear', 'mixture'), ('poisson,neg_binomial', 'eta'), ('logistic,exponential', 'mixture')],
)
def test_an_honest_run_is_warned_of_nothing(tmp_path, families, head):
  fields = {'task__families': families, 'model__head': head, 'eval__episodes': 64}
  assert 'WARNING' not in evaluate(tmp_path, **fields, eval__posterior_samples=256).table


def ordered(excess, families=1, count=400, **options) -> str:
  """The table of made-up scores; `excess` of the model above each predictor."""
  random = np.random.default_rng(0)
  base = random.normal(1.0, 0.5, (count, 8)).astype(np.float32)
  difference = random.normal(1.0, 0.1, base.shape).astype(np.float32)
  nats = {'model': base} | {name: base - by * difference for name, by in excess.items()}
  names = ('poisson', 'neg_binomial')[:families]
  return summarize(PairedScores(nats), SummaryOptions(names, samples=256, **options))[1]


@pytest.mark.parametrize(
  ('excess', 'options', 'predictor'),
  [
    ({'bayes': -0.1}, {}, 'bayes'),
    ({'bayes': 0.1}, {}, None),
    ({'bayes': -0.001}, {}, None),  # rounding and rough samples make as much
    ({'bayes': -0.1}, {'count': 8}, None),
    ({'bayes': -np.inf}, {}, 'bayes'),
    # Told the family, or on episodes of one family of several, a model may be better than `bayes`.
    ({'bayes': -0.1, 'bayes_family': 0.1}, {'families': 2, 'conditions_on_family': True}, None),
    ({'bayes': -0.1, 'bayes_family': 0.1}, {'families': 2, 'any_family': False}, None),
    ({'bayes_family': -0.1}, {'families': 2, 'any_family': False}, 'bayes_family'),
    ({'bayes_family': -0.1}, {'families': 2, 'conditions_on_family': True}, 'bayes_family'),
    ({'bayes': -0.1, 'bayes_family': 0.1}, {'families': 2}, 'bayes'),
  ],
)
def test_a_model_is_held_against_what_bounds_it(excess, options, predictor):
  table = ordered(excess, **options)
  assert ('WARNING' in table) == (predictor is not None)
  if predictor:
    assert f'the model is better than {predictor} by' in table


def test_rough_oracles_bound_nothing():
  base = np.random.default_rng(0).normal(1.0, 0.5, (400, 8)).astype(np.float32)
  options = SummaryOptions(('poisson',), samples=256)
  for effective, is_warned in ((200.0, True), (5.0, False)):
    scores = PairedScores(
      {'model': base, 'bayes': base + 0.1}, effective=np.full(base.shape, effective)
    )
    assert ('better than bayes' in summarize(scores, options)[1]) == is_warned


def table_of(**fields) -> str:
  """The table of a mode whose model gives made-up numbers."""
  config, random = tiny(**fields), np.random.default_rng(0)
  mode = modes.table(config)['eval']
  scores = {'model': random.normal(-1, 0.1, (8, 6)), 'bayes': random.normal(-1, 0.1, (8, 6))}
  references = {'bayes': scores.pop('bayes')}
  return mode.summarize(EvalContext(config, mode.task(config)), scores, references).table


@pytest.mark.parametrize(
  ('fields', 'line'),
  [
    ({'eval__scale': 1.4}, 'eval.scale is 1.4, of which only the oracles know: the model was'),
    ({'eval__scale': 0.7}, 'eval.scale is 0.7, as in training'),
    (
      {'eval__scale': 1.4, 'task__own': f'{HERE}:blunt'},
      "eval.scale is 1.4, of which only the task's references know: the model was trained with 0.7",
    ),
    (
      {'eval__scale': 1.4, 'task__own': f'{HERE}:steep'},
      'eval.scale is 1.4: the model was trained',
    ),
    (
      {'eval__r': 3.0, 'task__families': 'neg_binomial', 'model__head': 'eta'},
      "eval.r is 3, of which only the oracles and the likelihood of the model's eta know",
    ),
  ],
)
def test_the_table_says_who_knows_of_a_changed_setting(fields, line):
  assert line in table_of(**fields)
  assert 'eval.' not in table_of(**{name: fields[name] for name in fields if 'eval' not in name})


@pytest.mark.parametrize(
  ('mode', 'fields', 'is_read'),
  [
    ('eval', {'task__families': 'poisson'}, False),
    ('eval_linear', {'task__families': 'poisson,neg_binomial'}, False),
    ('eval_neg_binomial', {'task__families': 'poisson'}, True),
    # Its oracles ask whether episodes are of the other family.
    ('eval_poisson', {'task__families': 'poisson,neg_binomial'}, True),
    ('eval', {'eval_modes': ('eval', 'eval_neg_binomial')}, True),
    ('eval', {'task__own': f'{HERE}:steep'}, True),
    ('eval', {'task__families': 'examples.own_family:binomial'}, True),
  ],
)
def test_an_r_that_no_evaluated_mode_reads_is_refused(mode, fields, is_read):
  config = tiny(eval__r=3.0, **fields)
  if is_read:
    loop.check(config, mode, checks)
  else:
    with pytest.raises(BadInput, match=r'eval\.r is 3\.0, which changes nothing'):
      loop.check(config, mode, checks)


class Signed(GLM):
  """Labels -1 and 1, which its family cannot produce."""

  def sample(self, key):
    episode = super().sample(key)
    return episode.replace(y=2 * episode.y - 1)


signed = make(Signed)


def test_a_task_whose_targets_its_families_cannot_produce_is_refused(tmp_path):
  config = tiny(tmp_path / 'run', task__families='logistic', task__own=f'{HERE}:signed')
  with pytest.raises(BadInput, match=r'the task that is trained on has .* such as -1, that this'):
    icljax.train(config)
  assert not (tmp_path / 'run' / 'config.json').exists()
