"""How answers to sequences are measured: perfect copiers, hand-built heads, and what an answer is
among.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from icljax.likelihoods import Categorical
from icljax.omniglot.copier import copied
from icljax.omniglot.modes import answers, heads
from icljax.paired import Indices, draw_episodes
from tests.omniglot.test_sequences import COMMON, HOLDOUT, RARE
from tests.omniglot.test_sequences import sequences as task_of

COUNT, OUTPUTS = 4_000, 15


scored = jax.jit(answers.score_answers)


@functools.partial(jax.jit, static_argnums=1)
def draw(task, count):
  return draw_episodes(task, Indices(jnp.uint32(0), jnp.arange(count)))


@jax.jit
def by_copier(task):
  drawn = draw(task, COUNT)
  return answers.score_answers(
    Categorical(jax.vmap(lambda episode: copied(episode, OUTPUTS))(drawn)), drawn, task
  )


@pytest.mark.parametrize('kind', ['fewshot_rare', 'fewshot_zipfian', 'fewshot_holdout'])
def test_a_copier_is_always_right_on_few_shot_problems(kind):
  found = by_copier(task_of(kind))
  np.testing.assert_array_equal(found['correct_open'], 1)
  np.testing.assert_array_equal(found['correct_closed'], 1)
  np.testing.assert_array_equal(found['share_context'], 1)
  np.testing.assert_array_equal(found['chance'], 0.5)
  np.testing.assert_allclose(found['nats'], 0, atol=1e-6)


def test_with_replacement_a_copier_is_right_in_1_less_1_over_2n():
  found = by_copier(task_of('fewshot_holdout', replacement=True))
  assert found['correct_closed'].mean() == pytest.approx(
    1 - 1 / (2 * HOLDOUT), abs=4 * 0.5 / COUNT**0.5
  )


def test_a_copier_of_a_flipped_context_never_gives_the_classs_own_label():
  found = by_copier(task_of('flip'))
  np.testing.assert_array_equal(found['correct_open'], 1)
  np.testing.assert_array_equal(found['share_own'], 0)
  assert found['correct_closed'].mean() == 1


def test_any_label_of_the_querys_class_is_its_own():
  """With three labels for each rare class, an answer with another one of them is wrong, and from
  the weights.
  """
  task = task_of('no_support_rare', labels=3)
  drawn = draw(task, 300)
  other = 3 * drawn.task.positions[:, -1] + (drawn.y[:, -1].astype(jnp.int32) + 1) % 3
  found = scored(Categorical(5.0 * jax.nn.one_hot(other, 3 * RARE + COMMON)), drawn, task)
  np.testing.assert_array_equal(found['share_own'], 1)
  np.testing.assert_array_equal(found['correct_open'], 0)


def test_without_support_a_copier_guesses():
  """Every label is as likely, so that its answer counts in part for each."""
  for kind in ('no_support_zipfian', 'iwl_context'):
    found = by_copier(task_of(kind))
    np.testing.assert_allclose(found['correct_open'], 1 / OUTPUTS, rtol=1e-5)
    np.testing.assert_allclose(found['correct_closed'], 1 / (RARE + COMMON), rtol=1e-5)


def test_answers_are_counted_among_the_labels_that_they_are():
  """One sequence, and every label as the answer to it."""
  task = task_of('bursty')
  drawn = jax.tree.map(lambda leaf: jnp.repeat(leaf[:1], OUTPUTS, axis=0), draw(task, 1))
  found = scored(Categorical(10 * jnp.eye(OUTPUTS)), drawn, task)
  labels = np.arange(OUTPUTS)
  np.testing.assert_array_equal(found['correct_open'], labels == drawn.y[0, -1])
  np.testing.assert_array_equal(
    found['correct_closed'][: RARE + COMMON], found['correct_open'][: RARE + COMMON]
  )
  np.testing.assert_array_equal(found['share_context'], np.isin(labels, drawn.y[0, :-1]))
  np.testing.assert_array_equal(found['share_fewshot'], labels < 2)
  np.testing.assert_array_equal(found['share_rare'], labels < RARE)
  np.testing.assert_array_equal(found['share_common'], (labels >= RARE) & (labels < RARE + COMMON))
  np.testing.assert_array_equal(found['share_own'], labels == drawn.y[0, -1])


def test_closed_answers_are_of_the_labels_that_are_possible():
  """A model that prefers an impossible label is right closed, wrong open."""
  task = task_of('fewshot_rare')
  drawn = draw(task, 50)
  eta = (
    jax.nn.one_hot(drawn.y[:, -1].astype(jnp.int32), OUTPUTS) + 5 * jax.nn.one_hot(7, OUTPUTS)[None]
  )
  found = scored(Categorical(eta), drawn, task)
  np.testing.assert_array_equal(found['correct_open'], 0)
  np.testing.assert_array_equal(found['correct_closed'], 1)


class Handmade:
  """Attention by hand over tokens x_0 y_0 x_1 y_1 ...: in block 0 one head of previous tokens, in
  block 1 one of induction.
  """

  def __init__(self, positions):
    self.positions = positions

  def activations(self, x, y):
    batch, items = self.positions.shape
    tokens = 2 * items - 1
    before = np.eye(tokens, k=-1) + np.eye(tokens)[:1].T * np.eye(tokens)[:1]
    uniform = np.tril(np.ones((tokens, tokens))) / np.arange(1, tokens + 1)[:, None]
    induction = np.broadcast_to(uniform, (batch, tokens, tokens)).copy()
    for row, positions in enumerate(self.positions):
      same = np.flatnonzero(positions[:-1] == positions[-1])
      induction[row, -1] = 0
      induction[row, -1, 2 * same + 1] = 1 / len(same)
    first = np.broadcast_to(np.stack([before, uniform]), (batch, 2, tokens, tokens))
    second = np.stack([induction, np.broadcast_to(uniform, induction.shape)], axis=1)
    return {
      f'sequence/block_{block}/attention/weights': jnp.asarray(weights)
      for block, weights in enumerate((first, second))
    }


def test_handmade_heads_have_strength_1():
  task, indices = task_of('fewshot_holdout'), Indices(jnp.uint32(0), jnp.arange(40))
  drawn = draw_episodes(task, indices)
  found = heads.score_attention(task, Handmade(np.asarray(drawn.task.positions)), None, indices)
  assert set(found) == {'previous/0', 'induction/0', 'previous/1', 'induction/1'}
  np.testing.assert_allclose(found['previous/0'][:, 0], 1, rtol=1e-6)
  np.testing.assert_allclose(found['induction/1'][:, 0], 1, rtol=1e-6)
  uniform = np.mean([1 / (2 * k + 2) for k in range(6)])  # y_k sees 2 k + 2 tokens
  np.testing.assert_allclose(found['previous/0'][:, 1], uniform, rtol=1e-5)
  np.testing.assert_allclose(found['induction/1'][:, 1], 3 / 13, rtol=1e-5)


def test_the_numbers_of_heads_have_those_of_the_strongest():
  random = np.random.default_rng(0)
  shift = {'previous/0': [0.1, 0.3], 'induction/0': [0.0, 0.2], 'induction/1': [0.6, 0.0]}
  scores = {name: random.uniform(size=(50, 2)) + more for name, more in shift.items()}
  metrics, _ = heads.summarize(scores)
  for name, strongest in (('previous', 'previous/0/1'), ('induction', 'induction/1/0')):
    assert metrics[name] == metrics[strongest] > 0.5
    assert metrics[f'{name}_se'] == metrics[f'{strongest}_se'] > 0


def test_tables_have_every_number_with_its_error():
  measured = {name: np.asarray(values) for name, values in by_copier(task_of('bursty')).items()}
  metrics, table = answers.summarize(
    measured
    | {
      'copier/correct_open': measured['correct_open'],
      'copier/correct_closed': measured['correct_closed'],
    }
  )
  assert metrics['accuracy_open'] == pytest.approx(measured['correct_open'].mean())
  assert metrics['accuracy_open_se'] == pytest.approx(
    measured['correct_open'].std(ddof=1) / COUNT**0.5
  )
  assert 'copier of the context' in table
  attention = {'previous/0': np.random.default_rng(0).uniform(size=(30, 2))}
  metrics, table = heads.summarize(attention)
  assert metrics['previous/0/1'] == pytest.approx(attention['previous/0'][:, 1].mean())
  assert 'previous, block 0' in table
