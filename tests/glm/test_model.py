"""What makes the models in-context models: causality, and nothing read but x and y."""

import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icljax import build
from icljax.glm.model import encode_target
from icljax.models.transformer import Transformer
from tests.configs import tiny
from tests.glms import draw

KINDS = pytest.mark.parametrize(
  ('tokens', 'head', 'sequence'),
  [
    ('pairs', 'mixture', 'transformer'),
    ('interleaved', 'mixture', 'transformer'),
    ('pairs', 'eta', 'transformer'),
    ('interleaved', 'eta', 'transformer'),
    ('interleaved_plain', 'known_noise', 'transformer'),
    ('pairs', 'mixture', 'lstm'),
    ('interleaved', 'mixture', 'rnn'),
  ],
)


@functools.cache
def predictor(tokens='pairs', head='mixture', families='poisson,neg_binomial', **fields):
  """A model with random parameters, larger than at the start of training so that every input
  matters.
  """
  config = tiny(
    task__families=families, task__D=3, task__K=8, model__tokens=tokens, model__head=head, **fields
  )
  params = jax.tree.map(lambda leaf: leaf * 5, build.init_state(config).params)
  return build.make_predictor(config, params)


@jax.jit
def outputs(predictor, episodes):
  return jax.tree.leaves(predictor.along(episodes))


@KINDS
def test_a_prediction_depends_on_its_input_and_earlier_pairs_only(tokens, head, sequence):
  model, episodes, k = (
    predictor(tokens, head, model__sequence=sequence),
    jax.tree.map(lambda leaf: leaf[:3], draw('poisson', 'neg_binomial')),
    4,
  )
  before = outputs(model, episodes)
  later = episodes.replace(x=episodes.x.at[:, k + 1 :].add(1.0), y=episodes.y.at[:, k:].add(2.0))
  own_input = episodes.replace(x=episodes.x.at[:, k].add(1.0))
  pair_before = episodes.replace(y=episodes.y.at[:, k - 1].add(2.0))
  for was, now in zip(before, outputs(model, later)):
    chex.assert_shape(was, (3, 8, ...))
    np.testing.assert_allclose(was[:, : k + 1], now[:, : k + 1], atol=1e-5)
  for changed in (own_input, pair_before):
    assert (
      max(np.abs(was[:, k] - now[:, k]).max() for was, now in zip(before, outputs(model, changed)))
      > 1e-3
    )


@KINDS
def test_another_truth_gives_the_same_output(tokens, head, sequence):
  model, episodes = (
    predictor(tokens, head, model__sequence=sequence),
    jax.tree.map(lambda leaf: leaf[:3], draw('poisson', 'neg_binomial')),
  )
  other = episodes.replace(
    task=jax.tree.map(lambda leaf: leaf[::-1] + 1, episodes.task), weight=episodes.weight * 0
  )
  for was, now in zip(outputs(model, episodes), outputs(model, other)):
    np.testing.assert_array_equal(was, now)


def test_the_encoding_of_targets_cannot_tell_a_family():
  y = jnp.array([0.0, 2.0, -1.5, 54.0])
  encoded = np.asarray(encode_target(y, classes=3))
  np.testing.assert_allclose(encoded[:, 0], y)
  np.testing.assert_allclose(encoded[:, 1], np.log1p([0, 2, 0, 54]), rtol=1e-6)
  np.testing.assert_array_equal(encoded[:, 2:], [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]])


def test_attention_is_softmax_attention(key):
  """One block's attention against flax's own multi-head attention with the same weights."""
  transformer = Transformer(layers=1, heads=2, length=5)
  tokens = jax.random.normal(key, (3, 5, 8))
  variables = jax.tree.map(
    lambda leaf: 25 * leaf if leaf.ndim == 2 else leaf, jax.jit(transformer.init)(key, tokens)
  )
  block, embedded = variables['params']['block_0'], tokens + variables['params']['positions'][None]
  normed = nn.LayerNorm(epsilon=1e-5).apply({'params': block['norm_attention']}, embedded)
  kernels = jnp.moveaxis(block['attention']['qkv']['kernel'].reshape(8, 3, 2, 4), 1, 0)
  theirs = jax.jit(nn.MultiHeadDotProductAttention(num_heads=2).apply)(
    {
      'params': {
        name: {'kernel': kernel, 'bias': jnp.zeros((2, 4))}
        for name, kernel in zip(('query', 'key', 'value'), kernels)
      }
      | {'out': {'kernel': block['attention_out']['kernel'].reshape(2, 4, 8), 'bias': jnp.zeros(8)}}
    },
    normed,
    mask=nn.make_causal_mask(jnp.ones((3, 5))),
  )
  attended = embedded + theirs
  hidden = nn.gelu(
    nn.LayerNorm(epsilon=1e-5).apply({'params': block['norm_mlp']}, attended)
    @ block['mlp_in']['kernel']
  )
  expected = nn.LayerNorm(epsilon=1e-5).apply(
    {'params': variables['params']['norm']}, attended + hidden @ block['mlp_out']['kernel']
  )
  np.testing.assert_allclose(jax.jit(transformer.apply)(variables, tokens), expected, atol=2e-5)


@pytest.mark.parametrize(
  ('tokens', 'head'), [('pairs', 'mixture'), ('interleaved_plain', 'known_noise')]
)
def test_shorter_episodes_use_the_first_positions(tokens, head):
  model, episodes = (
    predictor(tokens, head),
    jax.tree.map(lambda leaf: leaf[:3], draw('poisson', 'neg_binomial')),
  )
  short = jax.tree.map(lambda leaf: leaf[:, :5], episodes.replace(task=None))
  for whole, part in zip(outputs(model, episodes), outputs(model, short)):
    np.testing.assert_allclose(whole[:, :5], part, rtol=1e-5, atol=1e-5)


def test_a_mean_of_known_noise_is_unbounded():
  """It grows with the read-out's kernel, and the standard deviation is the task's noise."""
  model = predictor('interleaved_plain', 'known_noise')
  episodes = jax.tree.map(lambda leaf: leaf[:3], draw('poisson', 'neg_binomial'))
  mean, scale = outputs(model, episodes)
  params = model.params | {'head': jax.tree.map(lambda leaf: leaf * 1e4, model.params['head'])}
  grown, _ = outputs(model.replace(params=params), episodes)
  np.testing.assert_allclose(grown, 1e4 * mean, rtol=1e-3)
  assert np.abs(grown).max() > 100
  np.testing.assert_array_equal(scale, np.full((3, 8), 0.5, np.float32))


def test_eta_stays_bounded_whatever_the_weights():
  wild = predictor(head='eta')
  wild = wild.replace(params=jax.tree.map(lambda leaf: leaf * 1e4, wild.params))
  (eta,) = outputs(wild, jax.tree.map(lambda leaf: leaf[:3], draw('poisson', 'neg_binomial')))
  assert np.abs(eta).max() <= 10
