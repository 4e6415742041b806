"""What a model computes on its way can be looked at by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icljax import build
from icljax.parameters import parameter_table
from icljax.predict import TrainedModel
from icljax.subjects import subject_of
from tests.configs import tiny
from tests.glms import draw_at


@pytest.fixture(scope='module', params=['pairs', 'interleaved'])
def looked_at(request):
  config = tiny(task__families='poisson,neg_binomial', model__layers=2, model__tokens=request.param)
  model = TrainedModel(config, 0, jax.tree.map(lambda leaf: 3 * leaf, build.init_state(config)))
  episodes = draw_at(subject_of(config).task(config), jnp.arange(3))
  return model, episodes, {'pairs': 6, 'interleaved': 12}[request.param]


def test_attention_is_causal_and_sums_to_one(looked_at):
  model, episodes, tokens = looked_at
  weights = model.activations(episodes.x, episodes.y, 'sequence/block_*/attention/weights')
  assert list(weights) == [f'sequence/block_{block}/attention/weights' for block in (0, 1)]
  for values in weights.values():
    assert values.shape == (3, 2, tokens, tokens)
    np.testing.assert_allclose(values.sum(-1), 1, rtol=1e-5)
    assert not np.triu(values, k=1).any()


def test_activations_are_those_of_the_prediction(looked_at):
  """The head's layers, applied by hand to the last hidden state, give what the model predicts."""
  model, episodes, tokens = looked_at
  inside = model.activations(episodes.x, episodes.y)
  hidden = inside['sequence']
  assert hidden.shape == inside['sequence/block_1'].shape == (3, tokens, 16)
  np.testing.assert_allclose(hidden, inside['sequence/norm'], atol=1e-6)
  head = model.params['head']['neg_binomial']
  read = hidden[:, :: tokens // 6] @ np.asarray(head['kernel']) + np.asarray(head['bias'])
  np.testing.assert_allclose(inside['head/neg_binomial'], read, atol=1e-4)
  _, log_families = model._model.outputs(episodes)
  np.testing.assert_allclose(jax.nn.log_softmax(inside['read_out']), log_families, atol=1e-4)


def test_shorter_episodes_can_be_looked_at(looked_at):
  model, episodes, tokens = looked_at
  assert model.activations(episodes.x[:1, :3], episodes.y[:1, :3])['sequence'].shape == (
    1,
    tokens // 2,
    16,
  )


@pytest.mark.parametrize(
  ('x', 'y', 'names', 'told'),
  [
    (
      (3, 6, 2),
      (3, 5),
      '*',
      r'shapes \[3, 6, 2\] and \[3, 5\]; this model takes \[B, K, 2\] and \[B, K\] with K up to 6',
    ),
    ((3, 7, 2), (3, 7), '*', 'K up to 6'),
    ((6, 2), (6,), '*', 'K up to 6'),
    (
      (3, 6, 2),
      (3, 6),
      'sequence/block_9*',
      "no activation is called 'sequence/block_9.*; there are .*sequence/block_1",
    ),
  ],
)
def test_what_cannot_be_looked_at_is_told(looked_at, x, y, names, told):
  with pytest.raises(ValueError, match=told):
    looked_at[0].activations(np.zeros(x), np.zeros(y), names)


def test_the_parameter_table_counts_every_parameter():
  params = build.init_state(tiny(model__layers=3)).params
  *rows, total = parameter_table(params).splitlines()
  count = sum(leaf.size for leaf in jax.tree.leaves(params))
  assert total == f'{count:,} parameters'
  assert sum(int(row.split()[-1].replace(',', '')) for row in rows) == count
  assert [row.split() for row in rows if 'mlp_in/kernel' in row] == [
    ['sequence/block_*/mlp_in/kernel', '[16,', '64]', '3', 'x', f'{3 * 16 * 64:,}']
  ]
