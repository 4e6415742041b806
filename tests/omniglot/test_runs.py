"""Image sequences from the config to records, pictures and predictions."""

import chex
import jax
import numpy as np
import pytest
from matplotlib import image

import icljax
from icljax import build, checks
from icljax.answers import QUERIES
from icljax.experiment import Experiment
from icljax.subjects import subject_of
from jaxline_lite.checkpoint import Checkpoints
from jaxline_lite.errors import BadInput
from jaxline_lite.files import read_lines
from jaxline_lite.run_folder import record_config
from tests.omniglots import tiny

MODES = ('eval_fewshot_holdout', 'eval_no_support_zipfian', 'eval_induction')


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """A run of 20 steps, evaluated at 10 and 20."""
  config = tiny(tmp_path_factory.mktemp('runs') / 'tiny', model__positions='sinusoidal')
  config.eval_modes = MODES
  return icljax.train(config, evaluates_along=True)


def test_a_run_leaves_records_and_pictures(run, capsys):
  for mode in MODES:
    assert [line['step'] for line in read_lines(run / mode / 'metrics.jsonl')] == [10, 20]
    pictures = {'heads.png'} if mode == 'eval_induction' else {'answers.png', 'over_training.png'}
    assert pictures | {'over_training.csv'} <= {path.name for path in (run / mode).iterdir()}
    for name in pictures:
      assert image.imread(run / mode / name).std() > 0.01
  assert image.imread(run / 'train.png').std() > 0.01
  assert 'procedural characters (not Omniglot)' in (run / 'log.txt').read_text()


def test_kinds_of_sequences_are_evaluated_in_one_process(run):
  for mode in ('eval_bursty', 'eval_mixed', 'eval_flip', 'eval_iwl_context'):
    found = icljax.evaluate(run, mode)
    assert found['sequences/correct_open'].shape == (32,)
    assert 0 <= found['accuracy_closed'] <= 1
    assert found['accuracy_closed'] == pytest.approx(found['sequences/correct_closed'].mean())


def test_evaluations_are_repeatable_and_recorded_once(run):
  first, again = (
    icljax.evaluate(run, 'eval_fewshot_rare', episodes=20, batch_size=size) for size in (16, 4)
  )
  np.testing.assert_array_equal(first['sequences/correct_open'], again['sequences/correct_open'])
  assert len(list(read_lines(run / 'eval_fewshot_rare' / 'metrics.jsonl'))) == 1


def test_eval_alone_names_no_single_evaluation(run):
  with pytest.raises(BadInput, match=r"mode is 'eval'; this run has .*eval_fewshot_holdout"):
    icljax.evaluate(run, 'eval')


def test_models_are_compared(run, tmp_path, capsys):
  both = icljax.compare(
    [run, run / 'checkpoints' / '10'], 'eval_fewshot_holdout', ['end', 'half'], tmp_path
  )
  assert set(both) == {'end', 'half'}
  (folder,) = (tmp_path / 'eval_fewshot_holdout').iterdir()
  assert {'comparison.png', 'comparison.csv'} <= {path.name for path in folder.iterdir()}
  assert 'accuracy_closed' in capsys.readouterr().out


def test_a_trained_model_labels_drawings(run):
  model = icljax.load(run)
  config = tiny(model__positions='sinusoidal')
  data, task = subject_of(config).data(config).values, subject_of(config).task(config)
  episodes = jax.vmap(task.sample)(jax.random.split(jax.random.key(0), 3))
  images = np.asarray(data.look_up(episodes.x))
  labels = np.asarray(episodes.y)
  for row in range(3):
    answer = model.at(
      images[row, :-1], labels[row, :-1], np.repeat(images[row, -1:], QUERIES + 1, axis=0)
    )
    assert answer.probs().shape == (QUERIES + 1, 24)
    rows = model.activations(images, labels, 'head')['head']
    np.testing.assert_allclose(answer.eta[0], rows[row, -1], atol=1e-4)
  assert model.at(images[0, :0], labels[0, :0], images[0, :2]).probs().shape == (2, 24)
  assert model.activations(images, labels, '*attention/weights')[
    'sequence/block_0/attention/weights'
  ].shape == (3, 2, 17, 17)
  with pytest.raises(
    ValueError, match=r'y_context has labels from 0 to 24; allowed are whole numbers from 0 to 23'
  ):
    model.at(images[0, :2], [0, 24], images[0, :1])
  with pytest.raises(
    ValueError, match=r'drawings have numbers from 0 to 255; allowed are 0, paper, to 1, ink'
  ):
    model.at(255 * images[0, :2], labels[0, :2], images[0, :1])
  with pytest.raises(
    ValueError, match=r'x_query has shape \[14, 14\]; this model takes \[Q, 14, 14\]'
  ):
    model.at(images[0, :2], [0, 1], images[0, 0])


def test_a_run_starts_from_another_with_its_batch_norm(tmp_path):
  config = tiny(tmp_path, model__embedder='resnet', data__side=8)
  state = build.init_state(config)
  state = state.replace(model_state=jax.tree.map(lambda leaf: leaf + 0.5, state.model_state))
  record_config(tmp_path, config, checks)
  Checkpoints(tmp_path / 'checkpoints', print).save(1, state, {})
  other = tiny(
    tmp_path / 'two', model__embedder='resnet', data__side=8, init_from=str(tmp_path), random_seed=1
  )
  experiment = Experiment(other)
  experiment.begin()
  for name in ('params', 'model_state'):
    chex.assert_trees_all_equal(
      getattr(experiment.state, name), jax.device_get(getattr(state, name))
    )
