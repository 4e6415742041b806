"""Procedural characters: the same for the same seed, and alike within a class as Omniglot's are."""

import numpy as np
import pytest

from icljax.omniglot.images import procedural, store


@pytest.fixture(scope='module')
def ink() -> np.ndarray:
  """`[C, J, 28, 28]` bool."""
  return np.stack([store.resize(procedural.character(0, i), 28) for i in range(60)])


def nearest_neighbour(ink: np.ndarray, ways: int, trials: int) -> float:
  """How often a drawing is nearest, by pixels, to another of its class, among one of each of `ways`
  classes.
  """
  rng = np.random.default_rng(0)
  right = 0
  for _ in range(trials):
    classes = rng.choice(len(ink), ways, replace=False)
    shown, asked = rng.choice(ink.shape[1], 2, replace=False)
    right += (ink[classes, shown] ^ ink[classes[0], asked]).sum((1, 2)).argmin() == 0
  return right / trials


def test_a_class_depends_on_seed_and_number_only():
  first = procedural.character(3, 5)
  assert first.shape == (20, 105, 105)
  assert first.dtype == bool
  procedural.character(3, 6)
  np.testing.assert_array_equal(procedural.character(3, 5), first)
  assert (procedural.character(3, 6) != first).any()
  assert (procedural.character(4, 5) != first).any()


def test_drawings_of_a_class_are_all_different(ink):
  assert all(len(np.unique(drawings.reshape(20, -1), axis=0)) == 20 for drawings in ink)


def test_every_drawing_has_some_ink_and_all_together_as_much_as_real_ones(ink):
  share = ink.mean((2, 3))
  assert share.min() > 0.01
  assert share.max() < 0.3
  assert 0.05 < share.mean() < 0.12  # Omniglot's small1: 0.097


def test_as_hard_to_tell_apart_as_real_ones(ink):
  """Omniglot's small1 has 0.22 in this test; chance is 0.05."""
  assert 0.15 < nearest_neighbour(ink, ways=20, trials=1000) < 0.5
