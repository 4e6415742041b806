"""From a config to the tasks and the network of generalized linear models."""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
from ml_collections import ConfigDict

from icljax import plugins
from icljax.families import Dispersion, Family, families
from icljax.glm.checks import family_names, is_joint
from icljax.glm.model import TOKENS, InContextModel
from icljax.glm.priors import Pool
from icljax.glm.task import GLM, Curriculum, FamilyTask, Ramp
from icljax.models.heads import EtaHead, KnownNoiseHead, MixtureHead
from icljax.models.sequence import end_precision, make_sequence_model


def make_glm(config: ConfigDict) -> GLM:
  """The task that a config describes, before a user's own is made of it."""
  return GLM(
    scale=jnp.float32(config.task.scale),
    clip=jnp.float32(config.task.clip),
    dispersion=Dispersion(noise=jnp.float32(config.task.noise), r=jnp.float32(config.task.r)),
    families=tuple(make_family(config, name) for name in family_names(config)),
    dims=config.task.D,
    points=config.task.K,
    data_scale=jnp.float32(config.task.data_scale),
    curriculum=_make_curriculum(config),
    prior=Pool(jnp.int32(config.task.n_tasks), jnp.uint32(config.task.pool_seed)),
  )


def make_family(config: ConfigDict, name: str) -> Family:
  """The family of a name, as configs have it.

  Raises:
    ValueError: if a user-defined one cannot be imported, or is none.
  """
  if not plugins.is_user_defined(name):
    return families(config.task.classes)[name]
  family = plugins.import_object('task.families', name)
  if not isinstance(family, Family):
    raise ValueError(
      f'task.families is {config.task.families!r}; {name} is no icljax.families.Family but a '
      f'{type(family).__name__}'
    )
  return dataclasses.replace(family, name=plugins.short_name(name))


def _make_curriculum(config: ConfigDict) -> Curriculum | None:
  grow = config.task.curriculum
  if not grow.interval:
    return None
  interval = jnp.int32(grow.interval)
  return Curriculum(
    dims=Ramp(jnp.int32(grow.dims_start), jnp.int32(grow.dims_increment), interval),
    points=Ramp(jnp.int32(grow.points_start), jnp.int32(grow.points_increment), interval),
  )


def with_user_task(config: ConfigDict, glm: GLM) -> FamilyTask:
  """What `task.own` makes of a task; the task itself where there is none.

  Raises:
    ValueError: if it cannot be imported, or makes something else.
  """
  if not config.task.own:
    return glm
  task = plugins.import_object('task.own', config.task.own)(glm)
  if not hasattr(task, 'sample'):
    raise ValueError(
      f'task.own is {config.task.own!r}, which makes a {type(task).__name__}; it has to make an '
      'icljax.base.Task'
    )
  return task


def training_task(config: ConfigDict) -> FamilyTask:
  """The task that is trained on."""
  return with_user_task(config, make_glm(config))


def shifted_glm(config: ConfigDict) -> GLM:
  """The trained task at its full size, at `eval.scale` and `eval.r` where they are set."""
  trained = make_glm(config)
  r = jnp.float32(config.eval.r or config.task.r)
  return trained.replace(
    scale=jnp.float32(config.eval.scale or config.task.scale),
    dispersion=trained.dispersion.replace(r=r),
    curriculum=None,
  )


def shifted_task(config: ConfigDict) -> FamilyTask:
  """The task that is trained on, at its full size and with the changes that `eval` names."""
  return with_user_task(config, shifted_glm(config))


def pool_tasks(config: ConfigDict) -> GLM:
  """The task whose weights are from the run's pool, at the scale of training."""
  return shifted_glm(config).replace(scale=jnp.float32(config.task.scale))


def new_tasks(config: ConfigDict) -> GLM:
  """The task with new weights in every episode, whatever the run's pool."""
  return shifted_glm(config).with_fresh_weights()


def single_family_task(config: ConfigDict, name: str) -> FamilyTask:
  """One family, with the changes that `eval` names.

  Where it is one of several that are trained on, oracles are not told of it, as the model is not.
  """
  shifted, names = shifted_glm(config), family_names(config)
  if name not in names:
    task = shifted.replace(families=(make_family(config, name),))
  elif is_joint(config):
    task = shifted.replace(only=jnp.int32(names.index(name)))
  else:
    task = shifted
  return with_user_task(config, task)


def _make_head(config: ConfigDict, task: FamilyTask) -> nn.Module:
  """The read-out of a config's model."""
  model, precision = config.model, end_precision(config.model.precision)
  if model.head == 'eta':
    return EtaHead(task.families, precision=precision)
  if model.head == 'known_noise':
    return KnownNoiseHead(model.end_bias or model.tokens != 'interleaved_plain', precision)
  return MixtureHead(task.families, model.components, precision=precision)


def make_network(config: ConfigDict, task: FamilyTask) -> InContextModel:
  """The model of a config, for a task of the size that it is trained on."""
  sequence = make_sequence_model(
    config.model.sequence,
    layers=config.model.layers,
    heads=config.model.heads,
    length=task.points * TOKENS[config.model.tokens],
    precision=config.model.precision,
    norm=config.model.norm,
    mlp_width=config.model.mlp_width,
    gelu=config.model.gelu,
  )
  return InContextModel(
    sequence=sequence,
    head=_make_head(config, task),
    width=config.model.width,
    families=len(task.families),
    classes=task.predictors if task.predictors > 1 else 0,
    tokens=config.model.tokens,
    token_bias=config.model.end_bias,
    precision=end_precision(config.model.precision),
  )
