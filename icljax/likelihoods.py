"""Predictive distributions: one class each, used to sample a task, to score a baseline and as a
model's output.

A likelihood is a pytree whose leaves have the shape of the targets it describes (`...` below: `[K]`
for an episode, `[B, K]` for a batch). Build it with `of`, which broadcasts its parameters against
each other: a scalar scale that is vmapped to `[B]` beside a location `[B, K]` would be silently
wrong where B == K.

`eta` is the linear predictor of a generalized linear model and has one meaning everywhere: the mean
is `eta` (Gaussian), `sigmoid(eta)`, `exp(eta)` or `softmax(eta)`.
"""

from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array
from jax.core import Tracer
from jax.scipy.special import gammaln, logsumexp
from jax.typing import ArrayLike

from icljax.ambient import as_threefry
from icljax.inputs import as_float32

# jax.random.exponential and gamma do return 0.0, where a log density is infinite.
SMALLEST_POSITIVE = 1e-30
# A log-probability is finite wherever y is possible: it is computed of y up to here, where with
# |eta| up to 10 none of its terms overflows but a Gaussian's square, and is at least the lowest
# number that there is.
LARGEST_Y = 1e30
LOWEST = float(jnp.finfo(jnp.float32).min)


def as_targets(y: Any) -> Array:
  """Targets of any kind, such as lists, integers and 64 bits, as `[...]` of 32 bits.

  Raises:
    ValueError: for booleans, texts, and numbers that 32 bits cannot hold.
  """
  if isinstance(y, Tracer) or (isinstance(y, Array) and y.dtype == jnp.float32):
    return jnp.asarray(y, jnp.float32)
  return jnp.asarray(as_float32('y', y))


class Likelihood(struct.PyTreeNode):
  """A distribution over one number per position."""

  discrete: ClassVar[bool] = False
  targets: ClassVar[str] = 'those of its support'  # what can occur, in a few words

  @classmethod
  def of(cls, *parameters: Array | float) -> Self:
    """The likelihood whose parameters are broadcast to one shape."""
    return cls(*jnp.broadcast_arrays(*map(jnp.asarray, parameters)))

  def given(self, truth) -> 'Likelihood':
    """Itself: only `Eta` needs the episode's truth to become a likelihood."""
    del truth
    return self

  def support(self, y: Array) -> Array:
    """Whether `y` can occur at all, as booleans `[...]`."""
    raise NotImplementedError

  def log_prob(self, y: ArrayLike) -> Array:
    """log p(y) in nats `[...]`: a probability where `discrete`, else a density; finite in the
    support, -inf outside.

    Raises:
      ValueError: for booleans, texts, and numbers that 32 bits cannot hold.
    """
    y = as_targets(y)
    # Before any log: a `where` afterwards still gives NaN gradients.
    safe = jnp.clip(jnp.where(self.support(y), y, 1.0), -LARGEST_Y, LARGEST_Y)
    return jnp.where(self.support(y), jnp.maximum(self._log_prob(safe), LOWEST), -jnp.inf)

  def _log_prob(self, y: Array) -> Array:
    raise NotImplementedError

  def mean(self) -> Array:
    """E[y], `[...]`."""
    raise NotImplementedError

  def sample(self, key: Array) -> Array:
    """One draw, `[...]`. The key is consumed."""
    raise NotImplementedError


class Gaussian(Likelihood):
  """N(eta, scale^2); eta and scale `[...]`."""

  targets: ClassVar[str] = 'finite numbers'
  eta: Array
  scale: Array

  def support(self, y):
    return jnp.isfinite(y)

  def _log_prob(self, y):
    return (
      -0.5 * ((y - self.eta) / self.scale) ** 2 - jnp.log(self.scale) - 0.5 * jnp.log(2 * jnp.pi)
    )

  def mean(self):
    return self.eta

  def sample(self, key):
    return self.eta + self.scale * jax.random.normal(key, self.eta.shape)


class Bernoulli(Likelihood):
  """y in {0, 1} with P(y = 1) = sigmoid(eta); eta `[...]`."""

  discrete: ClassVar[bool] = True
  targets: ClassVar[str] = 'labels 0 and 1'
  eta: Array

  def support(self, y):
    return (y == 0) | (y == 1)

  def _log_prob(self, y):
    return y * self.eta - jax.nn.softplus(self.eta)

  def mean(self):
    return jax.nn.sigmoid(self.eta)

  def sample(self, key):
    return jax.random.bernoulli(key, self.mean()).astype(jnp.float32)


def _is_count(y: Array) -> Array:
  return (y >= 0) & (y == jnp.floor(y)) & jnp.isfinite(y)


class Poisson(Likelihood):
  """Counts with mean and variance exp(eta); eta `[...]`."""

  discrete: ClassVar[bool] = True
  targets: ClassVar[str] = 'counts 0, 1, 2, ...'
  eta: Array

  def support(self, y):
    return _is_count(y)

  def _log_prob(self, y):
    return y * self.eta - jnp.exp(self.eta) - gammaln(y + 1)

  def mean(self):
    return jnp.exp(self.eta)

  def sample(self, key):
    return jax.random.poisson(as_threefry(key), self.mean()).astype(jnp.float32)


class NegativeBinomial(Likelihood):
  """NB2: counts with mean m = exp(eta) and variance m + m^2/r; eta and r `[...]`."""

  discrete: ClassVar[bool] = True
  targets: ClassVar[str] = 'counts 0, 1, 2, ...'
  eta: Array
  r: Array

  def support(self, y):
    return _is_count(y)

  def _log_prob(self, y):
    log_r, log_sum = jnp.log(self.r), jnp.logaddexp(jnp.log(self.r), self.eta)  # log(r + m)
    choose = gammaln(y + self.r) - gammaln(self.r) - gammaln(y + 1)
    return choose + self.r * (log_r - log_sum) + y * (self.eta - log_sum)

  def mean(self):
    return jnp.exp(self.eta)

  def sample(self, key):
    rate_key, count_key = jax.random.split(as_threefry(key))
    rate = jax.random.gamma(rate_key, self.r) * self.mean() / self.r
    return jax.random.poisson(count_key, rate).astype(jnp.float32)


class Exponential(Likelihood):
  """Positive times with mean exp(eta); eta `[...]`."""

  targets: ClassVar[str] = 'numbers from 0'
  eta: Array

  def support(self, y):
    return (y >= 0) & jnp.isfinite(y)

  def _log_prob(self, y):
    return -self.eta - y * jnp.exp(-self.eta)

  def mean(self):
    return jnp.exp(self.eta)

  def sample(self, key):
    return jnp.maximum(self.mean() * jax.random.exponential(key, self.eta.shape), SMALLEST_POSITIVE)


class Categorical(Likelihood):
  """Class indices 0..C-1 with probabilities softmax(eta); eta `[..., C]`. Its mean is that of the
  index.
  """

  discrete: ClassVar[bool] = True
  targets: ClassVar[str] = 'class indices 0 to C - 1'
  eta: Array

  def support(self, y):
    return _is_count(y) & (y < self.eta.shape[-1])

  def _log_prob(self, y):
    index = jnp.clip(y, 0, self.eta.shape[-1] - 1).astype(jnp.int32)
    return jnp.take_along_axis(jax.nn.log_softmax(self.eta), index[..., None], axis=-1)[..., 0]

  def probs(self) -> Array:
    """P(y = c), `[..., C]`."""
    return jax.nn.softmax(self.eta)

  def mean(self):
    return self.probs() @ jnp.arange(self.eta.shape[-1], dtype=self.eta.dtype)

  def sample(self, key):
    return jax.random.categorical(key, self.eta).astype(jnp.float32)


class Mixture(Likelihood):
  """A mixture of F kinds of likelihood with J components each: log_weights `[..., F, J]`, parts F
  of shape `[..., J]`.

  Discrete and continuous parts are compared under one measure: at a value that a discrete part can
  take only the probabilities count, elsewhere only the densities. Draws of continuous parts are
  moved off such values.
  """

  log_weights: Array
  parts: tuple[Likelihood, ...]

  def _each(self, read) -> Array:
    return jnp.stack([read(part) for part in self.parts], axis=-2)  # [..., F, J]

  def _is_atom(self, y: Array) -> Array:
    atoms = [part.support(y[..., None])[..., 0] for part in self.parts if part.discrete]
    return jnp.any(jnp.stack(atoms), axis=0) if atoms else jnp.zeros(y.shape, bool)

  def support(self, y):
    return self._each(lambda part: part.support(y[..., None])).any((-2, -1))

  def part_log_probs(self, y: Array) -> Array:
    """log p(y) of every component under the common measure, `[..., F, J]`."""
    atom = self._is_atom(y)[..., None]

    def read(part):
      log_prob = part.log_prob(y[..., None])
      return log_prob if part.discrete else jnp.where(atom, -jnp.inf, log_prob)

    return self._each(read)

  def log_prob(self, y):
    y = as_targets(y)
    return logsumexp(self.log_weights + self.part_log_probs(y), axis=(-2, -1))

  def mean(self):
    return (jnp.exp(self.log_weights) * self._each(lambda part: part.mean())).sum((-2, -1))

  def sample(self, key):
    choice_key, *part_keys = jax.random.split(key, 1 + len(self.parts))
    components = self.log_weights.shape[-1]
    choice = jax.random.categorical(
      choice_key, self.log_weights.reshape(*self.log_weights.shape[:-2], -1)
    )
    kind, component = jnp.divmod(choice, components)

    def draw(part, part_key):
      axis = choice.ndim
      pick = lambda leaf: jnp.take_along_axis(
        leaf, component.reshape(choice.shape + (1,) * (leaf.ndim - axis)), axis=axis
      )
      y = jax.tree.map(pick, part).sample(part_key)[..., 0]
      if part.discrete:
        return y
      aside = y + 1e-6 * jnp.maximum(jnp.abs(y), 1.0)
      return jnp.where(self._is_atom(y), aside, y)

    # [..., F].
    draws = jnp.stack(
      [draw(part, part_key) for part, part_key in zip(self.parts, part_keys)], axis=-1
    )
    return jnp.take_along_axis(draws, kind[..., None], axis=-1)[..., 0]


class Eta(struct.PyTreeNode):
  """A linear predictor `[..., C]` whose family is not said: `given(truth)` completes it to a
  likelihood.
  """

  eta: Array

  def given(self, truth) -> Likelihood:
    return truth.likelihood(self.eta)
