"""Episodes that grow in training: masks at each stage, in one program."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icljax import build
from icljax.base import draw_batch, stream
from icljax.parameters import named
from icljax.subjects import subject_of
from tests.configs import tiny

GROWING = {
  'task__families': 'poisson,neg_binomial',
  'task__D': 4,
  'task__K': 10,
  'task__curriculum__interval': 30,
  'task__curriculum__dims_start': 2,
  'task__curriculum__dims_increment': 1,
  'task__curriculum__points_start': 4,
  'task__curriculum__points_increment': 3,
  'optimizer__warmup_steps': 0,
}
# step: dimensions, pairs.
STAGES = {0: (2, 4), 29: (2, 4), 30: (3, 7), 60: (4, 10), 90: (4, 10), 10_000: (4, 10)}


@pytest.mark.parametrize(('step', 'active'), STAGES.items())
def test_masks_at_each_stage(step, active):
  dims, points = active
  task = subject_of(tiny()).task(tiny(**GROWING))
  drawn = draw_batch(task.at(jnp.int32(step)), stream(jnp.uint32(0), 'test'), step, jnp.arange(64))
  full = draw_batch(
    task.replace(curriculum=None), stream(jnp.uint32(0), 'test'), step, jnp.arange(64)
  )
  np.testing.assert_array_equal(drawn.x[..., :dims], full.x[..., :dims])
  assert not drawn.x[..., dims:].any()
  np.testing.assert_array_equal(drawn.weight, np.broadcast_to(np.arange(10) < points, (64, 10)))


def test_targets_are_drawn_from_the_dimensions_in_use():
  """Of a line with little noise: y is w.x over them."""
  task = subject_of(tiny()).task(
    tiny(**GROWING | {'task__families': 'linear', 'task__noise': 1e-3})
  )
  drawn = draw_batch(task.at(jnp.int32(30)), stream(jnp.uint32(0), 'test'), 30, jnp.arange(64))
  eta = np.clip(np.einsum('bkd,bd->bk', drawn.x[..., :3], drawn.task.w[:, 0, :3]) * 0.7, -4, 4)
  np.testing.assert_allclose(drawn.y, eta, atol=6e-3)


def test_one_compilation_goes_through_all_stages():
  config = tiny(**GROWING)
  chex.clear_trace_counter()
  step = jax.jit(chex.assert_max_traces(build.train_step(config), n=1))
  state, settings = build.init_state(config), build.make_settings(config)
  for t in STAGES:
    state, metrics = step(None, settings, state, jnp.int32(t))
    assert np.isfinite(metrics['loss'])


def test_dimensions_and_pairs_that_are_not_in_use_teach_nothing():
  """The first steps leave the weights of unused dimensions and positions where they were, but for
  none of the others.
  """
  config = tiny(**GROWING)
  state = build.init_state(config)
  after, _ = jax.jit(build.train_step(config))(
    None, build.make_settings(config), state, jnp.int32(0)
  )
  moved = {
    name: np.asarray(leaf != named(state.params)[name])
    for name, leaf in named(after.params).items()
  }
  query, positions = moved['query/kernel'], moved['sequence/positions']
  assert query[:2].all()
  assert not query[2:].any()
  assert positions[:4].any(1).all()
  assert not positions[4:].any()
  assert moved['read_out/kernel'].any()


def test_evaluations_are_at_the_full_size():
  config = tiny(**GROWING)
  for mode in ('eval', 'eval_poisson', 'eval_joint', 'eval_linear'):
    assert subject_of(config).modes(config)[mode].task(config).curriculum is None
    assert subject_of(config).modes(config)[mode].task(config).active_dims is None
