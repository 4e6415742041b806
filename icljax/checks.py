"""What a config must satisfy, whatever its subject: the `Rules` that the loop asks for.

Imports no JAX, so that a wrong config fails at once; a test compares the names with the code.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from icljax.fields import at_least, between, get, leaves, one_of, positive, user_defined_or
from icljax.subjects import SUBJECTS, checks_of, sweeps_of

SEQUENCES = ('transformer', 'lstm', 'rnn')
OPTIMIZERS = ('adam', 'adamw', 'sgd')
SCHEDULES = ('constant', 'triangle', 'warmup_cosine', 'one_cycle', 'inverse_sqrt')
ENDLESS = ('constant', 'inverse_sqrt')  # schedules that do not depend on training_steps
# Of the transformer: where layer norms stand, and how gelu is computed.
NORMS = ('pre', 'post')
GELUS = ('tanh', 'erf')
# Whose loss stops a run: that of the batches; of held-out episodes of the training task; or of the
# same with new tasks, which are in no pool.
STOPPED_ON = ('train', 'pretrain', 'latent')
PRECISIONS = ('auto', 'highest', 'tf32', 'bfloat16')
LARGEST_SEED = 2**32 - 1  # seeds are unsigned numbers of 32 bits, other whole numbers signed ones
LARGEST_WHOLE = 2**31 - 1
SMALLEST, LARGEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127  # of 32 bits; smaller ones may become 0
# Fields that configs of any subject have not had from the start, with what was done without them.
ABSENT_FIELDS = {
  'subject': 'glm',
  'model.sequence': 'transformer',
  'model.norm': 'pre',
  'model.mlp_width': 0,
  'model.gelu': 'tanh',
  'optimizer.name': 'adam',
  'optimizer.weight_decay': 0.1,
  'optimizer.momentum': 0.9,
  'early_stopping.patience': 0,
  'early_stopping.on': 'train',
  'early_stopping.min_delta': 0.0,
  'early_stopping.window': 100,
}


def absent_fields(config: ConfigDict) -> Mapping[str, Any]:
  """The values of fields that configs of earlier versions lack, by dotted name."""
  subject = config.get('subject', ABSENT_FIELDS['subject'])
  of_subject = checks_of(subject).ABSENT_FIELDS if subject in SUBJECTS else {}
  return ABSENT_FIELDS | dict(of_subject)


def chosen_fields(config: ConfigDict) -> dict[str, Any]:
  """What is chosen for fields that a config leaves open, by dotted name."""
  subject = config.get('subject')
  return checks_of(subject).chosen_fields(config) if subject in SUBJECTS else {}


def eval_modes(config: ConfigDict) -> tuple[str, ...]:
  """The names of all eval modes that a run of this config can have."""
  return tuple(checks_of(config.subject).mode_rules(config))


def why_no_mode(config: ConfigDict, mode: str) -> str:
  """Why a run of this config cannot have an eval mode that others of its subject can; '' if none
  can.
  """
  return checks_of(config.subject).why_no_mode(config, mode)


def eval_fields(config: ConfigDict, mode: str) -> frozenset[str]:
  """The fields of `config.eval` on which the numbers of an eval mode depend."""
  rule = checks_of(config.subject).mode_rules(config).get(mode)
  return rule.reads if rule else frozenset()


def sweep_modes(configs: Sequence[ConfigDict]) -> Mapping[str, Sequence[tuple]]:
  """The eval modes that only a sweep with runs of these configs has, and what each takes."""
  return checks_of(configs[0].subject).sweep_modes(configs)


def sweeps(config: ConfigDict) -> Mapping[str, str]:
  """The published sweeps of a config by name, as `config.sweep` would spell them out."""
  return sweeps_of(config) if config.get('subject') in SUBJECTS else {}


def hints(config: ConfigDict) -> Mapping[str, str]:
  """What else is said of a value that is no number, by the field that wants one."""
  subject = config.get('subject')
  return checks_of(subject).HINTS if subject in SUBJECTS else {}


def resumable(config: ConfigDict) -> frozenset[str]:
  """The fields in which a run may change when it is continued, besides those of the loop."""
  lengthened = {'training_steps'} if config.optimizer.schedule in ENDLESS else set()
  free = located_fields(config)
  if config.get('data', {}).get('digest') == 'auto':  # of a run that could not notice other data
    free -= {'data.features'}
  return frozenset(lengthened | free)


def located_fields(config: ConfigDict) -> frozenset[str]:
  """The fields that say where data lie on this machine."""
  subject = config.get('subject')
  return checks_of(subject).LOCATED_FIELDS if subject in SUBJECTS else frozenset()


def places_of_data(config: ConfigDict) -> dict[str, str]:
  """Where a config has its data, by the names that `data_places` takes."""
  return {field.removeprefix('data.'): get(config, field) for field in located_fields(config)}


def data_places(config: ConfigDict, data: Mapping[str, str]) -> dict[str, str]:
  """Where data lie on this machine, by field.

  Args:
    config: of the run.
    data: the same by name in the group `data`, such as `{'features': 'f.npz'}`.

  Raises:
    ValueError: for another name, or a place that is no text.
  """
  allowed = [field.removeprefix('data.') for field in sorted(located_fields(config))]
  for name, place in data.items():
    if name not in allowed or not isinstance(place, str):
      raise ValueError(
        f'data has {name!r}: {place!r}; allowed is text that says where data lie on this machine, '
        f'by {", ".join(allowed) or "no name, for this run reads no files"}'
      )
  return {f'data.{name}': place for name, place in data.items()}


def check_evaluated(config: ConfigDict, run: ConfigDict) -> None:
  """Raises ValueError for a config of another subject than that of the run that it evaluates."""
  given = config.get('subject', ABSENT_FIELDS['subject'])
  if given != run.subject:
    raise ValueError(
      f'subject is {run.subject!r} there, and {given!r} in the config that was given; evaluate it '
      f'with one of its own, such as --config=configs/{run.subject}.py'
    )


def check(config: ConfigDict) -> None:
  """Refuses settings that cannot be built.

  Raises:
    ValueError: naming the field, what was given and what is allowed.
  """
  one_of(config, 'subject', SUBJECTS)
  config = config.copy_and_resolve_references()
  config.update_from_flattened_dict(chosen_fields(config))
  _check_ranges(config)
  _check_model(config)
  checks_of(config.subject).check(config)
  _check_training(config)
  at_least(config, 1, 'eval.episodes', 'eval.batch_size')


def _check_ranges(config: ConfigDict) -> None:
  """Numbers have to survive in the 32 bits in which they are computed with."""
  for field, value in leaves(config):
    is_whole = type(value) is int
    if field.endswith('seed') and not (is_whole and 0 <= value <= LARGEST_SEED):
      raise ValueError(f'{field} is {value}; allowed are whole numbers from 0 to {LARGEST_SEED}')
    if is_whole and not field.endswith('seed') and abs(value) > LARGEST_WHOLE:
      raise ValueError(
        f'{field} is {value}; allowed are whole numbers of 32 bits, up to {LARGEST_WHOLE}'
      )
    if isinstance(value, float) and not _is_normal(value):
      raise ValueError(
        f'{field} is {value}; allowed are numbers of 32 bits: 0, and sizes from {SMALLEST:.2g} to '
        f'{LARGEST:.2g}'
      )


def _is_normal(value: float) -> bool:
  """Whether a number keeps its meaning in 32 bits; what may be infinite is another question."""
  return value == 0 or math.isinf(value) or SMALLEST <= abs(value) <= LARGEST


def _check_model(config: ConfigDict) -> None:
  user_defined_or('model.sequence', config.model.sequence, SEQUENCES)
  one_of(config, 'model.precision', PRECISIONS)
  one_of(config, 'model.norm', NORMS)
  one_of(config, 'model.gelu', GELUS)
  at_least(config, 1, 'model.layers', 'model.width', 'model.heads')
  at_least(config, 0, 'model.mlp_width')
  for field in ('model.norm', 'model.mlp_width', 'model.gelu'):
    if config.model.sequence != 'transformer' and get(config, field) != ABSENT_FIELDS[field]:
      raise ValueError(
        f'{field} is {get(config, field)!r}, which only the transformer has; with model.sequence '
        f'{config.model.sequence!r} leave {ABSENT_FIELDS[field]!r}'
      )
  if config.model.width % config.model.heads:
    raise ValueError(
      f'model.heads is {config.model.heads}, which does not divide model.width {config.model.width}'
    )


def _check_training(config: ConfigDict) -> None:
  one_of(config, 'optimizer.name', OPTIMIZERS)
  one_of(config, 'optimizer.schedule', SCHEDULES)
  one_of(config, 'early_stopping.on', STOPPED_ON)
  at_least(config, 1, 'training.batch_size', 'early_stopping.window')
  at_least(config, 0, 'optimizer.warmup_steps', 'early_stopping.patience')
  between(config, 0, 1, 'optimizer.momentum')
  if config.optimizer.momentum == 1:
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
      f'training_steps {config.training_steps}: set both, such as --config.training_steps='
      f'{config.training_steps} --config.optimizer.warmup_steps={config.training_steps // 10}'
    )
