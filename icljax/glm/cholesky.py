"""Cholesky's factor and its triangular systems for many small matrices at once, to be vmapped.

In place of LAPACK, which XLA calls for one matrix after another, and whose threads wait for one
another wherever another process has a core: an evaluation then takes a hundred times as long.
"""

import jax
import jax.numpy as jnp
from jax import Array


def cholesky(matrix: Array) -> Array:
  """The lower factor L of a positive definite matrix, L L' = matrix `[n, n]`."""
  n = matrix.shape[0]

  def column(j, factor):
    below = matrix[:, j] - factor @ factor[j]
    return factor.at[:, j].set(jnp.where(jnp.arange(n) >= j, below / jnp.sqrt(below[j]), 0.0))

  return jax.lax.fori_loop(0, n, column, jnp.zeros_like(matrix))


def solve_lower(factor: Array, right: Array) -> Array:
  """x of L x = right, `[n, ...]`."""
  row = lambda j, x: x.at[j].set((right[j] - factor[j] @ x) / factor[j, j])
  return jax.lax.fori_loop(0, factor.shape[0], row, jnp.zeros_like(right))


def solve_upper(factor: Array, right: Array) -> Array:
  """x of L' x = right, `[n, ...]`, for the lower factor L."""
  last = factor.shape[0] - 1
  row = lambda i, x: x.at[last - i].set(
    (right[last - i] - factor[:, last - i] @ x) / factor[last - i, last - i]
  )
  return jax.lax.fori_loop(0, factor.shape[0], row, jnp.zeros_like(right))
