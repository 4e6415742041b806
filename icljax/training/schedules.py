"""Learning-rate schedules by name. Their numbers may be traced, so that runs can be stacked.

Each is a function of (numbers, step) -> learning rate. All rise to `learning_rate` over
`warmup_steps`, straight but for one_cycle; they differ in how they come down until
`training_steps`.
"""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
from jax import Array

# learning_rate, warmup_steps, training_steps, and those of the optimizer.
Numbers = Mapping[str, Array]
Schedule = Callable[[Numbers, Array], Array]

ONE_CYCLE_START = 25.0  # the peak over the first rate, and
ONE_CYCLE_END = 1e4  # the first rate over the last, as in PyTorch's OneCycleLR


def _risen(numbers: Numbers, step: Array) -> Array:
  """How much of the warm-up is done, 0 to 1; 1 where there is none."""
  warmup = numbers['warmup_steps']
  return jnp.where(step < warmup, step / jnp.maximum(warmup, 1), 1.0)


def _fallen(numbers: Numbers, step: Array) -> Array:
  """How much of the way from the peak to the end is done, 0 to 1."""
  warmup, end = numbers['warmup_steps'], numbers['training_steps']
  return jnp.clip((step - warmup) / jnp.maximum(end - warmup, 1), 0, 1)


def _half_cosine(start: Array | float, end: Array | float, done: Array) -> Array:
  return end + (start - end) * 0.5 * (1 + jnp.cos(jnp.pi * done))


def constant(numbers: Numbers, step: Array) -> Array:
  """The learning rate, always; there is no warm-up."""
  return numbers['learning_rate'] * jnp.ones_like(step, jnp.float32)


def triangle(numbers: Numbers, step: Array) -> Array:
  """Straight down to 0."""
  return numbers['learning_rate'] * _risen(numbers, step) * (1 - _fallen(numbers, step))


def warmup_cosine(numbers: Numbers, step: Array) -> Array:
  """Half a cosine down to 0 (Loshchilov & Hutter 2017, eq. 5, one period)."""
  return (
    numbers['learning_rate']
    * _risen(numbers, step)
    * _half_cosine(1.0, 0.0, _fallen(numbers, step))
  )


def one_cycle(numbers: Numbers, step: Array) -> Array:
  """Half a cosine up from a 25th of the peak, another down to 1e-4 of that 25th (Smith & Topin
  2018).
  """
  low = 1 / ONE_CYCLE_START
  up = _half_cosine(low, 1.0, _risen(numbers, step))
  down = _half_cosine(1.0, low / ONE_CYCLE_END, _fallen(numbers, step))
  return numbers['learning_rate'] * jnp.where(step < numbers['warmup_steps'], up, down)


def inverse_sqrt(numbers: Numbers, step: Array) -> Array:
  """As 1 / sqrt(step) (Vaswani et al. 2017, eq. 3, scaled to its peak); it does not depend on
  `training_steps`.
  """
  warmup = jnp.maximum(numbers['warmup_steps'], 1)
  return numbers['learning_rate'] * jnp.minimum(
    step / warmup, jnp.sqrt(warmup / jnp.maximum(step, 1))
  )


SCHEDULES: dict[str, Schedule] = {
  'constant': constant,
  'triangle': triangle,
  'warmup_cosine': warmup_cosine,
  'one_cycle': one_cycle,
  'inverse_sqrt': inverse_sqrt,
}
