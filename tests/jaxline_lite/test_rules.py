"""What is chosen for runs, and shared among those of one command."""

from pathlib import Path

import pytest

from jaxline_lite import modes, outputs
from jaxline_lite.errors import BadInput
from jaxline_lite.rules import share_eval_settings, shared_eval_modes, with_chosen_fields
from jaxline_lite.run_folder import inherit_auto_fields, record_config
from tests.jaxline_lite.dummy import RULES, configured


def test_chosen_fields_are_set_in_a_copy(monkeypatch):
  monkeypatch.setattr(RULES, 'chosen_fields', lambda config: {'eval.target': 7})
  config = configured(Path('run'))
  assert with_chosen_fields(config, RULES).eval.target == 7
  assert config.eval.target == 50


def test_runs_of_one_command_see_the_same_episodes():
  configs = [configured(Path('run'), eval__target=target) for target in (9, 3, 5)]
  share_eval_settings(configs)
  assert [config.eval.target for config in configs] == [3, 3, 3]


def test_modes_of_several_runs_are_those_that_all_have():
  configs = [
    configured(Path('run'), eval_modes=names)
    for names in (('eval', 'eval_twice', 'eval_c'), ('eval_c', 'eval_twice'))
  ]
  assert shared_eval_modes(configs) == ('eval_twice', 'eval_c')
  with pytest.raises(BadInput, match='no mode in common, the first has eval, eval_twice, eval_c'):
    shared_eval_modes([configs[0], configured(Path('run'), eval_modes=('eval_d',))])


def test_a_mode_that_is_named_is_not_blocked_by_others():
  config = configured(Path('run'), eval_modes=('eval_of_other_runs',))
  modes.check(config, 'eval_twice', RULES)
  with pytest.raises(BadInput, match='eval_of_other_runs'):
    modes.check(config, 'eval', RULES)


@pytest.mark.parametrize('given', ['a', './a/', 'a/checkpoints/500/', 'b/../a/checkpoints/500'])
def test_the_source_of_a_run_may_be_spelled_otherwise(tmp_path, monkeypatch, given):
  monkeypatch.chdir(tmp_path)
  record_config(tmp_path, configured(tmp_path, init_from='a/checkpoints/500'), RULES)
  (tmp_path / 'b').mkdir()
  config = configured(tmp_path, init_from=given)
  inherit_auto_fields(tmp_path, config, RULES)
  assert config.init_from == 'a/checkpoints/500'
  other = configured(tmp_path, init_from='a/checkpoints/600')
  inherit_auto_fields(tmp_path, other, RULES)
  assert other.init_from == 'a/checkpoints/600'


def test_two_runs_of_one_name_that_may_only_be_read_have_two_folders(tmp_path, monkeypatch):
  runs = [tmp_path / name / 'glm' for name in ('alice', 'bob')]
  monkeypatch.setattr(outputs, 'is_writable', lambda folder: 'compare' in folder.parts)
  folders = []
  for _ in range(2):
    for run in runs:
      folders.append(outputs.output_folder(run, ('eval',), str(tmp_path / 'compare')))
      outputs.claim(folders[-1], run)
  assert folders[0] == tmp_path / 'compare' / 'glm'
  assert folders[1] != folders[0]
  assert folders[2:] == folders[:2]
