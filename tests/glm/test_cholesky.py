"""Small factors and solutions against scipy's."""

import jax
import numpy as np
import pytest
from scipy import linalg

from icljax.glm.cholesky import cholesky, solve_lower, solve_upper


@pytest.mark.parametrize('size', [1, 4, 17])
def test_factors_and_solutions_are_scipys(key, size):
  halves = np.asarray(jax.random.normal(key, (5, size, size + 3)))
  matrices = halves @ halves.swapaxes(1, 2)
  right = np.asarray(jax.random.normal(key, (5, size, 2)))
  factors = jax.jit(jax.vmap(cholesky))(matrices)
  lower, upper = (jax.jit(jax.vmap(solve))(factors, right) for solve in (solve_lower, solve_upper))
  for i, matrix in enumerate(matrices.astype(np.float64)):
    factor = linalg.cholesky(matrix, lower=True)
    np.testing.assert_allclose(factors[i], factor, rtol=1e-3, atol=1e-4)
    for ours, trans in ((lower, 'N'), (upper, 'T')):
      solution = linalg.solve_triangular(factors[i], right[i], lower=True, trans=trans)
      np.testing.assert_allclose(ours[i], solution, rtol=1e-3, atol=1e-3 * abs(solution).max())
