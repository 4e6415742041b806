"""Strict from the start: warnings are errors, silent rank promotion raises, and there are four devices."""

import os
import zlib

# Programs of tests run for milliseconds and compile for seconds: let XLA optimise them less.
os.environ['XLA_FLAGS'] = '--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0'

import jax
import pytest

jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_default_matmul_precision', 'highest')


@pytest.fixture
def key(request) -> jax.Array:
  """A random key that belongs to the test: the same in every session."""
  return jax.random.key(zlib.crc32(request.node.name.encode()))
