"""What JAX is set to elsewhere in a process reaches no number of ours."""

import contextlib
from collections.abc import Iterator

import jax

PRNG = 'threefry2x32'  # the only one that is the same on all machines and that draws Poisson counts


@contextlib.contextmanager
def fixed_arithmetic() -> Iterator[None]:
  """The settings under which everything here is computed; the user's are as they were afterwards.

  Numbers have 32 bits, keys are threefry's, and the products of samplers, likelihoods and oracles
  have full precision; a model names its own. Every public entry that computes is inside of this,
  also as a decorator: `@fixed_arithmetic()`.
  """
  with (
    jax.enable_x64(False),
    jax.default_prng_impl(PRNG),
    jax.threefry_partitionable(True),
    jax.numpy_dtype_promotion('standard'),
    jax.default_matmul_precision('highest'),
  ):
    yield
