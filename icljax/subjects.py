"""The subjects, what shared code asks of one, and the one place where they are told apart.

A subject is a folder of icljax. Its `checks.py` says which configs can be followed and imports no
JAX; the `SUBJECT` of its `subject.py` makes everything else from a config.
"""

import abc
import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from ml_collections import ConfigDict

from icljax.eval_modes import Comparison, EvalMode, ModeRule

if TYPE_CHECKING:
  import flax.linen as nn
  import jax
  import numpy as np
  import pandas as pd

  from icljax.base import Predictor, Task
  from icljax.likelihoods import Eta, Likelihood

SUBJECTS = {'glm': 'icljax.glm', 'omniglot': 'icljax.omniglot'}


class Data(NamedTuple):
  """What the inputs of episodes point to.

  Attributes:
    values: a pytree of arrays; None where inputs are what the model reads.
    digest: SHA-256 of what they were read from, '' where they were read from nothing. A run keeps
      it in its field `data.digest`.
    source: what they were read from, for messages.
  """

  values: Any = None
  digest: str = ''
  source: str = ''


class WarmStart(NamedTuple):
  """How the parameters of another run are to be understood.

  Attributes:
    components: members of the mixture for each family; 0 where there are no families.
    fresh: the parts of the model that start afresh whatever the source has, such as 'read_out'.
  """

  components: int = 0
  fresh: tuple[str, ...] = ()


class Product(NamedTuple):
  """A product of a model with one of its kernels, in a training step.

  Attributes:
    multiply_adds: of one episode, forward.
    reads_parameters: whether what is multiplied depends on parameters, so that the gradient goes on
      through it; not where it is an input, or behind a stop_gradient.
  """

  multiply_adds: int
  reads_parameters: bool = True


class Ends(NamedTuple):
  """What a model has around its sequence model, as costs count it.

  Attributes:
    tokens: T that the sequence model reads of an episode in training.
    products: of what reads inputs, and of what gives predictions.
  """

  tokens: int
  products: tuple[Product, ...]


class Checks(Protocol):
  """The module `checks.py` of a subject. It imports no JAX."""

  LOCATED_FIELDS: frozenset[str]  # as `jaxline_lite.rules.Rules.located_fields`
  ABSENT_FIELDS: Mapping[str, Any]  # as `jaxline_lite.rules.Rules.absent_fields`
  HINTS: Mapping[str, str]  # as `jaxline_lite.rules.Rules.hints`

  def check(self, config: ConfigDict) -> None:
    """Raises ValueError for settings that cannot be built."""
    ...

  def chosen_fields(self, config: ConfigDict) -> dict[str, Any]:
    """As `jaxline_lite.rules.Rules.chosen_fields`."""
    ...

  def mode_rules(self, config: ConfigDict) -> dict[str, ModeRule]:
    """The eval modes that a run of this config can have, by name."""
    ...

  def sweep_modes(self, configs: Sequence[ConfigDict]) -> Mapping[str, Sequence[tuple]]:
    """As `jaxline_lite.rules.Rules.sweep_modes`."""
    ...

  def why_no_mode(self, config: ConfigDict, mode: str) -> str:
    """As `jaxline_lite.rules.Rules.why_no_mode`."""
    ...


class Subject(Protocol):
  """What shared code asks of a subject: from a config to what trains, is trained and is measured.

  Every method raises ValueError if what the config names is not there, or cannot be imported. A
  subject inherits from this class, so that a method that is missing is noticed at once. Its config
  has, besides its own fields, those that shared code reads: `model.{sequence, layers, width, heads,
  precision}`, `training.batch_size`, `optimizer.*`, `early_stopping.*`, and `eval_modes`.
  """

  @abc.abstractmethod
  def task(self, config: ConfigDict) -> 'Task':
    """The task that is trained on."""
    ...

  @abc.abstractmethod
  def held_out_task(self, config: ConfigDict) -> 'Task':
    """The task whose loss stops a run early, as `early_stopping.on` names it."""
    ...

  @abc.abstractmethod
  def data(self, config: ConfigDict) -> Data:
    """What the inputs of episodes point to, read or made where need be."""
    ...

  @abc.abstractmethod
  def network(self, config: ConfigDict) -> 'nn.Module':
    """The model without parameters; two configs of one shape give equal ones."""
    ...

  @abc.abstractmethod
  def init(
    self, network: Any, task: Any, item: 'jax.ShapeDtypeStruct', points: int, key: 'jax.Array'
  ) -> tuple[Any, Any]:
    """Parameters, and model state or None, before the first step. The key is consumed.

    Args:
      item: shape and type of one input.
      points: K of the longest episodes.
    """
    ...

  @abc.abstractmethod
  def predictor(self, network: Any, task: Any, params: Any, model_state: Any) -> 'Predictor':
    """The model with parameters: a pytree, whose leaves may have further leading axes."""
    ...

  @abc.abstractmethod
  def full_size_step(self, config: ConfigDict) -> 'jax.Array':
    """The training step from which on episodes are as they stay, `[]`."""
    ...

  @abc.abstractmethod
  def warm_start(self, config: ConfigDict, source: ConfigDict) -> WarmStart:
    """How a config takes the parameters of a run with the config `source`.

    Raises:
      ValueError: if the same parameters would mean something else.
    """
    ...

  @abc.abstractmethod
  def modes(self, config: ConfigDict) -> dict[str, EvalMode]:
    """The eval modes that a run of this config can have, by name."""
    ...

  @abc.abstractmethod
  def sweep_readers(self) -> 'dict[str, Callable[[Path, str, list], Comparison]]':
    """What reads the modes that only sweeps have, by name: (folder, title, the loop's `SweptRun`s)
    -> their numbers written, and what draws them.
    """
    ...

  @abc.abstractmethod
  def baselines(self, config: ConfigDict) -> 'dict[str, Predictor]':
    """What predicts the targets of a run's task without training, by name."""
    ...

  @abc.abstractmethod
  def describe_data(self, config: ConfigDict) -> str:
    """What inputs are, for logs and titles; nothing where they are drawn from nothing."""
    ...

  @abc.abstractmethod
  def draw_training(
    self,
    path: Path,
    title: str,
    logged: 'pd.DataFrame',
    evaluated: 'dict[str, pd.DataFrame]',
  ) -> None:
    """Draws a run's training.

    Args:
      path: of the picture.
      logged: a row per logged step.
      evaluated: by mode, a row per evaluated checkpoint.
    """
    ...

  @abc.abstractmethod
  def item(self, config: ConfigDict) -> 'jax.ShapeDtypeStruct':
    """Shape and type of one input as a model reads it."""
    ...

  @abc.abstractmethod
  def points(self, config: ConfigDict) -> int:
    """K of the longest episodes that a model reads, query included."""
    ...

  @abc.abstractmethod
  def describe(self, config: ConfigDict) -> str:
    """What a model was trained on, in a few words."""
    ...

  @abc.abstractmethod
  def check_pairs(
    self,
    config: ConfigDict,
    x_context: 'np.ndarray',
    y_context: 'np.ndarray',
    x_query: 'np.ndarray',
  ) -> None:
    """Raises ValueError for inputs `[k, ...]`, `[Q, ...]` or targets `[k]` that cannot occur."""
    ...

  @abc.abstractmethod
  def check_targets(self, config: ConfigDict, name: str, y: 'np.ndarray') -> None:
    """Raises ValueError for targets `[n]` that the model can give no probability.

    Args:
      name: what they are called, for the message.
    """
    ...

  @abc.abstractmethod
  def complete(self, config: ConfigDict, answer: 'Likelihood | Eta', family: str) -> 'Likelihood':
    """The predictive distribution that an answer `[Q]` of the model stands for.

    Args:
      family: which family an `eta` model answers for; '' if nothing is said. A subject whose
        answers are whole refuses it.

    Raises:
      ValueError: if a family is missing or does not fit.
    """
    ...


def checks_of(name: str) -> Checks:
  """The checks of a subject, found without JAX."""
  return cast(Checks, importlib.import_module(f'{SUBJECTS[name]}.checks'))


def sweeps_of(config: ConfigDict) -> Mapping[str, str]:
  """The published sweeps of a config, by name, found without JAX."""
  return importlib.import_module(f'{SUBJECTS[config.subject]}.sweeps').sweeps(config)


def ends_of(config: ConfigDict) -> Ends:
  """What a config's model has around its sequence model, found without JAX."""
  return importlib.import_module(f'{SUBJECTS[config.subject]}.costs').ends(config)


def subject_of(config: ConfigDict) -> Subject:
  """The subject of a config."""
  return importlib.import_module(f'{SUBJECTS[config.subject]}.subject').SUBJECT
