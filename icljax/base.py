"""The vocabulary: what a task, an episode and a predictor are. Everyone imports this file.

Axis letters, in every docstring as `[B, K, D]`:
  B  episodes in a batch              K  pairs in an episode, the query included
  D  dimensions of an input           Q  queries
  C  classes or linear predictors     T  tokens of a sequence
  E  width of an embedding            H  attention heads
  F  families of a joint task         J  components of a mixture
  N  devices                          S  samples of a posterior
"""

import zlib
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from icljax.ambient import PRNG
from icljax.likelihoods import Eta, Likelihood

# A commit that changes the bits of any training step raises it, and says why in CHANGELOG.
ARITHMETIC = 1
# Parameters of this name are trained beside a model, on what the model is not told.
READ_OUT = 'read_out'


class Episode(struct.PyTreeNode):
  """One sequence of pairs drawn from one task.

  Attributes:
    x: inputs `[K, D]`.
    y: targets `[K]`, one number per pair (the class index of a categorical target).
    weight: loss weights `[K]`.
    task: the truth that generated the episode, not the distribution that it is from: small leaves.
      Oracles and metrics read it; models never do.
  """

  x: Array
  y: Array
  weight: Array
  task: Any


class Task(Protocol):
  """A distribution over episodes: a pytree whose leaves are its numeric settings."""

  def sample(self, key: Array) -> Episode:
    """One episode. The key is consumed."""
    ...

  def at(self, step: Array) -> 'Task':
    """The task of a training step: another one where there is a curriculum."""
    ...

  def render(self, data: Any, x: Array) -> Array:
    """What a model reads of inputs `[..., K, ...]` that point into `data`, which is not None."""
    ...


class Predictor:
  """Reads episodes left to right and predicts each target from what stands before it.

  A subclass gives `along`; the rest follows from it, and may be overridden where there is a shorter
  way.
  """

  def along(self, episodes: Episode) -> Likelihood:
    """The predictive distribution of every target, `[B, K]`: row k depends on `x[:k+1]` and `y[:k]`
    only.
    """
    raise NotImplementedError

  def score(self, episodes: Episode) -> Array:
    """log p(y_k | x_k, the pairs before) of the episodes' own targets, `[B, K]`, in nats."""
    return score(self.along(episodes), episodes)

  def scores_and_means(self, episodes: Episode) -> tuple[Array, Array]:
    """`score`, and the mean of every predictive distribution: both `[B, K]`."""
    mean = lambda likelihood, episode: likelihood.given(episode.task).mean()
    return self.score(episodes), jax.vmap(mean)(self.along(episodes), episodes)

  def training_scores(self, episodes: Episode, axis: str | None) -> tuple[Array, Array, Any]:
    """What a training step needs of a model.

    `score`; the loss of what is trained beside the model without reaching its parameters, `[]`; and
    the model's next state, None if it has none, by the whole batch if it is shared out over a
    mapped `axis`.
    """
    del axis
    return self.score(episodes), jnp.float32(0), None

  def training_metrics(self, scores: Array, episodes: Episode) -> dict[str, Array]:
    """What is logged of a training step beside its loss, by name, `[]` each; means over episodes.

    Args:
      scores: of the episodes, `[B, K]`, as `training_scores` gives them.
    """
    del scores, episodes
    return {}

  def activations(self, x: Array, y: Array) -> dict[str, Array]:
    """What a model computes on its way, by name, for episodes `[B, K, ...]`, `[B, K]`."""
    raise NotImplementedError

  def at(self, x_context: Array, y_context: Array, x_query: Array, task: Any = None) -> Likelihood:
    """The predictive distribution at queries `[Q, D]` after a context `[k, D]`, `[k]`: `[Q]`.

    `task` is the truth, for the oracles that are told it.
    """
    queries = x_query.shape[0]
    many = lambda context: jnp.broadcast_to(context, (queries, *context.shape))
    x = jnp.concatenate([many(x_context), x_query[:, None]], axis=1)
    y = jnp.pad(many(y_context), ((0, 0), (0, 1)))
    episodes = Episode(x=x, y=y, weight=jnp.ones(y.shape), task=jax.tree.map(many, task))
    return jax.tree.map(lambda leaf: leaf[:, -1], self.along(episodes))


def score(predicted: Likelihood | Eta, episodes: Episode) -> Array:
  """log p of the episodes' own targets under what was predicted of them, `[B, K]`, in nats."""
  own = lambda likelihood, episode: likelihood.given(episode.task).log_prob(episode.y)
  return jax.vmap(own)(predicted, episodes)


def render(task: Task, data: Any, episodes: Episode) -> Episode:
  """Episodes as a model reads them: without data their inputs are what it reads."""
  return episodes if data is None else episodes.replace(x=task.render(data, episodes.x))


def stream(seed: Array, name: str) -> Array:
  """The key of the random stream called `name` under an integer `seed` (both may be traced)."""
  return jax.random.fold_in(jax.random.key(seed, impl=PRNG), zlib.crc32(name.encode()) & 0x7FFFFFFF)


def draw_batch(
  task: Task, key: Array, step: Array | int, indices: Array, axis: str | None = None
) -> Episode:
  """A step's episodes by their global indices `[B]`, or this device's share of them.

  Under a mapped `axis` its N members have ceil(B / N) each; where N does not divide B, the last
  episode fills up the shares.

  Every device draws the whole batch and keeps its part: compiled for other shapes, the same draws
  may round otherwise, so only like this are the episodes the same bits on any number of devices.
  """
  step_key = jax.random.fold_in(key, step)
  episodes = jax.vmap(lambda index: task.sample(jax.random.fold_in(step_key, index)))(indices)
  if axis is None:
    return episodes
  count, members = indices.shape[0], jax.lax.axis_size(axis)
  share = -(-count // members)
  if missing := members * share - count:
    last = jax.tree.map(lambda leaf: jnp.repeat(leaf[-1:], missing, axis=0), episodes)
    episodes = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), episodes, last)
  first = jax.lax.axis_index(axis) * share
  return jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, first, share), episodes)
