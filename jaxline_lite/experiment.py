"""What the loop asks of an experiment."""

import abc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from jaxline_lite.rules import Rules


class Evaluation(NamedTuple):
  """What one evaluation of one state found.

  Attributes:
    metrics: numbers by name.
    table: what the terminal shows.
    arrays: everything behind them, by name.
  """

  metrics: dict[str, float]
  table: str
  arrays: dict[str, np.ndarray]


class Outline(NamedTuple):
  """What is known of an evaluation before it is made.

  Attributes:
    metrics: the names of its numbers.
    size: bytes of its arrays.
  """

  metrics: tuple[str, ...]
  size: int


class Comparison(NamedTuple):
  """Several models side by side, or the points of a sweep.

  Attributes:
    table: what the terminal shows.
    draw: draws their picture.
  """

  table: str
  draw: Callable[[], None]


class Recorded(NamedTuple):
  """An evaluation on disk: its numbers, and the file of its arrays."""

  metrics: dict[str, Any]
  arrays: Path


class SweptRun(NamedTuple):
  """A finished run among several that are read together.

  Attributes:
    name: what tells it apart.
    fields: the fields of its config in which the runs differ, by dotted name.
    config: of the run, with the settings of the evaluation.
    evaluations: for each of `Rules.sweep_modes`' needs by step; {} where the run has no such mode.
  """

  name: str
  fields: dict[str, Any]
  config: ConfigDict
  evaluations: tuple[dict[int, Recorded], ...]


class AbstractExperiment(abc.ABC):
  """A state, the steps that change it, and evaluations that do not.

  A run is a pure function of (config, step): `step` may be called with any partition of the steps
  into calls, and gives the same states and the same metrics.

  Attributes:
    rules: those of the experiment's configs.
    arithmetic: a number that a commit raises if it changes the bits of training steps; it is kept
      in every checkpoint's manifest.
    most_steps: how many steps one call can make.
  """

  rules: Rules
  arithmetic: int = 1
  most_steps: int = 1000

  @property
  @abc.abstractmethod
  def state(self) -> Any:
    """Everything that changes in training, as one pytree of numpy arrays, without copies for
    devices.
    """

  @state.setter
  @abc.abstractmethod
  def state(self, state: Any) -> None: ...

  @abc.abstractmethod
  def step(self, first: int, count: int) -> dict[str, np.ndarray]:
    """Makes steps first, first + 1, ...; returns each metric's values `[count]`, among them `loss`.

    A metric `stopped` that is not 0 says that its step was the run's last: later ones have changed
    nothing.
    """

  @abc.abstractmethod
  def evaluate(self, mode: str, check: Callable[[], None]) -> Evaluation:
    """Evaluates the present state. Calls `check` now and then, which ends the evaluation if a
    signal came.
    """

  def outline(self, mode: str) -> Outline | None:
    """What an evaluation in a mode gives, found without making one; None where that is unknown."""
    del mode
    return None

  def lighten(self, state: Any) -> Any:
    """What evaluations need of a state: part of the tree, and enough for `state` to be set to it.

    What is light already stays as it is.
    """
    return state

  @staticmethod
  def with_machine_defaults(config: ConfigDict) -> ConfigDict:
    """A config with those 'auto' fields chosen that this machine decides: bits depend on them."""
    return config

  def with_origins(self, config: ConfigDict) -> ConfigDict:
    """A config that also says what data and parameters this experiment was made from: what
    `config.json` will say.
    """
    return self.with_machine_defaults(config)

  def check_training(self) -> None:
    """Raises BadInput if this experiment can be evaluated here, but not trained."""

  def begin(self) -> None:
    """Called once in a run, before its first step, if the state is to come from elsewhere. Raises
    BadInput.
    """

  @property
  def stopped(self) -> bool:
    """Whether the present state ends the run before `training_steps`."""
    return False

  def describe(self) -> str:
    """What is about to be trained, for the head of the log."""
    return ''

  def compare(
    self,
    mode: str,
    folder: Path,
    evaluations: dict[str, Evaluation],
    configs: dict[str, ConfigDict],
  ) -> Comparison:
    """Writes the numbers of several models, by title, into one folder. Draws nothing yet."""
    del mode, folder, configs
    tables = (f'{title}\n{evaluation.table}' for title, evaluation in evaluations.items())
    return Comparison('\n'.join(tables), draw=lambda: None)

  @staticmethod
  def describe_sweep(configs: Sequence[ConfigDict]) -> str:
    """What training the runs of a sweep takes, in a line."""
    return f'{len(configs)} points'

  @classmethod
  def read_runs(cls, mode: str, folder: Path, title: str, runs: list[SweptRun]) -> Comparison:
    """Writes the numbers of finished runs, over the fields in which they differ, into one folder.
    Draws nothing yet.
    """
    del cls, mode, folder, title
    lines = (f'{run.name}  {run.evaluations}' for run in runs)
    return Comparison('\n'.join(lines), draw=lambda: None)

  def draw_training(self, folder: Path) -> None:
    """Draws what the run's files tell of its training."""

  def draw_evaluation(
    self,
    mode: str,
    folder: Path,
    step: int,
    changed_settings: list[str],
    evaluation: Evaluation,
    records: list[dict[str, Any]],
  ) -> None:
    """Draws an evaluation into its folder.

    Args:
      changed_settings: the settings that are not the run's, as name=value.
      records: those of all checkpoints that were evaluated with these settings, by step, this one
        among them.
    """
