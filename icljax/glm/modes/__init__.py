"""The eval modes of generalized linear models. `table` has them all."""

import functools

from ml_collections import ConfigDict

from icljax.eval_modes import EvalMode
from icljax.glm.checks import evaluated_families, mode_rules
from icljax.glm.from_config import shifted_task, single_family_task
from icljax.glm.modes import nats


def table(config: ConfigDict) -> dict[str, EvalMode]:
  """The modes that a run of this config can have, by name."""
  rules = mode_rules(config)
  modes = {'eval': nats.make_mode(rules['eval'], shifted_task)}
  if 'eval_joint' in rules:
    modes['eval_joint'] = nats.make_mode(rules['eval_joint'], shifted_task, confusion=True)
  for mode, family in evaluated_families(config).items():
    task = functools.partial(single_family_task, name=family)
    modes[mode] = nats.make_mode(rules[mode], task)
  return modes
