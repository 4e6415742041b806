"""Training and evaluation of a config's model, as an experiment of the loop."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from icljax import build
from icljax.glm.modes import outcomes as glm
from icljax.models.sequence import settled
from icljax.omniglot.modes import outcomes as omniglot
from icljax.parameters import parameter_table
from icljax.predict.load import load
from icljax.training.step import TrainState
from icljax.training.warm_start import warm_start
from jaxline_lite import devices
from jaxline_lite.errors import BadInput
from jaxline_lite.experiment import AbstractExperiment, Evaluation

OUTCOMES = {'glm': glm.Outcomes, 'omniglot': omniglot.Outcomes}


class Experiment(AbstractExperiment):
  """A model on all local devices, or on some."""

  def __init__(self, config: ConfigDict, on: Sequence[Any] | None = None):
    self.config, self._devices = settled(config), devices.Devices(on)
    self._devices.check_divides(config.eval.batch_size, 'eval.batch_size')
    try:
      step, data = build.train_step(self.config), build.data(self.config)
      self._outcomes = OUTCOMES[self.config.subject](self.config, self._measure)
      with jax.default_matmul_precision('highest'):
        settings = build.settings(self.config)
    except ValueError as error:  # of one's own things, and of data that are not there
      raise BadInput(str(error)) from error
    self._settings = self._devices.replicate(settings.replace(data=data))  # once for all steps
    self._steps = self._devices.pmap_steps(
      functools.partial(step, axis=devices.AXIS), self.most_steps
    )
    self._state: Any = None  # on the devices, from its first use on
    self._programs = {}  # compiled evaluations by mode

  @property
  def state(self) -> TrainState:
    return devices.unreplicate(self._replicated)

  @state.setter
  def state(self, state: TrainState) -> None:
    self._state = self._devices.replicate(state)

  @property
  def _replicated(self) -> TrainState:
    if self._state is None:
      self._state = self._devices.replicate(build.init(self.config))
    return self._state

  @property
  def stopped(self) -> bool:
    watch = self.state.watch
    return watch is not None and bool(watch.stopped)

  def settled(self, config: ConfigDict) -> ConfigDict:
    config = settled(config)
    config.init_from = self.config.init_from
    return config

  def check_training(self) -> None:
    self._devices.check_divides(self.config.training.batch_size, 'training.batch_size')

  def begin(self) -> None:
    if self.config.init_from:
      given = self.config.init_from
      try:
        source = load(given)
        params = warm_start(
          self.state.params, source.params, *build.warm_start_of(self.config, source.config)
        )
      except ValueError as error:
        raise BadInput(f'init_from is {given!r}: {error}') from error
      self.state = self.state.replace(params=params, model_state=source.model_state)
      # The checkpoint, for a run's newest one is another one later.
      self.config.init_from = str(source.path)

  def step(self, first: int, count: int) -> dict[str, np.ndarray]:
    with jax.default_matmul_precision('highest'):
      self._state, metrics = self._steps(self._settings, self._replicated, first, count)
    return metrics

  def describe(self) -> str:
    where = f'{len(self._devices.devices)} {jax.default_backend()} device(s)'
    products = f'matrix products of the model at precision {self.config.model.precision}'
    source = f', starting from {self.config.init_from}' if self.config.init_from else ''
    return (
      f'{parameter_table(self.state.params)}\n{self._outcomes.source}on {where}, {products}{source}'
    )

  def _measure(
    self, name: str, measure: Callable, arguments: Any, of_state: bool, check: Callable[[], None]
  ) -> dict[str, np.ndarray]:
    """Runs `measure` on all evaluation episodes, batch by batch; its arrays `[episodes, ...]`.

    It gets the parameters, the model state and the data if it is `of_state`.
    """
    tree = (
      (self._replicated.params, self._replicated.model_state, self._settings.data)
      if of_state
      else ()
    )
    episodes, batch = self.config.eval.episodes, self.config.eval.batch_size
    program = self._programs.setdefault(name, self._devices.pmap_examples(measure))
    batches = []
    for first in range(0, episodes, batch):
      check()
      with jax.default_matmul_precision('highest'):
        batches.append(program(arguments, tree, first, batch))
    return {key: np.concatenate([part[key] for part in batches])[:episodes] for key in batches[0]}

  def evaluate(self, mode: str, check: Callable[[], None]) -> Evaluation:
    return self._outcomes.evaluate(mode, check)

  def draw_training(self, folder: Path) -> None:
    self._outcomes.draw_training(folder)

  def draw_evaluation(
    self,
    mode: str,
    folder: Path,
    step: int,
    shifts: list[str],
    evaluation: Evaluation,
    records: list[dict[str, Any]],
  ) -> None:
    self._outcomes.draw_evaluation(mode, folder, step, shifts, evaluation, records)

  def compare(
    self,
    mode: str,
    folder: Path,
    evaluations: dict[str, Evaluation],
    configs: dict[str, ConfigDict],
  ) -> str:
    return self._outcomes.compare(mode, folder, evaluations, configs)
