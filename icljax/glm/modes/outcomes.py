"""Evaluations of generalized linear models: a model beside every oracle, over the number of pairs
seen.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from icljax import build
from icljax.glm import subject
from icljax.glm.modes import curves
from icljax.glm.modes import pictures as plots
from icljax.glm.modes import scores as glm
from jaxline_lite import devices
from jaxline_lite.evaluate import EvalFolder, settings_of
from jaxline_lite.experiment import Evaluation
from jaxline_lite.files import read_lines

Measure = Callable[..., dict[str, np.ndarray]]


class Outcomes:
  """Of the runs of one config.

  Attributes:
    measure: (name, function of (arguments, tree, indices), arguments, of_state, check) -> its
      arrays over all evaluation episodes; `tree` is (parameters, model state, data) on the devices
      where `of_state`.
    source: what data there are, for a line of the log; nothing, where episodes are drawn from
      nothing.
  """

  source = ''

  def __init__(self, config: ConfigDict, measure: Measure):
    self.config, self._measure = config, measure
    self._metrics = subject.metrics(config)
    self._reference_scores = {}  # by mode: they do not depend on the state
    if self._metrics:
      self._check_metrics()

  def _check_metrics(self) -> None:
    """Raises ValueError for metrics that would fail after all the training."""
    task, state = (
      build.eval_task(self.config, 'eval'),
      jax.eval_shape(lambda: build.init(self.config)),
    )
    measure = lambda params: glm.model_scores(
      build.predictor(self.config, params), task, jnp.uint32(0), jnp.arange(2), None, self._metrics
    )
    jax.eval_shape(measure, state.params)

  def evaluate(self, mode: str, check: Callable[[], None]) -> Evaluation:
    task, seed = build.eval_task(self.config, mode), np.uint32(self.config.eval.seed)
    program = mode.removesuffix('_joint')  # the same episodes, shown otherwise

    def score_references(arguments, _, indices):
      return glm.reference_scores(*arguments, indices=indices, axis=devices.AXIS)

    def score_model(arguments, tree, indices):
      model = build.predictor(self.config, *tree)
      return glm.model_scores(
        model, *arguments, indices=indices, axis=devices.AXIS, metrics=self._metrics
      )

    if program not in self._reference_scores:
      arguments = (task, subject.normals(self.config, task), seed)
      self._reference_scores[program] = self._measure(
        f'{program} references', score_references, arguments, False, check
      )
    model = self._measure(f'{program} model', score_model, (task, seed), True, check)
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

  def draw_training(self, folder: Path) -> None:
    lines = list(read_lines(folder / 'metrics.jsonl'))
    if lines:
      steps, loss = np.array([[line['step'], line['loss']] for line in lines]).T
      records = EvalFolder(folder, 'eval').records(settings_of(self.config))
      plots.training(
        folder / 'train.png', steps, loss, pd.DataFrame(records), f'{folder.name}: training'
      )

  def draw_evaluation(
    self,
    mode: str,
    folder: Path,
    step: int,
    shifts: list[str],
    evaluation: Evaluation,
    records: list[dict[str, Any]],
  ) -> None:
    suffix, run = ''.join(f'_{shift}' for shift in shifts), folder.parent.name
    title = ', '.join([run, f'{mode} at step {step}', *shifts])
    curves.curves(folder, suffix, evaluation.arrays, title)
    curves.families(folder, suffix, evaluation.arrays, self._shown(mode), title)
    curves.over_training(
      folder, suffix, records, ', '.join([run, f'{mode} over training', *shifts])
    )

  def compare(
    self,
    mode: str,
    folder: Path,
    evaluations: dict[str, Evaluation],
    configs: dict[str, ConfigDict],
  ) -> str:
    told = {title: config.model.head == 'eta' for title, config in configs.items()}
    return curves.comparison(
      folder, {title: found.arrays for title, found in evaluations.items()}, told, mode
    )
