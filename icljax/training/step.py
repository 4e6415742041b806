"""One training step as a pure function: it draws its own batch, on whatever device it runs."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array

from icljax.base import READ_OUT, Predictor, draw_batch, stream
from icljax.training import losses
from icljax.training.early_stopping import Rule, Watch, stopping
from icljax.training.schedules import Numbers


class TrainState(struct.PyTreeNode):
  """All that training changes; `watch` where a run may stop early, `model_state` where a model has
  averages of batch norm.
  """

  params: Any
  opt_state: optax.OptState
  watch: Watch | None = None
  model_state: Any = None


class Settings(struct.PyTreeNode):
  """All that a step depends on besides the state: leaves, so that they may differ between runs of
  one program.

  Attributes:
    task: the task that episodes are drawn from.
    optimizer: the optimizer's numbers.
    seed: the seed of initialisation and training data.
    stop: when to stop early, or None.
    data: what episodes point to, such as drawings, or None.
  """

  task: Any
  optimizer: Numbers
  seed: Array
  stop: Rule | None = None
  data: Any = None


def of_model(gradient: Any) -> Any:
  """Without the read-out's, which is not clipped either."""
  return (
    {name: leaf for name, leaf in gradient.items() if name != READ_OUT}
    if isinstance(gradient, dict)
    else gradient
  )


def make_train_step(
  predictor: Callable[[Any, Any, Settings], Predictor],
  make_optimizer: Callable[[Numbers], optax.GradientTransformation],
  batch_size: int,
  stops_early: bool = False,
) -> Callable[..., tuple[TrainState, dict[str, Array]]]:
  """The step (settings, state, t, axis=None) -> (state, metrics).

  Args:
    predictor: (params, model state, settings) -> the model as a predictor.
    make_optimizer: from the optimizer's numbers to the optimizer.
    batch_size: episodes of all devices together.
    stops_early: whether to watch the loss, by `settings.stop` and in `state.watch`; the metrics
      then have `stopped`.

  The metrics are `loss` in nats per target and the global norm of the model's gradient. With
  `axis`, the name of a mapped axis, each of its members has its share of the batch, and gradients
  and metrics are averaged.
  """

  def step(settings: Settings, state: TrainState, t: Array, axis: str | None = None):
    episodes = draw_batch(
      settings.task.at(t), stream(settings.seed, 'train'), t, jnp.arange(batch_size), axis
    )

    def loss_of(params):
      scores, beside, model_state = predictor(params, state.model_state, settings).training_scores(
        episodes, axis
      )
      loss = losses.nats(scores, episodes).mean()
      return loss + beside, (loss, model_state)

    gradient, (loss, model_state) = jax.grad(loss_of, has_aux=True)(state.params)
    if axis is not None:
      loss, gradient = jax.lax.pmean((loss, gradient), axis)
    updates, opt_state = make_optimizer(settings.optimizer).update(
      gradient, state.opt_state, state.params
    )
    metrics = {'loss': loss, 'gradient_norm': optax.tree.norm(of_model(gradient))}
    params = optax.apply_updates(state.params, updates)
    return state.replace(params=params, opt_state=opt_state, model_state=model_state), metrics

  return stopping(step) if stops_early else step
