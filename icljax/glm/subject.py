"""Generalized linear models as a subject."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from icljax import plugins
from icljax.base import READ_OUT, Predictor
from icljax.eval_modes import Comparison, EvalMode
from icljax.fields import check_same
from icljax.glm import from_config, modes
from icljax.glm.baselines import baselines
from icljax.glm.checks import family_names
from icljax.glm.model import InContextModel, ModelPredictor
from icljax.glm.modes import pictures
from icljax.glm.task import FamilyTask, family_likelihood
from icljax.likelihoods import Eta, Likelihood
from icljax.subjects import Data, Subject, WarmStart

# The fields on which the meaning of parameters depends, whatever the families.
SAME_MODEL = (
  'task.D', 'model.sequence', 'model.layers', 'model.width', 'model.heads', 'model.tokens',
  'model.head', 'model.norm', 'model.mlp_width', 'model.gelu', 'model.end_bias',
)  # fmt: skip

# Of predictors so bad that nothing else could be seen beside them.
FAR_OFF = ['nats_ols', 'nats_zero']
DISPERSIONS = {'task.noise': 'linear', 'task.r': 'neg_binomial'}  # what they belong to


class GeneralizedLinearModels(Subject):
  """Pairs (x, y): see `icljax.subjects.Subject` for what each method gives."""

  def task(self, config: ConfigDict) -> FamilyTask:
    return from_config.training_task(config)

  def held_out_task(self, config: ConfigDict) -> FamilyTask:
    if config.early_stopping.on == 'latent':
      return from_config.make_glm(config).with_fresh_weights()
    return self.task(config)

  def data(self, config: ConfigDict) -> Data:
    del config
    return Data()

  def network(self, config: ConfigDict) -> InContextModel:
    return from_config.make_network(config, self.task(config))

  def init(
    self,
    network: InContextModel,
    task: FamilyTask,
    item: jax.ShapeDtypeStruct,
    points: int,
    key: jax.Array,
  ) -> tuple[Any, None]:
    x, y = jnp.zeros((1, points, *item.shape), item.dtype), jnp.zeros((1, points))
    return network.init(key, x, y, task.dispersion)['params'], None

  def predictor(
    self, network: InContextModel, task: FamilyTask, params: Any, model_state: Any
  ) -> ModelPredictor:
    del model_state
    return ModelPredictor(params, task.dispersion, network)

  def full_size_step(self, config: ConfigDict) -> jax.Array:
    return from_config.make_glm(config).full_size_step

  def warm_start(self, config: ConfigDict, source: ConfigDict) -> WarmStart:
    check_same(config, source, *SAME_MODEL)
    ours, theirs = family_names(config), family_names(source)
    absent = [family for family in theirs if family not in ours]
    if absent:
      raise ValueError(
        f'its task.families is {source.task.families!r}, here it is {config.task.families!r}; set '
        'at least its families'
      )
    if config.model.sequence == 'transformer':
      check_same(config, source, 'task.K')  # positions are learned
    if 'multinomial' in theirs:
      check_same(config, source, 'task.classes')
    new_families = [family for family in ours if family not in theirs]
    fresh = [f'head/{plugins.short_name(family)}' for family in new_families]
    if config.model.head == 'mixture':
      # What its components stand for; user-defined families may use any dispersion.
      is_open = any(map(plugins.is_user_defined, theirs))
      used = [field for field, family in DISPERSIONS.items() if is_open or family in theirs]
      check_same(config, source, 'model.components', *used)
    return WarmStart(config.model.components, (*fresh, *([READ_OUT] if ours != theirs else [])))

  def modes(self, config: ConfigDict) -> dict[str, EvalMode]:
    return modes.table(config)

  def sweep_readers(self) -> dict[str, Callable[[Path, str, list], Comparison]]:
    return modes.SWEEP_READERS

  def baselines(self, config: ConfigDict) -> dict[str, Predictor]:
    if config.task.own:
      return {}
    task = from_config.make_glm(config).replace(curriculum=None)
    known = baselines(task, task, config.eval.posterior_samples)
    return {name: predictor for name, predictor in known.items() if name != 'true'}

  def describe_data(self, config: ConfigDict) -> str:
    del config
    return ''

  def draw_training(
    self,
    path: Path,
    title: str,
    logged: pd.DataFrame,
    evaluated: dict[str, pd.DataFrame],
  ) -> None:
    shown = evaluated.get('eval', evaluated.get('eval_latent', pd.DataFrame()))
    pictures.training(path, logged, shown.drop(columns=FAR_OFF, errors='ignore'), title)

  def item(self, config: ConfigDict) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((self.task(config).dims,), jnp.float32)

  def points(self, config: ConfigDict) -> int:
    return self.task(config).points

  def describe(self, config: ConfigDict) -> str:
    task = self.task(config)
    names = ', '.join(family.name for family in task.families)
    return f'D={task.dims}, K={task.points}, families={names}'

  def check_pairs(
    self, config: ConfigDict, x_context: np.ndarray, y_context: np.ndarray, x_query: np.ndarray
  ) -> None:
    """All finite inputs may occur, and what some family of the model can produce."""
    del x_context, x_query
    self.check_targets(config, 'y_context', y_context)

  def check_targets(self, config: ConfigDict, name: str, y: np.ndarray) -> None:
    task = self.task(config)
    padded = np.zeros(max(task.points, len(y)), np.float32)
    padded[: len(y)] = y  # of one shape, so that contexts of all lengths share their programs
    possible, allowed = np.zeros(len(y), bool), {}
    for family in task.families:
      eta = jnp.zeros((len(padded), family.predictors))
      likelihood = family.likelihood(eta, task.dispersion)
      possible |= np.asarray(likelihood.support(jnp.asarray(padded)))[: len(y)]
      classes = f', C = {family.predictors}' if family.predictors > 1 else ''
      allowed[f'{family.name}{classes}'] = likelihood.targets
    if not possible.all():
      wrong = ', '.join(f'{value:g}' for value in np.unique(y[~possible])[:3])
      listed = '; '.join(f'{targets} ({family})' for family, targets in allowed.items())
      raise ValueError(
        f'{name} has {(~possible).sum()} of {len(y)} targets, such as {wrong}, that this model '
        f'cannot produce; allowed are {listed}: code the targets so, or take a model of another '
        'family'
      )

  def complete(self, config: ConfigDict, answer: Likelihood | Eta, family: str) -> Likelihood:
    task, head = self.task(config), config.model.head
    names = [member.name for member in task.families]
    if head != 'eta' and family:
      raise ValueError(f'family is {family!r}; a {head} model is not told the family: leave it out')
    if head == 'eta' and len(names) > 1 and family not in names:
      raise ValueError(
        f'family is {family!r}; this model gives a linear predictor for one of '
        f'{", ".join(names)}: say which'
      )
    if family and family not in names:
      raise ValueError(f'family is {family!r}; this model was trained on {", ".join(names)}')
    if not isinstance(answer, Eta):
      return answer
    return family_likelihood(task, answer.eta, names.index(family) if family else 0)


SUBJECT = GeneralizedLinearModels()
