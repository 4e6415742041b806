"""Sweeps of real models: what they compile, the premise of stacking them, and how they are read."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import icljax
from icljax import build
from jaxline_lite import devices
from jaxline_lite.errors import BadInput
from tests.configs import tiny

STEPS = 50
POOLS = {
  'task__clip': float('inf'),
  'model__head': 'known_noise',
  'eval_modes': ('auto',),
  'keep_checkpoints': 'log:3',
  'eval__batch_size': 500,  # for the 2,000 episodes of each kept checkpoint
}


def compilations(folder, spec: str, width: int) -> int:
  """Sweeps over runs of one shape, and counts the programs that are compiled for them."""
  compiled = []

  def listen(event, seconds, **_):
    if event == '/jax/core/compile/backend_compile_duration':
      compiled.append(seconds)

  jax.monitoring.register_event_duration_secs_listener(listen)
  try:
    icljax.sweep(tiny(model__width=width, **POOLS), spec, folder)
  finally:
    jax.monitoring.unregister_event_duration_listener(listen)
  return len(compiled)


@pytest.fixture(scope='module')
def pools(tmp_path_factory):
  """A sweep of six points, and how many programs it compiled; likewise one of two."""
  folder = tmp_path_factory.mktemp('sweeps')
  few = compilations(folder / 'few', 'task.n_tasks=2,0', width=24)
  many = compilations(folder / 'pools', 'task.n_tasks=2,4,0; random_seed=0..1', width=20)
  return folder / 'pools', few, many


def test_points_of_one_shape_compile_their_step_and_evaluations_once(pools):
  """Six points take no more programs than two; small ones are there from the first sweep."""
  _, few, many = pools
  assert 1 <= many <= few


def test_a_sweep_over_pools_is_read(pools):
  folder, *_ = pools
  findings = json.loads((folder / 'eval_diversity' / 'diversity.json').read_text())
  assert {'groups', 'thresholds'} == findings.keys()
  table = pd.read_csv(folder / 'eval_diversity' / 'diversity.csv', dtype={'M': str})
  assert list(dict.fromkeys(table.M)) == ['2', '4', 'inf']
  assert (folder / 'eval_diversity' / 'diversity.png').exists()
  points = pd.read_csv(folder / 'eval_latent' / 'points.csv')
  assert len(points) == 6
  assert {'task.n_tasks', 'random_seed', 'error', 'delta_ridge'} <= set(points)
  # The infinite pool has no tasks of its own.
  assert len(pd.read_csv(folder / 'eval_pretrain' / 'points.csv')) == 4
  logged = icljax.metrics(folder, fields=['task.n_tasks'])
  latent = logged[logged['mode'] == 'eval_latent'].set_index('run')
  for point in points.itertuples():
    assert latent.error[str(folder / point.name)] == pytest.approx(point.error, rel=1e-12)


def test_a_sweep_has_a_folder_beside_the_run(tmp_path):
  config = tiny(tmp_path / 'run', training_steps=2, optimizer__warmup_steps=1)
  assert icljax.sweep(config, 'random_seed=0..1') == tmp_path / 'run_sweep'
  with pytest.raises(BadInput, match=r"config.sweep: .*'random_sed'"):
    icljax.sweep(config, 'random_sed=0..1')


def points() -> list:
  """Four runs of one shape: another M, seed, rate and length each."""
  numbers = [(2, 0, 1e-3, 50), (8, 1, 3e-3, 100), (64, 2, 1e-2, 200), (0, 3, 3e-4, 400)]
  return [
    tiny(
      **POOLS, task__n_tasks=tasks, random_seed=seed, optimizer__learning_rate=rate,
      optimizer__schedule='triangle', training_steps=steps,
    )
    for tasks, seed, rate, steps in numbers
  ]  # fmt: skip


def stack(trees):
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


@functools.cache
def alone():
  """State and losses of each point after some steps of its own program."""
  configs = points()
  program = jax.jit(devices.many_steps(build.train_step(configs[0]), STEPS))
  made = [
    program(None, build.make_settings(config), build.init_state(config), 0, STEPS)
    for config in configs
  ]
  return [jax.device_get(each) for each in made]


def test_points_under_lax_map_are_their_single_runs_to_the_bit():
  configs = points()
  steps = devices.many_steps(build.train_step(configs[0]), STEPS)
  stacked = stack([(build.make_settings(config), build.init_state(config)) for config in configs])
  program = jax.jit(lambda tree: jax.lax.map(lambda each: steps(None, *each, 0, STEPS), tree))
  together = jax.device_get(program(stacked))
  for i, (state, metrics) in enumerate(alone()):
    mine = jax.tree.map(lambda leaf, i=i: leaf[i], together)
    jax.tree.map(np.testing.assert_array_equal, mine, (state, metrics))


@pytest.mark.parametrize('count', [1, 2, 4])
def test_points_under_vmap_have_the_losses_of_their_single_runs(count):
  configs = points()[:count]
  steps = devices.many_steps(build.train_step(configs[0]), STEPS)
  stacked = stack([(build.make_settings(config), build.init_state(config)) for config in configs])
  program = jax.jit(jax.vmap(lambda settings, state: steps(None, settings, state, 0, STEPS)))
  _, metrics = jax.device_get(program(*stacked))
  for i, (_, single) in enumerate(alone()[:count]):
    np.testing.assert_allclose(metrics['loss'][i], single['loss'], atol=1e-3)
