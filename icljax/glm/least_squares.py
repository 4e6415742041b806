"""Least squares of the smallest norm, pair by pair, to be vmapped.

In place of LAPACK's singular values of every prefix, for the reason that `glm/cholesky.py` gives:
eight devices that all called it stood still.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from icljax.glm.cholesky import solve_lower, solve_upper

# What an input has outside the span of earlier ones is a direction of its own from this many times
# its rounding error on.
ROUNDING_ERRORS = 8.0


class LeastSquaresFit(NamedTuple):
  """The least-squares problem of the pairs so far, in an orthonormal basis of their inputs.

  With inputs x = C basis and C = O factor' for an O of orthonormal columns, the w of the smallest
  norm is basis' z with factor' z = projected. Rows and columns without a direction yet are 0.

  Attributes:
    basis: the directions in rows, `[D, D]`.
    factor: lower triangular, `[D, D]`.
    projected: the targets in the columns of O, `[D]`.
    rank: how many directions there are, `[]`.
    longest: the length of the longest input, `[]`.
  """

  basis: Array
  factor: Array
  projected: Array
  rank: Array
  longest: Array

  @classmethod
  def empty(cls, dims: int) -> 'LeastSquaresFit':
    square, zero = jnp.zeros((dims, dims)), jnp.zeros(())
    return cls(square, square, jnp.zeros(dims), jnp.zeros((), int), zero)

  def solve(self) -> Array:
    """The w `[D]` of the smallest norm among those of the least squared error."""
    return self.basis.T @ solve_upper(self._invertible(), self.projected)

  def add(self, x: Array, y: Array) -> 'LeastSquaresFit':
    """With one more pair, `[D]` and `[]`.

    Its input is split in basis and rest (Gram and Schmidt, twice); then Givens rotations fold it
    into the factor (Golub and Van Loan, section 6.5.3).
    """
    coordinates = self.basis @ x
    rest = x - coordinates @ self.basis
    again = self.basis @ rest
    coordinates, rest = coordinates + again, rest - again @ self.basis
    length, longest = jnp.linalg.norm(rest), jnp.maximum(self.longest, jnp.linalg.norm(x))
    # x is a combination of the inputs so far and the rest; each of them was rounded.
    combination = jnp.linalg.norm(solve_lower(self._invertible(), coordinates))
    rounding = jnp.finfo(x.dtype).eps * longest * (1 + combination)
    new = (length > ROUNDING_ERRORS * rounding) & (self.rank < len(x))
    at = (jnp.arange(len(x)) == self.rank) & new
    direction = rest / jnp.where(new, length, 1.0)
    row = jnp.where(at, length, coordinates)
    factor, projected = _fold(self.factor, self.projected, row, y)
    basis = jnp.where(at[:, None], direction, self.basis)
    return LeastSquaresFit(basis, factor, projected, self.rank + new, longest)

  def _invertible(self) -> Array:
    """The factor with ones for the directions that are missing."""
    missing = jnp.arange(len(self.factor)) >= self.rank
    return self.factor + jnp.diag(missing.astype(self.factor.dtype))


def _fold(factor: Array, projected: Array, row: Array, target: Array) -> tuple[Array, Array]:
  """The triangular factor and targets after one more equation `row @ z = target`."""

  def rotate(j, state):
    factor, projected, row, target = state
    column = factor[:, j]
    length = jnp.hypot(column[j], row[j])
    cosine = jnp.where(length > 0, column[j] / jnp.where(length > 0, length, 1.0), 1.0)
    sine = jnp.where(length > 0, row[j] / jnp.where(length > 0, length, 1.0), 0.0)
    return (
      factor.at[:, j].set(cosine * column + sine * row),
      projected.at[j].set(cosine * projected[j] + sine * target),
      cosine * row - sine * column,
      cosine * target - sine * projected[j],
    )

  state = factor, projected, row, target
  return jax.lax.fori_loop(0, len(row), rotate, state)[:2]
