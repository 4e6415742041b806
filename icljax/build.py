"""From a config to the things that it names: the only reader of configs (`checks` aside)."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from icljax import early_stopping, own
from icljax.base import Task, stream
from icljax.baselines.posterior import sobol_normals
from icljax.checks import family_names, names
from icljax.families import Dispersion, Family, families
from icljax.models.heads import EtaHead, MixtureHead
from icljax.models.in_context import TOKENS, InContextModel, ModelPredictor
from icljax.models.transformer import Transformer
from icljax.optimizers import OPTIMIZERS, clipped
from icljax.schedules import SCHEDULES
from icljax.tasks.glm import GLM, Curriculum, Ramp
from icljax.training import Settings, TrainState, make_train_step

PRECISION = {'highest': 'highest', 'tf32': 'tensorfloat32', 'bfloat16': 'bfloat16'}
SEQUENCES: dict[str, Callable[..., nn.Module]] = {'transformer': Transformer}


def settled(config: ConfigDict) -> ConfigDict:
  """The config with what this machine decides filled in: precision is exact on a CPU, TF32 on an accelerator."""
  config = config.copy_and_resolve_references()
  if config.model.precision == 'auto':
    config.model.precision = 'highest' if jax.default_backend() == 'cpu' else 'tf32'
  return config


def task(config: ConfigDict) -> Task:
  """The task that is trained on."""
  return _one_s_own(config, _glm(config))


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


def _one_s_own(config: ConfigDict, glm: GLM) -> Task:
  made = own.find('task.own', config.task.own)(glm) if config.task.own else glm
  if not hasattr(made, 'sample'):
    raise ValueError(f'task.own is {config.task.own!r}, which makes a {type(made).__name__}; it has to make an icljax.base.Task')
  return made


def _family(config: ConfigDict, name: str) -> Family:
  if own.is_own(name):
    found = own.find('task.families', name)
    if not isinstance(found, Family):
      raise ValueError(
        f'task.families is {config.task.families!r}; {name} is no icljax.families.Family but a {type(found).__name__}'
      )
    return dataclasses.replace(found, name=own.short(name))
  return families(config.task.classes)[name]


def _curriculum(config: ConfigDict) -> Curriculum | None:
  grow = config.task.curriculum
  if not grow.interval:
    return None
  ramp = lambda start, increment: Ramp(jnp.int32(start), jnp.int32(increment), jnp.int32(grow.interval))
  return Curriculum(dims=ramp(grow.dims_start, grow.dims_increment), points=ramp(grow.points_start, grow.points_increment))


def eval_task(config: ConfigDict, mode: str) -> Task:
  """The task of an eval mode: that of training, or one family of it or of another, at `eval.scale` and `eval.r`."""
  trained = _glm(config)
  family = '' if mode == 'eval_joint' else mode.removeprefix('eval').removeprefix('_')
  scale, r = config.eval.scale or config.task.scale, config.eval.r or config.task.r
  dispersion = trained.dispersion.replace(r=jnp.float32(r))
  shifted = trained.replace(scale=jnp.float32(scale), dispersion=dispersion, curriculum=None)
  ours = {own.short(name): i for i, name in enumerate(family_names(config))}
  if family in ours and len(ours) > 1:
    shifted = shifted.replace(only=jnp.int32(ours[family]))  # one family, of which `bayes` is not told, as the model
  elif family and family not in ours:
    shifted = shifted.replace(families=(_family(config, family),))
  return _one_s_own(config, shifted)


def normals(config: ConfigDict, prior: Task) -> jax.Array:
  """What the oracles of `prior` sample posteriors with, `[S, C*D]`."""
  return jnp.asarray(sobol_normals(config.eval.posterior_samples, prior.predictors * prior.dims))


def metrics(config: ConfigDict) -> dict[str, Callable]:
  """One's own metrics by name, see `evaluation.glm.model_scores`."""
  return {own.short(name): own.find('eval.metrics', name) for name in names(config.eval.metrics)}


def model(config: ConfigDict, trained: Task) -> InContextModel:
  """The model of a config."""
  at = PRECISION[settled(config).model.precision]
  ends = 'tensorfloat32' if at == 'bfloat16' else at  # targets are numbers, of which 8 bits say too little
  if config.model.head == 'eta':
    head = EtaHead(trained.families, precision=ends)
  else:
    head = MixtureHead(trained.families, config.model.components, precision=ends)
  return InContextModel(
    sequence=_sequence(config, trained.points * TOKENS[config.model.tokens], at),
    head=head,
    width=config.model.width,
    families=len(trained.families),
    classes=trained.predictors if trained.predictors > 1 else 0,
    tokens=config.model.tokens,
    precision=ends,
  )


def _sequence(config: ConfigDict, length: int, at: str) -> nn.Module:
  name = config.model.sequence
  make = own.find('model.sequence', name) if own.is_own(name) else SEQUENCES[name]
  try:
    return make(layers=config.model.layers, heads=config.model.heads, length=length, precision=at)
  except TypeError as error:
    raise ValueError(
      f'model.sequence is {name!r}, which cannot be made of layers, heads, length and precision: {error}'
    ) from error


def settings(config: ConfigDict) -> Settings:
  """The numbers of training."""
  optimizer = config.optimizer
  numbers = {
    'learning_rate': jnp.float32(optimizer.learning_rate),
    'warmup_steps': jnp.float32(optimizer.warmup_steps),
    'training_steps': jnp.float32(config.training_steps),
    'clip_norm': jnp.float32(optimizer.clip_norm),
    'weight_decay': jnp.float32(optimizer.weight_decay),
    'momentum': jnp.float32(optimizer.momentum),
  }
  return Settings(task(config), numbers, jnp.uint32(config.random_seed), _stop_rule(config))


def _stop_rule(config: ConfigDict) -> early_stopping.Rule | None:
  rule = config.early_stopping
  if not rule.patience:
    return None
  peak = 0 if config.optimizer.schedule == 'constant' else config.optimizer.warmup_steps
  return early_stopping.Rule(
    patience=jnp.int32(rule.patience),
    min_delta=jnp.float32(rule.min_delta),
    window=jnp.int32(rule.window),
    earliest=jnp.maximum(jnp.int32(peak), _glm(config).full_at),
  )


def predictor(config: ConfigDict, params: Any) -> ModelPredictor:
  """A config's model with parameters."""
  trained = task(config)
  return ModelPredictor(params, trained.dispersion, model(config, trained))


def init(config: ConfigDict) -> TrainState:
  """The state before the first step."""
  network = model(config, task(config))
  make_optimizer = _optimizer(config)

  @jax.jit  # one program instead of hundreds of small ones
  def start(numbers: Settings) -> TrainState:
    episodes = jax.vmap(numbers.task.sample)(jax.random.split(jax.random.key(0), 1))
    params = network.init(stream(numbers.seed, 'init'), episodes.x, episodes.y, numbers.task.dispersion)['params']
    watch = early_stopping.start() if config.early_stopping.patience else None
    return TrainState(params, make_optimizer(numbers.optimizer).init(params), watch)

  return start(settings(config))


def warm_start_of(config: ConfigDict, source: ConfigDict) -> tuple[int, bool]:
  """What `warm_start` needs to know of a config and the one it starts from: components, and whether their families are the same.

  Raises:
    ValueError: if the same parameters would mean something else.
  """
  for field in ('sequence', 'heads', 'tokens', 'head'):
    if config.model[field] != source.model[field]:
      raise ValueError(f'its model.{field} is {source.model[field]!r}, here it is {config.model[field]!r}; set the same')
  return config.model.components, family_names(config) == family_names(source)


def train_step(config: ConfigDict):
  """The step of `training.make_train_step`."""
  network = model(config, task(config))
  predict = lambda params, numbers: ModelPredictor(params, numbers.task.dispersion, network)
  return make_train_step(predict, _optimizer(config), config.training.batch_size, bool(config.early_stopping.patience))


def _optimizer(config: ConfigDict):
  return clipped(OPTIMIZERS[config.optimizer.name], SCHEDULES[config.optimizer.schedule])
