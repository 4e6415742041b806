"""The data of a run: told by their digest, read again when they change, and where they lie."""

import json
import re
import shutil

import numpy as np
import pytest

import icljax
from icljax import checks
from icljax.omniglot.images import store
from icljax.subjects import subject_of
from jaxline_lite import evaluated_runs
from jaxline_lite.errors import BadInput
from jaxline_lite.files import read_lines
from jaxline_lite.run_folder import read_config, record_config
from tests.configs import tiny as tiny_glm
from tests.omniglot.images import archive
from tests.omniglots import tiny

MODE = 'eval_fewshot_holdout'
SMALL1 = {
  'data__omniglot_config__omniglot_split': 'small1', 'data__generator_config__n_rare_classes': 100,
  'data__generator_config__n_common_classes': 0, 'data__generator_config__n_holdout_classes': 36,
}  # fmt: skip


def save_features(path, seed=0, classes=24) -> str:
  np.savez(path, np.random.default_rng(seed).normal(size=(classes, 20, 6)))
  return str(path)


def config_of(folder, features, **fields):
  """A run of 10 steps on a file of features."""
  usual = {'data__example_type': 'features', 'training_steps': 10, 'final_eval': False}
  usual['optimizer__schedule'] = 'constant'
  return tiny(folder, data__features=str(features), **usual | fields)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """A folder with a run of 10 steps and the features that it read."""
  folder = tmp_path_factory.mktemp('features')
  icljax.train(config_of(folder / 'run', save_features(folder / 'f.npz')))
  return folder


@pytest.fixture
def run(trained, tmp_path):
  """A copy of that run, whose features are somewhere else by now."""
  shutil.copytree(trained / 'run', tmp_path / 'run')
  config = json.loads((tmp_path / 'run' / 'config.json').read_text())
  config['data']['features'] = str(tmp_path / 'gone.npz')
  (tmp_path / 'run' / 'config.json').write_text(json.dumps(config))
  return tmp_path / 'run'


def digest(config) -> str:
  return subject_of(config).data(config).digest


def test_a_run_records_the_digest_of_its_data(trained):
  recorded = read_config(trained / 'run', checks).data.digest
  assert re.fullmatch('[0-9a-f]{64}', recorded)
  assert recorded == digest(config_of('', trained / 'f.npz'))


def test_every_kind_of_data_has_a_digest_that_says_what_is_in_them(tmp_path):
  few = {'data__procedural_classes': 23, 'data__generator_config__n_holdout_classes': 7}
  digests = {
    'drawings': digest(tiny()),
    'fewer': digest(tiny(**few)),
    'other side': digest(tiny(data__side=13)),
    'features': digest(config_of('', save_features(tmp_path / 'a.npz'))),
    'other features': digest(config_of('', save_features(tmp_path / 'b.npz', seed=1))),
  }
  assert len(set(digests.values())) == len(digests)
  # Of components that of the drawings: their own last bits depend on the machine.
  assert digest(tiny(data__components=8)) == digests['drawings']
  symbols = {'data__example_type': 'symbolic', 'model__embedder': 'table'}
  assert digest(tiny(**symbols)) == ''


def test_real_drawings_have_the_digest_of_their_bits_wherever_they_lie(tmp_path):
  manual_dir, digests = str(archive('images_background_small1.zip').parent), set()
  for name in ('a', 'b'):
    config = tiny('', 'all_exemplars', data__manual_dir=manual_dir, **SMALL1)
    config.data.data_dir, config.data.cache_dir = str(tmp_path / name), str(tmp_path / f'{name}_c')
    made = subject_of(config).data(config)
    digests |= {made.digest, digest(config)}  # prepared, and out of the cache
  assert len(digests) == 1
  assert made.values.packed.shape[:2] == (136, 20)
  assert 'omniglot small1' in made.source


def test_changed_data_are_refused_in_training(run, tmp_path):
  changed = save_features(tmp_path / 'changed.npz', seed=1)
  before = {path: path.read_bytes() for path in run.rglob('*') if path.is_file()}
  here = digest(config_of('', changed))
  recorded = read_config(run, checks).data.digest
  message = (
    f'data.features {changed!r}: these are not the data that the run was made with (SHA-256 '
    f'{recorded[:12]} there, {here[:12]} here); give the data of then, or another run folder'
  )
  with pytest.raises(BadInput, match=re.escape(message)):
    icljax.train(config_of(run, changed, training_steps=20))
  assert {path: path.read_bytes() for path in run.rglob('*') if path.is_file()} == before


def test_a_run_goes_on_with_the_same_data_from_another_place(run, tmp_path):
  moved = save_features(tmp_path / 'moved.npz')
  icljax.train(config_of(run, moved, training_steps=20))
  assert [line['step'] for line in read_lines(run / 'metrics.jsonl')] == [10, 20]
  assert read_config(run, checks).data.features == moved


def test_a_run_from_before_there_were_digests_goes_on_and_has_one_then(run, trained):
  config = json.loads((run / 'config.json').read_text())
  del config['data']['digest']
  config['data']['features'] = str(trained / 'f.npz')
  (run / 'config.json').write_text(json.dumps(config))
  moved = save_features(run.parent / 'elsewhere.npz')
  with pytest.raises(BadInput, match=r'another run is there, which differs in data\.features'):
    icljax.train(config_of(run, moved, training_steps=20))  # nobody could tell that it is the same
  icljax.train(config_of(run, trained / 'f.npz', training_steps=20))
  assert read_config(run, checks).data.digest == digest(config_of('', trained / 'f.npz'))


def test_a_moved_run_is_evaluated_and_loaded_with_the_data_of_this_machine(run, trained, capsys):
  moved = {'features': str(trained / 'f.npz')}
  with pytest.raises(BadInput, match=r'gone\.npz.*not a \.npz file'):
    icljax.evaluate(run, MODE)
  before = (run / 'config.json').read_bytes()
  evaluated = icljax.evaluate(run, MODE, data=moved)
  assert 'WARNING' not in capsys.readouterr().out
  assert 0 <= evaluated['accuracy_closed'] <= 1
  assert icljax.load(run, data=moved).item.shape == (6,)
  assert (run / 'config.json').read_bytes() == before
  for give in (icljax.load, lambda run, data: icljax.evaluate(run, MODE, data=data)):
    for wrong in ({'side': '3'}, {'features': 3}):
      with pytest.raises(
        BadInput, match=r'allowed is text that says where .* features, manual_dir'
      ):
        give(run, data=wrong)


def test_a_moved_run_is_started_from_with_the_data_of_this_machine(run, trained, tmp_path):
  config = config_of(tmp_path / 'next', trained / 'f.npz', init_from=str(run))
  icljax.train(config)
  assert read_config(tmp_path / 'next', checks).init_from == str(run / 'checkpoints' / '10')


def test_features_of_another_size_are_one_line(run, tmp_path):
  np.savez(tmp_path / 'wide.npz', np.zeros((24, 20, 7)))
  for give in (icljax.load, lambda run, data: icljax.evaluate(run, MODE, data=data)):
    with pytest.raises(BadInput, match=r'\[6, 16\] there and float32\[7, 16\] here') as error:
      give(run, data={'features': str(tmp_path / 'wide.npz')})
    assert '\n' not in str(error.value)


def test_changed_data_are_named_on_evaluation(run, tmp_path, capsys):
  changed = save_features(tmp_path / 'changed.npz', seed=1)
  icljax.evaluate(run, MODE, data={'features': changed})
  lines = capsys.readouterr().out.splitlines()
  (warning,) = [line for line in lines if line.startswith('WARNING')]
  assert f'data.features {changed!r}: these are not the data that the run was made with' in warning


def test_a_file_that_changed_is_read_again(tmp_path):
  """Also one of the same size, within one process, as in a notebook."""
  path = tmp_path / 'f.npz'
  config = config_of('', save_features(path))
  first = subject_of(config).data(config)
  save_features(path, seed=1)
  second = subject_of(config).data(config)
  assert first.digest != second.digest
  assert not np.array_equal(first.values.values, second.values.values)
  save_features(path, classes=30)
  assert subject_of(config).task(config).drawings == 20
  assert subject_of(config).data(config).values.values.shape == (30, 20, 6)


def test_a_cache_of_other_drawings_is_made_anew(tmp_path):
  """One that is whole, but was copied from another name."""
  said: list[str] = []
  load = lambda classes, side: store.load(
    'procedural', cache_dir=str(tmp_path), say=said.append, classes=classes, side=side
  )
  few = load(3, 28)
  for classes, side in ((4, 28), (3, 14)):
    target = tmp_path / f'procedural_{classes}_0_{side}.npz'
    target.write_bytes((tmp_path / 'procedural_3_0_28.npz').read_bytes())
    images = load(classes, side)
    assert (len(images.names), images.side) == (classes, side)
    assert 'it holds 3 classes of procedural characters, side 28' in said[-2]
  assert load(3, 28).digest() == few.digest()


def test_a_command_says_where_the_data_of_a_moved_run_lie(run, trained):
  """Nothing else of an evaluated run may be said, and of runs without files not even that."""
  config = config_of('', '')
  config.restore_path = str(run)
  moved = {'data.features': str(trained / 'f.npz'), 'data.side': 3}
  (merged,) = evaluated_runs.evaluated_configs(config, checks, moved)
  assert merged.data.features == str(trained / 'f.npz')
  assert merged.data.side == 14


def test_a_config_json_with_a_wrong_type_names_field_and_file(run, trained):
  stored = json.loads((run / 'config.json').read_text())
  wrong = [
    ('model.width', '64', 'whole numbers from 1'), ('model.heads', 2.0, 'whole numbers from 1'),
    ('model.mlp', 'no', 'true and false'), ('training.batch_size', True, 'whole numbers from 1'),
    ('training.w_interim', 'x', 'numbers from 0'), ('task.pool_seed', None, 'whole numbers'),
    ('optimizer.learning_rate', '1', 'numbers above 0'), ('optimizer.momentum', '.9', 'numbers'),
    ('training_steps', '10', 'kind of 1000'), ('eval_modes', 'eval', 'kind of'),
    ('data.features', 5, 'text'), ('data.seq_config.labeling_rare', 5, 'text'),
    ('model.sequence', 5, 'transformer'), ('random_seed', '0', 'kind of 0'),
  ]  # fmt: skip
  for field, value, allowed in wrong:
    config = json.loads(json.dumps(stored))
    *groups, name = field.split('.')
    holder = config
    for group in groups:
      holder = holder[group]
    holder[name] = value
    (run / 'config.json').write_text(json.dumps(config))
    for give in (icljax.load, lambda run: icljax.evaluate(run, MODE)):
      with pytest.raises(BadInput, match=rf'config\.json: {field} is .*{allowed}') as error:
        give(run)
      assert '\n' not in str(error.value)


def test_a_run_is_not_evaluated_with_the_config_of_another_subject(tmp_path):
  for folder, config, other in (
    ('images', tiny(tmp_path / 'images'), tiny_glm()),
    ('glm', tiny_glm(tmp_path / 'glm'), tiny()),
  ):
    (tmp_path / folder).mkdir()
    record_config(tmp_path / folder, config, checks)
    other.restore_path = str(tmp_path / folder)
    message = f'{tmp_path / folder}: subject is .{config.subject}. there, and .{other.subject}. in'
    with pytest.raises(BadInput, match=message):
      evaluated_runs.evaluated_configs(other, checks)


@pytest.mark.parametrize('text', ['[1, 2]', '3', '{"eval": 3}', '{"data": [], "eval": {}}', '"a"'])
def test_a_config_json_of_something_else_is_one_line(tmp_path, text):
  (tmp_path / 'config.json').write_text(text)
  for give in (icljax.load, lambda run: icljax.evaluate(run, MODE)):
    with pytest.raises(BadInput, match=r'config\.json') as error:
      give(tmp_path)
    assert '\n' not in str(error.value)
