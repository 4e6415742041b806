"""Task diversity: a model beside the exact answers for the run's pool of tasks and for new tasks.

`error` is the squared difference of a predicted mean and the noise-free target; `delta_<baseline>`
is that of the model's predicted mean and a baseline's. For linear regression both are divided by D
(Raventos et al. 2023, section 2).
"""

import functools
from collections.abc import Callable

import numpy as np
from jax import Array
from ml_collections import ConfigDict

from icljax.base import Episode, Predictor
from icljax.eval_modes import Drawing, EvalContext, EvalMode, ModeRule, Report
from icljax.glm.baselines import baselines
from icljax.glm.from_config import make_glm
from icljax.glm.model import ModelPredictor
from icljax.glm.modes import diversity_pictures as pictures
from icljax.glm.modes.diversity_comparison import compare
from icljax.glm.modes.diversity_tables import means_by_position, summarize, unflatten
from icljax.glm.modes.scores import OF_POOL
from icljax.glm.modes.summary import summarize_effective
from icljax.glm.oracles import Bayes
from icljax.glm.task import GLM
from icljax.paired import Indices, draw_episodes
from icljax.tables import write_csv

Predictors = dict[str, Predictor]
# What is exact where weights are from the run's pool, and where they are new.
OF_NEW = ('ridge', 'bayes')


def make_mode(
  rule: ModeRule, task: Callable[[ConfigDict], GLM], exact: tuple[str, ...]
) -> EvalMode:
  """The evaluation of a model beside its baselines, on one task.

  Args:
    task: (config) -> the task whose episodes are evaluated.
    exact: `OF_POOL` or `OF_NEW`.
  """
  return EvalMode(
    rule=rule,
    task=task,
    score=score_model,
    summarize=functools.partial(_summarize, exact=exact),
    draw=functools.partial(_draw, exact=exact),
    compare=functools.partial(compare, exact=exact),
    references=make_baselines,
    score_references=score_baselines,
  )


def make_baselines(config: ConfigDict, task: GLM) -> Predictors:
  """What a run is measured against: of pools, they know the run's own."""
  return baselines(make_glm(config), task, config.eval.posterior_samples)


def score_model(task: GLM, model: ModelPredictor, data: None, indices: Indices) -> dict[str, Array]:
  """What a model predicts: `nats/model` and, where targets have means, `mean/model`, `[B, K]`."""
  del data
  return read('model', model, draw_episodes(task, indices), has_means(task))


def score_baselines(
  task: GLM, predictors: Predictors, data: None, indices: Indices
) -> dict[str, Array]:
  """The same of every baseline; the mean of `true` is the noise-free target.

  `effective` `[B, K]` is the effective number of posterior samples of `bayes`, where it is sampled.
  """
  del data
  episodes, scores = draw_episodes(task, indices), {}
  for name, predictor in predictors.items():
    if isinstance(predictor, Bayes):
      scores |= _read_bayes(predictor, episodes, has_means(task))
    else:
      scores |= read(name, predictor, episodes, has_means(task))
  return scores


def _read_bayes(bayes: Bayes, episodes: Episode, with_means: bool) -> dict[str, Array]:
  """As `read`, with `effective`, from one pass over the posteriors."""
  scores = bayes.oracles.score(episodes, with_means)
  means = {'mean/bayes': scores['bayes_mean']} if with_means else {}
  return {'nats/bayes': -scores['bayes'], 'effective': scores['effective']} | means


def has_means(task: GLM) -> bool:
  """Whether targets are numbers, of which there is a mean, and no classes."""
  return task.predictors == 1


def read(name: str, predictor: Predictor, episodes: Episode, with_means: bool) -> dict[str, Array]:
  """What a predictor says of episodes: nats and, if asked for, predicted means `[B, K]`."""
  if not with_means:
    return {f'nats/{name}': -predictor.score(episodes)}
  log_probs, means = predictor.scores_and_means(episodes)
  return {f'nats/{name}': -log_probs, f'mean/{name}': means}


def _summarize(
  context: EvalContext,
  model: dict[str, np.ndarray],
  references: dict[str, np.ndarray],
  exact: tuple[str, ...],
) -> Report:
  arrays = model | references
  metrics, table = summarize(unflatten(context.config, arrays, exact))
  table = '\n'.join([table, *_notes(context.config, exact)])
  if 'effective' in arrays:
    samples = context.config.eval.posterior_samples
    numbers, lines = summarize_effective(arrays['effective'], samples, 'bayes is')
    metrics, table = metrics | numbers, '\n'.join([table, *lines])
  return Report(metrics, table, arrays)


def _notes(config: ConfigDict, exact: tuple[str, ...]) -> list[str]:
  """Lines on settings that differ from training, and who knows of them."""
  given, trained = config.eval.scale, config.task.scale
  if given in (None, trained) or exact == OF_POOL:
    return []
  return [
    f"eval.scale is {given:g}: the model was trained with {trained:g}, and who knows the run's "
    'pool knows it at that scale; the other baselines know of it'
  ]


def _draw(context: EvalContext, drawing: Drawing, exact: tuple[str, ...]) -> None:
  """Writes `curves` and, of several checkpoints, `over_training`, each as PNG and CSV."""
  scores = unflatten(context.config, drawing.report.arrays, exact)
  path, (here, over_training) = drawing.folder / f'curves{drawing.suffix}.png', drawing.titles
  pictures.curves(path, scores, here)
  write_csv(path.with_suffix('.csv'), means_by_position(scores))
  if len(drawing.records) > 1:
    path = drawing.folder / f'over_training{drawing.suffix}.png'
    pictures.over_training(path, drawing.records, scores, over_training)
    write_csv(path.with_suffix('.csv'), drawing.records)
