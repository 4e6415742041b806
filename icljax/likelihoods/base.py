"""What every likelihood has, and how a quantile is found where there is only a cdf."""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array
from jax.core import Tracer
from jax.typing import ArrayLike

from icljax.inputs import as_float32

# jax.random.exponential and gamma do return 0.0, where a log density is infinite.
SMALLEST_POSITIVE = 1e-30
# A log-probability is finite wherever y is possible: it is computed of y up to here, where with
# |eta| up to 10 none of its terms overflows but a Gaussian's square, and is at least the lowest
# number that there is.
LARGEST_Y = 1e30
LOWEST = float(jnp.finfo(jnp.float32).min)
SMALLEST_NORMAL = float(jnp.finfo(jnp.float32).tiny)
BITS_OF_INFINITY = 0x7F800000
HALVINGS = 32  # after which one is left of the 2 * 0x7F800000 numbers from -inf to inf


def as_targets(y: Any) -> Array:
  """Targets of any kind, such as lists, integers and 64 bits, as `[...]` of 32 bits.

  Raises:
    ValueError: for booleans, texts, and numbers that 32 bits cannot hold.
  """
  if isinstance(y, Tracer) or (isinstance(y, Array) and y.dtype == jnp.float32):
    return jnp.asarray(y, jnp.float32)
  return jnp.asarray(as_float32('y', y))


def as_probabilities(q: Any) -> Array:
  """Probabilities of any kind as `[...]` of 32 bits; nan where they are traced and not allowed.

  Raises:
    ValueError: for what is no number, and numbers that are not between 0 and 1.
  """
  if not isinstance(q, Tracer):
    q = as_float32('q', q)  # of numpy: a constant in a traced function is checked too
    wrong = q[~((q > 0) & (q < 1))]
    if wrong.size:
      raise ValueError(
        f'q is {wrong[0]:g}; a quantile exists for numbers above 0 and below 1, of 32 bits'
      )
  q = jnp.asarray(q, jnp.float32)
  return jnp.where((q > 0) & (q < 1), q, jnp.nan)


class Likelihood(struct.PyTreeNode):
  """A distribution over one number per position.

  A subclass gives `support`, `_log_prob`, `mean` and `_sample`, and where they make sense
  `variance`, `_cdf` and, if it has a closed form, `_quantile`.
  """

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

  def variance(self) -> Array:
    """E[(y - E[y])^2], `[...]`.

    Raises:
      NotImplementedError: by a user-defined likelihood that does not say it.
    """
    raise NotImplementedError(f'{type(self).__name__} has no variance: it defines none')

  def cdf(self, y: ArrayLike) -> Array:
    """P(Y <= y), `[...]`, for any real y: 0 at -inf, 1 at inf, nan at nan.

    Raises:
      ValueError: for booleans, texts, and numbers that 32 bits cannot hold.
      NotImplementedError: by a likelihood that has none: classes have no order.
    """
    y = as_targets(y)
    inside = self._cdf(jnp.clip(jnp.where(jnp.isnan(y), 0.0, y), -LARGEST_Y, LARGEST_Y))
    share = jnp.where(jnp.isinf(y), jnp.where(y > 0, 1.0, 0.0), inside)
    return jnp.where(jnp.isnan(y), jnp.nan, share)

  def _cdf(self, y: Array) -> Array:
    raise NotImplementedError(f'{type(self).__name__} has no cdf or quantile: it defines none')

  def quantile(self, q: ArrayLike) -> Array:
    """The smallest y with cdf(y) >= q, `[...]`, for q above 0 and below 1; nan for a traced q that
    is not.

    Raises:
      ValueError: for what is no number, and numbers that are not above 0 and below 1.
      NotImplementedError: by a likelihood that has no cdf.
    """
    q = as_probabilities(q)
    return jnp.where(jnp.isnan(q), jnp.nan, self._quantile(q))

  def _quantile(self, q: Array) -> Array:
    shape = np.broadcast_shapes(q.shape, jax.eval_shape(self.mean).shape)
    return bisect(lambda y: self.cdf(y) >= q, shape)

  def sample(self, key: Array, shape: tuple[int, ...] = ()) -> Array:
    """Independent draws, `[*shape, ...]`: one, `[...]`, without a shape. The key is consumed."""
    draw = self._sample
    for _ in shape:
      draw = jax.vmap(draw)
    return draw(jax.random.split(key, shape) if shape else key)

  def _sample(self, key: Array) -> Array:
    raise NotImplementedError


def bisect(is_reached: Callable[[Array], Array], shape: tuple[int, ...]) -> Array:
  """The smallest of the numbers of 32 bits where a condition holds that holds from there on.

  It halves the numbers that are left rather than an interval, so the answer is exact for numbers of
  any size, and a whole number where the condition changes at whole numbers.

  Args:
    is_reached: says of numbers `[...]` whether the condition holds; true at inf, never asked there.
    shape: `[...]`.
  """

  def halve(_, ends):
    low, high = ends
    middle = (low >> 1) + (high >> 1) + (low & high & 1)  # their sum would not fit in 32 bits
    reached = is_reached(_number(middle))
    return jnp.where(reached, low, middle), jnp.where(reached, middle, high)

  ends = tuple(jnp.full(shape, end, jnp.int32) for end in (-BITS_OF_INFINITY, BITS_OF_INFINITY))
  return _number(jax.lax.fori_loop(0, HALVINGS, halve, ends)[1])


def _number(rank: Array) -> Array:
  """The number of 32 bits that is the rank-th above 0, or below where it is negative, `[...]`.

  Those that are not normal are 0, as most hardware takes them for.
  """
  size = jax.lax.bitcast_convert_type(jnp.abs(rank), jnp.float32)
  return jnp.where(size < SMALLEST_NORMAL, 0.0, jnp.where(rank < 0, -size, size))


class Eta(struct.PyTreeNode):
  """A linear predictor `[..., C]` whose family is not said: `given(truth)` completes it to a
  likelihood.
  """

  eta: Array

  def given(self, truth) -> Likelihood:
    return truth.likelihood(self.eta)
