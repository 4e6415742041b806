"""One run and one process to a folder."""

import json
import os
import socket

import pytest

from jaxline_lite.errors import BadInput
from jaxline_lite.run_folder import flat, plain, read_config, record_config, refuse_another
from tests.jaxline_lite import dummy
from tests.jaxline_lite.dummy import RULES, configured, left_by, train


def test_second_trainer_is_refused(tmp_path):
  """In one line with host and process; the first is none the worse, and afterwards the folder is
  free.
  """
  told = f'already trained by process {os.getpid()} on {socket.gethostname()}; wait for it or choose another folder'

  def on_step(step):
    if step == 30:
      with pytest.raises(BadInput, match=f'^{tmp_path}: {told}$'):
        train(configured(tmp_path))

  train(configured(tmp_path), on_step=on_step)
  assert dummy.steps(tmp_path) == [40, 60]
  train(configured(tmp_path))


def test_folder_that_cannot_be_made(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(BadInput, match=r'cannot be written .*choose another --config.checkpoint_dir'):
    train(configured(tmp_path / 'file' / 'run'))


@pytest.mark.parametrize(
  ('fields', 'told'),
  [({'restore_path': 'runs/other'}, 'restore_path is'), ({}, 'checkpoint_dir is empty')],
)
def test_training_needs_a_folder_of_its_own(tmp_path, monkeypatch, fields, told):
  monkeypatch.chdir(tmp_path)
  config = configured(tmp_path / 'run' if fields else '', **fields)
  with pytest.raises(BadInput, match=told):
    train(config)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  ('change', 'told'),
  [
    ({'model__rate': 0.2}, 'model.rate (0.1 there, 0.2 here)'),
    ({'random_seed': 1, 'model__width': 4}, 'model.width (3 there, 4 here), random_seed (0 there, 1 here)'),
    ({'training_steps': 70, 'model__schedule': 'cosine'}, "model.schedule ('constant' there, 'cosine' here), training_steps (60 there, 70 here)"),
  ],
)  # fmt: skip
def test_another_run_is_refused(tmp_path, change, told):
  train(configured(tmp_path))
  before = left_by(tmp_path), (tmp_path / 'config.json').read_bytes()
  with pytest.raises(BadInput) as caught:
    train(configured(tmp_path, **change))
  assert (
    f'another run is there, which differs in {told}; choose another folder with '
    '--config.checkpoint_dir' in str(caught.value)
  )
  assert (left_by(tmp_path), (tmp_path / 'config.json').read_bytes()) == before


def test_experiment_says_what_else_may_change(tmp_path):
  """A constant schedule goes on to any step; what it has then is what it had gone there at once."""
  train(configured(tmp_path / 'on'))
  train(configured(tmp_path / 'on', training_steps=100))
  at_once = train(configured(tmp_path / 'once', training_steps=100))
  assert (
    left_by(tmp_path / 'on')['w'] == left_by(tmp_path / 'once')['w'] == at_once.state['w'].tobytes()
  )
  train(configured(tmp_path / 'fixed', model__schedule='cosine'))
  with pytest.raises(BadInput, match=r'differs in training_steps \(60 there, 100 here\)'):
    train(configured(tmp_path / 'fixed', model__schedule='cosine', training_steps=100))


def test_config_comes_back_as_it_was(tmp_path):
  config = configured(
    tmp_path, eval_modes=('eval', 'eval_twice'), model__rate=1e-7, random_seed=2**63
  )
  record_config(tmp_path, config, RULES)
  assert read_config(tmp_path, RULES).to_dict() == config.to_dict()
  refuse_another(tmp_path, config, RULES)


def test_config_that_cannot_be_read(tmp_path):
  (tmp_path / 'config.json').write_text('{"random_seed": ')
  with pytest.raises(BadInput, match=r'config.json cannot be read'):
    train(configured(tmp_path))
  assert (tmp_path / 'config.json').read_text() == '{"random_seed": '


def test_new_and_lost_fields_differ(tmp_path):
  record_config(tmp_path, configured(tmp_path), RULES)
  other = configured(tmp_path)
  del other.model.dtype
  other.model.depth = 2
  with pytest.raises(
    BadInput,
    match=r"model.depth \(None there, 2 here\), model.dtype \('float32' there, None here\)",
  ):
    refuse_another(tmp_path, other, RULES)


def test_a_field_that_an_old_config_lacks_has_its_old_value(tmp_path):
  """It makes the run no other, unless the config sets it otherwise."""
  record_config(tmp_path, configured(tmp_path), RULES)
  old = json.loads((tmp_path / 'config.json').read_text())
  del old['model']['rate'], old['deterministic'], old['eval']['titles']
  (tmp_path / 'config.json').write_text(json.dumps(old))
  config = read_config(tmp_path, RULES)
  assert (config.model.rate, config.deterministic, config.eval.titles) == (0.1, False, '')
  refuse_another(tmp_path, configured(tmp_path), RULES)
  with pytest.raises(BadInput, match=r'model.rate \(0.1 there, 0.5 here\)'):
    refuse_another(tmp_path, configured(tmp_path, model__rate=0.5), RULES)


def test_experiment_that_refuses_the_config_leaves_the_folder_free(tmp_path):
  with pytest.raises(TypeError):
    train(configured(tmp_path), no_such_hook=None)
  assert not list(tmp_path.iterdir())
  train(configured(tmp_path, model__rate=0.3))


def test_fields_by_dotted_name():
  fields = flat(plain(configured('there', eval_modes=('eval',))))
  assert fields['model.width'] == 3
  assert fields['eval_modes'] == ['eval']
  assert not any(isinstance(value, dict) for value in fields.values())


def test_results_keep_their_names_when_evaluation_settings_change(tmp_path):
  """What the run was evaluated with first stays in config.json, so no arrays take the place of
  others.
  """
  train(configured(tmp_path))
  arrays = (tmp_path / 'eval' / '60.npz').read_bytes()
  train(configured(tmp_path, eval__seed=7))
  assert (tmp_path / 'eval' / '60.npz').read_bytes() == arrays
  assert (tmp_path / 'eval' / '60_seed=7.npz').exists()
  assert read_config(tmp_path, RULES).eval.seed == 0


def test_of_many_differing_fields_those_that_both_have_are_named(tmp_path):
  """A run of something else altogether is told in a line that can be read."""
  config = configured(tmp_path)
  record_config(tmp_path, config, RULES)
  for number in range(30):
    config.model[f'absent_{number}'] = number
  config.model.width, config.random_seed = 5, 7
  with pytest.raises(
    BadInput, match=r'differs in model\.width .*, random_seed \(0 there, 7 here'
  ) as e:
    refuse_another(tmp_path, config, RULES)
  assert 'and 20 more; choose another folder' in str(e.value)
