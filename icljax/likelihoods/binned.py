"""Densities that are constant in bins, with tails beyond the outer borders: any shape that data ask
for.

No target is moved to where the bins are: what lies beyond them has the density of a tail.
"""

from collections.abc import Callable
from typing import ClassVar, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.scipy.special import ndtr, ndtri

from icljax.ambient import fixed_arithmetic
from icljax.likelihoods.base import SMALLEST_NORMAL, Likelihood

# The share of draws on each side that equal widths leave to the tails. Of 128 bins for y of eight
# dimensions and noise .5, the best density loses .0019, .0072 nats beside N(2, .5^2), N(5, .5^2);
# with .0001 it loses .0021, .0093, and where equal widths reach the last draw .0023, .0113.
LEFT_TO_TAILS = 1e-3


class Law(NamedTuple):
  """A distribution of z from 0: of the distance from a border, in units of the bin's scale.

  Attributes:
    log_density, survival: log p(z) and P(Z > z) of z `[...]`.
    inverse_survival: the z that is exceeded with a probability `[...]` above 0, up to 1.
    sample: (key, shape) -> draws `[*shape]`.
    mean, variance: of z.
    mode, log_peak: where the density is highest, or the middle of where it is, and its log there.
  """

  log_density: Callable[[Array], Array]
  survival: Callable[[Array], Array]
  inverse_survival: Callable[[Array], Array]
  sample: Callable[[Array, tuple[int, ...]], Array]
  mean: float
  variance: float
  mode: float
  log_peak: float


UNIFORM = Law(
  log_density=jnp.zeros_like,
  survival=lambda z: jnp.clip(1 - z, 0.0, 1.0),
  inverse_survival=lambda share: 1 - share,
  sample=lambda key, shape: jax.random.uniform(key, shape),
  mean=1 / 2,
  variance=1 / 12,
  mode=1 / 2,
  log_peak=0.0,
)
HALF_NORMAL = Law(
  log_density=lambda z: -0.5 * z**2 + 0.5 * float(np.log(2 / np.pi)),
  survival=lambda z: 2 * ndtr(-z),
  inverse_survival=lambda share: -ndtri(share / 2),
  sample=lambda key, shape: jnp.abs(jax.random.normal(key, shape)),
  mean=float(np.sqrt(2 / np.pi)),
  variance=1 - 2 / np.pi,
  mode=0.0,
  log_peak=0.5 * float(np.log(2 / np.pi)),
)
EXPONENTIAL = Law(
  log_density=jnp.negative,
  survival=lambda z: jnp.exp(-z),
  inverse_survival=lambda share: -jnp.log(share),
  sample=lambda key, shape: jax.random.exponential(key, shape),
  mean=1.0,
  variance=1.0,
  mode=0.0,
  log_peak=0.0,
)


class Binned(Likelihood):
  """Real numbers of n >= 2 bins: uniform between borders, half-normal below the lowest one and
  above the highest one.

  Bin i has the probability softmax(logits)_i. A target on a border belongs to the bin above.

  Attributes:
    logits: `[..., n]`.
    borders: increasing, `[..., n - 1]`.
    scales: of the half-normal laws below and above, in units of y, `[..., 2]`.
  """

  targets: ClassVar[str] = 'finite numbers'
  lowest: ClassVar[Law] = HALF_NORMAL
  highest: ClassVar[Law] = HALF_NORMAL
  logits: Array
  borders: Array
  scales: Array

  @classmethod
  def of(cls, *parameters: Array | float) -> Self:
    """The likelihood of logits `[..., n]`, borders `[..., n - 1]` and scales `[..., 2]`, whose
    leading axes are broadcast.

    Raises:
      ValueError: for other numbers of borders and scales, and a single bin.
    """
    values = [jnp.asarray(parameter) for parameter in parameters]
    sizes = [value.shape[-1] for value in values]
    bins = sizes[0]
    if bins < 2 or sizes != [bins, bins - 1, 2]:
      raise ValueError(
        f'logits, borders and scales end in axes of {sizes}; allowed are [n, n - 1, 2] for n bins, '
        'at least 2'
      )
    shape = jnp.broadcast_shapes(*(value.shape[:-1] for value in values))
    return cls(*(_expand(value, shape) for value in values))

  def support(self, y):
    return jnp.isfinite(y)

  def pdf(self, y) -> Array:
    """The density at y, `[...]`."""
    return jnp.exp(self.log_prob(y))

  def _log_prob(self, y):
    index, z = self._locate(y)
    log_density = self._by_law(index, lambda law: law.log_density(z))
    return _take(jax.nn.log_softmax(self.logits) - jnp.log(jnp.abs(self._steps)), index) + (
      log_density
    )

  def mean(self):
    return (jax.nn.softmax(self.logits) * self._means).sum(-1)

  def mode(self) -> Array:
    """Where the density is highest, `[...]`: the middle of a bin, or the border of a tail."""
    log_peaks = self.logits - jnp.log(jnp.abs(self._steps)) + self._of_laws('log_peak')
    return _take(self._starts + self._steps * self._of_laws('mode'), log_peaks.argmax(-1))

  def variance(self):
    within = self._steps**2 * self._of_laws('variance')
    offsets = self._means - self.mean()[..., None]
    return (jax.nn.softmax(self.logits) * (within + offsets**2)).sum(-1)

  def _cdf(self, y):
    index, z = self._locate(y)
    probs = jax.nn.softmax(self.logits)
    prob, below = _take(probs, index), _take(_sums_before(probs), index)
    share = below + prob * z
    share = jnp.where(index == 0, prob * self.lowest.survival(z), share)
    return jnp.where(self._is_last(index), 1 - prob * self.highest.survival(z), share)

  def _quantile(self, q):
    probs = jax.nn.softmax(self.logits)
    below = _sums_before(probs)
    q = jnp.broadcast_to(q, jnp.broadcast_shapes(q.shape, self.logits.shape[:-1]))
    index = (_expand(below, q.shape)[..., 1:] < q[..., None]).sum(-1)
    prob = jnp.maximum(_take(probs, index), SMALLEST_NORMAL)
    z = jnp.clip((q - _take(below, index)) / prob, 0.0, 1.0)
    # Of tails the part that is left beyond y, which no rounding brings to 0.
    z = jnp.where(index == 0, self.lowest.inverse_survival(jnp.minimum(q / prob, 1.0)), z)
    above = self.highest.inverse_survival(jnp.minimum((1 - q) / prob, 1.0))
    z = jnp.where(self._is_last(index), above, z)
    return _take(self._starts, index) + _take(self._steps, index) * z

  def _sample(self, key):
    index_key, *z_keys = jax.random.split(key, 4)
    index = jax.random.categorical(index_key, self.logits)
    laws = (self.lowest, UNIFORM, self.highest)
    draws = [law.sample(z_key, index.shape) for law, z_key in zip(laws, z_keys)]
    z = jnp.where(index == 0, draws[0], jnp.where(self._is_last(index), draws[2], draws[1]))
    return _take(self._starts, index) + _take(self._steps, index) * z

  @property
  def _starts(self) -> Array:
    """Where each bin's z is 0, `[..., n]`: at its lower border, of the lowest bin its upper one."""
    return jnp.concatenate([self.borders[..., :1], self.borders], axis=-1)

  @property
  def _steps(self) -> Array:
    """What z = 1 is in each bin, `[..., n]`: below 0 in the lowest one."""
    tails, widths = self.scales, jnp.diff(self.borders, axis=-1)
    return jnp.concatenate([-tails[..., :1], widths, tails[..., 1:]], axis=-1)

  @property
  def _means(self) -> Array:
    return self._starts + self._steps * self._of_laws('mean')

  def _of_laws(self, name: str) -> Array:
    """A number of the law of each bin, of the shape of the logits `[..., n]`."""
    inner = [UNIFORM] * (self.logits.shape[-1] - 2)
    numbers = [getattr(law, name) for law in (self.lowest, *inner, self.highest)]
    return jnp.broadcast_to(jnp.asarray(numbers, jnp.float32), self.logits.shape)

  def _by_law(self, index: Array, read: Callable[[Law], Array]) -> Array:
    """What a function gives of the law of each target's bin, `[...]`."""
    inner_or_last = jnp.where(self._is_last(index), read(self.highest), read(UNIFORM))
    return jnp.where(index == 0, read(self.lowest), inner_or_last)

  def _is_last(self, index: Array) -> Array:
    return index == self.logits.shape[-1] - 1

  def _locate(self, y: Array) -> tuple[Array, Array]:
    """The bin of each target and its z there, both `[...]`."""
    y = jnp.broadcast_to(y, jnp.broadcast_shapes(y.shape, self.logits.shape[:-1]))
    index = (y[..., None] >= _expand(self.borders, y.shape)).sum(-1)
    return index, (y - _take(self._starts, index)) / _take(self._steps, index)


class PositiveBinned(Binned):
  """Numbers from 0 of n >= 2 bins: uniform between 0 and the highest border, exponential beyond.

  Attributes:
    scales: the lowest border, which is the width of the lowest bin, and the mean excess over the
      highest one, `[..., 2]`.
  """

  targets: ClassVar[str] = 'numbers from 0'
  lowest: ClassVar[Law] = UNIFORM
  highest: ClassVar[Law] = EXPONENTIAL

  def support(self, y):
    return (y >= 0) & jnp.isfinite(y)


@fixed_arithmetic()
def choose_borders(y: Array, bins: int, positive: bool = False) -> tuple[Array, Array]:
  """Borders `[bins - 1]` and scales `[2]` of the bins that suit some draws.

  Borders are quantiles of the draws and as many numbers at equal distances, so half the bins follow
  the draws and half are of equal width. Where `positive`, all this is of log y. Scales are those of
  greatest likelihood.

  Args:
    y: draws `[N]` of a density, such as of targets under a prior.
    bins: their number, at least 2.
    positive: whether the borders are for `PositiveBinned` and not for `Binned`.

  Raises:
    ValueError: for fewer than 2 bins; if y is not traced, for draws that are too few, not finite or
      not positive, and so many equal ones that bins have no width.
  """
  if bins < 2:
    raise ValueError(f'bins is {bins}; a density needs at least 2')
  y = jnp.asarray(y, jnp.float32)
  values = jnp.log(y) if positive else y
  ends = jnp.quantile(values, jnp.array([LEFT_TO_TAILS, 1 - LEFT_TO_TAILS]))
  even = jnp.linspace(ends[0], ends[1], len(y))
  borders = jnp.quantile(jnp.concatenate([values, even]), jnp.arange(1, bins) / bins)
  borders = jnp.exp(borders) if positive else borders
  rising = jnp.diff(borders, prepend=y.min(), append=y.max()) > 0
  if not isinstance(rising, Tracer) and not rising.all():
    kind = 'a density above 0' if positive else 'a density'
    raise ValueError(
      f'y has {y.size} draws of {jnp.unique(y).size} values from {y.min():g} to {y.max():g}, too '
      f'few for {bins} bins; give more draws of {kind}'
    )
  below, above = jnp.maximum(borders[0] - y, 0.0), jnp.maximum(y - borders[-1], 0.0)
  if positive:
    return borders, jnp.stack([borders[0], _mean_beyond(above)])
  return borders, jnp.sqrt(jnp.stack([_mean_beyond(below**2), _mean_beyond(above**2)]))


def _mean_beyond(excess: Array) -> Array:
  """The mean of those that are not 0, `[]` of `[N]`."""
  return excess.sum() / (excess > 0).sum()


def _sums_before(values: Array) -> Array:
  """The sum of all values before each one, `[..., n]`."""
  sums = jnp.cumsum(values, axis=-1)
  return jnp.concatenate([jnp.zeros_like(sums[..., :1]), sums[..., :-1]], axis=-1)


def _expand(values: Array, shape: tuple[int, ...]) -> Array:
  """Values `[..., n]` with leading axes of a shape, `[*shape, n]`."""
  return jnp.broadcast_to(values, (*shape, values.shape[-1]))


def _take(values: Array, index: Array) -> Array:
  """The values `[..., n]` at an index `[...]`, `[...]`."""
  shape = jnp.broadcast_shapes(values.shape[:-1], index.shape)
  index = jnp.broadcast_to(index, shape)[..., None]
  return jnp.take_along_axis(_expand(values, shape), index, axis=-1)[..., 0]
