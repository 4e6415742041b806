"""What a config of generalized linear models must satisfy, and the names that it may use."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from icljax import plugins
from icljax.eval_modes import ModeRule
from icljax.fields import at_least, get, names, one_of, positive, texts, user_defined_or

# In the order of `icljax.families.families`, which has to have the same.
FAMILIES = ('linear', 'logistic', 'poisson', 'neg_binomial', 'exponential', 'multinomial')
HEADS = ('mixture', 'eta', 'known_noise')
TOKENS = ('pairs', 'interleaved', 'interleaved_plain')
LOCATED_FIELDS: frozenset[str] = frozenset()
ABSENT_FIELDS = {
  'task.own': '',
  'task.data_scale': 1.0,
  'task.n_tasks': 0,
  'task.pool_seed': 0,
  'model.end_bias': False,
  'task.curriculum.interval': 0,
  'task.curriculum.dims_start': 2,
  'task.curriculum.dims_increment': 1,
  'task.curriculum.points_start': 8,
  'task.curriculum.points_increment': 4,
  'eval.metrics': '',
}
HINTS = {'task.n_tasks': '0 means a fresh task per episode'}
LARGEST_POOL = 2**31 - 1  # an index in a pool is a signed number of 32 bits
AUTOMATIC = ('auto',)
EPISODES, FEW_EPISODES = 10_000, 2_048
LARGE_POOL = 2**16  # for 10,000 episodes of more tasks dMMSE takes over 20 seconds of a core
DIVERSITY_MODES = (
  'eval_pretrain', 'eval_latent', 'eval_interpolation', 'eval_mixed_tasks', 'eval_distance',
)  # fmt: skip
OF_RUNS_POOL = {'eval_pretrain': 1, 'eval_interpolation': 2}  # tasks that the pool has at least
SWEEP_MODE = 'eval_diversity'  # only a sweep over task.n_tasks has it
# Episodes of every kept checkpoint from which the step of the least distance is read.
VALLEY_EPISODES = 2_000
RESERVED = {
  'joint',
  'diversity',
  *(mode.removeprefix('eval_') for mode in DIVERSITY_MODES),
}  # names of eval modes that no family may take
# The task that is evaluated, and the oracles that its targets are measured against.
READS = frozenset({'seed', 'episodes', 'posterior_samples', 'scale'})


def family_names(config: ConfigDict) -> tuple[str, ...]:
  """The families of a task, as `task.families` lists them."""
  return names(config.task.families)


def is_joint(config: ConfigDict) -> bool:
  """Whether episodes are of several families."""
  return len(family_names(config)) > 1


def evaluated_families(config: ConfigDict) -> dict[str, str]:
  """The families that a run can be evaluated on alone, as configs name them, by eval mode."""
  if config.task.own:  # another family would not be of the user's task
    return {}
  user_defined = [name for name in family_names(config) if plugins.is_user_defined(name)]
  families = [*FAMILIES, *user_defined]
  if config.model.head == 'known_noise':  # a Gaussian of that noise is no answer for others
    families = list(family_names(config))
  if config.model.head == 'eta' and 'multinomial' not in family_names(config):
    families.remove('multinomial')  # its C linear predictors are more than such a model gives
  return {f'eval_{plugins.short_name(name)}': name for name in families}


def diversity_modes(config: ConfigDict) -> tuple[str, ...]:
  """The eval modes that tell tasks of a run's pool from new ones, as far as it has a pool."""
  if config.task.own:  # nobody knows its prior
    return ()
  size = config.task.n_tasks
  possible = (mode for mode in DIVERSITY_MODES if size >= OF_RUNS_POOL.get(mode, 0))
  return tuple(mode for mode in possible if mode != 'eval_distance' or _has_means(config))


def _has_means(config: ConfigDict) -> bool:
  """Whether targets are numbers, of which there is a mean, and no classes."""
  return 'multinomial' not in family_names(config)


def sweep_modes(configs: Sequence[ConfigDict]) -> Mapping[str, Sequence[tuple]]:
  """As `jaxline_lite.rules.Rules.sweep_modes`."""
  is_swept = len({config.task.n_tasks for config in configs}) > 1
  # With other families, or another clip, other answers are exact.
  answers = {(family_names(config), config.task.clip) for config in configs}
  if not is_swept or len(answers) > 1 or not all(map(diversity_modes, configs)):
    return {}
  evaluations = [(mode, '', {}) for mode in DIVERSITY_MODES[:2]]
  return {SWEEP_MODE: [*evaluations, ('eval_distance', 'kept', {'episodes': VALLEY_EPISODES})]}


def mode_rules(config: ConfigDict) -> dict[str, ModeRule]:
  """The eval modes that a run of this config can have, by name."""
  trained = family_names(config)
  possible = {'eval': trained}  # what a mode's oracles think that episodes may be of
  if is_joint(config):
    possible['eval_joint'] = trained
  for mode, family in evaluated_families(config).items():
    possible[mode] = trained if family in trained else (family,)
  possible |= dict.fromkeys(diversity_modes(config), trained)
  return {
    mode: ModeRule(mode, _fields_read(config, mode, families), _headline(config, mode, families))
    for mode, families in possible.items()
  }


def _headline(config: ConfigDict, mode: str, families: tuple[str, ...]) -> dict[str, str]:
  """The metrics of a mode that say most: distances to the exact answers, and who knows the family.

  Of user-defined tasks and families it is not known what they can be measured against.
  """
  if config.task.own or any(map(plugins.is_user_defined, families)):
    return {'nats': 'nats per target'}
  if mode not in DIVERSITY_MODES:
    named = {
      f'family_accuracy_{name}': f'share of families that the {text} names rightly'
      for name, text in (('read_out', 'read-out'), ('bayes', 'exact posterior'))
    }
    regret = {'regret': 'nats per target above the exact answer'}
    return regret | (named if len(families) > 1 else {})
  if 'multinomial' in families:  # classes have no mean
    return {'nats': 'nats per target'}
  is_linear = families == ('linear',)
  is_plain = is_linear and config.task.clip == math.inf
  of_new, of_pool = ('ridge', 'dmmse') if is_plain else ('bayes', 'bayes_pool')
  unit = 'squared difference / D' if is_linear else 'squared difference'
  baselines = (of_new, of_pool) if config.task.n_tasks else (of_new,)
  distances = {
    f'delta_{name}': f"{unit} of the model's mean and that of {name}" for name in baselines
  }
  if mode == 'eval_distance':
    return {f'delta_{of_new}': distances[f'delta_{of_new}']}
  return {'error': f'{unit} of predicted mean and noise-free target'} | distances


def _fields_read(config: ConfigDict, mode: str, families: tuple[str, ...]) -> frozenset[str]:
  """The fields of `config.eval` that a mode reads, whose episodes may be of some families."""
  fields = READS | {'r'} if _may_read_r(config, families) else READS
  is_linear = families == ('linear',) and config.task.clip == math.inf
  is_exact = mode in diversity_modes(config) and is_linear
  fields = fields - {'posterior_samples'} if is_exact else fields
  return fields - {'scale'} if mode in OF_RUNS_POOL else fields


def _may_read_r(config: ConfigDict, families: tuple[str, ...]) -> bool:
  """Whether `r` changes episodes or oracles of some families: user-defined things may read it."""
  user_defined = config.task.own or any(map(plugins.is_user_defined, families))
  return bool(user_defined) or 'neg_binomial' in families


def _check_settings(config: ConfigDict) -> None:
  """Refuses a setting that no evaluated mode reads."""
  rules = mode_rules(config)
  evaluated = [rules[mode] for mode in config.eval_modes if mode in rules]
  why = {'r': 'no family is neg_binomial', 'scale': "tasks are those of the run's pool"}
  for name, reason in why.items():
    given = config.eval[name]
    if given is not None and evaluated and not any(name in rule.reads for rule in evaluated):
      reading = [mode for mode, rule in rules.items() if name in rule.reads]
      raise ValueError(
        f'eval.{name} is {given}, which changes nothing in {", ".join(config.eval_modes)}, where '
        f'{reason}; leave it out, or evaluate {" or ".join(reading)}'
      )


def why_no_mode(config: ConfigDict, mode: str) -> str:
  """Why a run of this config cannot have an eval mode that others can; '' if none can."""
  if mode == SWEEP_MODE:
    return 'for it reads a sweep over task.n_tasks'
  if mode == 'eval_distance' and not _has_means(config):
    return 'whose targets are classes, which have no mean'
  if mode == 'eval_joint':
    return f'whose episodes are of one family ({config.task.families})'
  if mode in OF_RUNS_POOL and not config.task.own:
    return (
      f'whose tasks are from a pool of {config.task.n_tasks} (task.n_tasks; 0 is for no pool), '
      f'and that mode takes a pool of {OF_RUNS_POOL[mode]} or more'
    )
  if mode not in {*DIVERSITY_MODES, *(f'eval_{name}' for name in FAMILIES)}:
    return ''
  if config.task.own:
    return f'whose task is {config.task.own}, of which no other is known'
  if config.model.head == 'known_noise':
    return 'whose model gives a Gaussian of known noise'
  return 'whose model gives one linear predictor and not one for each class'


def chosen_fields(config: ConfigDict) -> dict[str, Any]:
  """What is chosen for fields that a config leaves open, by dotted name.

  Those are the modes of task diversity for `eval_modes` ('auto',), and the number of episodes for
  `eval.episodes` 0, fewer where the exact answer for a pool sums over many tasks.
  """
  chosen = {}
  if tuple(config.eval_modes) == AUTOMATIC:
    of_diversity = [mode for mode in diversity_modes(config) if mode in DIVERSITY_MODES[:2]]
    chosen['eval_modes'] = tuple(of_diversity) or ('eval',)
  if config.eval.episodes == 0:
    chosen['eval.episodes'] = FEW_EPISODES if config.task.n_tasks > LARGE_POOL else EPISODES
  return chosen


def check(config: ConfigDict) -> None:
  """Refuses settings that cannot be built.

  Raises:
    ValueError: naming the field, what was given and what is allowed.
  """
  texts(config, 'task.families', 'task.own', 'eval.metrics')
  _check_names(config)
  one_of(config, 'model.head', HEADS)
  one_of(config, 'model.tokens', TOKENS)
  if config.model.head == 'known_noise' and family_names(config) != ('linear',):
    raise ValueError(
      f"model.head is 'known_noise' and task.families {config.task.families!r}; that head is of "
      "'linear' alone: set task.families=linear, or model.head to mixture or eta"
    )
  at_least(config, 1, 'task.D', 'task.K', 'model.components', 'eval.posterior_samples')
  at_least(config, 2, 'task.classes')
  _check_pool(config)
  _check_curriculum(config)
  positive(config, 'task.clip', infinite=True)
  positive(config, 'task.scale', 'task.data_scale', 'task.noise', 'task.r')
  positive(config, *(name for name in ('eval.scale', 'eval.r') if get(config, name) is not None))
  _check_settings(config)


def _check_names(config: ConfigDict) -> None:
  """Families, the user's task and metrics."""
  for family in family_names(config):
    user_defined_or('task.families', family, FAMILIES)
  short = [plugins.short_name(family) for family in family_names(config)]
  if not short or len(set(short)) < len(short) or set(short) & RESERVED:
    raise ValueError(
      f'task.families is {config.task.families!r}; allowed are some of {", ".join(FAMILIES)}, or '
      "user-defined ones as 'module:name', with names that differ, none of them "
      f'{" or ".join(sorted(RESERVED))}'
    )
  if config.task.own:
    plugins.check_importable('task.own', config.task.own)
  metrics = names(config.eval.metrics)
  for metric in metrics:
    plugins.check_importable('eval.metrics', metric)
  if len({plugins.short_name(metric) for metric in metrics}) < len(metrics):
    raise ValueError(
      f'eval.metrics is {config.eval.metrics!r}; allowed are metrics with names that differ'
    )


def _check_pool(config: ConfigDict) -> None:
  size = config.task.n_tasks
  if size < 0:  # above the largest no whole number is
    raise ValueError(
      f'task.n_tasks is {size}; allowed are whole numbers from 1 to {LARGEST_POOL}, and '
      f'{HINTS["task.n_tasks"]}'
    )
  if config.early_stopping.on == 'latent' and config.task.own:
    raise ValueError(
      f"early_stopping.on is 'latent' and task.own is {config.task.own!r}, whose tasks are from no "
      'pool: set early_stopping.on=pretrain'
    )
  if size and config.task.own:
    raise ValueError(
      f'task.n_tasks is {size} and task.own is {config.task.own!r}, which draws its own weights: '
      'leave one of them out'
    )


def _check_curriculum(config: ConfigDict) -> None:
  grow, most = config.task.curriculum, {'dims': config.task.D, 'points': config.task.K}
  at_least(config, 0, 'task.curriculum.interval')
  for what, size in most.items() if grow.interval else ():
    start = grow[f'{what}_start']
    if not 1 <= start <= size:
      raise ValueError(
        f'task.curriculum.{what}_start is {start}; allowed are whole numbers from 1 to {size}, '
        'the full size'
      )
    at_least(config, 0, f'task.curriculum.{what}_increment')
