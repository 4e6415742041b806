"""What the loop asks of an experiment's configs before JAX is imported."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ml_collections import ConfigDict

from jaxline_lite.errors import BadInput


class Rules(Protocol):
  """The rules of an experiment's configs. A module that has these functions is one.

  None of them imports JAX, so that a wrong command line fails at once.
  """

  def check(self, config: ConfigDict) -> None:
    """Raises ValueError, with one line, for a config that cannot be followed.

    Its `eval_modes` are those that the command evaluates.
    """
    ...

  def eval_modes(self, config: ConfigDict) -> tuple[str, ...]:
    """The names of all eval modes that a run of this config can have."""
    ...

  def why_no_mode(self, config: ConfigDict, mode: str) -> str:
    """Why a run of this config cannot have an eval mode that others can; '' if none can."""
    ...

  def eval_fields(self, config: ConfigDict, mode: str) -> frozenset[str]:
    """The fields of `config.eval` on which the numbers of an eval mode depend."""
    ...

  def sweep_modes(
    self, configs: Sequence[ConfigDict]
  ) -> Mapping[str, Sequence[tuple[str, str, Mapping[str, Any]]]]:
    """The eval modes that only a sweep with runs of these configs has, and the evaluations of every
    point that each takes: `sweep_reading.Need`.
    """
    ...

  def resumable(self, config: ConfigDict) -> frozenset[str]:
    """The fields in which a run may change when it is continued, besides those of the loop."""
    ...

  def located_fields(self, config: ConfigDict) -> frozenset[str]:
    """The fields, by dotted name, that say where data lie on this machine.

    The command that evaluates a run may set them, and `resumable` has them too.
    """
    ...

  def check_evaluated(self, config: ConfigDict, run: ConfigDict) -> None:
    """Raises ValueError if a command's `config` cannot say how a run of the config `run` is
    evaluated, because it is of another kind.
    """
    ...

  def absent_fields(self, config: ConfigDict) -> Mapping[str, Any]:
    """The values of fields that the configs of earlier versions lack, by dotted name.

    Each is the value that does what was done before the field existed, whatever new runs do.
    """
    ...

  def chosen_fields(self, config: ConfigDict) -> Mapping[str, Any]:
    """What is chosen for fields that a config leaves open, by dotted name."""
    ...

  def sweeps(self, config: ConfigDict) -> Mapping[str, str]:
    """The published sweeps of a config by name, each as `config.sweep` writes it."""
    ...

  def hints(self, config: ConfigDict) -> Mapping[str, str]:
    """What else is said of a value that is of another kind than its field, by dotted name."""
    ...


def with_chosen_fields(config: ConfigDict, rules: Rules) -> ConfigDict:
  """A config in which the fields that it leaves open are chosen."""
  config = config.copy_and_resolve_references()
  config.update_from_flattened_dict(rules.chosen_fields(config))
  return config


def shared_eval_modes(configs: Sequence[ConfigDict]) -> tuple[str, ...]:
  """The eval modes of the first config that all of them have.

  Raises:
    BadInput: if there is none.
  """
  first, *others = (tuple(config.eval_modes) for config in configs)
  shared = tuple(mode for mode in first if all(mode in other for other in others))
  if not shared:
    raise BadInput(
      f'eval_modes: the runs have no mode in common, the first has {", ".join(first)}; name one '
      'with --jaxline_mode'
    )
  return shared


def share_eval_settings(configs: Sequence[ConfigDict]) -> None:
  """Gives all configs the smallest of what was chosen for each field of `eval`.

  So that runs that are evaluated by one command see the same episodes.
  """
  for field in configs[0].eval:
    chosen = [config.eval[field] for config in configs]
    if any(value != chosen[0] for value in chosen):
      for config in configs:
        config.eval[field] = min(chosen)
