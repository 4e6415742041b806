"""Generalized linear models by config."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from icljax import plugins
from icljax.base import FamilyTask
from icljax.families import Dispersion, Family, families
from icljax.fields import names
from icljax.glm.checks import family_names
from icljax.glm.laplace import sobol_normals
from icljax.glm.model import TOKENS, InContextModel, ModelPredictor
from icljax.glm.task import GLM, Curriculum, Ramp
from icljax.models.heads import EtaHead, MixtureHead
from icljax.models.sequence import at_ends, check_same, sequence_model


def data(config: ConfigDict) -> None:
  """There are none: episodes are drawn from nothing."""
  del config


def task(config: ConfigDict) -> FamilyTask:
  """The task that is trained on."""
  return _one_s_own(config, _glm(config))


def full_at(config: ConfigDict) -> jax.Array:
  """The training step from which on episodes are as they stay."""
  return _glm(config).full_at


def _glm(config: ConfigDict) -> GLM:
  return GLM(
    scale=jnp.float32(config.task.scale),
    clip=jnp.float32(config.task.clip),
    dispersion=Dispersion(noise=jnp.float32(config.task.noise), r=jnp.float32(config.task.r)),
    families=tuple(_family(config, name) for name in family_names(config)),
    dims=config.task.D,
    points=config.task.K,
    curriculum=_curriculum(config),
  )


def _one_s_own(config: ConfigDict, glm: GLM) -> FamilyTask:
  made = plugins.find('task.own', config.task.own)(glm) if config.task.own else glm
  if not hasattr(made, 'sample'):
    raise ValueError(
      f'task.own is {config.task.own!r}, which makes a {type(made).__name__}; it has to make an '
      'icljax.base.Task'
    )
  return made


def _family(config: ConfigDict, name: str) -> Family:
  if plugins.is_own(name):
    found = plugins.find('task.families', name)
    if not isinstance(found, Family):
      raise ValueError(
        f'task.families is {config.task.families!r}; {name} is no icljax.families.Family but a '
        f'{type(found).__name__}'
      )
    return dataclasses.replace(found, name=plugins.short(name))
  return families(config.task.classes)[name]


def _curriculum(config: ConfigDict) -> Curriculum | None:
  grow = config.task.curriculum
  if not grow.interval:
    return None
  ramp = lambda start, increment: Ramp(
    jnp.int32(start), jnp.int32(increment), jnp.int32(grow.interval)
  )
  return Curriculum(
    dims=ramp(grow.dims_start, grow.dims_increment),
    points=ramp(grow.points_start, grow.points_increment),
  )


def eval_task(config: ConfigDict, mode: str) -> FamilyTask:
  """The task of an eval mode: that of training, or one family of it or of another, at `eval.scale`
  and `eval.r`.
  """
  trained = _glm(config)
  family = '' if mode == 'eval_joint' else mode.removeprefix('eval').removeprefix('_')
  scale, r = config.eval.scale or config.task.scale, config.eval.r or config.task.r
  dispersion = trained.dispersion.replace(r=jnp.float32(r))
  shifted = trained.replace(scale=jnp.float32(scale), dispersion=dispersion, curriculum=None)
  ours = {plugins.short(name): i for i, name in enumerate(family_names(config))}
  if family in ours and len(ours) > 1:
    # One family, of which `bayes` is not told, as the model.
    shifted = shifted.replace(only=jnp.int32(ours[family]))
  elif family and family not in ours:
    shifted = shifted.replace(families=(_family(config, family),))
  return _one_s_own(config, shifted)


def normals(config: ConfigDict, prior: FamilyTask) -> jax.Array:
  """What the oracles of `prior` sample posteriors with, `[S, C*D]`."""
  return jnp.asarray(sobol_normals(config.eval.posterior_samples, prior.predictors * prior.dims))


def metrics(config: ConfigDict) -> dict[str, Callable]:
  """One's own metrics by name, see `evaluation.glm.model_scores`."""
  return {
    plugins.short(name): plugins.find('eval.metrics', name) for name in names(config.eval.metrics)
  }


def model(config: ConfigDict) -> InContextModel:
  """The model of a config."""
  trained = task(config)
  if config.model.head == 'eta':
    head = EtaHead(trained.families, precision=at_ends(config))
  else:
    head = MixtureHead(trained.families, config.model.components, precision=at_ends(config))
  return InContextModel(
    sequence=sequence_model(config, trained.points * TOKENS[config.model.tokens]),
    head=head,
    width=config.model.width,
    families=len(trained.families),
    classes=trained.predictors if trained.predictors > 1 else 0,
    tokens=config.model.tokens,
    precision=at_ends(config),
  )


def predictor(
  network: InContextModel,
  trained: FamilyTask,
  params: Any,
  model_state: None = None,
  data: None = None,
) -> ModelPredictor:
  """The model with parameters."""
  del model_state, data
  return ModelPredictor(params, trained.dispersion, network)


def start(
  network: InContextModel, trained: FamilyTask, key: jax.Array, config: ConfigDict
) -> tuple[Any, None]:
  """Parameters before the first step, and no model state."""
  del config
  episodes = jax.vmap(trained.sample)(jax.random.split(jax.random.key(0), 1))
  return network.init(key, episodes.x, episodes.y, trained.dispersion)['params'], None


def warm_start_of(config: ConfigDict, source: ConfigDict) -> tuple[int, bool]:
  """What `warm_start` needs to know of a config and the one it starts from: components, and whether
  their families are the same.

  Raises:
    ValueError: if the same parameters would mean something else.
  """
  check_same(config, source, 'sequence', 'heads', 'tokens', 'head')
  return config.model.components, family_names(config) == family_names(source)
