"""Positions and parts of the transformer against their definitions."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icljax.models.transformer import Transformer, rotated, sinusoids
from icljax.parameters import named


def test_rotary_positions_turn_complex_numbers(key):
  """Pair (i, i + E/2) at position t is multiplied by exp(i t base^(-2i/E))."""
  x = np.asarray(jax.random.normal(key, (2, 3, 7, 8)))
  turned = (x[..., :4] + 1j * x[..., 4:]) * np.exp(
    1j * np.arange(7)[:, None] * 1e4 ** (-np.arange(4) / 4)
  )
  np.testing.assert_allclose(
    rotated(jnp.asarray(x)), np.concatenate([turned.real, turned.imag], axis=-1), atol=1e-5
  )


def test_rotary_attention_knows_distances_only(key):
  """q_s . k_t depends on s - t alone where all queries, and all keys, are the same."""
  q, k = (
    jnp.broadcast_to(jax.random.normal(each, (1, 8)), (9, 8)) for each in jax.random.split(key)
  )
  logits = np.asarray(rotated(q) @ rotated(k).T)
  for distance in range(-4, 5):
    diagonal = np.diagonal(logits, distance)
    np.testing.assert_allclose(diagonal, diagonal[0], atol=1e-4)
  assert np.ptp(logits[:, 0]) > 0.1


def test_sinusoids_are_sines_then_cosines():
  made = np.asarray(sinusoids(5, 6))
  for position in range(5):
    angles = [position * 30 ** (-2 * i / 6) for i in range(3)]
    np.testing.assert_allclose(made[position], [*np.sin(angles), *np.cos(angles)], atol=1e-6)


@pytest.mark.parametrize(
  ('positions', 'learned'), [('learned', 1), ('sinusoidal', 0), ('rotary', 0)]
)
def test_order_matters_with_every_kind_of_positions(key, positions, learned):
  model, tokens = (
    Transformer(layers=1, heads=2, length=6, positions=positions, start='fan_in'),
    jax.random.normal(key, (1, 6, 8)),
  )
  variables = model.init(key, tokens)
  assert sum('positions' in name for name in named(variables['params'])) == learned
  swapped = tokens[:, jnp.array([1, 0, 2, 3, 4, 5])]
  assert (
    np.abs(model.apply(variables, tokens)[:, -1] - model.apply(variables, swapped)[:, -1]).max()
    > 1e-4
  )


def test_attention_only_has_no_mlp(key):
  model = Transformer(layers=2, heads=2, length=4, positions='rotary', mlp=False)
  params = named(model.init(key, jnp.zeros((1, 4, 8)))['params'])
  assert not [name for name in params if 'mlp' in name]
  assert sum(leaf.size for leaf in params.values()) == 2 * (4 * 8 * 8 + 4 * 8 + 2 * 8) + 2 * 8
  chex.assert_shape(params['block_1/attention/qkv/kernel'], (8, 24))


def test_fan_in_has_variance_1_over_inputs(key):
  params = named(
    Transformer(layers=1, heads=2, length=4, start='fan_in').init(key, jnp.zeros((1, 4, 64)))[
      'params'
    ]
  )
  for name in ('attention/qkv', 'attention_out', 'mlp_in', 'mlp_out'):
    kernel = params[f'block_0/{name}/kernel']
    assert float(kernel.std()) == pytest.approx(kernel.shape[0] ** -0.5, rel=0.05)
