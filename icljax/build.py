"""From a config to what trains and is trained, whatever its subject."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from icljax import plugins
from icljax.base import Predictor, stream
from icljax.models.sequence import machine_precision
from icljax.subjects import Data, Subject, WarmStart, subject_of
from icljax.training import early_stopping
from icljax.training.optimizers import OPTIMIZERS, make_clipped
from icljax.training.schedules import SCHEDULES
from icljax.training.step import Settings, TrainState, make_train_step

SHAPES = 64  # programs that a process keeps: more than the shapes of one sweep


def with_machine_defaults(config: ConfigDict) -> ConfigDict:
  """A config in which what this machine decides is filled in."""
  config = config.copy_and_resolve_references()
  config.model.precision = machine_precision(config.model.precision)
  return config


def record_digest(config: ConfigDict, data: Data) -> str:
  """Puts the digest of data into a config that has none yet; else says if it is another one."""
  if not data.digest:
    return ''
  if config.data.digest == 'auto':
    config.data.digest = data.digest
  if config.data.digest == data.digest:
    return ''
  return (
    f'{data.source}: these are not the data that the run was made with (SHA-256 '
    f'{config.data.digest[:12]} there, {data.digest[:12]} here)'
  )


def make_settings(config: ConfigDict) -> Settings:
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
  subject, rule = subject_of(config), _make_stop_rule(config)
  is_held_out = rule is not None and config.early_stopping.on != 'train'
  held_out = subject.held_out_task(config) if is_held_out else None
  return Settings(subject.task(config), numbers, jnp.uint32(config.random_seed), rule, held_out)


def _make_stop_rule(config: ConfigDict) -> early_stopping.Rule | None:
  rule = config.early_stopping
  if not rule.patience:
    return None
  peak = 0 if config.optimizer.schedule == 'constant' else config.optimizer.warmup_steps
  return early_stopping.Rule(
    patience=jnp.int32(rule.patience),
    min_delta=jnp.float32(rule.min_delta),
    window=jnp.int32(rule.window),
    earliest=jnp.maximum(jnp.int32(peak), subject_of(config).full_size_step(config)),
  )


def make_predictor(config: ConfigDict, params: Any, model_state: Any = None) -> Predictor:
  """A config's model with parameters."""
  subject = subject_of(config)
  return subject.predictor(subject.network(config), subject.task(config), params, model_state)


def init_state(config: ConfigDict) -> TrainState:
  """The state before the first step."""
  subject = subject_of(config)
  init = _init_program(
    subject,
    subject.network(config),
    config.optimizer.name,
    config.optimizer.schedule,
    config.early_stopping.patience > 0,
    subject.item(config),
    subject.points(config),
    sharing_token(config),
  )
  return init(make_settings(config))


@functools.lru_cache(maxsize=SHAPES)
def _init_program(
  subject: Subject,
  network: Any,
  optimizer: str,
  schedule: str,
  stops_early: bool,
  item: jax.ShapeDtypeStruct,
  points: int,
  token: object,
) -> Callable[[Settings], TrainState]:
  """One program, instead of hundreds of small ones, that makes first states of one shape."""
  del token
  make_optimizer = make_clipped(OPTIMIZERS[optimizer], SCHEDULES[schedule])

  def init(settings: Settings) -> TrainState:
    key = stream(settings.seed, 'init')
    params, model_state = subject.init(network, settings.task, item, points, key)
    opt_state = make_optimizer(settings.optimizer).init(params)
    stop_state = early_stopping.init_stop_state() if stops_early else None
    return TrainState(params, opt_state, stop_state, model_state)

  return jax.jit(init)


def warm_start_of(config: ConfigDict, source: ConfigDict) -> WarmStart:
  """How a config takes the parameters of a run with the config `source`.

  Raises:
    ValueError: if the same parameters would mean something else.
  """
  if config.subject != source.subject:
    raise ValueError(f'its subject is {source.subject!r}, here it is {config.subject!r}')
  return subject_of(config).warm_start(config, source)


def is_user_defined(config: ConfigDict, *groups: str) -> bool:
  """Whether a field of some groups of a config names user-defined things."""
  fields = [value for group in groups for value in config[group].values()]
  return any(plugins.is_user_defined(value) for value in fields if isinstance(value, str))


def sharing_token(config: ConfigDict) -> object:
  """What distinguishes programs that look alike: None where all of them can be shared.

  What user-defined code reads may have changed since a program was compiled, as in a notebook; so
  each experiment that has some has programs of its own.
  """
  return object() if is_user_defined(config, 'task', 'model', 'eval') else None


def train_step(
  config: ConfigDict, token: object = None
) -> Callable[..., tuple[TrainState, dict[str, jax.Array]]]:
  """The step of `training.step.make_train_step`; configs of one shape have the same one.

  Args:
    token: as `sharing_token` gives it.
  """
  subject = subject_of(config)
  return _train_step(
    subject,
    subject.network(config),
    config.optimizer.name,
    config.optimizer.schedule,
    config.training.batch_size,
    config.early_stopping.patience > 0,
    token,
  )


@functools.lru_cache(maxsize=SHAPES)
def _train_step(
  subject: Subject,
  network: Any,
  optimizer: str,
  schedule: str,
  batch_size: int,
  stops_early: bool,
  token: object,
):
  del token
  return make_train_step(
    functools.partial(subject.predictor, network),
    make_clipped(OPTIMIZERS[optimizer], SCHEDULES[schedule]),
    batch_size,
    stops_early,
  )
