"""Optimizers and learning-rate schedules by name. Their numbers may be traced, so that runs can be stacked."""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import optax
from jax import Array

Numbers = Mapping[str, Array]  # learning_rate, warmup_steps, training_steps, clip_norm


def constant(numbers: Numbers) -> optax.Schedule:
  """The learning rate, always."""
  return lambda step: numbers['learning_rate'] * jnp.ones_like(step, jnp.float32)


def warmup_cosine(numbers: Numbers) -> optax.Schedule:
  """From 0 straight up to the learning rate over `warmup_steps`, then half a cosine down to 0 at `training_steps`."""
  warmup, end = numbers['warmup_steps'], numbers['training_steps']

  def rate(step):
    up = step / jnp.maximum(warmup, 1)
    down = 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip((step - warmup) / jnp.maximum(end - warmup, 1), 0, 1)))
    return numbers['learning_rate'] * jnp.where(step < warmup, up, down)

  return rate


SCHEDULES: dict[str, Callable[[Numbers], optax.Schedule]] = {'constant': constant, 'warmup_cosine': warmup_cosine}


def adam(schedule: str) -> Callable[[Numbers], optax.GradientTransformation]:
  """Adam after clipping the gradient to the global norm `clip_norm` (inf: no clipping)."""

  def make(numbers):
    return optax.chain(optax.clip_by_global_norm(numbers['clip_norm']), optax.adam(SCHEDULES[schedule](numbers)))

  return make
