"""`Binned` against closed forms, numeric integration, and Gaussians that it comes close to."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from icljax.likelihoods import Binned, PositiveBinned, choose_borders

BINS = 12
LEVELS = np.float32([1e-4, 1e-3, 0.02, 0.1, 0.25, 0.5, 0.7, 0.95, 0.999, 0.9999])
BEYOND = {Binned: (stats.halfnorm, stats.halfnorm), PositiveBinned: (stats.uniform, stats.expon)}
kinds = pytest.mark.parametrize('kind', BEYOND, ids=lambda kind: kind.__name__)


@functools.cache
def draws(dims: int = 8) -> np.ndarray:
  """Targets of linear regressions with noise .5, of weights and inputs N(0, I)."""
  rng = np.random.default_rng(0)
  w, x = rng.normal(size=(2, 50_000, dims))
  return np.float32((w * x).sum(1) + 0.5 * rng.normal(size=50_000))


def binned(kind: type[Binned], bins: int = BINS, spread: float = 1.0) -> Binned:
  """A likelihood at three positions."""
  rng = np.random.default_rng(bins)
  y = np.exp(draws() / 3) if kind is PositiveBinned else draws()
  borders, scales = choose_borders(y, bins, positive=kind is PositiveBinned)
  logits = jnp.asarray(spread * rng.normal(size=(3, bins)), jnp.float32)
  return kind.of(logits, borders, scales)


def density(ours: Binned, y: np.ndarray) -> np.ndarray:
  """p(y) of the first position, of `[N]`, bin by bin in 64 bits."""
  probs = np.exp(np.float64(ours.logits[0]))
  probs /= probs.sum()
  borders, scales = np.float64(ours.borders[0]), np.float64(ours.scales[0])
  lowest, highest = BEYOND[type(ours)]
  inner = [
    prob * stats.uniform(low, high - low).pdf(y) * (y < high)
    for prob, low, high in zip(probs[1:-1], borders[:-1], borders[1:])
  ]
  below = probs[0] * lowest(scale=scales[0]).pdf(borders[0] - y) * (y < borders[0])
  return below + sum(inner) + probs[-1] * highest(scale=scales[1]).pdf(y - borders[-1])


def integral(ours: Binned, values, end: float = np.inf) -> float:
  """The integral, up to an end, of a function of y times the density of the first position."""
  borders, scales = np.float64(ours.borders[0]), np.float64(ours.scales[0])
  start = 0.0 if isinstance(ours, PositiveBinned) else borders[0] - 12 * scales[0]
  ends = np.minimum([start, *borders, borders[-1] + 40 * scales[1]], end)
  nodes, weights = np.polynomial.legendre.leggauss(80)
  places = ends[:-1, None] + np.diff(ends)[:, None] * (nodes[None] + 1) / 2
  each = values(places) * density(ours, places)
  return float((np.diff(ends)[:, None] / 2 * weights[None] * each).sum())


@kinds
def test_log_prob_is_the_density(kind):
  ours = binned(kind)
  borders = np.float64(ours.borders[0])
  y = np.concatenate([np.linspace(borders[0] - 5, borders[-1] + 9, 400), [borders.min() - 1e-3]])
  y = np.float32(y[np.abs(y[:, None] - borders[None]).min(1) > 1e-4])
  y = y[y > 0] if kind is PositiveBinned else y
  ours_only = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[0], (len(y), *leaf.shape[1:])), ours)
  expected = density(ours, np.float64(y))
  np.testing.assert_allclose(ours_only.log_prob(y), np.log(expected), rtol=1e-4, atol=2e-5)
  np.testing.assert_allclose(ours_only.pdf(y), expected, rtol=1e-4)


@kinds
@pytest.mark.parametrize('bins', [2, 3, BINS])
def test_it_integrates_to_one_and_has_these_moments(kind, bins):
  ours = binned(kind, bins)
  assert integral(ours, np.ones_like) == pytest.approx(1, abs=1e-6)
  mean = integral(ours, lambda y: y)
  assert float(ours.mean()[0]) == pytest.approx(mean, rel=1e-5)
  variance = integral(ours, lambda y: (y - mean) ** 2)
  assert float(ours.variance()[0]) == pytest.approx(variance, rel=1e-5)


@kinds
@pytest.mark.parametrize('bins', [2, 3, BINS])
def test_cdf_is_the_integral_of_the_density(kind, bins):
  ours = binned(kind, bins)
  borders = np.float64(ours.borders[0])
  for y in (borders[0] - 0.3, borders[0], borders.mean() + 0.01, borders[-1], borders[-1] + 1):
    end = np.float64(np.float32(y))
    expected = integral(ours, np.ones_like, end)
    assert float(ours.cdf(jnp.full(3, end))[0]) == pytest.approx(expected, abs=1e-6)


@kinds
@pytest.mark.parametrize('spread', [1.0, 20.0])
@pytest.mark.parametrize('bins', [2, 3, 128])
def test_quantile_inverts_cdf(kind, bins, spread):
  """Also where most bins have no probability that 32 bits hold."""
  ours = binned(kind, bins, spread)
  ends = np.float32([1e-30, 1e-12, 1 - 6e-8])
  for level in (*LEVELS, *ends):
    y = ours.quantile(level)
    assert np.isfinite(y).all()
    np.testing.assert_allclose(ours.cdf(y), level, atol=1e-5 if level in LEVELS else 2e-6)
    if level < 1e-3:
      assert np.all(ours.cdf(y - 1e-3 * jnp.abs(y)) <= ours.cdf(y))
  y = np.array([ours.quantile(level) for level in np.sort(LEVELS)])
  assert np.all(np.diff(y, axis=0) > 0)


def test_the_tails_beyond_rare_levels_are_those_of_the_laws():
  """Closed forms, where 1 - cdf has no digits left."""
  ours = binned(Binned)
  probs = jax.nn.softmax(ours.logits)
  below = ours.borders[:, 0] + ours.scales[:, 0] * stats.norm.ppf(1e-9 / 2 / probs[:, 0])
  np.testing.assert_allclose(ours.quantile(1e-9), below, rtol=1e-5)
  level = np.float32(1 - 2.0**-22)
  above = ours.borders[:, -1] - ours.scales[:, 1] * stats.norm.ppf(2.0**-22 / 2 / probs[:, -1])
  np.testing.assert_allclose(ours.quantile(level), above, rtol=1e-5)
  times = binned(PositiveBinned)
  above = np.log(2.0**-22 / jax.nn.softmax(times.logits)[:, -1])
  expected = times.borders[:, -1] - times.scales[:, 1] * above
  np.testing.assert_allclose(times.quantile(level), expected, rtol=1e-5)


@kinds
def test_mode_is_where_the_density_is_highest(kind):
  ours = binned(kind)
  borders = np.float64(ours.borders[0])
  grid = np.linspace(max(borders[0] - 3, 1e-3), borders[-1] + 3, 20_001)
  assert density(ours, np.float64(ours.mode()[:1]))[0] >= density(ours, grid).max() * (1 - 1e-4)
  one_hot = lambda i: ours.replace(logits=20 * jax.nn.one_hot(jnp.full(3, i), BINS))
  np.testing.assert_allclose(one_hot(4).mode(), (ours.borders[:, 3] + ours.borders[:, 4]) / 2)
  np.testing.assert_allclose(one_hot(BINS - 1).mode(), ours.borders[:, -1])
  lowest = ours.borders[:, 0] / (2 if kind is PositiveBinned else 1)
  np.testing.assert_allclose(one_hot(0).mode(), lowest)


@kinds
@pytest.mark.parametrize('bins', [2, BINS])
def test_samples_have_the_cdf_and_reach_the_tails(kind, bins, key):
  ours = binned(kind, bins)
  values = np.asarray(jax.jit(lambda ours, key: ours.sample(key, (20_000,)))(ours, key))
  shares = jax.jit(jax.vmap(ours.cdf))(values)
  for position in range(3):
    assert stats.kstest(shares[:, position], 'uniform').pvalue > 1e-3
  beyond = values[:, 0] > float(ours.borders[0, -1] + 2 * ours.scales[0, 1])
  law = BEYOND[kind][1]
  expected = float(jax.nn.softmax(ours.logits)[0, -1]) * law.sf(2)
  assert abs(beyond.mean() - expected) < 4.5 * np.sqrt(expected / len(values))
  assert np.all(ours.support(values))


@kinds
def test_gradients_are_finite_everywhere_and_point_the_right_way(kind):
  ours = binned(kind)
  on_borders = [*ours.borders[0], np.nextafter(ours.borders[0, 3], np.float32(-9))]
  places = [*on_borders, 100.0, -100.0, 0.0, 1e20, -1e20, 1e30, 3e38]

  def score(logits, y):
    log_prob = ours.replace(logits=logits).log_prob(y)
    return jnp.where(ours.support(y), log_prob, 0.0).sum()

  gradients = jax.jit(jax.grad(score, argnums=(0, 1)))
  for y in places:
    for gradient in gradients(ours.logits, jnp.full(3, y, jnp.float32)):
      assert np.isfinite(gradient).all()
  by_logits, _ = gradients(ours.logits, jnp.full(3, 100.0))  # the last bin's rises
  expected = jax.nn.one_hot(BINS - 1, BINS) - jax.nn.softmax(ours.logits[0])
  np.testing.assert_allclose(by_logits[0], expected, atol=1e-6)
  _, by_y = gradients(ours.logits, jnp.full(3, 100.0))
  assert np.all(by_y < 0)


def test_no_target_is_moved_to_the_bins():
  ours = binned(Binned)
  y = np.float32([-40.0, -30.0, 30.0, 40.0])
  log_probs = np.array([ours.log_prob(jnp.full(3, value))[0] for value in y])
  assert log_probs[0] < log_probs[1] - 10
  assert log_probs[3] < log_probs[2] - 10
  times = binned(PositiveBinned)
  assert np.isneginf(times.log_prob(jnp.full(3, -1e-3))).all()
  assert np.all(times.cdf(jnp.full(3, -1e-3)) == 0)


@pytest.mark.parametrize('scale', [0.5, 0.7])
@pytest.mark.parametrize(('mean', 'most'), [(-2.0, 0.005), (0.0, 0.005), (2.0, 0.005), (5.0, 0.03)])
def test_the_best_density_of_128_bins_is_close_to_a_gaussian(mean, scale, most):
  """It loses at most as many nats as are asked, with targets of 8 dimensions; moments agree."""
  borders, scales = choose_borders(draws(), 128)
  gaussian = stats.norm(mean, scale)
  ends = np.concatenate([[-np.inf], np.float64(borders), [np.inf]])
  probs = np.where(ends[1:] < mean, np.diff(gaussian.cdf(ends)), -np.diff(gaussian.sf(ends)))
  ours = Binned.of(jnp.log(jnp.maximum(jnp.float32(probs), 1e-30)), borders, scales)
  y = np.linspace(mean - 8 * scale, mean + 8 * scale, 20_001)
  each = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (len(y), *leaf.shape)), ours)
  lost = gaussian.logpdf(y) - np.float64(each.log_prob(np.float32(y)))
  nats = np.sum(gaussian.pdf(y) * lost) * (y[1] - y[0])
  assert -1e-5 < nats < most
  assert float(ours.mean()) == pytest.approx(mean, abs=0.005)
  assert float(ours.variance()) == pytest.approx(scale**2, rel=0.05)
  np.testing.assert_allclose(each.cdf(np.float32(y)), gaussian.cdf(y), atol=0.02)


def test_more_bins_come_closer_to_a_gaussian():
  """The largest error of the cdf falls with the square of the widths."""
  y = np.linspace(-3, 3, 1001)
  errors = []
  for bins in (32, 256):
    borders, scales = choose_borders(stats.norm.ppf((np.arange(40_000) + 0.5) / 40_000), bins)
    ends = np.concatenate([[-np.inf], np.float64(borders), [np.inf]])
    ours = Binned.of(jnp.log(jnp.float32(np.diff(stats.norm.cdf(ends)))), borders, scales)
    each = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (len(y), *leaf.shape)), ours)
    errors.append(np.abs(each.cdf(np.float32(y)) - stats.norm.cdf(y)).max())
  assert errors[1] < errors[0] / 30


def test_borders_are_half_quantiles_half_equal_widths():
  """So of the draws and of even numbers together, every bin has as many."""
  y = draws()
  borders, (below, above) = choose_borders(y, 64)
  assert np.all(np.diff(borders) > 0)
  low, high = np.quantile(y, [1e-3, 1 - 1e-3])
  even = np.clip((np.asarray(borders) - low) / (high - low), 0, 1)
  drawn = (y[None] < np.asarray(borders)[:, None]).mean(1)
  np.testing.assert_allclose((even + drawn) / 2, np.arange(1, 64) / 64, atol=1e-3)
  excess = borders[0] - y[y < borders[0]]
  assert float(below) == pytest.approx(np.sqrt(np.mean(excess**2)), rel=1e-4)
  excess = y[y > borders[-1]] - borders[-1]
  assert float(above) == pytest.approx(np.sqrt(np.mean(excess**2)), rel=1e-4)


def test_borders_of_positive_draws_are_those_of_their_logarithms():
  y = np.exp(draws())
  borders, (lowest, above) = choose_borders(y, 64, positive=True)
  np.testing.assert_allclose(np.log(borders), choose_borders(draws(), 64)[0], atol=1e-4)
  assert float(lowest) == float(borders[0])
  assert float(above) == pytest.approx(float(np.mean(y[y > borders[-1]] - borders[-1])), rel=1e-4)


def test_borders_are_the_same_in_a_program_and_whatever_jax_is_set_to():
  y = draws()[:300]
  expected = choose_borders(y, 16)
  traced = jax.jit(lambda y: choose_borders(y, 16))(y)
  constant = jax.jit(lambda: choose_borders(y, 16))()
  for ours, theirs in zip((*traced, *constant), (*expected, *expected)):
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
  with jax.enable_x64(True):
    again = choose_borders(y, 16)
  assert all(
    np.array_equal(*pair) and pair[0].dtype == jnp.float32 for pair in zip(again, expected)
  )


@pytest.mark.parametrize(
  ('y', 'positive', 'given'),
  [
    (np.repeat([0.0, 1.0, 2.0], 50), False, '150 draws of 3 values from 0 to 2'),
    (np.full(9, 2.0), False, '9 draws of 1 values'),
    (np.array([0.1, np.nan, 3.0]), False, '3 draws'),
    (np.array([0.3, -1.0, 2.0, 5.0]), True, 'density above 0'),
  ],
)
def test_draws_that_make_no_bins_are_named(y, positive, given):
  with pytest.raises(ValueError, match=given) as error:
    choose_borders(y, 16, positive)
  assert '\n' not in str(error.value)


def test_wrong_numbers_of_bins_are_named():
  with pytest.raises(ValueError, match='bins is 1; a density needs at least 2'):
    choose_borders(draws(), 1)
  borders, scales = choose_borders(draws(), 8)
  with pytest.raises(ValueError, match=r'end in axes of \[9, 7, 2\]; allowed are \[n, n - 1, 2\]'):
    Binned.of(jnp.zeros((3, 9)), borders, scales)


def test_leaves_have_the_leading_axes_of_the_logits():
  borders, scales = choose_borders(draws(), 8)
  ours = Binned.of(jnp.zeros((4, 3, 8)), borders, scales)
  assert {leaf.shape[:2] for leaf in jax.tree.leaves(ours)} == {(4, 3)}
  assert ours.quantile(0.5).shape == ours.sample(jax.random.key(0)).shape == (4, 3)
  assert ours.sample(jax.random.key(0), (5,)).shape == (5, 4, 3)
