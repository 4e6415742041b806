"""Strict from the start: warnings are errors, silent rank promotion raises, and there are four
devices.
"""

import gc
import os
import shutil
import tempfile
import zlib
from pathlib import Path

import jax
import pytest

# Programs of tests run for milliseconds and compile for seconds: let XLA optimise them less.
FLAGS = '--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true'
if jax.__version__.startswith('0.10.'):
  # The older code generator, which later versions lack, compiles three times as fast. Of its
  # instructions leave out those that multiply and add in one rounding: whether one is used depends
  # on the size of a batch, and devices have to agree to the bit.
  FLAGS += ' --xla_cpu_use_fusion_emitters=false --xla_cpu_max_isa=AVX'
os.environ['XLA_FLAGS'] = FLAGS  # read when jax looks for devices first
# Tracing makes many objects and leaves few: looking through them took a twentieth of the time.
gc.set_threshold(100_000, 20, 20)

MOST_MAPS = 15_000

jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_default_matmul_precision', 'highest')


def pytest_configure(config):
  """Keeps compiled programs for as long as the tests run: many tests, in several processes, need
  the same ones.
  """
  # The first process of a session; those that it starts find the variables set.
  if not hasattr(config, 'workerinput'):
    folder = tempfile.mkdtemp(prefix='icljax-tests-')
    os.environ |= {
      'JAX_COMPILATION_CACHE_DIR': folder,
      'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0.3',
    }
    jax.config.update('jax_compilation_cache_dir', folder)
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.3)
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.fixture(scope='module', autouse=True)
def drop_programs():
  """Forgets compiled programs between files when there are many.

  Each takes some maps of memory, of which Linux gives a process 65,530; then JAX crashes.
  """
  yield
  maps = Path('/proc/self/maps')
  if maps.exists() and len(maps.read_bytes().splitlines()) > MOST_MAPS:
    jax.clear_caches()
    gc.collect()


@pytest.fixture
def key(request) -> jax.Array:
  """A random key that belongs to the test: the same in every session."""
  return jax.random.key(zlib.crc32(request.node.name.encode()))
