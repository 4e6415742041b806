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


def as_threefry(key: jax.Array) -> jax.Array:
  """A key of any kind as one that every distribution can be drawn with; a threefry key as it is.

  JAX draws Poisson counts with threefry keys alone.
  """
  is_typed = jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key)
  if key.shape == (2,) if not is_typed else jax.random.key_impl(key) == PRNG:
    return key
  return jax.random.wrap_key_data(jax.random.bits(key, (2,), 'uint32'), impl=PRNG)
