"""Generalized linear models: the family, the weights and the inputs of an episode are drawn, then
its responses.

w ~ N(0, I) `[C, D]` or one of a pool of such weights, x ~ N(0, data_scale^2 I) `[K, D]`,
eta = clip(scale * w.x, -clip, clip), y ~ family(eta), no intercept. With several families the
episode's one is drawn uniformly, whatever its weights, and nothing in x or y's encoding names it.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from icljax.ambient import fixed_arithmetic
from icljax.base import Episode, Task
from icljax.families import Dispersion, Family
from icljax.glm.priors import Gaussian, Pool, Prior
from icljax.likelihoods import Likelihood, Mixture


class Ramp(struct.PyTreeNode):
  """`start`, then `increment` more every `interval` steps."""

  start: Array
  increment: Array
  interval: Array

  def at(self, step: Array) -> Array:
    return self.start + self.increment * (step // self.interval)

  def full_size_step(self, size: int) -> Array:
    """The first step at which it is `size`; the largest number there is if it never is."""
    stages = -((self.start - size) // jnp.maximum(self.increment, 1))
    never = (self.increment == 0) & (self.start < size)
    return jnp.where(never, jnp.iinfo(jnp.int32).max, jnp.maximum(stages, 0) * self.interval)


class Curriculum(struct.PyTreeNode):
  """Growing episodes (Garg et al. 2022, appendix A.2): how many dimensions and pairs are in use;
  masks, not shapes.
  """

  dims: Ramp
  points: Ramp


class FamilyTask(Task, Protocol):
  """A task whose targets are responses of known families.

  It may also have `references() -> dict[str, Predictor]`, by name, best first: what a model is
  measured against. Without them a model is measured alone, for the oracles are those of `GLM` and
  of no task derived from it; unless its class says `changes_only_inputs = True`, which promises
  that only inputs are drawn otherwise: weights, linear predictors and responses are those of a
  `GLM` with its `scale`, `clip`, `dispersion` and `families`.
  """

  @property
  def dims(self) -> int:
    """D."""
    ...

  @property
  def points(self) -> int:
    """K."""
    ...

  @property
  def predictors(self) -> int:
    """C: linear predictors that the widest of the families needs."""
    ...

  @property
  def families(self) -> tuple[Any, ...]:
    """What targets may be: the `icljax.families.Family` members that a model's head answers with.

    Of several, the truth of an episode has the index as `family`.
    """
    ...

  @property
  def dispersion(self) -> Any:
    """What the families have besides eta, an `icljax.families.Dispersion`."""
    ...


class GLM(struct.PyTreeNode):
  """A distribution over episodes of generalized linear models.

  Attributes:
    scale: standard deviation of the coefficients scale * w.
    clip: bound of the linear predictor.
    dispersion: noise of `linear`, r of `neg_binomial`.
    families: what an episode's family is drawn from.
    dims: D, number of inputs.
    points: K, pairs in an episode.
    data_scale: standard deviation of the inputs.
    only: the index of the one family that episodes are of, though any is possible to who does not
      know; None for all.
    curriculum: how dimensions and pairs grow in training, or None.
    active_dims, active_points: how many are in use; None for all. The other inputs are 0, the other
      pairs have no weight.
    prior: what an episode's weights are drawn from.
  """

  scale: Array
  clip: Array
  dispersion: Dispersion
  families: tuple[Family, ...] = struct.field(pytree_node=False)
  dims: int = struct.field(pytree_node=False)
  points: int = struct.field(pytree_node=False)
  data_scale: Array | float = 1.0
  only: Array | None = None
  curriculum: Curriculum | None = None
  active_dims: Array | None = None
  active_points: Array | None = None
  prior: Prior = Gaussian()

  def at(self, step: Array) -> 'GLM':
    """The task of a training step."""
    if self.curriculum is None:
      return self
    dims, points = self.curriculum.dims.at(step), self.curriculum.points.at(step)
    return self.replace(curriculum=None, active_dims=dims, active_points=points)

  def render(self, data: Any, x: Array) -> Array:
    """The inputs themselves."""
    del data
    return x

  @property
  def full_size_step(self) -> Array:
    """The training step from which on all dimensions and pairs are in use, `[]`."""
    if self.curriculum is None:
      return jnp.int32(0)
    return jnp.maximum(
      self.curriculum.dims.full_size_step(self.dims),
      self.curriculum.points.full_size_step(self.points),
    )

  @property
  def predictors(self) -> int:
    """C: linear predictors that the widest family needs."""
    return max(family.predictors for family in self.families)

  @fixed_arithmetic()
  def pool(self, count: int) -> Array:
    """The first `count` weights of its pool, unscaled as `GLMTruth.w` is: `[count, C, D]`.

    Raises:
      ValueError: if its prior has no pool.
    """
    prior, shape = self.prior, (self.predictors, self.dims)
    if not isinstance(prior, Pool):
      raise ValueError(f'the prior of this task is {prior}, which has no pool: set a Pool')
    return jax.vmap(lambda index: prior.weights(index, shape))(jnp.arange(count))

  def with_fresh_weights(self) -> 'GLM':
    """The same task with new weights in every episode, whatever its pool."""
    if not isinstance(self.prior, Pool):
      return self
    return self.replace(prior=self.prior.replace(size=jnp.zeros_like(self.prior.size)))

  def eta(self, w: Array, x: Array) -> Array:
    """Linear predictors `[..., C]` of weights `[C, D]` at inputs `[..., D]`."""
    return jnp.clip(self.scale * x @ w.T, -self.clip, self.clip)

  def sample(self, key: Array) -> Episode:
    """One episode of `points` pairs. The key is consumed."""
    family_key, w_key, x_key, y_key = jax.random.split(key, 4)
    family = jax.random.randint(family_key, (), 0, len(self.families))
    w, index = self.prior.draw(w_key, (self.predictors, self.dims))
    truth = GLMTruth(
      family=family if self.only is None else self.only,
      w=w,
      glm=self,
      index=index,
    )
    x = self.data_scale * jax.random.normal(x_key, (self.points, self.dims))
    weight = jnp.ones(self.points)
    if self.active_dims is not None:
      x = x * (jnp.arange(self.dims) < self.active_dims)[None]
    if self.active_points is not None:
      weight = weight * (jnp.arange(self.points) < self.active_points)
    y = truth.likelihood(truth.eta(x)).sample(y_key)
    return Episode(x=x, y=y, weight=weight, task=truth)


class GLMTruth(struct.PyTreeNode):
  """What generated an episode.

  Attributes:
    family: the index of its family, `[]`.
    w: its weights, `[C, D]`.
    glm: the task that it was drawn from.
    index: the index of its weights in the pool, `[]`; -1 of weights that are in none.
  """

  family: Array
  w: Array
  glm: GLM
  index: Array

  def eta(self, x: Array) -> Array:
    """True linear predictors `[..., C]` at inputs `[..., D]`."""
    return self.glm.eta(self.w, x)

  def likelihood(self, eta: Array) -> Likelihood:
    """The episode's family at linear predictors `[..., C]`."""
    return family_likelihood(self.glm, eta, self.family)


def family_likelihood(task: FamilyTask, eta: Array, family: Array | int) -> Likelihood:
  """The likelihood of one of a task's families, `[...]`.

  Args:
    eta: linear predictors `[..., C]`.
    family: the index of the family, `[]`; it may be traced, and then the others are members of a
      mixture that have no weight.
  """
  families, dispersion = task.families, task.dispersion
  if len(families) == 1:
    return families[0].likelihood(eta, dispersion)
  log_weights = jnp.where(jnp.arange(len(families)) == family, 0.0, -jnp.inf)
  parts = tuple(
    member.likelihood(eta[..., None, : member.predictors], dispersion) for member in families
  )
  return Mixture(jnp.broadcast_to(log_weights[:, None], (*eta.shape[:-1], len(families), 1)), parts)


def loses_to_atom(families: tuple[Family, ...], dispersion: Dispersion, y: Array) -> Array:
  """Where targets `[...]` rule a family out, under the common measure of `Mixture`: `[F, ...]`.

  A density counts for nothing at a value that a discrete one of the families can take.
  """
  parts = [
    family.likelihood(jnp.zeros((*y.shape, family.predictors)), dispersion) for family in families
  ]
  atoms = [part.support(y) for part in parts if part.discrete]
  never = jnp.zeros(y.shape, bool)
  is_atom = jnp.any(jnp.stack([never, *atoms]), axis=0)
  return jnp.stack([never if part.discrete else is_atom for part in parts])
