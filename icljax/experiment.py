"""Training and evaluation of a config's model, as an experiment of the loop."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from icljax import build, outcomes, plots, predict
from icljax.evaluation import glm
from icljax.parameters import parameter_table
from icljax.training import TrainState
from icljax.warm_start import warm_start
from jaxline_lite import devices
from jaxline_lite.errors import BadInput
from jaxline_lite.evaluate import EvalFolder, settings_of
from jaxline_lite.experiment import AbstractExperiment, Evaluation
from jaxline_lite.files import read_lines


class Experiment(AbstractExperiment):
  """A model on all local devices, or on some."""

  def __init__(self, config: ConfigDict, on: Sequence[Any] | None = None):
    self.config, self._devices = build.settled(config), devices.Devices(on)
    self._devices.check_divides(config.eval.batch_size, 'eval.batch_size')
    try:
      step, self._metrics = build.train_step(self.config), build.metrics(self.config)
      if self._metrics:
        self._check_metrics()
    except ValueError as error:  # of one's own things
      raise BadInput(str(error)) from error
    with jax.default_matmul_precision('highest'):
      self._settings = build.settings(self.config)
    self._steps = self._devices.pmap_steps(functools.partial(step, axis=devices.AXIS), self.most_steps)
    self._state: Any = None  # on the devices, from its first use on
    self._programs = {}  # compiled evaluations by mode
    self._reference_scores = {}  # by mode: they do not depend on the state

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
    config = build.settled(config)
    config.init_from = self.config.init_from
    return config

  def check_training(self) -> None:
    self._devices.check_divides(self.config.training.batch_size, 'training.batch_size')

  def begin(self) -> None:
    if self.config.init_from:
      given = self.config.init_from
      try:
        source = predict.load(given)
        params = warm_start(self.state.params, source.params, *build.warm_start_of(self.config, source.config))
      except ValueError as error:
        raise BadInput(f'init_from is {given!r}: {error}') from error
      self.state = self.state.replace(params=params)
      self.config.init_from = str(source.path)  # the checkpoint, for a run's newest one is another one later

  def step(self, first: int, count: int) -> dict[str, np.ndarray]:
    with jax.default_matmul_precision('highest'):
      self._state, metrics = self._steps(self._settings, self._replicated, first, count)
    return metrics

  def describe(self) -> str:
    where = f'{len(self._devices.devices)} {jax.default_backend()} device(s)'
    products = f'matrix products of the model at precision {self.config.model.precision}'
    source = f', starting from {self.config.init_from}' if self.config.init_from else ''
    return f'{parameter_table(self.state.params)}\non {where}, {products}{source}'

  def evaluate(self, mode: str, check: Callable[[], None]) -> Evaluation:
    task, seed = build.eval_task(self.config, mode), np.uint32(self.config.eval.seed)
    program = mode.removesuffix('_joint')  # the same episodes, shown otherwise

    def score_references(arguments, _, indices):
      return glm.reference_scores(*arguments, indices=indices, axis=devices.AXIS)

    def score_model(arguments, params, indices):
      model = build.predictor(self.config, params)
      return glm.model_scores(model, *arguments, indices=indices, axis=devices.AXIS, metrics=self._metrics)

    if program not in self._reference_scores:
      arguments = (task, build.normals(self.config, task), seed)
      self._reference_scores[program] = self._measure(f'{program} references', score_references, arguments, (), check)
    model = self._measure(f'{program} model', score_model, (task, seed), self._replicated.params, check)
    arrays = glm.arrays(model, self._reference_scores[program])
    metrics, table = glm.summarize(arrays, self._shown(mode))
    return Evaluation(metrics, table, arrays)

  def _shown(self, mode: str) -> glm.Shown:
    task = build.eval_task(self.config, mode)
    return glm.Shown(
      families=tuple(family.name for family in task.families),
      samples=self.config.eval.posterior_samples,
      told_family=self.config.model.head == 'eta',
      confused=mode == 'eval_joint',
      any_family=getattr(task, 'only', None) is None,
    )

  def _measure(self, name: str, measure: Callable, arguments: Any, tree: Any, check: Callable[[], None]) -> dict[str, np.ndarray]:
    """Runs `measure` on all evaluation episodes, batch by batch; its arrays `[episodes, ...]`."""
    episodes, batch = self.config.eval.episodes, self.config.eval.batch_size
    program = self._programs.setdefault(name, self._devices.pmap_examples(measure))
    batches = []
    for first in range(0, episodes, batch):
      check()
      with jax.default_matmul_precision('highest'):
        batches.append(program(arguments, tree, first, batch))
    return {key: np.concatenate([part[key] for part in batches])[:episodes] for key in batches[0]}

  def _check_metrics(self) -> None:
    """Raises ValueError for metrics that would fail after all the training."""
    task, state = build.eval_task(self.config, 'eval'), jax.eval_shape(lambda: build.init(self.config))
    measure = lambda params: glm.model_scores(
      build.predictor(self.config, params), task, jnp.uint32(0), jnp.arange(2), None, self._metrics
    )
    jax.eval_shape(measure, state.params)

  def draw_training(self, folder: Path) -> None:
    lines = list(read_lines(folder / 'metrics.jsonl'))
    if lines:
      steps, loss = np.array([[line['step'], line['loss']] for line in lines]).T
      records = EvalFolder(folder, 'eval').records(settings_of(self.config))
      plots.training(folder / 'train.png', steps, loss, pd.DataFrame(records), f'{folder.name}: training')

  def draw_evaluation(
    self, mode: str, folder: Path, step: int, shifts: list[str], evaluation: Evaluation, records: list[dict[str, Any]]
  ) -> None:
    suffix, run = ''.join(f'_{shift}' for shift in shifts), folder.parent.name
    title = ', '.join([run, f'{mode} at step {step}', *shifts])
    outcomes.curves(folder, suffix, evaluation.arrays, title)
    outcomes.families(folder, suffix, evaluation.arrays, self._shown(mode), title)
    outcomes.over_training(folder, suffix, records, ', '.join([run, f'{mode} over training', *shifts]))

  def compare(self, mode: str, folder: Path, evaluations: dict[str, Evaluation], configs: dict[str, ConfigDict]) -> str:
    told = {title: config.model.head == 'eta' for title, config in configs.items()}
    return outcomes.comparison(folder, {title: found.arrays for title, found in evaluations.items()}, told, mode)
