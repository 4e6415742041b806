"""What a config must satisfy. Imports no JAX, so that a wrong one fails at once; a test holds the names against the code."""

import math
from collections.abc import Iterable
from typing import Any

from ml_collections import ConfigDict

FAMILIES = ('linear', 'logistic', 'poisson', 'neg_binomial', 'exponential', 'multinomial')
HEADS = ('mixture', 'eta')
TOKENS = ('pairs', 'interleaved')
SCHEDULES = ('constant', 'warmup_cosine')
PRECISIONS = ('auto', 'highest', 'tf32')
LARGEST_SEED = 2**32 - 1


def family_names(config: ConfigDict) -> tuple[str, ...]:
  """The families of a task, as `task.families` lists them."""
  return tuple(name.strip() for name in config.task.families.split(','))


def eval_modes(config: ConfigDict) -> tuple[str, ...]:
  """The names of all evaluations that a run of this config can have."""
  told_one = config.model.head == 'eta' and 'multinomial' not in family_names(config)  # one eta cannot name a class
  families = [family for family in FAMILIES if not (told_one and family == 'multinomial')]
  return ('eval', *(f'eval_{family}' for family in families))


def resumable(config: ConfigDict) -> frozenset[str]:
  """Fields that may change when a run goes on, besides those of the loop."""
  return frozenset({'training_steps'}) if config.optimizer.schedule == 'constant' else frozenset()


def check(config: ConfigDict) -> None:
  """Refuses settings that cannot be built.

  Raises:
    ValueError: naming the field, what was given and what is allowed.
  """
  for family in family_names(config):
    _one_of('task.families', family, FAMILIES)
  if len(set(family_names(config))) < len(family_names(config)):
    raise ValueError(f'task.families is {config.task.families!r}, which names a family twice')
  _one_of('model.head', config.model.head, HEADS)
  _one_of('model.tokens', config.model.tokens, TOKENS)
  _one_of('model.precision', config.model.precision, PRECISIONS)
  _one_of('optimizer.schedule', config.optimizer.schedule, SCHEDULES)
  _at_least(
    config, 1, 'task.D', 'task.K', 'model.layers', 'model.width', 'model.heads', 'model.components', 'training.batch_size'
  )
  _at_least(config, 1, 'eval.episodes', 'eval.batch_size', 'eval.posterior_samples')
  _at_least(config, 2, 'task.classes')
  _at_least(config, 0, 'random_seed', 'eval.seed', 'optimizer.warmup_steps')
  for field in ('random_seed', 'eval.seed'):
    if _get(config, field) > LARGEST_SEED:
      raise ValueError(f'{field} is {_get(config, field)}; allowed are whole numbers up to {LARGEST_SEED}')
  _positive(config, 'task.clip', 'optimizer.clip_norm', infinite=True)
  _positive(config, 'task.scale', 'task.noise', 'task.r', 'optimizer.learning_rate')
  _positive(config, *(name for name in ('eval.scale', 'eval.r') if _get(config, name) is not None))
  if config.model.width % config.model.heads:
    raise ValueError(f'model.heads is {config.model.heads}, which does not divide model.width {config.model.width}')
  if config.optimizer.schedule == 'warmup_cosine' and config.optimizer.warmup_steps >= config.training_steps:
    raise ValueError(
      f'optimizer.warmup_steps is {config.optimizer.warmup_steps}; allowed is less than training_steps {config.training_steps}'
    )


def _get(config: ConfigDict, path: str) -> Any:
  value = config
  for name in path.split('.'):
    value = value[name]
  return value


def _one_of(field: str, given: str, allowed: Iterable[str]) -> None:
  if given not in allowed:
    raise ValueError(f'{field} is {given!r}; allowed are {", ".join(allowed)}')


def _at_least(config: ConfigDict, least: int, *fields: str) -> None:
  for field in fields:
    if _get(config, field) < least:
      raise ValueError(f'{field} is {_get(config, field)}; allowed are whole numbers from {least}')


def _positive(config: ConfigDict, *fields: str, infinite: bool = False) -> None:
  for field in fields:
    value = _get(config, field)
    if not (0 < value < math.inf or (infinite and value == math.inf)):
      raise ValueError(f'{field} is {value}; allowed are numbers above 0' + (', and inf for none' if infinite else ''))
