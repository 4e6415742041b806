"""What an evaluation measures of a model and of its references, on all devices."""

import functools
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from icljax.base import Task
from icljax.eval_modes import EvalMode
from icljax.paired import Indices
from icljax.subjects import Subject
from icljax.training.step import TrainState
from jaxline_lite.devices import Devices

PROGRAMS = 64  # evaluations that a process keeps compiled

Arrays = dict[str, np.ndarray]
CheckSignal = Callable[[], None]


class Measures:
  """The measurements of one config's model; programs are shared by all configs of a shape.

  Args:
    devices: where they are made.
    token: as `icljax.build.sharing_token` gives it.
    trained, data: the task that was trained on, and what its inputs point to, replicated.
  """

  def __init__(
    self,
    config: ConfigDict,
    devices: Devices,
    subject: Subject,
    network: Any,
    token: object,
    trained: Any,
    data: Any,
  ):
    self._config, self._devices, self._token = config, devices, token
    self._subject, self._network = subject, network
    self._trained, self._data = trained, data
    self._tasks: dict[Callable, Task] = {}  # by what makes them
    self._scores: dict[tuple, Arrays] = {}  # of references: no state enters them

  def task(self, mode: EvalMode) -> Task:
    """The task of a mode, made once."""
    if mode.task not in self._tasks:
      self._tasks[mode.task] = mode.task(self._config)
    return self._tasks[mode.task]

  def of_model(self, mode: EvalMode, state: TrainState, check: CheckSignal) -> Arrays:
    """The scores of a state, replicated, on all episodes: arrays `[episodes, ...]`."""
    return self._measure(*self._model_measurement(mode, state), check)

  def of_references(self, mode: EvalMode, check: CheckSignal) -> Arrays:
    """The scores of a mode's references, measured once for all checkpoints and modes of a task."""
    key = mode.task, mode.references, mode.score_references
    if key not in self._scores:
      measurement = self._reference_measurement(mode)
      self._scores[key] = self._measure(*measurement, check) if measurement else {}
    return self._scores[key]

  def two_examples(self, mode: EvalMode, state: TrainState) -> tuple[Arrays, Arrays]:
    """Zeros in place of both for two episodes, `[2, ...]`: their programs are traced, not run."""
    measurement = self._reference_measurement(mode)
    references = self._zeros(*measurement) if measurement else {}
    return self._zeros(*self._model_measurement(mode, state)), references

  def _model_measurement(self, mode: EvalMode, state: TrainState) -> tuple[Callable, Task, Any]:
    """What `_measure` takes: a function, the task and what the function reads besides."""
    options = mode.options(self._config)
    measure = _measure_model(mode.score, self._subject, self._network, options, self._token)
    tree = self._trained, state.params, state.model_state, self._data
    return measure, self.task(mode), tree

  def _reference_measurement(self, mode: EvalMode) -> tuple[Callable, Task, Any] | None:
    """The same of a mode's references; None where the evaluated task has none."""
    if mode.references is None or mode.score_references is None:
      return None
    task = self.task(mode)
    references = mode.references(self._config, task)
    if references is None:
      return None
    measure = _measure_references(mode.score_references, self._token)
    return measure, task, self._devices.replicate(references)

  def _zeros(self, measure: Callable, task: Task, tree: Any) -> Arrays:
    arguments = (task, np.uint32(self._config.eval.seed))
    shapes = self._devices.example_shapes(measure, arguments, tree, self._config.eval.batch_size)
    return {name: np.zeros((2, *shape.shape), shape.dtype) for name, shape in shapes.items()}

  def _measure(self, measure: Callable, task: Task, tree: Any, check: CheckSignal) -> Arrays:
    """Measures all evaluation episodes, batch by batch: arrays `[episodes, ...]`.

    Args:
      tree: what `measure` reads besides, replicated.
    """
    episodes, batch = self._config.eval.episodes, self._config.eval.batch_size
    program = self._devices.pmap_examples(measure)
    arguments = (task, np.uint32(self._config.eval.seed))
    batches = []
    for first in range(0, episodes, batch):
      check()
      batches.append(program(arguments, tree, first, batch))
    return {
      name: np.concatenate([part[name] for part in batches])[:episodes] for name in batches[0]
    }


@functools.lru_cache(maxsize=PROGRAMS)
def _measure_model(
  score: Callable, subject: Subject, network: Any, options: tuple[Hashable, ...], token: object
) -> Callable:
  """A score of models as `Devices.pmap_examples` takes it; the same one for the same arguments."""
  del token

  def measure(arguments, tree, indices, axis):
    (task, seed), (trained, params, model_state, data) = arguments, tree
    model = subject.predictor(network, trained, params, model_state)
    return score(task, model, data, Indices(seed, indices, axis), *options)

  return measure


@functools.lru_cache(maxsize=PROGRAMS)
def _measure_references(score: Callable, token: object) -> Callable:
  """The same of a score of references."""
  del token

  def measure(arguments, tree, indices, axis):
    task, seed = arguments
    return score(task, tree, None, Indices(seed, indices, axis))

  return measure
