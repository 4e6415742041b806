"""From a config to what trains and what is trained, whatever its subject."""

from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from icljax.base import stream
from icljax.glm import subject as glm
from icljax.omniglot import subject as omniglot
from icljax.training import early_stopping
from icljax.training.optimizers import OPTIMIZERS, clipped
from icljax.training.schedules import SCHEDULES
from icljax.training.step import Settings, TrainState, make_train_step

SUBJECTS = {'glm': glm, 'omniglot': omniglot}


def subject(config: ConfigDict) -> ModuleType:
  """Where the things of a config's subject are made."""
  return SUBJECTS[config.subject]


def task(config: ConfigDict) -> Any:
  """The task that is trained on."""
  return subject(config).task(config)


def eval_task(config: ConfigDict, mode: str) -> Any:
  """The task of an eval mode."""
  return subject(config).eval_task(config, mode)


def data(config: ConfigDict) -> Any:
  """What episodes point to, to be put on the devices once; None where they point to nothing."""
  return subject(config).data(config)


def settings(config: ConfigDict) -> Settings:
  """The numbers of training, without the data."""
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
    earliest=jnp.maximum(jnp.int32(peak), subject(config).full_at(config)),
  )


def predictor(config: ConfigDict, params: Any, model_state: Any = None, data: Any = None) -> Any:
  """A config's model with parameters, a `Predictor` of its subject's kind."""
  makes = subject(config)
  return makes.predictor(makes.model(config), task(config), params, model_state, data)


def init(config: ConfigDict) -> TrainState:
  """The state before the first step."""
  makes, make_optimizer = subject(config), _optimizer(config)
  network = makes.model(config)

  @jax.jit  # one program instead of hundreds of small ones
  def start(numbers: Settings) -> TrainState:
    params, model_state = makes.start(network, numbers.task, stream(numbers.seed, 'init'), config)
    watch = early_stopping.start() if config.early_stopping.patience else None
    return TrainState(params, make_optimizer(numbers.optimizer).init(params), watch, model_state)

  return start(settings(config))


def warm_start_of(config: ConfigDict, source: ConfigDict) -> tuple[int, bool]:
  """What `warm_start` needs to know of a config and the one it starts from.

  Raises:
    ValueError: if the same parameters would mean something else.
  """
  if config.subject != source.subject:
    raise ValueError(f'its subject is {source.subject!r}, here it is {config.subject!r}')
  return subject(config).warm_start_of(config, source)


def train_step(config: ConfigDict):
  """The step of `training.make_train_step`."""
  makes = subject(config)
  network = makes.model(config)
  predict = lambda params, model_state, numbers: makes.predictor(
    network, numbers.task, params, model_state, numbers.data
  )
  return make_train_step(
    predict, _optimizer(config), config.training.batch_size, bool(config.early_stopping.patience)
  )


def _optimizer(config: ConfigDict):
  return clipped(OPTIMIZERS[config.optimizer.name], SCHEDULES[config.optimizer.schedule])
