"""What is due when."""

import itertools

import pytest

from jaxline_lite.base_config import check_base_config, interval, keep_rule, read_words, run_folder
from jaxline_lite.errors import BadInput
from jaxline_lite.plan import Plan, kept_steps
from tests.jaxline_lite.dummy import configured


@pytest.mark.parametrize(
  ('rule', 'steps', 'kept'),
  [
    ('every:30', 100, {0, 30, 60, 90}),
    ('every:50', 100, {0, 50, 100}),
    ('every:101', 100, {0}),
    ('none', 100, set()),
    ('log:5', 10_000, {0, 1, 10, 100, 1000, 10_000}),
    ('log:4', 8, {0, 1, 2, 4, 8}),
    ('log:2', 1000, {0, 1, 1000}),
    ('log:20', 1, {0, 1}),
    ('log:9', 3, {0, 1, 2, 3}),
  ],
)
def test_kept_steps(rule, steps, kept):
  assert kept_steps(rule, steps) == kept


def test_log_spaced_steps_are_spread_over_the_run():
  kept = sorted(kept_steps('log:20', 100_000))
  assert len(kept) <= 21
  assert (*kept[:2], kept[-1]) == (0, 1, 100_000)
  ratios = [later / earlier for earlier, later in itertools.pairwise(kept) if earlier > 100]
  assert max(ratios) / min(ratios) < 1.01


@pytest.mark.parametrize(
  ('save', 'keep', 'along', 'saved', 'evaluated'),
  [
    ('20', 'none', False, {20, 40, 60, 70}, set()),
    ('1000', 'every:30', False, {30, 60, 70}, set()),
    ('1000', 'none', True, {25, 50, 70}, {25, 50, 70}),
    ('300s', 'log:2', True, {1, 25, 50, 70}, {25, 50, 70}),
  ],
)
@pytest.mark.parametrize('most', [1, 9, 1000])
def test_no_step_at_which_something_is_due_is_passed_over(
  save, keep, along, saved, evaluated, most
):
  plan = Plan(
    configured(
      '', training_steps=70, save_checkpoint_interval=save, keep_checkpoints=keep, eval_interval=25
    ),
    evaluates_along=along,
  )
  step, stops = 0, []
  while step < 70:
    count = plan.count(step, most)
    assert 1 <= count <= most
    step += count
    stops.append(step)
  assert stops[-1] == 70
  assert {step for step in stops if plan.saves(step)} == saved
  assert {step for step in stops if plan.evaluates(step)} == evaluated
  assert plan.saves(0) == (keep != 'none')  # with parameters alone
  assert len(stops) <= len(saved) or most < 70


def test_seconds_between_checkpoints_leave_steps_alone():
  assert Plan(configured('', save_checkpoint_interval='300s'), False).save_seconds == 300
  assert Plan(configured('', save_checkpoint_interval='300'), False).save_seconds is None


@pytest.mark.parametrize(
  ('read', 'given'),
  [(interval, bad) for bad in ('', '0', '0s', '-5', '5m', '1.5s', 's')]
  + [(keep_rule, bad) for bad in ('', 'log', 'log:0', 'every:', 'every:-1', 'last:3', 'None')],
)
def test_intervals_and_rules_that_cannot_be_read(read, given):
  with pytest.raises(BadInput, match=f'is {given!r}; allowed are'):
    read(given)


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('training_steps', 0),
    ('log_train_data_interval', 0),
    ('eval_interval', -1),
    ('eval_modes', ()),
    ('eval_modes', ('train',)),
    ('eval_checkpoints', 'lates'),
    ('eval_checkpoints', '10,,20'),
  ],
)
def test_loop_settings_that_cannot_be_followed(field, value):
  config = configured('')
  check_base_config(config)
  config[field] = value
  with pytest.raises(BadInput, match=f'^{field} is .*; allowed are'):
    check_base_config(config)


def test_words_come_in_any_order():
  read = lambda words: read_words(words, ('joint', 'poisson'), default='joint')
  assert read('') == ('joint', 'quick')
  assert read('poisson') == ('poisson', 'quick')
  assert read('paper') == ('joint', 'paper')
  assert read('paper, poisson') == read('poisson,paper') == ('poisson', 'paper')
  with pytest.raises(
    BadInput,
    match=r"unknown word 'poison' \(did you mean 'poisson'\?\); presets: joint, poisson; sizes: quick, paper",
  ):
    read('poison')
  with pytest.raises(BadInput, match="two sizes were given, 'paper' and 'quick'"):
    read('paper,quick')


def test_folder_is_named_by_what_is_not_default():
  assert run_folder('glm', 'joint', 'joint', 'quick') == 'runs/glm'
  assert run_folder('glm', 'poisson', 'joint', 'paper') == 'runs/glm_poisson_paper'
