"""Every preset and size of the configs can be checked, built, trained and evaluated. Shapes only:
nothing is compiled.
"""

import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from benchmarks import paper
from configs import glm
from icljax import build, checks
from icljax.glm.oracles import ORACLES
from icljax.paired import Indices
from icljax.subjects import subject_of
from jaxline_lite.base_config import SIZES, check_base_config
from jaxline_lite.errors import BadInput

PRESETS = ('joint', *glm.FAMILIES)


def parameters(config) -> int:
  """What goes in, positions, blocks, the last norm, and the head."""
  families, width, dims = (
    subject_of(config).task(config).families,
    config.model.width,
    config.task.D,
  )
  classes = max(family.predictors for family in families)
  target = 2 + (classes if classes > 1 else 0)  # y, log(1 + y), and the class
  if config.model.tokens == 'interleaved':
    embeddings, tokens = (dims + 1) * width + (target + 1) * width, 2
  else:
    embeddings, tokens = (dims + 1) * width + (dims + target + 1 + 1) * width, 1
  if config.model.head == 'eta':
    outputs = classes
  else:
    outputs = config.model.components * (
      len(families) + sum(family.predictors for family in families)
    )
  blocks = config.model.layers * (12 * width**2 + 13 * width)
  if len(families) > 1:
    outputs += len(families)  # of the read-out
  return embeddings + tokens * config.task.K * width + blocks + 2 * width + outputs * (width + 1)


@pytest.mark.parametrize(('preset', 'size'), list(itertools.product(PRESETS, SIZES)))
def test_a_preset_passes_the_checks_and_its_model_has_its_size(preset, size):
  config = glm.get_config(f'{preset},{size}')
  check_base_config(config)
  checks.check(config)
  assert set(config.eval_modes) <= set(checks.eval_modes(config))
  state = jax.eval_shape(lambda: build.init_state(config))
  assert sum(leaf.size for leaf in jax.tree.leaves(state.params)) == parameters(config)


@pytest.mark.parametrize('preset', PRESETS)
def test_the_published_setting_makes_a_step_and_an_evaluation(preset):
  config = glm.get_config(f'{preset},paper')
  config.model.layers = 1  # blocks are alike, and all of them were built above
  mode = subject_of(config).modes(config)['eval']
  task, state = mode.task(config), jax.eval_shape(lambda: build.init_state(config))
  settings = build.make_settings(config)
  after, metrics = jax.eval_shape(build.train_step(config), None, settings, state, jnp.int32(0))
  assert after == state
  assert {name: value.shape for name, value in metrics.items()} == {'loss': (), 'gradient_norm': ()}

  def evaluate(params, seed, numbers):
    indices = Indices(seed, numbers)
    references = mode.score_references(task, mode.references(config, task), None, indices)
    return mode.score(task, build.make_predictor(config, params), None, indices) | references

  scores = jax.eval_shape(evaluate, state.params, jnp.uint32(0), jnp.arange(config.eval.batch_size))
  assert {scores[name].shape for name in ('model', *ORACLES, 'effective')} == {(500, 40)}
  assert scores['family_posterior'].shape == (500, 40, 2 if preset == 'joint' else 1)


def test_the_docstring_has_a_command_for_every_published_experiment():
  """Each passes the checks and has the paper's size and a folder of its own; `benchmarks/paper.py`
  runs them.
  """
  configs = [paper.configured(command, Path('/tmp')) for command in paper.commands()]
  experiments = [
    (config.task.families, config.task.r, config.task.curriculum.interval, bool(config.init_from))
    for config in configs
  ]
  joint = 'poisson,neg_binomial'
  assert set(experiments) >= {
    ('poisson', 1.2, 0, False), (joint, 1.2, 3000, False), (joint, 1.2, 0, True),
    *((families, r, 0, False) for families in ('neg_binomial', joint) for r in (1.2, 2.5, 5.0)),
  }  # fmt: skip
  assert len({config.checkpoint_dir for config in configs}) == len(configs)
  for config in configs:
    check_base_config(config)
    checks.check(config)
    state = jax.eval_shape(lambda config=config: build.init_state(config))
    assert sum(leaf.size for leaf in jax.tree.leaves(state.params)) == parameters(config)
    assert config.task.curriculum.interval == 0 or config.task.curriculum.dims_start == 2


def test_words_come_in_any_order_and_name_the_folder():
  assert glm.get_config('paper,poisson') == glm.get_config(' poisson , paper ')
  assert glm.get_config() == glm.get_config('quick') == glm.get_config('joint,quick')
  folders = [
    glm.get_config(words).checkpoint_dir for words in ('', 'poisson', 'paper', 'poisson,paper')
  ]
  assert folders == ['runs/glm', 'runs/glm_poisson', 'runs/glm_paper', 'runs/glm_poisson_paper']


@pytest.mark.parametrize(
  ('words', 'message'),
  [
    ('poison', "'poison' .did you mean 'poisson'"),
    ('linear,poisson', 'two presets'),
    ('quick,paper', 'two sizes'),
  ],
)
def test_other_words_are_refused(words, message):
  with pytest.raises(BadInput, match=message):
    glm.get_config(words)
