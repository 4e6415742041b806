"""Checks of what configs of all subjects share, and of the subject that a config names."""

import math

from ml_collections import ConfigDict

from icljax.fields import at_least, between, get, known, one_of, positive
from icljax.glm import checks as glm
from icljax.omniglot import checks as omniglot

SUBJECTS = {'glm': glm, 'omniglot': omniglot}
SEQUENCES = ('transformer', 'lstm', 'rnn')
OPTIMIZERS = ('adam', 'adamw', 'sgd')
SCHEDULES = ('constant', 'triangle', 'warmup_cosine', 'one_cycle', 'inverse_sqrt')
ENDLESS = ('constant', 'inverse_sqrt')  # schedules that do not depend on training_steps
PRECISIONS = ('auto', 'highest', 'tf32', 'bfloat16')
LARGEST_SEED = 2**32 - 1


def eval_modes(config: ConfigDict) -> tuple[str, ...]:
  """The names of all evaluations that a run of this config can have."""
  return SUBJECTS[config.subject].eval_modes(config)


def resumable(config: ConfigDict) -> frozenset[str]:
  """Fields that may change when a run goes on, besides those of the loop."""
  lengthened = {'training_steps'} if config.optimizer.schedule in ENDLESS else set()
  return frozenset(lengthened | SUBJECTS[config.subject].RESUMABLE)


def check(config: ConfigDict) -> None:
  """Refuses settings that cannot be built.

  Raises:
    ValueError: naming the field, what was given and what is allowed.
  """
  one_of(config, 'subject', SUBJECTS)
  SUBJECTS[config.subject].check(config)
  _check_model(config)
  _check_training(config)
  at_least(config, 1, 'eval.episodes', 'eval.batch_size')
  for field in ('random_seed', 'eval.seed'):
    if not 0 <= get(config, field) <= LARGEST_SEED:
      raise ValueError(
        f'{field} is {get(config, field)}; allowed are whole numbers from 0 to {LARGEST_SEED}'
      )


def _check_model(config: ConfigDict) -> None:
  known('model.sequence', config.model.sequence, SEQUENCES)
  one_of(config, 'model.precision', PRECISIONS)
  at_least(config, 1, 'model.layers', 'model.width', 'model.heads')
  if config.model.width % config.model.heads:
    raise ValueError(
      f'model.heads is {config.model.heads}, which does not divide model.width {config.model.width}'
    )


def _check_training(config: ConfigDict) -> None:
  one_of(config, 'optimizer.name', OPTIMIZERS)
  one_of(config, 'optimizer.schedule', SCHEDULES)
  at_least(config, 1, 'training.batch_size', 'early_stopping.window')
  at_least(config, 0, 'optimizer.warmup_steps', 'early_stopping.patience')
  if not 0 <= config.optimizer.momentum < 1:
    raise ValueError(
      f'optimizer.momentum is {config.optimizer.momentum}; allowed are numbers from 0 to below 1'
    )
  between(config, 0, math.inf, 'optimizer.weight_decay', 'early_stopping.min_delta')
  positive(config, 'optimizer.clip_norm', infinite=True)
  positive(config, 'optimizer.learning_rate')
  if (
    config.optimizer.schedule not in ENDLESS
    and config.optimizer.warmup_steps >= config.training_steps
  ):
    raise ValueError(
      f'optimizer.warmup_steps is {config.optimizer.warmup_steps}; allowed is less than '
      f'training_steps {config.training_steps}'
    )
