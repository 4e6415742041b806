"""How far a model is from the exact answer on new tasks, checkpoint by checkpoint.

It is what tells when a model that learns a pool by heart was nearest to the answer for all tasks
(t* of Raventos et al. 2023). A record keeps one number per episode, so that all checkpoints of many
runs cost little, and differences between checkpoints are paired.
"""

import numpy as np
from ml_collections import ConfigDict

from icljax.eval_modes import Comparison, Drawing, EvalContext, EvalMode, ModeRule, Report
from icljax.figures import banded, figure, save
from icljax.glm.from_config import new_tasks
from icljax.glm.modes import diversity
from icljax.glm.modes.diversity import Predictors
from icljax.glm.modes.diversity_tables import unflatten
from icljax.glm.task import GLM
from icljax.paired import mean_and_error
from icljax.tables import aligned, cell, write_csv


def make_mode(rule: ModeRule) -> EvalMode:
  """The distance between the means that a model and the exact answer for new tasks predict."""
  return EvalMode(
    rule=rule,
    task=new_tasks,
    score=diversity.score_model,
    summarize=_summarize,
    draw=_draw,
    compare=_compare,
    references=exact_baseline,
    score_references=diversity.score_baselines,
  )


def exact_baseline(config: ConfigDict, task: GLM) -> Predictors:
  """The one predictor that is exact for new tasks, and the truth."""
  known = diversity.make_baselines(config, task)
  return {name: known[name] for name in (*diversity.OF_NEW, 'true') if name in known}


def distance_name(arrays: dict[str, np.ndarray]) -> str:
  """What the distance of a record is called: `delta_ridge`, or `delta_bayes`."""
  return next(name for name in arrays if name.startswith('delta_'))


def _summarize(
  context: EvalContext, model: dict[str, np.ndarray], references: dict[str, np.ndarray]
) -> Report:
  scores = unflatten(context.config, model | references, diversity.OF_NEW)
  name = f'delta_{scores.exact}'
  distances = scores.deltas[scores.exact].mean(1)
  mean, error = map(float, mean_and_error(distances))
  table = f'distance to {scores.exact} on new tasks, {scores.unit}: {cell(mean, error)}'
  return Report({name: mean, f'{name}_se': error}, table, {name: distances})


def _draw(context: EvalContext, drawing: Drawing) -> None:
  """Writes `over_training`, as PNG and CSV."""
  del context
  name, records = distance_name(drawing.report.arrays), drawing.records
  path = drawing.folder / f'over_training{drawing.suffix}.png'
  of = name.removeprefix('delta_')
  picture, axes = figure(drawing.titles[1], ('training step', f'squared distance to {of}'))
  banded(axes, records.step, records[name], records[f'{name}_se'], 'model', color='C3', marker='.')
  axes.set_xscale('symlog', linthresh=100)
  axes.legend(frameon=False, title='band: ± 2 standard errors')
  save(picture, path)
  write_csv(path.with_suffix('.csv'), records)


def _compare(folder, title: str, reports: dict[str, Report], configs) -> Comparison:
  """A row for each model."""
  del configs
  rows = [['', 'distance to the exact answer on new tasks']]
  for name, report in reports.items():
    metric = distance_name(report.arrays)
    rows.append([name, cell(report.metrics[metric], report.metrics[f'{metric}_se'])])
  return Comparison(f'{title}\n{aligned(rows)}', draw=lambda: None)
