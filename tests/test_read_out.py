"""The read-out tells what a model knows of the family, and teaches it nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icljax import build
from icljax.base import READ_OUT, draw_batch, stream
from icljax.parameters import named
from jaxline_lite.devices import many_steps
from tests.configs import tiny

JOINT = {
  'task__families': 'poisson,linear',
  'training_steps': 200,
  'optimizer__learning_rate': 1e-2,
  'optimizer__clip_norm': 0.05,
}


@pytest.fixture(scope='module')
def trained():
  """What a run came to: its config, its steps, and the parameters after 20 and 200 of them."""
  config = tiny(**JOINT)
  return config, params_after(config, 20), params_after(config, 200)


def params_after(config, count):
  steps = jax.jit(many_steps(build.train_step(config), 200))
  return steps(build.settings(config), build.init(config), jnp.int32(0), jnp.int32(count))[0].params


def test_labels_do_not_reach_the_model(trained, monkeypatch):
  """With other labels only the read-out's own parameters are others, to the bit, clipping included."""
  from icljax.models.in_context import ModelPredictor

  config, params, _ = trained
  side_loss = ModelPredictor.score_and_side_loss

  def mislabelled(self, episodes):
    scores, _ = side_loss(self, episodes)
    wrong = episodes.replace(task=episodes.task.replace(family=1 - episodes.task.family))
    return scores, side_loss(self, wrong)[1] * 1e4

  monkeypatch.setattr(ModelPredictor, 'score_and_side_loss', mislabelled)
  ours, theirs = named(params), named(params_after(config, 20))
  for name in ours:
    if not name.startswith(READ_OUT):
      np.testing.assert_allclose(theirs[name], ours[name], rtol=2e-4, atol=1e-6, err_msg=name)
  assert np.abs(theirs[f'{READ_OUT}/kernel'] - ours[f'{READ_OUT}/kernel']).max() > 1e-3


def test_a_read_out_learns_what_is_plain_to_see(trained):
  """Counts are whole numbers and a line's targets are not."""
  config, _, params = trained
  predictor = build.predictor(config, params)
  episodes = draw_batch(build.task(config), stream(jnp.uint32(0), 'test'), 0, jnp.arange(512))
  _, log_families = jax.jit(lambda p: p.outputs(episodes))(predictor)
  np.testing.assert_allclose(np.exp(log_families).sum(-1), 1, rtol=1e-5)
  hit = (np.asarray(log_families).argmax(-1) == np.asarray(episodes.task.family)[:, None]).mean(0)
  assert hit[0] < 0.6 < 0.8 < hit[-1]


def test_a_model_of_one_family_has_none():
  assert not [name for name in named(build.init(tiny()).params) if READ_OUT in name]
