"""Errors of calls from Python name fields and arguments, not the flags of a command."""

import pytest

import icljax
from icljax import checks
from jaxline_lite.errors import BadInput, without_flags
from jaxline_lite.run_folder import record_config
from tests.configs import tiny


def trained(folder, **fields):
  record_config(folder, tiny(folder, **fields), checks)
  return folder


WRONG = {
  'a config without a folder': (
    lambda folder: icljax.train(tiny('')),
    'such as config.checkpoint_dir=runs/first',
  ),
  'restore_path in training': (
    lambda folder: icljax.train(tiny(folder, restore_path='elsewhere')),
    'give config.init_from',
  ),
  'a short run': (
    lambda folder: icljax.train(tiny(folder, training_steps=3)),
    'such as config.training_steps=3 config.optimizer.warmup_steps=0',
  ),
  'another run': (
    lambda folder: icljax.train(tiny(trained(folder), random_seed=7)),
    'choose another folder with config.checkpoint_dir',
  ),
  'eval_modes': (
    lambda folder: icljax.train(tiny(folder, eval_modes=('eval_gamma',))),
    "config.eval_modes: there is no 'eval_gamma'",
  ),
  'a mode': (
    lambda folder: icljax.evaluate(trained(folder), 'eval_poison'),
    "mode: there is no 'eval_poison'",
  ),
  'a run to evaluate': (lambda folder: icljax.evaluate(folder), 'folder with the argument run'),
  'a run to load': (lambda folder: icljax.load(folder), 'folder with the argument run'),
  'a word': (lambda folder: icljax.config('glm', 'poison'), "config: unknown word 'poison'"),
}


@pytest.mark.parametrize('what', WRONG)
def test_an_error_names_what_python_gives(tmp_path, what):
  call, expected = WRONG[what]
  with pytest.raises(BadInput) as caught:
    call(tmp_path)
  assert expected in str(caught.value)
  assert '--' not in str(caught.value)


def test_other_errors_are_left_alone():
  with pytest.raises(KeyError, match=r'--config\.a'), without_flags():
    raise KeyError('--config.a')
