"""Optimizers by name: (numbers, schedule) -> an optax optimizer. Their numbers may be traced, so
that runs can be stacked.
"""

from collections.abc import Callable
from typing import Any

import jax
import optax

from icljax.base import READ_OUT
from icljax.training.schedules import Numbers, Schedule

# A linear layer has to keep up with the features that it reads. After 1,000 quick steps of the
# joint task it names .561 of the families rightly at the model's own rate, .569 at 3 times and .581
# at 10 times that.
READ_OUT_PACE = 10.0

Maker = Callable[[Numbers, optax.Schedule], optax.GradientTransformation]


def decayed(params: Any) -> Any:
  """Which leaves AdamW's decay pulls to zero: the kernels of blocks; no bias, norm, embedding,
  position or head.
  """

  def is_block_kernel(path, _):
    names = [str(getattr(entry, 'key', entry)) for entry in path]
    return names[-1] == 'kernel' and any(name.startswith('block_') for name in names)

  return jax.tree_util.tree_map_with_path(is_block_kernel, params)


def adam(numbers: Numbers, rate: optax.Schedule) -> optax.GradientTransformation:
  """Kingma & Ba 2015."""
  del numbers
  return optax.adam(rate)


def adamw(numbers: Numbers, rate: optax.Schedule) -> optax.GradientTransformation:
  """Adam with decoupled decay of the leaves that `decayed` names (Loshchilov & Hutter 2019)."""
  weight: Any = numbers['weight_decay']  # optax says float, and takes what is traced
  decay = optax.add_decayed_weights(weight, decayed)
  return optax.chain(optax.scale_by_adam(), decay, optax.scale_by_learning_rate(rate))


def sgd(numbers: Numbers, rate: optax.Schedule) -> optax.GradientTransformation:
  """Gradient descent with heavy-ball momentum."""
  return optax.chain(optax.trace(numbers['momentum']), optax.scale_by_learning_rate(rate))


OPTIMIZERS: dict[str, Maker] = {'adam': adam, 'adamw': adamw, 'sgd': sgd}


def _is_read_out(params: Any) -> Any:
  """A mask that is true for the parameters of the read-out."""
  return {name: name == READ_OUT for name in params} if isinstance(params, dict) else False


def _is_model(params: Any) -> Any:
  """A mask that is true for all other parameters."""
  return {name: name != READ_OUT for name in params} if isinstance(params, dict) else True


def make_clipped(
  optimizer: Maker, schedule: Schedule
) -> Callable[[Numbers], optax.GradientTransformation]:
  """Puts a bound on the global norm of the gradient, `clip_norm` (inf: none), before an optimizer.

  The read-out is not clipped and does not count in the norm, else its labels would reach the model
  by way of the scale. It learns at `READ_OUT_PACE` times the rate.
  """

  def make(numbers: Numbers) -> optax.GradientTransformation:
    def rate(step):
      return schedule(numbers, step)

    clip = optax.masked(optax.clip_by_global_norm(numbers['clip_norm']), _is_model)
    hasten = optax.masked(optax.scale(READ_OUT_PACE), _is_read_out)
    return optax.chain(clip, optimizer(numbers, rate), hasten)

  return make
