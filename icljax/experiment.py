"""Training and evaluation of a config's model, as an experiment of the loop."""

import csv
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from icljax import build, plots
from icljax.evaluation import glm
from icljax.evaluation.paired import mean_and_error
from icljax.training import TrainState
from jaxline_lite import devices
from jaxline_lite.experiment import AbstractExperiment, Evaluation
from jaxline_lite.files import read_lines


class Experiment(AbstractExperiment):
  """A model on all local devices, or on some."""

  def __init__(self, config: ConfigDict, on: Sequence[Any] | None = None):
    self.config, self._devices = config, devices.Devices(on)
    self._devices.check_divides(config.eval.batch_size, 'eval.batch_size')
    step = build.train_step(config)
    with jax.default_matmul_precision('highest'):
      self._settings = build.settings(config)
    self._steps = self._devices.pmap_steps(functools.partial(step, axis=devices.AXIS), self.most_steps)
    self._state: Any = None  # on the devices, from its first use on
    self._programs = {}  # compiled evaluations by mode
    self._oracle_scores = {}  # by mode: they do not depend on the state

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

  def check_training(self) -> None:
    self._devices.check_divides(self.config.training.batch_size, 'training.batch_size')

  def step(self, first: int, count: int) -> dict[str, np.ndarray]:
    with jax.default_matmul_precision('highest'):
      self._state, metrics = self._steps(self._settings, self._replicated, first, count)
    return metrics

  def describe(self) -> str:
    parameters = sum(leaf.size for leaf in jax.tree.leaves(self.state.params))
    where = f'{len(self._devices.devices)} {jax.default_backend()} device(s)'
    return f'{parameters:,} parameters on {where}, matrix products of the model at precision {build.precision(self.config)}'

  def evaluate(self, mode: str, check: Callable[[], None]) -> Evaluation:
    task, told = build.eval_task(self.config, mode), self.config.model.head == 'eta'
    seed, normals = np.uint32(self.config.eval.seed), build.oracles(self.config, task).normals

    def score_oracles(arguments, _, indices):
      return glm.oracle_scores(*arguments, indices=indices, axis=devices.AXIS)

    def score_model(arguments, params, indices):
      return glm.model_scores(build.predictor(self.config, params), *arguments, indices=indices, axis=devices.AXIS)

    if mode not in self._oracle_scores:
      self._oracle_scores[mode] = self._measure(f'{mode} oracles', score_oracles, (task, normals, seed), (), check)
    model = self._measure(f'{mode} model', score_model, (task, seed), self._replicated.params, check)
    arrays = glm.arrays(model, self._oracle_scores[mode])
    metrics, table = glm.summarize(arrays, task, self.config.eval.posterior_samples, told)
    return Evaluation(metrics, table, arrays)

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

  def draw_training(self, folder: Path) -> None:
    lines = list(read_lines(folder / 'metrics.jsonl'))
    if lines:
      steps, loss = np.array([[line['step'], line['loss']] for line in lines]).T
      plots.training(folder / 'train.png', steps, loss, f'{folder.name}: training')

  def draw_evaluation(self, mode: str, folder: Path, step: int, shifts: list[str], evaluation: Evaluation) -> None:
    nats = {name.removeprefix('nats/'): values for name, values in evaluation.arrays.items() if name.startswith('nats/')}
    name = '_'.join(['curves', *shifts])
    plots.curves(folder / f'{name}.png', nats, ', '.join([folder.parent.name, f'{mode} at step {step}', *shifts]))
    with (folder / f'{name}.csv').open('w', newline='') as file:
      rows = csv.writer(file)
      rows.writerow(['predictor', 'k', 'nats', 'standard_error'])
      for name, values in nats.items():
        rows.writerows([name, k, mean, error] for k, (mean, error) in enumerate(zip(*mean_and_error(values))))
