"""Every metric that a mode has for its headline is one that it reports."""

import pytest

from icljax import checks
from icljax.eval_modes import MOST_HEADLINES
from icljax.experiment import Experiment
from icljax.omniglot.kinds import KINDS
from icljax.subjects import checks_of
from tests import configs, omniglots

CLASSES = {
  'data__generator_config__n_common_classes': 4,
  'data__seq_config__fs_shots': 2,
}  # few of each, so that sequences of every kind are possible
CONFIGS = {
  'linear regression of a pool': (configs, {
    'task__clip': float('inf'), 'task__n_tasks': 4, 'model__head': 'known_noise',
  }),
  'linear regression of fresh tasks': (configs, {
    'task__clip': float('inf'), 'model__head': 'known_noise',
  }),
  'joint of a pool': (configs, {'task__families': 'poisson,neg_binomial', 'task__n_tasks': 4}),
  'classes, told': (configs, {
    'task__families': 'poisson,multinomial', 'task__n_tasks': 4, 'model__head': 'eta',
  }),
  'images': (omniglots, CLASSES),
}  # fmt: skip


@pytest.mark.parametrize('name', CONFIGS)
def test_headlines_are_metrics_of_their_modes(name):
  module, fields = CONFIGS[name]
  config = module.tiny(**fields)
  checks.check(config)
  experiment, rules = Experiment(config), checks_of(config.subject).mode_rules(config)
  for mode, rule in rules.items():
    outline = experiment.outline(mode)
    assert 1 <= len(rule.headline) <= MOST_HEADLINES
    assert set(rule.headline) <= set(outline.metrics), mode


def test_there_are_sequences_of_every_kind_among_them():
  modes = checks.eval_modes(omniglots.tiny(**CLASSES))
  assert set(modes) == {'eval_induction', *(f'eval_{name}' for name in KINDS)}


def test_of_what_a_user_defines_only_nats_are_promised():
  config = configs.tiny(task__own='examples.own_task:sparse')
  rules = checks_of('glm').mode_rules(config)
  assert all(list(rule.headline) == ['nats'] for rule in rules.values())
