"""One training step as a pure function: it draws its own batch, on whatever device it runs."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array

from icljax.base import READ_OUT, Predictor, draw_batch, render, stream
from icljax.training import losses
from icljax.training.early_stopping import Rule, StopState, stop_early
from icljax.training.schedules import Numbers

# Episodes of a held-out loss, the same ones at every step, so that two losses differ by what was
# learned between them. Scoring them once in a window costs little beside the window's steps.
HELD_OUT_EPISODES = 64


class TrainState(struct.PyTreeNode):
  """All that training changes. The names are part of saved states.

  Attributes:
    params: the parameters of the model.
    opt_state: the state of the optimizer.
    watch: the state of early stopping, or None where a run does not stop early.
    model_state: what a model carries beside parameters, such as averages of batch norm, or None.
  """

  params: Any
  opt_state: optax.OptState
  watch: StopState | None = None
  model_state: Any = None

  def light(self) -> 'TrainState':
    """What predictions need of it: parameters and model state."""
    return self.replace(opt_state=(), watch=None)


class Settings(struct.PyTreeNode):
  """All numbers that a step depends on besides state and data, as leaves.

  So they may differ between runs of one compiled program.

  Attributes:
    task: the task that episodes are drawn from.
    optimizer: the optimizer's numbers.
    seed: the seed of initialisation and training data.
    stop: when to stop early, or None.
    held_out: the task of the episodes whose loss decides when to stop; None where the training loss
      does.
  """

  task: Any
  optimizer: Numbers
  seed: Array
  stop: Rule | None = None
  held_out: Any = None


def without_read_out(gradient: Any) -> Any:
  """A gradient without that of the read-out, which is not clipped either."""
  if not isinstance(gradient, dict):
    return gradient
  return {name: leaf for name, leaf in gradient.items() if name != READ_OUT}


def make_train_step(
  make_predictor: Callable[[Any, Any, Any], Predictor],
  make_optimizer: Callable[[Numbers], optax.GradientTransformation],
  batch_size: int,
  stops_early: bool = False,
) -> Callable[..., tuple[TrainState, dict[str, Array]]]:
  """Makes a training step.

  Args:
    make_predictor: (task, params, model state) -> the model as a predictor.
    make_optimizer: (the optimizer's numbers) -> the optimizer.
    batch_size: episodes of all devices together.
    stops_early: whether the run stops by `settings.stop`; then `state.watch` is set.

  Returns:
    `step(data, settings, state, t, axis=None) -> (state, metrics)`. `data` is what the inputs of
    episodes point to, or None. The metrics are `loss` in nats per target, the global norm of the
    model's gradient, the model's `training_metrics`, and `stopped` where `stops_early`. With
    `axis`, the name of a mapped axis, each of its members has its share of the batch, and gradients
    and metrics are averaged.
  """

  def step(data: Any, settings: Settings, state: TrainState, t: Array, axis: str | None = None):
    task, key = settings.task.at(t), stream(settings.seed, 'train')
    episodes = render(task, data, draw_batch(task, key, t, jnp.arange(batch_size), axis))

    def loss_of(params):
      # Of the whole task: a curriculum changes what is drawn, not the model.
      model = make_predictor(settings.task, params, state.model_state)
      scores, side_loss, model_state = model.training_scores(episodes, axis)
      loss = losses.nats(scores, episodes).mean()
      metrics = {'loss': loss} | model.training_metrics(scores, episodes)
      return loss + side_loss, (metrics, model_state)

    gradient, (metrics, model_state) = jax.grad(loss_of, has_aux=True)(state.params)
    if axis is not None:
      metrics, gradient = jax.lax.pmean((metrics, gradient), axis)
    optimizer = make_optimizer(settings.optimizer)
    updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
    metrics['gradient_norm'] = optax.tree.norm(without_read_out(gradient))
    params = optax.apply_updates(state.params, updates)
    return state.replace(params=params, opt_state=opt_state, model_state=model_state), metrics

  def held_out_loss(data: Any, settings: Settings, state: TrainState, t: Array) -> Array:
    """The loss in nats on held-out episodes; every device scores all of them."""
    task, key = settings.held_out.at(t), stream(settings.seed, 'held_out')
    episodes = render(task, data, draw_batch(task, key, 0, jnp.arange(HELD_OUT_EPISODES)))
    model = make_predictor(settings.task, state.params, state.model_state)
    return losses.nats(model.score(episodes), episodes).mean()

  return stop_early(step, held_out_loss) if stops_early else step
