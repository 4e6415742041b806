"""Modes against scipy's optimiser, evidences against quadrature in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import statsmodels.api as sm
from scipy import optimize, special

from icljax.glm import laplace as posterior
from icljax.glm.oracles import prefixes
from tests.glms import NAMES, draw, glm

EACH = pytest.mark.parametrize('name', NAMES)
SCALE, NOISE, R = 0.32, 0.5, 1.2


def log_likelihood(name: str, eta: np.ndarray, y: np.ndarray) -> np.ndarray:
  """Float64, written from the textbook: `[..., K]` from eta `[..., K, C]` and y `[K]`."""
  first = eta[..., 0]
  match name:
    case 'linear':
      return -0.5 * ((y - first) / NOISE) ** 2 - np.log(NOISE * np.sqrt(2 * np.pi))
    case 'logistic':
      return y * first - np.logaddexp(0, first)
    case 'poisson':
      return y * first - np.exp(first) - special.gammaln(y + 1)
    case 'neg_binomial':
      p = R / (R + np.exp(first))
      return (
        special.gammaln(y + R)
        - special.gammaln(R)
        - special.gammaln(y + 1)
        + R * np.log(p)
        + y * np.log1p(-p)
      )
    case 'exponential':
      return -first - y * np.exp(-first)
    case 'multinomial':
      chosen = np.take_along_axis(
        eta, np.broadcast_to(y.astype(int)[:, None], (*eta.shape[:-1], 1)), -1
      )[..., 0]
      return chosen - special.logsumexp(eta, axis=-1)
  raise ValueError(name)


def slope(name: str, eta: np.ndarray, y: np.ndarray) -> np.ndarray:
  """d log_likelihood / d eta, `[K, C]`."""
  first = eta[:, 0]
  match name:
    case 'linear':
      return ((y - first) / NOISE**2)[:, None]
    case 'logistic':
      return (y - special.expit(first))[:, None]
    case 'poisson':
      return (y - np.exp(first))[:, None]
    case 'neg_binomial':
      return (y - (y + R) * np.exp(first) / (R + np.exp(first)))[:, None]
    case 'exponential':
      return (y * np.exp(-first) - 1)[:, None]
    case 'multinomial':
      return np.eye(eta.shape[1])[y.astype(int)] - special.softmax(eta, axis=-1)
  raise ValueError(name)


@EACH
def test_mode_is_scipys_optimum(name):
  """200 episodes: the penalised gradient vanishes for every k, and at one k each the coefficients
  are scipy's.
  """
  dims, points, cases = 5, 20, 200
  task = glm(name, dims=dims, points=points, scale=SCALE)
  family, drawn = task.families[0], draw(name, count=cases, dims=dims, points=points, scale=SCALE)
  fit = lambda x, y, k: posterior.mode(family, task, x, y, jnp.arange(points) < k)[0]
  modes = jax.jit(jax.vmap(jax.vmap(fit, (None, None, 0)), (0, 0, None)))(
    drawn.x, drawn.y, jnp.arange(points + 1)
  )
  xs, ys, modes = (np.asarray(values, np.float64) for values in (drawn.x, drawn.y, modes))

  def gradient(beta, x, y):
    beta = beta.reshape(family.predictors, dims)
    return (-slope(name, x @ beta.T, y).T @ x + beta / SCALE**2).ravel()

  def loss(beta, x, y):
    beta = beta.reshape(family.predictors, dims)
    return -log_likelihood(name, x @ beta.T, y).sum() + 0.5 * (beta**2).sum() / SCALE**2

  norms = [
    np.linalg.norm(gradient(modes[i, k], xs[i, :k], ys[i, :k]))
    for i in range(cases)
    for k in range(points + 1)
  ]
  assert max(norms) <= 1e-3
  for i in range(cases):
    k = i % (points + 1)
    x, y = xs[i, :k], ys[i, :k]
    best = optimize.minimize(
      loss,
      np.zeros(family.predictors * dims),
      (x, y),
      jac=gradient,
      method='L-BFGS-B',
      options={'gtol': 1e-7, 'ftol': 1e-15},
    )
    np.testing.assert_allclose(modes[i, k].ravel(), best.x, atol=1e-3)


@pytest.mark.parametrize(
  ('name', 'theirs'),
  [
    ('poisson', sm.families.Poisson()),
    ('neg_binomial', sm.families.NegativeBinomial(alpha=1 / 1.2)),
    ('logistic', sm.families.Binomial()),
  ],
)
def test_mode_is_statsmodels_ridge(name, theirs):
  """Its penalty belongs to the mean over pairs."""
  drawn, task = draw(name, count=10, points=20, scale=SCALE), glm(name, points=20, scale=SCALE)
  fit = jax.jit(
    jax.vmap(lambda x, y: posterior.mode(task.families[0], task, x, y, jnp.ones(20, bool))[0][0])
  )
  for x, y, ours in zip(
    *(np.asarray(values, np.float64) for values in (drawn.x, drawn.y, fit(drawn.x, drawn.y)))
  ):
    ridge = sm.GLM(y, x, family=theirs).fit_regularized(alpha=1 / (20 * SCALE**2), L1_wt=0.0)
    np.testing.assert_allclose(ours, ridge.params, atol=1e-3)


def quadrature(
  name: str, x: np.ndarray, y: np.ndarray, clip: float, classes: int, scale: float = SCALE
) -> np.ndarray:
  """log p(y_1..y_k) for k = 0..K by quadrature over the prior, in float64."""
  size = x.shape[1] * classes
  # Equally spaced: exact to all digits for smooth integrands.
  nodes = np.linspace(-7.5, 7.5, {1: 601, 2: 151, 4: 31}[size])
  grid = np.stack([axis.ravel() for axis in np.meshgrid(*[nodes] * size, indexing='ij')], -1)
  log_weights = functools.reduce(
    np.add.outer, [-0.5 * nodes**2 - np.log(np.exp(-0.5 * nodes**2).sum())] * size
  ).ravel()
  kept = log_weights > -40
  beta = scale * grid[kept].reshape(-1, classes, x.shape[1])
  total, evidence = log_weights[kept], [0.0]
  for x_k, y_k in zip(x, y):
    eta = np.clip(beta @ x_k, -clip, clip)
    total = total + log_likelihood(name, eta[:, None, :], np.array([y_k]))[:, 0]
    evidence.append(special.logsumexp(total))
  return np.array(evidence)


@EACH
@pytest.mark.parametrize('dims', [1, 2])
def test_posterior_predictive_is_that_of_quadrature(name, dims):
  classes = 2 if dims == 2 else 4
  task = glm(name, dims=dims, points=12, scale=SCALE, classes=classes)
  family, drawn = (
    task.families[0],
    draw(name, count=12, dims=dims, points=12, scale=SCALE, classes=classes),
  )
  normals = jnp.asarray(posterior.sobol_normals(256, dims * family.predictors))
  ours = jax.jit(jax.vmap(lambda x, y: prefixes(family, task, x, y, normals).log_evidence))(
    drawn.x, drawn.y
  )
  for i in range(3 if dims * classes > 2 and name == 'multinomial' else 12):
    exact = quadrature(
      name,
      np.asarray(drawn.x[i], np.float64),
      np.asarray(drawn.y[i], np.float64),
      4.0,
      family.predictors,
    )
    np.testing.assert_allclose(np.diff(ours[i]), np.diff(exact), atol=3e-3)


def test_the_clip_enters_the_weights():
  """With a clip that binds the evidence is the clipped likelihood's (D = 1, by quadrature)."""
  task = glm('poisson', dims=1, points=6, scale=SCALE, clip=0.2)
  drawn, family = (
    draw('poisson', count=8, dims=1, points=6, scale=SCALE, clip=0.2),
    task.families[0],
  )
  normals = jnp.asarray(posterior.sobol_normals(4096, 1))
  seen = jnp.arange(6) < 6
  ours = jax.jit(
    jax.vmap(lambda x, y: posterior.sample(family, task, x, y, seen, normals).log_evidence)
  )(drawn.x, drawn.y)
  exact = [
    quadrature('poisson', np.asarray(drawn.x[i], float), np.asarray(drawn.y[i], float), 0.2, 1)[-1]
    for i in range(8)
  ]
  np.testing.assert_allclose(ours, exact, atol=5e-3)


def test_sobol_normals_are_normal():
  normals = posterior.sobol_normals(1024, 7)
  assert np.isfinite(normals).all()
  np.testing.assert_allclose(normals.mean(0), 0, atol=5e-3)
  np.testing.assert_allclose(normals.std(0), 1, atol=2e-2)
  np.testing.assert_array_equal(normals, posterior.sobol_normals(1024, 7))
