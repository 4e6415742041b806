"""How exact matrix products are: recorded with a run, and bfloat16 where it is asked for."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icljax import build, checks
from icljax.experiment import Experiment
from icljax.models.transformer import Transformer
from icljax.subjects import subject_of
from jaxline_lite import modes
from tests.configs import tiny
from tests.glms import draw_at


def run(folder, **fields):
  config = tiny(folder, training_steps=10, final_eval=False, **fields)
  return modes.train(lambda config: Experiment(config, jax.devices()[:1]), config, checks)


def test_what_auto_came_to_is_recorded_and_goes_on(tmp_path):
  """On a CPU, products are exact; the same command, which still says auto, goes on with what was
  recorded.
  """
  run(tmp_path)
  recorded = json.loads((tmp_path / 'config.json').read_text())
  assert recorded['model']['precision'] == 'highest'
  recorded['model']['precision'] = 'bfloat16'  # as if another machine had begun it
  (tmp_path / 'config.json').write_text(json.dumps(recorded))
  (tmp_path / 'checkpoints').rename(tmp_path / 'elsewhere')
  run(tmp_path)
  assert json.loads((tmp_path / 'config.json').read_text())['model']['precision'] == 'bfloat16'
  assert 'at precision bfloat16' in (tmp_path / 'log.txt').read_text()


def jaxpr_types(precision: str) -> set[str]:
  """The types of what a transformer multiplies."""
  model = Transformer(layers=1, heads=2, length=4, precision=precision)
  tokens = jnp.zeros((2, 4, 8))
  params = jax.eval_shape(model.init, jax.random.key(0), tokens)
  jaxpr = str(jax.make_jaxpr(model.apply)(params, tokens))
  products = [line for line in jaxpr.splitlines() if 'dot_general' in line]
  assert len(products) == 6
  return {line.split(':')[1].split('[')[0] for line in products}


@pytest.mark.parametrize(
  ('precision', 'type_of_products'), [('highest', 'f32'), ('bfloat16', 'bf16')]
)
def test_products_have_the_type(precision, type_of_products):
  assert jaxpr_types(precision) == {type_of_products}


def test_bfloat16_is_near_and_parameters_stay_float32():
  scores = {}
  for precision in ('highest', 'bfloat16'):
    config = tiny(model__precision=precision)
    state, step = build.init_state(config), jax.jit(build.train_step(config))
    for t in range(5):
      state, metrics = step(None, build.make_settings(config), state, jnp.int32(t))
    assert np.isfinite(metrics['loss'])
    assert {leaf.dtype.name for leaf in jax.tree.leaves(state.params)} == {'float32'}
    episodes = draw_at(subject_of(config).task(config), jnp.arange(64))
    scores[precision] = np.asarray(
      jax.jit(build.make_predictor(config, state.params).score)(episodes)
    )
  difference = np.abs(scores['highest'] - scores['bfloat16'])
  assert 0 < difference.mean() < 0.05
