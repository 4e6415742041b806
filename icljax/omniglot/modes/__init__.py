"""The eval modes of image sequences. `table` has them all."""

from ml_collections import ConfigDict

from icljax.eval_modes import EvalMode
from icljax.omniglot.checks import mode_rules
from icljax.omniglot.kinds import KINDS
from icljax.omniglot.modes import answers, heads


def table(config: ConfigDict) -> dict[str, EvalMode]:
  """The modes that a run of this config can have, by name."""
  rules = mode_rules(config)
  makers = {f'eval_{name}': answers.maker(kind) for name, kind in KINDS.items()}
  makers['eval_induction'] = heads.make_mode
  return {name: makers[name](rule) for name, rule in rules.items()}
