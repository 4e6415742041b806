"""Small tasks and episodes that several tests use."""

import functools

import jax
import jax.numpy as jnp

from icljax.base import Episode, draw_batch, stream
from icljax.families import Dispersion, families
from icljax.glm.priors import Pool
from icljax.glm.task import GLM

NAMES = tuple(families(4))


def glm(
  *names: str,
  dims: int = 3,
  points: int = 8,
  scale: float = 0.5,
  classes: int = 4,
  r: float = 1.2,
  clip: float = 4.0,
) -> GLM:
  """A task of the named families."""
  known = families(classes)
  return GLM(
    scale=jnp.float32(scale),
    clip=jnp.float32(clip),
    dispersion=Dispersion(noise=jnp.float32(0.5), r=jnp.float32(r)),
    families=tuple(known[name] for name in names),
    dims=dims,
    points=points,
  )


def with_pool(task: GLM, size: int, seed: int = 0) -> GLM:
  """The same task with weights from a pool."""
  return task.replace(prior=Pool(jnp.int32(size), jnp.uint32(seed)))


def linear_regression(dims: int = 8, points: int = 16) -> GLM:
  """Linear regression as it was published: weights N(0, I), noise of variance 1/4, no clip."""
  return glm('linear', dims=dims, points=points, scale=1.0, clip=float('inf'))


@jax.jit
def draw_at(task: GLM, indices: jax.Array) -> Episode:
  """The episodes of these indices, `[B]`."""
  return draw_batch(task, stream(jnp.uint32(0), 'test'), 0, indices)


@functools.cache
def draw(*names: str, count: int = 4_000, **settings) -> Episode:
  """`count` episodes of a task of the named families."""
  return draw_at(glm(*names, **settings), jnp.arange(count))


@jax.jit
def eta_of(episodes: Episode) -> jax.Array:
  """True linear predictors `[B, K, C]`."""
  return jax.vmap(lambda episode: episode.task.eta(episode.x))(episodes)


@jax.jit
def true_log_prob(episodes):
  """log p(y_k | true weights), `[B, K]`."""
  return jax.vmap(
    lambda episode: episode.task.likelihood(episode.task.eta(episode.x)).log_prob(episode.y)
  )(episodes)
