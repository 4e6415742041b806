"""Numbers depend on config and seed alone, whatever JAX is set to, and it is left as it was."""

import contextlib
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import icljax
from icljax.ambient import as_threefry, fixed_arithmetic
from icljax.likelihoods import NegativeBinomial, Poisson
from tests import omniglots
from tests.configs import tiny

AMBIENT = {
  'rbg': lambda: jax.default_prng_impl('rbg'),
  'x64': lambda: jax.enable_x64(True),
  'threefry that is not partitionable': lambda: jax.threefry_partitionable(False),
  'bfloat16 products': lambda: jax.default_matmul_precision('bfloat16'),
  'strict promotion': lambda: jax.numpy_dtype_promotion('strict'),
}
CONFIGS = {
  'glm': lambda folder: tiny(folder, task__families='poisson,neg_binomial', training_steps=20),
  'omniglot': lambda folder: omniglots.tiny(folder, training_steps=20),
}


def left_by(folder, subject) -> dict[str, bytes]:
  """What a run, its evaluations and a prediction are, as bytes."""
  run = icljax.train(CONFIGS[subject](folder))
  model = icljax.load(run)
  x = np.random.default_rng(0).uniform(size=(4, *model.item.shape))
  answer = model.at(x[:2], np.array([0.0, 1.0]), x[2:])
  arrays = [np.asarray(leaf) for leaf in jax.tree.leaves(answer)]
  files = {'metrics.jsonl': (run / 'metrics.jsonl').read_bytes()}
  for path in sorted(run.glob('eval*/*.npz')):
    with np.load(path) as evaluation:
      files |= {f'{path.name} {name}': evaluation[name].tobytes() for name in evaluation.files}
  return files | {f'leaf {i}': leaf.tobytes() for i, leaf in enumerate(arrays)}


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
  """What each subject leaves without any setting."""
  return {
    subject: left_by(tmp_path_factory.mktemp('plain') / subject, subject) for subject in CONFIGS
  }


@pytest.mark.parametrize('subject', CONFIGS)
@pytest.mark.parametrize('setting', AMBIENT)
def test_a_setting_changes_no_byte(plain, tmp_path, subject, setting):
  with AMBIENT[setting]():
    assert left_by(tmp_path / subject, subject) == plain[subject]


@pytest.mark.parametrize('flags', [None, '--xla_force_host_platform_device_count=4'])
def test_settings_and_flags_are_as_they_were(tmp_path, monkeypatch, flags):
  monkeypatch.delenv('XLA_FLAGS')
  if flags:
    monkeypatch.setenv('XLA_FLAGS', flags)
  names = ('jax_enable_x64', 'jax_default_prng_impl', 'jax_compilation_cache_dir')
  before = {name: jax.config.values[name] for name in names}, os.environ.get('XLA_FLAGS')
  icljax.train(tiny(tmp_path, training_steps=2, optimizer__warmup_steps=1, deterministic=True))
  after = {name: jax.config.values[name] for name in names}, os.environ.get('XLA_FLAGS')
  assert after == before


@pytest.mark.parametrize('make', [lambda: jax.random.key(3, impl='rbg'), lambda: _raw_rbg()])
def test_a_key_of_another_kind_draws_counts(make):
  key = make()
  with jax.default_prng_impl('rbg') if not hasattr(key, '_impl') else contextlib.nullcontext():
    counts = Poisson.of(jnp.full(4000, 1.0)).sample(key)
    NegativeBinomial.of(jnp.zeros(3), jnp.ones(3)).sample(key)
  mean = np.exp(1.0)
  assert abs(float(counts.mean()) - mean) < 4 * np.sqrt(mean / 4000)
  assert stats.chisquare(np.bincount(np.minimum(counts.astype(int), 6), minlength=7),
                         4000 * _truncated(mean)).pvalue > 1e-3  # fmt: skip


def _raw_rbg():
  with jax.default_prng_impl('rbg'):
    return jax.random.PRNGKey(3)


def _truncated(mean) -> np.ndarray:
  """The probabilities of 0..5 and of more."""
  probabilities = stats.poisson(mean).pmf(np.arange(6))
  return np.append(probabilities, 1 - probabilities.sum())


def test_threefry_keys_stay_as_they_are():
  with fixed_arithmetic():
    for key in (jax.random.key(1), jax.random.PRNGKey(1)):
      assert as_threefry(key) is key
