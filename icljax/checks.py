"""What a config must satisfy. Imports no JAX, so that a wrong one fails at once; a test holds the names against the code."""

import math
from collections.abc import Iterable
from typing import Any

from ml_collections import ConfigDict

from icljax import own

FAMILIES = ('linear', 'logistic', 'poisson', 'neg_binomial', 'exponential', 'multinomial')
HEADS = ('mixture', 'eta')
TOKENS = ('pairs', 'interleaved')
SEQUENCES = ('transformer',)
OPTIMIZERS = ('adam', 'adamw', 'sgd')
SCHEDULES = ('constant', 'triangle', 'warmup_cosine', 'one_cycle', 'inverse_sqrt')
ENDLESS = ('constant', 'inverse_sqrt')  # schedules that do not depend on training_steps
PRECISIONS = ('auto', 'highest', 'tf32', 'bfloat16')
LARGEST_SEED = 2**32 - 1


def family_names(config: ConfigDict) -> tuple[str, ...]:
  """The families of a task, as `task.families` lists them."""
  return names(config.task.families)


def names(listed: str) -> tuple[str, ...]:
  """The members of a comma-separated field."""
  return tuple(filter(None, (name.strip() for name in listed.split(','))))


def eval_modes(config: ConfigDict) -> tuple[str, ...]:
  """The names of all evaluations that a run of this config can have."""
  told_one = config.model.head == 'eta' and 'multinomial' not in family_names(config)  # one eta cannot name a class
  if config.task.own:  # its other families would not be its own
    return ('eval', *(['eval_joint'] if len(family_names(config)) > 1 else []))
  own_families = [own.short(family) for family in family_names(config) if own.is_own(family)]
  families = [family for family in (*FAMILIES, *own_families) if not (told_one and family == 'multinomial')]
  joint = ['eval_joint'] if len(family_names(config)) > 1 else []
  return ('eval', *joint, *(f'eval_{family}' for family in families))


def resumable(config: ConfigDict) -> frozenset[str]:
  """Fields that may change when a run goes on, besides those of the loop."""
  return frozenset({'training_steps'}) if config.optimizer.schedule in ENDLESS else frozenset()


def check(config: ConfigDict) -> None:
  """Refuses settings that cannot be built.

  Raises:
    ValueError: naming the field, what was given and what is allowed.
  """
  for family in family_names(config):
    _known('task.families', family, FAMILIES)
  called = [own.short(family) for family in family_names(config)]
  if not called or len(set(called)) < len(called) or 'joint' in called:
    raise ValueError(
      f"task.families is {config.task.families!r}; allowed are some of {', '.join(FAMILIES)}, or one's own as 'module:name', with names that differ and none of them 'joint'"
    )
  if config.task.own:
    own.check('task.own', config.task.own)
  for metric in names(config.eval.metrics):
    own.check('eval.metrics', metric)
  measured = [own.short(metric) for metric in names(config.eval.metrics)]
  if len(set(measured)) < len(measured):
    raise ValueError(f'eval.metrics is {config.eval.metrics!r}; allowed are metrics with names that differ')
  _known('model.sequence', config.model.sequence, SEQUENCES)
  _one_of('model.head', config.model.head, HEADS)
  _one_of('model.tokens', config.model.tokens, TOKENS)
  _one_of('model.precision', config.model.precision, PRECISIONS)
  _one_of('optimizer.name', config.optimizer.name, OPTIMIZERS)
  _one_of('optimizer.schedule', config.optimizer.schedule, SCHEDULES)
  _at_least(
    config, 1, 'task.D', 'task.K', 'model.layers', 'model.width', 'model.heads', 'model.components', 'training.batch_size'
  )
  _at_least(config, 1, 'eval.episodes', 'eval.batch_size', 'eval.posterior_samples', 'early_stopping.window')
  _at_least(config, 2, 'task.classes')
  _at_least(config, 0, 'random_seed', 'eval.seed', 'optimizer.warmup_steps', 'early_stopping.patience')
  for field in ('random_seed', 'eval.seed'):
    if _get(config, field) > LARGEST_SEED:
      raise ValueError(f'{field} is {_get(config, field)}; allowed are whole numbers up to {LARGEST_SEED}')
  _check_curriculum(config)
  if not 0 <= config.optimizer.momentum < 1:
    raise ValueError(f'optimizer.momentum is {config.optimizer.momentum}; allowed are numbers from 0 to below 1')
  if not 0 <= config.optimizer.weight_decay < math.inf:
    raise ValueError(f'optimizer.weight_decay is {config.optimizer.weight_decay}; allowed are numbers from 0')
  if not 0 <= config.early_stopping.min_delta < math.inf:
    raise ValueError(f'early_stopping.min_delta is {config.early_stopping.min_delta}; allowed are nats from 0')
  _positive(config, 'task.clip', 'optimizer.clip_norm', infinite=True)
  _positive(config, 'task.scale', 'task.noise', 'task.r', 'optimizer.learning_rate')
  _positive(config, *(name for name in ('eval.scale', 'eval.r') if _get(config, name) is not None))
  if config.model.width % config.model.heads:
    raise ValueError(f'model.heads is {config.model.heads}, which does not divide model.width {config.model.width}')
  if config.optimizer.schedule not in ENDLESS and config.optimizer.warmup_steps >= config.training_steps:
    raise ValueError(
      f'optimizer.warmup_steps is {config.optimizer.warmup_steps}; allowed is less than training_steps {config.training_steps}'
    )


def _check_curriculum(config: ConfigDict) -> None:
  grow, most = config.task.curriculum, {'dims': config.task.D, 'points': config.task.K}
  _at_least(config, 0, 'task.curriculum.interval')
  for what, size in most.items() if grow.interval else ():
    start = grow[f'{what}_start']
    if not 1 <= start <= size:
      raise ValueError(f'task.curriculum.{what}_start is {start}; allowed are whole numbers from 1 to {size}, the full size')
    _at_least(config, 0, f'task.curriculum.{what}_increment')


def _get(config: ConfigDict, path: str) -> Any:
  value = config
  for name in path.split('.'):
    value = value[name]
  return value


def _one_of(field: str, given: str, allowed: Iterable[str]) -> None:
  if given not in allowed:
    raise ValueError(f'{field} is {given!r}; allowed are {", ".join(allowed)}')


def _known(field: str, given: str, allowed: Iterable[str]) -> None:
  """As `_one_of`, or one's own."""
  if own.is_own(given):
    own.check(field, given)
  elif given not in allowed:
    raise ValueError(f"{field} is {given!r}; allowed are {', '.join(allowed)}, and one's own as 'module:name'")


def _at_least(config: ConfigDict, least: int, *fields: str) -> None:
  for field in fields:
    if _get(config, field) < least:
      raise ValueError(f'{field} is {_get(config, field)}; allowed are whole numbers from {least}')


def _positive(config: ConfigDict, *fields: str, infinite: bool = False) -> None:
  for field in fields:
    value = _get(config, field)
    if not (0 < value < math.inf or (infinite and value == math.inf)):
      raise ValueError(f'{field} is {value}; allowed are numbers above 0' + (', and inf for none' if infinite else ''))
