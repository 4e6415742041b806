"""Nats per target over the number of pairs seen, beside every oracle."""

import functools
from collections.abc import Callable, Hashable
from typing import cast

import jax.numpy as jnp
import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from icljax import plugins
from icljax.eval_modes import Drawing, EvalContext, EvalMode, ModeRule, Report
from icljax.fields import names
from icljax.glm.baselines import is_plain_linear
from icljax.glm.discrete import PoolPosterior
from icljax.glm.laplace import sobol_normals
from icljax.glm.modes import pictures
from icljax.glm.modes.comparison import compare
from icljax.glm.modes.families import hits
from icljax.glm.modes.scores import (
  OF_POOL,
  PairedScores,
  References,
  collect,
  score_model,
  score_references,
  unflatten,
)
from icljax.glm.modes.summary import SummaryOptions, summarize
from icljax.glm.oracles import has_oracles
from icljax.glm.priors import Pool
from icljax.glm.task import GLM, FamilyTask
from icljax.paired import mean_and_error
from icljax.tables import write_csv


def make_mode(
  rule: ModeRule, task: Callable[[ConfigDict], FamilyTask], confusion: bool = False
) -> EvalMode:
  """The evaluation of a model beside its references.

  Args:
    task: (config) -> the task whose episodes are evaluated.
    confusion: whether the table says which family is taken for which.
  """
  return EvalMode(
    rule=rule,
    task=task,
    score=score_model,
    summarize=functools.partial(_summarize, reads=rule.reads, confusion=confusion),
    draw=_draw,
    compare=compare,
    options=_user_metrics,
    references=_make_references,
    score_references=score_references,
  )


def _user_metrics(config: ConfigDict) -> tuple[Hashable, ...]:
  """The metrics that `eval.metrics` names, each with its name."""
  return tuple(
    (plugins.short_name(name), plugins.import_object('eval.metrics', name))
    for name in names(config.eval.metrics)
  )


def _is_alone(task: FamilyTask) -> bool:
  """Whether there is nothing that a model is measured against."""
  return not (hasattr(task, 'references') or has_oracles(task))


def _make_references(config: ConfigDict, task: FamilyTask) -> References | None:
  """What the oracles of a task are made from; None where a model is alone."""
  if _is_alone(task):
    return None
  normals = sobol_normals(config.eval.posterior_samples, task.predictors * task.dims)
  pool = PoolPosterior(cast(GLM, task)) if _pool_size(task) else None
  name = 'dmmse' if pool and is_plain_linear(pool.task) else 'bayes_pool'
  return References(jnp.asarray(normals), pool, name)


def _pool_size(task: FamilyTask) -> int:
  """How many tasks the pool of a task has; 0 where weights are new."""
  prior = getattr(task, 'prior', None)
  return int(prior.size) if isinstance(prior, Pool) else 0


def _summary_options(context: EvalContext, confusion: bool = False) -> SummaryOptions:
  task = cast(FamilyTask, context.task)
  return SummaryOptions(
    families=tuple(family.name for family in task.families),
    samples=context.config.eval.posterior_samples,
    conditions_on_family=context.config.model.head == 'eta',
    confusion=confusion,
    any_family=getattr(task, 'only', None) is None,
  )


def _summarize(
  context: EvalContext,
  model: dict[str, np.ndarray],
  references: dict[str, np.ndarray],
  reads: frozenset[str],
  confusion: bool,
) -> Report:
  scores = collect(model, references)
  metrics, table = summarize(scores, _summary_options(context, confusion))
  return Report(metrics, '\n'.join([table, *_notes(context, reads)]), scores.flatten())


def _notes(context: EvalContext, reads: frozenset[str]) -> list[str]:
  """What the numbers do not tell of themselves: why there are no oracles, and who knows of the
  settings that differ from training.
  """
  (config, task), lines = context, []
  if _is_alone(cast(FamilyTask, task)):
    lines.append(
      f'no oracles: {type(task).__name__} is a user-defined task, whose exact answer is its own; '
      'define references(), or changes_only_inputs = True if it changes nothing but inputs'
    )
  if size := _pool_size(cast(FamilyTask, task)):
    lines.append(
      f'the oracle called {" or ".join(OF_POOL)} knows the pool of {size} tasks; the others take '
      'weights for new ones'
    )
  for name in ('scale', 'r'):
    given, trained = config.eval[name], config.task[name]
    if given is None or name not in reads:
      continue
    if given == trained:
      lines.append(f'eval.{name} is {given:g}, as in training')
      continue
    informed = []
    if not _is_alone(cast(FamilyTask, task)):
      informed.append("the task's references" if hasattr(task, 'references') else 'the oracles')
    if name == 'r' and config.model.head == 'eta':
      informed.append("the likelihood of the model's eta")
    told = f', of which only {" and ".join(informed)} know' if informed else ''
    lines.append(f'eval.{name} is {given:g}{told}: the model was trained with {trained:g}')
  return lines


def _draw(context: EvalContext, drawing: Drawing) -> None:
  """Writes `curves`, `families` and `over_training`, each as PNG and CSV."""
  scores, options = unflatten(drawing.report.arrays), _summary_options(context)
  draw_curves(scores, drawing)
  draw_families(scores, options, drawing)
  draw_over_training(drawing)


def draw_curves(scores: PairedScores, drawing: Drawing) -> None:
  """Nats over k by predictor."""
  here, _ = drawing.titles
  pictures.curves(drawing.folder / f'curves{drawing.suffix}.png', scores.nats, here)
  frame = _by_position(scores.nats, 'nats')
  write_csv(drawing.folder / f'curves{drawing.suffix}.csv', frame)


def draw_families(scores: PairedScores, options: SummaryOptions, drawing: Drawing) -> None:
  """How well the family is known over k, where episodes are of several."""
  if scores.family is None or len(options.families) < 2 or not options.any_family:
    return
  path, (here, _) = drawing.folder / f'families{drawing.suffix}.png', drawing.titles
  probabilities = scores.family_probabilities
  pictures.families(path, probabilities, scores.family, options.families, here)
  accuracy = {name: hits(given, scores.family) for name, given in probabilities.items()}
  write_csv(path.with_suffix('.csv'), _by_position(accuracy, 'accuracy'))


def draw_over_training(drawing: Drawing) -> None:
  """The evaluations of several checkpoints with the same settings."""
  if len(drawing.records) > 1:
    path, (_, over_training) = drawing.folder / f'over_training{drawing.suffix}.png', drawing.titles
    pictures.over_training(path, drawing.records, over_training)
    write_csv(drawing.folder / f'over_training{drawing.suffix}.csv', drawing.records)


def _by_position(values: dict[str, np.ndarray], name: str) -> pd.DataFrame:
  """Mean and standard error of values `[n, K]` by predictor, a row for each and each k."""
  rows = [
    (predictor, k, mean, error)
    for predictor, by_predictor in values.items()
    for k, (mean, error) in enumerate(zip(*mean_and_error(by_predictor)))
  ]
  return pd.DataFrame(rows, columns=['predictor', 'k', name, 'standard_error'])
