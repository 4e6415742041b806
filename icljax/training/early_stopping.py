"""Stopping a run when its loss has ceased to fall, inside the compiled program.

It is the same for one run and for many stacked. Every batch is fresh, so the training loss is an
unbiased estimate of the loss on new episodes. Means over `window` steps are compared, or instead
the loss on held-out episodes at the end of every window; once `patience` steps have brought none
that is lower by `min_delta`, the run is stopped: further steps change nothing. No window counts
that begins before `earliest`, the step at which the schedule has its peak and a curriculum is at
its full size.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array


class Rule(struct.PyTreeNode):
  """When to stop.

  Attributes:
    patience: steps without a better mean after which the run is stopped.
    min_delta: nats by which a mean, or a held-out loss, has to be lower to be better.
    window: steps whose mean loss is compared, or between two held-out losses.
    earliest: the first step that counts.
  """

  patience: Array
  min_delta: Array
  window: Array
  earliest: Array


class StopState(struct.PyTreeNode):
  """What the loss has been so far. The names are part of saved states.

  Attributes:
    total: the sum of the loss over the present window, in nats.
    best: the lowest mean of a window, or the lowest held-out loss, in nats.
    best_step: the step at which that window ended.
    stopped: whether the run is stopped.
  """

  total: Array
  best: Array
  best_step: Array
  stopped: Array


def init_stop_state() -> StopState:
  """The state before the first step."""
  highest = jnp.float32(jnp.finfo(jnp.float32).max)
  return StopState(jnp.float32(0), highest, jnp.int32(0), jnp.bool_(False))


def ends_window(rule: Rule, t: Array) -> Array:
  """Whether the step with index t is the last one of a window."""
  return (t + 1) % rule.window == 0


def update_stop_state(
  rule: Rule, before: StopState, loss: Array, t: Array, held_out: Array | None = None
) -> StopState:
  """The state after the step with index t.

  Args:
    loss: the training loss of that step, in nats.
    held_out: the held-out loss after it, in nats, which is read at the end of a window; None where
      the training loss is what counts.
  """
  steps, full = t + 1, ends_window(rule, t)
  mean = (before.total + loss) / rule.window if held_out is None else held_out
  better = full & (steps - rule.window >= rule.earliest) & (mean < before.best - rule.min_delta)
  best_step = jnp.where(better, steps, before.best_step)
  waited = steps - jnp.maximum(best_step, rule.earliest)
  return StopState(
    total=jnp.where(full, 0.0, before.total + loss),
    best=jnp.where(better, mean, before.best),
    best_step=best_step,
    stopped=full & (waited >= rule.patience) & (best_step > 0),  # some window has counted
  )


def stop_early(
  step: Callable[..., tuple[Any, dict[str, Array]]], held_out_loss: Callable[..., Array]
) -> Callable[..., Any]:
  """A training step that stops by `settings.stop`, with its state in `state.watch`.

  Args:
    step: (data, settings, state, t, axis) -> (state, metrics), among them `loss`.
    held_out_loss: (data, settings, state, t) -> nats, asked at the end of every window where
      `settings.held_out` is set.

  Returns:
    The same with the metric `stopped`, 1 from the last step on.
  """

  def stopping_step(data, settings, state, t, axis=None):
    def go(state):
      after, metrics = step(data, settings, state, t, axis)
      held_out = None
      if settings.held_out is not None:
        held_out = jax.lax.cond(
          ends_window(settings.stop, t),
          lambda state: held_out_loss(data, settings, state, t),
          lambda _: jnp.float32(0),
          after,
        )
      stop_state = update_stop_state(settings.stop, state.watch, metrics['loss'], t, held_out)
      stopped = stop_state.stopped.astype(jnp.float32)
      return after.replace(watch=stop_state), metrics | {'stopped': stopped}

    def rest(state):
      shapes = jax.eval_shape(go, state)[1]
      return state, {name: jnp.ones(shape.shape, shape.dtype) for name, shape in shapes.items()}

    return jax.lax.cond(state.watch.stopped, rest, go, state)

  return stopping_step
