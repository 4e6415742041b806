"""The eval modes of generalized linear models. `table` has them all."""

import functools

from ml_collections import ConfigDict

from icljax.eval_modes import EvalMode, ModeRule
from icljax.glm.checks import SWEEP_MODE, evaluated_families, mode_rules
from icljax.glm.from_config import new_tasks, pool_tasks, shifted_task, single_family_task
from icljax.glm.modes import distance, diversity, interpolation, mixed_tasks, nats, prompts
from icljax.glm.modes.pool_sweep.from_runs import read_pool_sweep
from icljax.glm.modes.scores import OF_POOL

# What reads the modes that only sweeps have.
SWEEP_READERS = {SWEEP_MODE: read_pool_sweep}


def table(config: ConfigDict) -> dict[str, EvalMode]:
  """The modes that a run of this config can have, by name."""
  rules = mode_rules(config)
  modes = {'eval': nats.make_mode(rules['eval'], shifted_task)}
  if 'eval_joint' in rules:
    modes['eval_joint'] = nats.make_mode(rules['eval_joint'], shifted_task, confusion=True)
  for mode, family in evaluated_families(config).items():
    task = functools.partial(single_family_task, name=family)
    modes[mode] = nats.make_mode(rules[mode], task)
  return modes | _diversity(rules)


def _diversity(rules: dict[str, ModeRule]) -> dict[str, EvalMode]:
  """Those of the modes of task diversity that a run can have."""
  modes = {}
  if rule := rules.get('eval_pretrain'):
    modes['eval_pretrain'] = diversity.make_mode(rule, pool_tasks, OF_POOL)
  if rule := rules.get('eval_latent'):
    modes['eval_latent'] = diversity.make_mode(rule, new_tasks, diversity.OF_NEW)
  if rule := rules.get('eval_distance'):
    modes['eval_distance'] = distance.make_mode(rule)
  for mode, task, module in (
    ('eval_interpolation', pool_tasks, interpolation),
    ('eval_mixed_tasks', new_tasks, mixed_tasks),
  ):
    if rule := rules.get(mode):
      modes[mode] = prompts.make_mode(
        rule, task, module.AXIS, module.score_model, module.score_baselines
      )
  return modes
