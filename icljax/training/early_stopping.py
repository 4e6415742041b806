"""Stopping a run when its loss has stopped falling, inside the compiled program: the same for one
run and for many stacked.

Every batch is fresh, so the training loss is an unbiased estimate of the loss on new episodes.
Means over `window` steps are compared; once `patience` steps have brought no mean that is lower by
`min_delta`, the run is stopped: further steps change nothing. No window counts that begins before
`earliest`, the step at which the schedule has its peak and a curriculum is at its full size.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array


class Rule(struct.PyTreeNode):
  """When to stop: steps, nats, steps, step."""

  patience: Array
  min_delta: Array
  window: Array
  earliest: Array


class Watch(struct.PyTreeNode):
  """What is known of the loss so far: the sum over the present window, the best mean, its step, and
  whether to stop.
  """

  total: Array
  best: Array
  best_step: Array
  stopped: Array


def start() -> Watch:
  """Before the first step."""
  return Watch(
    jnp.float32(0), jnp.float32(jnp.finfo(jnp.float32).max), jnp.int32(0), jnp.bool_(False)
  )


def watch(rule: Rule, seen: Watch, loss: Array, t: Array) -> Watch:
  """What is known after the step with index t, and its loss."""
  done = t + 1
  full = done % rule.window == 0
  mean = (seen.total + loss) / rule.window
  better = full & (done - rule.window >= rule.earliest) & (mean < seen.best - rule.min_delta)
  best_step = jnp.where(better, done, seen.best_step)
  waited = done - jnp.maximum(best_step, rule.earliest)
  return Watch(
    total=jnp.where(full, 0.0, seen.total + loss),
    best=jnp.where(better, mean, seen.best),
    best_step=best_step,
    stopped=full & (waited >= rule.patience),
  )


def stopping(
  step: Callable[..., tuple[Any, dict[str, Array]]],
) -> Callable[..., tuple[Any, dict[str, Array]]]:
  """A step (settings, state, t, axis) that watches its loss by `settings.stop`, in `state.watch`,
  and reports `stopped`.
  """

  def watched(settings, state, t, axis=None):
    def go(state):
      after, metrics = step(settings, state, t, axis)
      seen = watch(settings.stop, state.watch, metrics['loss'], t)
      return after.replace(watch=seen), metrics | {'stopped': seen.stopped.astype(jnp.float32)}

    def rest(state):
      shapes = jax.eval_shape(go, state)[1]
      return state, {name: jnp.ones(shape.shape, shape.dtype) for name, shape in shapes.items()}

    return jax.lax.cond(state.watch.stopped, rest, go, state)

  return watched
