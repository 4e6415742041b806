"""The published models of linear regression against PyTorch, with the same weights."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import linear_regression
from icljax import build
from icljax.base import draw_batch, stream

torch = pytest.importorskip(
  'torch', reason='the independent check needs PyTorch: pip install torch'
)
EPISODES = 8


@functools.cache
def ours(preset: str):
  """The paper's config of a preset; weights that all matter, by path; x, y and our predictions."""
  config = linear_regression.get_config(f'{preset},paper')
  params = jax.eval_shape(lambda: build.init_state(config)).params
  leaves, structure = jax.tree_util.tree_flatten_with_path(params)
  rng, filled = np.random.default_rng(0), []
  for path, leaf in leaves:
    # Kernels four times GPT-2's, scales of norms around 1, biases that are not 0.
    normal = rng.normal(size=leaf.shape).astype(np.float32)
    is_scale = path[-1].key == 'scale'
    filled.append(is_scale + (0.08 if path[-1].key == 'kernel' else 0.1) * normal)
  params = jax.tree_util.tree_unflatten(structure, filled)
  model, task = build.make_predictor(config, params), build.make_settings(config).task
  episodes = draw_batch(task, stream(jnp.uint32(0), 'test'), 0, jnp.arange(EPISODES))
  predicted = jax.jit(lambda model, episodes: model.along(episodes).mean())(model, episodes)
  weights = {
    '/'.join(entry.key for entry in path): torch.tensor(leaf)
    for (path, _), leaf in zip(leaves, filled)
  }
  return (
    config,
    weights,
    torch.tensor(np.array(episodes.x)),
    torch.tensor(np.array(episodes.y)),
    (np.asarray(predicted)),
  )


def embedded(weights, x, y):
  """`[0, x]` and `[y, 0, ..., 0]` in turn, projected, with positions: `[B, 2K, E]`."""
  batch, pairs, dims = x.shape
  tokens = torch.zeros(batch, 2 * pairs, dims + 1)
  tokens[:, 0::2, 1:] = x
  tokens[:, 1::2, 0] = y
  bias = weights.get('token/bias', torch.zeros(()))
  return tokens @ weights['token/kernel'] + bias + weights['sequence/positions']


def gpt2(config, weights, h):
  """Blocks normed before, and a final norm (Radford et al. 2019), written out."""
  heads, width, length = config.model.heads, config.model.width, h.shape[1]

  def dense(name, h):
    return h @ weights[f'{name}/kernel'] + weights[f'{name}/bias']

  def norm(name, h):
    scale, bias = weights[f'{name}/scale'], weights[f'{name}/bias']
    return torch.nn.functional.layer_norm(h, (width,), scale, bias, eps=1e-5)

  later = torch.ones(length, length).triu(1).bool()
  for layer in range(config.model.layers):
    block = f'sequence/block_{layer}'
    q, k, v = dense(f'{block}/attention/qkv', norm(f'{block}/norm_attention', h)).chunk(3, dim=-1)
    mixed = []
    for head in range(heads):
      part = slice(head * width // heads, (head + 1) * width // heads)
      logits = q[..., part] @ k[..., part].mT / (width // heads) ** 0.5
      mixed.append(logits.masked_fill(later, -torch.inf).softmax(-1) @ v[..., part])
    h = h + dense(f'{block}/attention_out', torch.cat(mixed, dim=-1))
    hidden = dense(f'{block}/mlp_in', norm(f'{block}/norm_mlp', h))
    hidden = torch.nn.functional.gelu(hidden, approximate='tanh')
    h = h + dense(f'{block}/mlp_out', hidden)
  return norm('sequence/norm', h)


def torch_encoder(config, weights, h):
  """PyTorch's own encoder, whose layers are normed after their sums and have the exact gelu."""
  model = config.model
  encoder = torch.nn.TransformerEncoder(
    torch.nn.TransformerEncoderLayer(
      model.width,
      model.heads,
      model.mlp_width,
      dropout=0.0,
      activation='gelu',
      batch_first=True,
      norm_first=False,
    ),
    model.layers,
    enable_nested_tensor=False,
  )
  names = {
    'self_attn.in_proj_': 'attention/qkv/', 'self_attn.out_proj.': 'attention_out/',
    'linear1.': 'mlp_in/', 'linear2.': 'mlp_out/',
    'norm1.': 'norm_attention/', 'norm2.': 'norm_mlp/',
  }  # fmt: skip
  state = {}
  for layer in range(model.layers):
    for theirs, name in names.items():
      weight = 'scale' if 'norm' in theirs else 'kernel'
      for part, leaf in (('weight', weight), ('bias', 'bias')):
        value = weights[f'sequence/block_{layer}/{name}{leaf}']
        state[f'layers.{layer}.{theirs}{part}'] = value.mT if leaf == 'kernel' else value
  encoder.load_state_dict(state)
  mask = torch.nn.Transformer.generate_square_subsequent_mask(h.shape[1])
  return encoder(h, mask=mask, is_causal=True)


@pytest.mark.parametrize(
  ('preset', 'blocks'), [('raventos', gpt2), ('small', gpt2), ('wide', torch_encoder)]
)
def test_the_published_architecture_in_pytorch_predicts_the_same(preset, blocks):
  config, weights, x, y, predicted = ours(preset)
  with torch.no_grad():
    hidden = blocks(config, weights, embedded(weights, x, y))[:, 0::2]
    bias = weights.get('head/mean/bias', torch.zeros(()))
    theirs = (hidden @ weights['head/mean/kernel'])[..., 0] + bias
  assert predicted.std() > 0.3  # predictions are no constants that anything would match
  np.testing.assert_allclose(predicted, theirs.numpy(), atol=1e-4)
  assert ('token/bias' in weights) == ('head/mean/bias' in weights) == (preset == 'wide')
