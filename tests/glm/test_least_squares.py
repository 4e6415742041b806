"""Least squares of the smallest norm against numpy's in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icljax.glm.least_squares import LeastSquaresFit


def smallest_norm(x, y):
  """The weights after all pairs `[K, D]`, `[K]` of one system."""
  step = lambda fit, pair: (fit.add(*pair), None)
  return jax.lax.scan(step, LeastSquaresFit.empty(x.shape[-1]), (x, y))[0].solve()


def agrees(x: np.ndarray, y: np.ndarray, tolerance: float):
  """Compares each of the systems `[N, K, D]`, `[N, K]` with numpy's."""
  solutions = jax.jit(jax.vmap(smallest_norm))(x, y)
  for ours, rows, targets in zip(
    solutions, x.astype(np.float64), y.astype(np.float64), strict=True
  ):
    theirs = np.linalg.lstsq(rows, targets, rcond=1e-6)[0]
    np.testing.assert_allclose(ours, theirs, atol=tolerance * max(1, np.abs(theirs).max()))


@pytest.mark.parametrize('shape', [(1, 1), (5, 1), (1, 5), (3, 8), (8, 3), (12, 20), (40, 20)])
def test_solutions_are_numpys(key, shape):
  kx, ky = jax.random.split(key)
  x, y = jax.random.normal(kx, (20, *shape)), jax.random.normal(ky, (20, shape[0]))
  agrees(np.asarray(x), np.asarray(y), 3e-5)


@pytest.mark.parametrize('rank', [1, 3, 6])
@pytest.mark.parametrize('shape', [(6, 9), (9, 6)])
def test_of_matrices_without_full_rank_the_smallest_solution_is_given(key, rank, shape):
  left, right, y = (
    np.asarray(jax.random.normal(jax.random.fold_in(key, i), size))
    for i, size in enumerate([(20, shape[0], rank), (20, rank, shape[1]), (20, shape[0])])
  )
  agrees(left @ right, y, 2e-4)


@pytest.mark.parametrize('scale', [1e-12, 1e12])
def test_neither_small_nor_large_inputs_overflow(key, scale):
  x = scale * np.asarray(jax.random.normal(key, (5, 7, 4)))
  agrees(x, scale * np.ones((5, 7), np.float32), 3e-5)


def test_repeated_and_missing_columns_and_rows_share_the_weight():
  x = np.zeros((1, 5, 4), np.float32)
  x[0, :3, :2] = 2.0
  y = np.full((1, 5), 6.0, np.float32)
  np.testing.assert_allclose(smallest_norm(x[0], y[0]), [1.5, 1.5, 0, 0], atol=1e-6)
  np.testing.assert_array_equal(smallest_norm(jnp.zeros((3, 2)), jnp.ones(3)), 0)
