"""The exact answer where weights are from a pool: a sum over the pool, for every family.

The probability of each task, given k pairs, is a softmax of its running log-likelihood; for linear
regression the mean of this answer is known as dMMSE (Raventos et al. 2023). The pool is drawn
chunk by chunk and never held. Over each chunk goes one scan along the pairs of all episodes, which
adds to an online sum of exponentials for every position (its maximum, the sum relative to it, and
the sum weighted by what each task predicts). So memory does not grow with the pool, and one program
serves pools of all sizes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from icljax.ambient import fixed_arithmetic
from icljax.base import Episode, Predictor
from icljax.glm.priors import Pool
from icljax.glm.task import GLM, family_likelihood, loses_to_atom
from icljax.likelihoods import LOWEST as LOWEST_LOG_PROB
from icljax.likelihoods import Likelihood, as_targets

# Tasks of a pool that are held at once. Of 64 to 4,096, the fastest for 512 episodes of 16 pairs.
CHUNK = 256
# Where maxima start. From -inf the difference of two of them would be nan.
LOWEST = -1e30


class Sums(NamedTuple):
  """Sums of exponentials over tasks, each relative to its largest exponent.

  Attributes:
    most: the largest exponent so far.
    total: the sum of exp(exponent - most).
    weighted: that of the same times what a task predicts.
  """

  most: Array
  total: Array
  weighted: Array

  @classmethod
  def over_tasks(cls, exponents: Array, values: Array) -> 'Sums':
    """Of exponents and values `[F, B, m]` over families and tasks, `[B]`."""
    most = jnp.maximum(exponents.max((0, 2)), LOWEST)
    terms = jnp.exp(exponents - most[None, :, None])
    return cls(most, terms.sum((0, 2)), (terms * values).sum((0, 2)))

  def merge(self, other: 'Sums') -> 'Sums':
    """The sums over the tasks of both."""
    most = jnp.maximum(self.most, other.most)
    ours, theirs = jnp.exp(self.most - most), jnp.exp(other.most - most)
    return Sums(
      most,
      self.total * ours + other.total * theirs,
      self.weighted * ours + other.weighted * theirs,
    )


class PoolPosterior(Predictor, struct.PyTreeNode):
  """The posterior predictive of who knows the pool, and neither task nor family.

  `score` and `scores_and_means` are one pass over the pool for all episodes. Call them for whole
  batches and not under a `map`, in which the pool would be drawn again for each member.

  Attributes:
    task: what episodes are taken to be drawn from; its prior is a `Pool` of at least one task.
  """

  task: GLM

  def along(self, episodes: Episode) -> 'PoolPredictive':
    batch, points = episodes.y.shape
    sums = self._sums(episodes.x, episodes.y)
    every = lambda leaf: jnp.broadcast_to(leaf[:, None], (batch, points, *leaf.shape[1:]))
    return PoolPredictive(
      x=every(episodes.x),
      y=every(episodes.y),
      position=jnp.broadcast_to(jnp.arange(points)[None], (batch, points)),
      expected=_mean(sums),
      task=jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (batch, points)), self.task),
    )

  def score(self, episodes: Episode) -> Array:
    return _log_probs(self._sums(episodes.x, episodes.y))

  def scores_and_means(self, episodes: Episode) -> tuple[Array, Array]:
    sums = self._sums(episodes.x, episodes.y)
    return _log_probs(sums), _mean(sums)

  def _sums(self, x: Array, y: Array) -> Sums:
    """The sums after each 0..K pairs of episodes `[B, K, D]`, `[B, K]`: each `[K+1, B]`."""
    batch, points = y.shape

    def add(chunk: Array, sums: Sums) -> Sums:
      return sums.merge(self._chunk_sums(*self._draw(chunk), x, y))

    start = Sums(jnp.full((points + 1, batch), LOWEST), *jnp.zeros((2, points + 1, batch)))
    return self._over_chunks(add, start)

  def _chunk_sums(self, w: Array, log_prior: Array, x: Array, y: Array) -> Sums:
    """The sums `[K+1, B]` over some tasks `[m, C, D]` of prior log-probabilities `[m]`."""

    def step(log_likelihood: Array, pair: tuple[Array, Array]) -> tuple[Array, Sums]:
      log_prob, mean = self._predict(w, *pair)
      return log_likelihood + log_prob, Sums.over_tasks(log_likelihood, mean)

    shape = (len(self.task.families), len(y), len(w))
    before = jnp.broadcast_to(log_prior[None, None], shape)
    after, along = jax.lax.scan(step, before, (x.swapaxes(0, 1), y.T))
    last = Sums.over_tasks(after, jnp.zeros(shape))
    return cast(Sums, jax.tree.map(lambda *ks: jnp.concatenate([ks[0], ks[1][None]]), along, last))

  def log_likelihoods(self, w: Array, x: Array, y: Array, count: Array) -> Array:
    """log p of the first `count` `[P]` targets under each of some tasks: `[F, P, m]`.

    Args:
      w: weights `[m, C, D]`.
      x, y: contexts `[P, K, D]`, `[P, K]`.
    """

    def step(k: Array, total: Array) -> Array:
      return total + jnp.where((k < count)[None, :, None], self._predict(w, x[:, k], y[:, k])[0], 0)

    start = jnp.zeros((len(self.task.families), len(y), len(w)))
    return jax.lax.fori_loop(0, y.shape[1], step, start)

  def _predict(self, w: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """log p(y) and E[y] under some tasks `[m, C, D]` of targets `[B]` at `[B, D]`: `[F, B, m]`."""
    parts = self._likelihoods(w, x)
    log_prob = jnp.stack([part.log_prob(y[:, None]) for part in parts])
    is_ruled_out = loses_to_atom(self.task.families, self.task.dispersion, y)
    log_prob = jnp.where(is_ruled_out[..., None], -jnp.inf, log_prob)
    return log_prob, jnp.stack([part.mean() for part in parts])

  def _likelihoods(self, w: Array, x: Array) -> list[Likelihood]:
    """Of every family, the distribution under some tasks `[m, C, D]` at `[B, D]`: `[B, m]`."""
    eta = self.task.eta(w.reshape(-1, w.shape[-1]), x).reshape(len(x), *w.shape[:2])
    return [
      family.likelihood(eta[..., : family.predictors], self.task.dispersion)
      for family in self.task.families
    ]

  def expect(
    self, read: Callable[[Likelihood], Array], x: Array, y: Array, position: Array
  ) -> Array:
    """The mean of something of the next target's distribution, over tasks and families: `[P]`.

    Args:
      read: gives `[P, m]` of the distributions under m tasks, `[P, m]`.
      x, y: episodes `[P, K, D]`, `[P, K]`, of which what stands before `position` is the context.
      position: `[P]`.
    """
    queries = jnp.take_along_axis(x, position[:, None, None], axis=1)[:, 0]

    def add(chunk: Array, sums: Sums) -> Sums:
      w, log_prior = self._draw(chunk)
      exponents = self.log_likelihoods(w, x, y, position) + log_prior[None, None]
      values = jnp.stack([read(part) for part in self._likelihoods(w, queries)])
      return sums.merge(Sums.over_tasks(exponents, values))

    sums = self._over_chunks(add, Sums(jnp.full(len(y), LOWEST), *jnp.zeros((2, len(y)))))
    return sums.weighted / sums.total

  def _draw(self, chunk: Array) -> tuple[Array, Array]:
    """The weights of a chunk `[m, C, D]`; 0 where one is in the pool, else -inf, `[m]`."""
    index, shape = chunk * CHUNK + jnp.arange(CHUNK), (self.task.predictors, self.task.dims)
    w = jax.vmap(lambda index: self._pool.weights(index, shape))(index)
    # Beyond the largest pool the index has gone round to below 0.
    return w, jnp.where((index >= 0) & (index < self._pool.size), 0.0, -jnp.inf)

  def _over_chunks(self, body: Callable[[Array, Any], Any], start: Any) -> Any:
    """What a body (chunk, state) -> state makes of a state over all chunks of the pool."""
    return jax.lax.fori_loop(0, (self._pool.size - 1) // CHUNK + 1, body, start)

  @property
  def _pool(self) -> Pool:
    return cast(Pool, self.task.prior)


def _log_probs(sums: Sums) -> Array:
  """log p of every target given those before, `[B, K]`: the growth of the evidence `[K+1, B]`."""
  return (jnp.diff(sums.most, axis=0) + jnp.diff(jnp.log(sums.total), axis=0)).T


def _mean(sums: Sums) -> Array:
  """E[y] of every target, `[B, K]`."""
  return (sums.weighted / sums.total)[:-1].T


class PoolPredictive(Likelihood):
  """The mixture over a pool's tasks, given a context, that is summed up when it is asked.

  Asking for a log-probability, a variance, a cdf or a sample takes a pass over the pool, for all
  positions together; asking for a quantile takes 32 passes.

  Attributes:
    x, y: episodes `[..., K, D]`, `[..., K]`, of which what stands before `position` is the context.
    position: of the target in its episode, `[...]`.
    expected: E[y], `[...]`.
    task: what episodes are taken to be drawn from; its leaves are the same everywhere, `[...]`.
  """

  x: Array
  y: Array
  position: Array
  expected: Array
  task: GLM

  def support(self, y):
    parts = [
      family.likelihood(jnp.zeros((*y.shape, family.predictors)), self._posterior.task.dispersion)
      for family in self.task.families
    ]
    return jnp.any(jnp.stack([part.support(y) for part in parts]), axis=0)

  @fixed_arithmetic()
  def log_prob(self, y):
    y = as_targets(y)
    shape = jnp.broadcast_shapes(y.shape, self.position.shape)
    x, context, position = self._flat(shape)
    is_asked = jnp.arange(context.shape[1])[None] == position[:, None]
    filled = jnp.where(is_asked, jnp.broadcast_to(y, shape).reshape(-1, 1), context)
    log_probs = _log_probs(self._posterior._sums(x, filled))
    answer = jnp.take_along_axis(log_probs, position[:, None], axis=1).reshape(shape)
    return jnp.where(self.support(y), jnp.maximum(answer, LOWEST_LOG_PROB), -jnp.inf)

  def mean(self):
    return self.expected

  @fixed_arithmetic()
  def variance(self):
    shape, mean = self.expected.shape, self.expected.reshape(-1, 1)
    read = lambda part: part.variance() + (part.mean() - mean) ** 2
    return self._posterior.expect(read, *self._flat(shape)).reshape(shape)

  @fixed_arithmetic()
  def _cdf(self, y):
    shape = jnp.broadcast_shapes(y.shape, self.position.shape)
    y = jnp.broadcast_to(y, shape).reshape(-1, 1)
    return self._posterior.expect(lambda part: part.cdf(y), *self._flat(shape)).reshape(shape)

  @fixed_arithmetic()
  def _sample(self, key):
    """Draws a family and a task of the pool by its probability (Gumbel's maximum), then y."""
    x, y, position = self._flat(self.position.shape)
    posterior, count = self._posterior, len(position)
    choice_key, y_key = jax.random.split(key)

    def choose(chunk, best):
      w, log_prior = posterior._draw(chunk)
      exponents = posterior.log_likelihoods(w, x, y, position) + log_prior[None, None]
      noise = jax.random.gumbel(jax.random.fold_in(choice_key, chunk), exponents.shape)
      candidates = (exponents + noise).swapaxes(0, 1).reshape(count, -1)
      here = jnp.argmax(candidates, axis=1)
      value = jnp.take_along_axis(candidates, here[:, None], axis=1)[:, 0]
      family, task = jnp.divmod(here, CHUNK)
      new = value, family, chunk * CHUNK + task
      return tuple(jnp.where(value > best[0], ours, theirs) for ours, theirs in zip(new, best))

    start = jnp.full(count, -jnp.inf), *jnp.zeros((2, count), jnp.int32)
    _, family, index = posterior._over_chunks(choose, start)

    def draw(family, index, x, key):
      task = posterior.task
      w = posterior._pool.weights(index, (task.predictors, task.dims))
      return family_likelihood(task, task.eta(w, x), family).sample(key)

    queries = jnp.take_along_axis(x, position[:, None, None], axis=1)[:, 0]
    drawn = jax.vmap(draw)(family, index, queries, jax.random.split(y_key, count))
    return drawn.reshape(self.position.shape)

  @property
  def _posterior(self) -> PoolPosterior:
    return PoolPosterior(jax.tree.map(lambda leaf: leaf.reshape(-1)[0], self.task))

  def _flat(self, shape: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Episodes and positions broadcast to a shape of P members: `[P, K, D]`, `[P, K]`, `[P]`."""
    points, dims = self.x.shape[-2:]
    x = jnp.broadcast_to(self.x, (*shape, points, dims)).reshape(-1, points, dims)
    y = jnp.broadcast_to(self.y, (*shape, points)).reshape(-1, points)
    return x, y, jnp.broadcast_to(self.position, shape).reshape(-1)
