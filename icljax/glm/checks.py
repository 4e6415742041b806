"""What a config of generalized linear models must satisfy."""

from ml_collections import ConfigDict

from icljax import plugins
from icljax.fields import at_least, get, known, names, one_of, positive

FAMILIES = ('linear', 'logistic', 'poisson', 'neg_binomial', 'exponential', 'multinomial')
HEADS = ('mixture', 'eta')
TOKENS = ('pairs', 'interleaved')
RESUMABLE: frozenset[str] = frozenset()  # fields that may change when a run goes on


def family_names(config: ConfigDict) -> tuple[str, ...]:
  """The families of a task, as `task.families` lists them."""
  return names(config.task.families)


def eval_modes(config: ConfigDict) -> tuple[str, ...]:
  """The names of all evaluations that a run of this config can have."""
  # One eta cannot name a class.
  told_one = config.model.head == 'eta' and 'multinomial' not in family_names(config)
  if config.task.own:  # its other families would not be its own
    return ('eval', *(['eval_joint'] if len(family_names(config)) > 1 else []))
  own_families = [
    plugins.short(family) for family in family_names(config) if plugins.is_own(family)
  ]
  families = [
    family for family in (*FAMILIES, *own_families) if not (told_one and family == 'multinomial')
  ]
  joint = ['eval_joint'] if len(family_names(config)) > 1 else []
  return ('eval', *joint, *(f'eval_{family}' for family in families))


def check(config: ConfigDict) -> None:
  """Refuses settings that cannot be built, with a ValueError."""
  for family in family_names(config):
    known('task.families', family, FAMILIES)
  called = [plugins.short(family) for family in family_names(config)]
  if not called or len(set(called)) < len(called) or 'joint' in called:
    raise ValueError(
      f'task.families is {config.task.families!r}; allowed are some of {", ".join(FAMILIES)}, or '
      "one's own as 'module:name', with names that differ and none of them 'joint'"
    )
  if config.task.own:
    plugins.check('task.own', config.task.own)
  for metric in names(config.eval.metrics):
    plugins.check('eval.metrics', metric)
  measured = [plugins.short(metric) for metric in names(config.eval.metrics)]
  if len(set(measured)) < len(measured):
    raise ValueError(
      f'eval.metrics is {config.eval.metrics!r}; allowed are metrics with names that differ'
    )
  one_of(config, 'model.head', HEADS)
  one_of(config, 'model.tokens', TOKENS)
  at_least(config, 1, 'task.D', 'task.K', 'model.components', 'eval.posterior_samples')
  at_least(config, 2, 'task.classes')
  _check_curriculum(config)
  positive(config, 'task.clip', infinite=True)
  positive(config, 'task.scale', 'task.noise', 'task.r')
  positive(config, *(name for name in ('eval.scale', 'eval.r') if get(config, name) is not None))


def _check_curriculum(config: ConfigDict) -> None:
  grow, most = config.task.curriculum, {'dims': config.task.D, 'points': config.task.K}
  at_least(config, 0, 'task.curriculum.interval')
  for what, size in most.items() if grow.interval else ():
    start = grow[f'{what}_start']
    if not 1 <= start <= size:
      raise ValueError(
        f'task.curriculum.{what}_start is {start}; allowed are whole numbers from 1 to {size}, the '
        'full size'
      )
    at_least(config, 0, f'task.curriculum.{what}_increment')
