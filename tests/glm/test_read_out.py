"""The read-out tells what a model knows of the family, and teaches it nothing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from icljax import build
from icljax.base import READ_OUT
from icljax.glm.task import GLM
from icljax.parameters import named
from icljax.subjects import subject_of
from jaxline_lite.devices import many_steps
from tests.configs import tiny
from tests.glms import draw_at

JOINT = {
  'task__families': 'poisson,linear',
  'training_steps': 200,
  'optimizer__learning_rate': 1e-2,
  'optimizer__clip_norm': 0.05,
}


class Mislabelled(GLM):
  """The same episodes, whose family is called the other one if `flip` is 1: a leaf, so that one
  program does both.
  """

  flip: jax.Array | None = None

  def sample(self, key):
    episode = super().sample(key)
    return episode.replace(task=episode.task.replace(family=(episode.task.family + self.flip) % 2))


@functools.cache
def program():
  """All that both tests run."""
  return jax.jit(many_steps(build.train_step(tiny(**JOINT)), 200))


def train(count: int, flip: int):
  """The parameters after so many steps, on the right labels or the wrong ones."""
  config = tiny(**JOINT)
  settings = build.make_settings(config)
  task = Mislabelled(**vars(settings.task) | {'flip': jnp.int32(flip)})
  return program()(
    None, settings.replace(task=task), build.init_state(config), jnp.int32(0), jnp.int32(count)
  )[0].params


def test_labels_do_not_reach_the_model():
  """With other labels only the read-out's own parameters differ, to the bit, with clipping."""
  params = [named(train(20, flip)) for flip in (0, 1)]
  for name, ours in params[0].items():
    if not name.startswith(READ_OUT):
      np.testing.assert_array_equal(params[1][name], ours, err_msg=name)
  assert np.abs(params[1][f'{READ_OUT}/kernel'] - params[0][f'{READ_OUT}/kernel']).max() > 1e-3


def test_a_read_out_learns_what_is_plain_to_see():
  """Counts are whole numbers and a line's targets are not."""
  config = tiny(**JOINT)
  predictor = build.make_predictor(config, train(200, flip=0))
  episodes = draw_at(subject_of(config).task(config), jnp.arange(512))
  _, log_families = jax.jit(lambda p: p.outputs(episodes))(predictor)
  np.testing.assert_allclose(np.exp(log_families).sum(-1), 1, rtol=1e-5)
  hit = (np.asarray(log_families).argmax(-1) == np.asarray(episodes.task.family)[:, None]).mean(0)
  assert hit[0] < 0.6 < 0.8 < hit[-1]


def test_a_model_of_one_family_has_none():
  assert not [name for name in named(build.init_state(tiny()).params) if READ_OUT in name]
