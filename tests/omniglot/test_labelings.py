"""How the classes of sequences are labelled, by every labeling, and the sequences that are only
evaluated.
"""

import jax.numpy as jnp
import numpy as np
import pytest

from icljax.omniglot.labels import allowed_labels, owned_labels
from tests.omniglot.test_sequences import (
  COMMON,
  COUNT,
  ORDER,
  RARE,
  agrees,
  counted,
  draw,
  masses,
  sequences,
)


@pytest.mark.parametrize('kind', ['bursty', 'random', 'no_support_common'])
def test_original_labels_are_class_ids(kind):
  episodes, positions = draw(kind, labelings=('original', 'original'))
  ids = np.concatenate([ORDER[:10], ORDER[-5:]])
  np.testing.assert_array_equal(episodes.y, ids[positions])


def test_unfixed_labels_are_drawn_for_each_sequence():
  """One for each class of a sequence; those of a bursty problem differ from each other."""
  episodes, positions = draw('bursty', labelings=('unfixed', 'unfixed'), burst=(1.0, 1.0, 0.0))
  y = episodes.y.astype(int)
  assert set(np.unique(y)) == {0, 1}
  assert all(
    (y[:, i] == y[:, j])[positions[:, i] == positions[:, j]].all()
    for i in range(9)
    for j in range(i)
  )
  agrees(np.bincount(y[:, -1]), [0.5, 0.5])
  same = positions[:, :-1] == positions[:, -1:]
  others = np.array([[np.sum(row == c) for c in row[:-1]] for row in positions[:2_000]])
  # The distractor of the problem: the other class that comes three times, where it is the only one.
  for row in range(2_000):
    triples = {c for c, count in zip(positions[row, :-1], others[row]) if count == 3} - {
      positions[row, -1]
    }
    if len(triples) == 1 and same[row].sum() == 3:
      (distractor,) = triples
      assert y[row, list(positions[row]).index(distractor)] != y[row, -1]


def test_rare_classes_alone_can_have_unfixed_labels():
  episodes, positions = draw('random', labelings=('unfixed', 'ordered'))
  common = positions >= RARE
  np.testing.assert_array_equal(episodes.y[common], positions[common])
  assert set(np.unique(episodes.y[~common])) == {0, 1}


def test_sets_of_labels_are_those_of_the_problems():
  """Each set as often, and either order within it."""
  sets = ((0, 3), (1, 2), (2, 4))
  episodes, positions = draw('fewshot_rare', label_sets=sets)
  pairs = np.array(
    [
      [row[0], row[list(classes != classes[0]).index(True)]]
      for row, classes in zip(episodes.y, positions)
    ]
  )
  law = {pair: 1 / 6 for a, b in sets for pair in ((a, b), (b, a))}
  found = [(pairs == pair).all(1).sum() for pair in law]
  agrees(found, list(law.values()))


def test_a_flipped_context_has_each_others_labels():
  episodes, positions = draw('flip')
  y = episodes.y.astype(int)
  for row in range(300):
    classes = np.unique(positions[row])
    assert len(classes) == 2
    np.testing.assert_array_equal(
      y[row], np.where(positions[row] == classes[0], classes[1], classes[0])
    )
  p = masses('zipfian')
  agrees(counted(positions[:, 0]), (p + p * sum(q / (1 - q) for q in p) - p**2 / (1 - p)) / 2)


def test_iwl_context_has_a_problem_of_other_classes():
  episodes, positions = draw('iwl_context')
  assert not (positions[:, :-1] == positions[:, -1:]).any()
  assert all(len(np.unique(row)) == 2 for row in positions[:300, :-1])
  np.testing.assert_array_equal(episodes.y, positions)
  assert positions.max() < RARE + COMMON


def test_labels_are_allowed_kind_by_kind_where_only_some_are_fixed():
  """A perfect model's answers are among them: every label that occurs as a query's."""
  for kind, labelings in (
    ('bursty', ('unfixed', 'ordered')),
    ('mixed', ('unfixed', 'ordered')),
    ('bursty', ('ordered', 'unfixed')),
  ):
    task = sequences(kind, labelings=labelings)
    episodes, _ = draw(kind, labelings=labelings)
    allowed = np.flatnonzero(allowed_labels(task, jnp.zeros(8), 12))
    assert set(np.unique(episodes.y[:, -1])) == set(allowed)
    assert set(owned_labels(task, 12)) == {
      name for name, labeling in zip(('rare', 'common'), labelings) if labeling != 'unfixed'
    }


@pytest.mark.parametrize(
  ('kind', 'expected'),
  [
    ('no_support_rare', range(3 * RARE)),
    ('no_support_common', range(3 * RARE, 3 * RARE + COMMON)),
    ('bursty', range(3 * RARE + COMMON)),
    ('fewshot_holdout', range(2)),
    ('mixed', [0, 1, *range(3 * RARE, 3 * RARE + COMMON)]),
    ('flip', [4, 9]),
  ],
)
def test_labels_that_are_allowed(kind, expected):
  """With three labels for each rare class."""
  task, context = sequences(kind, labels=3), jnp.array([4.0, 9.0, 4.0])
  allowed = np.asarray(allowed_labels(task, context, 3 * RARE + COMMON + 2))
  assert np.flatnonzero(allowed).tolist() == list(expected)


def test_every_item_has_a_seed_of_its_own_where_there_is_noise():
  episodes, _ = draw('bursty', noise=0.1)
  seeds = episodes.x[..., 2]
  assert len(np.unique(seeds)) > 0.999 * COUNT * 9
  assert (draw('bursty')[0].x[..., 2] == 0).all()
