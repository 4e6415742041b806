"""Prompts made by hand: what stands in them, and what ridge says of them."""

import numpy as np
import pytest

import icljax

FIRST, SECOND = np.array([1.0, -2.0]), np.array([0.5, 3.0])


def test_pairs_are_of_their_tasks_in_order():
  made = icljax.prompt([(FIRST, 3), (SECOND, 2)], query=SECOND, queries=4)
  assert made.x_context.shape == (5, 2)
  expected = np.concatenate([made.x_context[:3] @ FIRST, made.x_context[3:] @ SECOND])
  np.testing.assert_allclose(made.y_context, expected, atol=1e-6)
  np.testing.assert_allclose(made.targets, made.x_query @ SECOND, atol=1e-6)


def test_noise_and_weights_leave_inputs_as_they_are():
  plain = icljax.prompt([(FIRST, 2000)], FIRST, seed=3)
  noisy = icljax.prompt([(SECOND, 2000)], SECOND, seed=3, noise=0.5)
  np.testing.assert_array_equal(plain.x_context, noisy.x_context)
  noise = noisy.y_context - noisy.x_context @ SECOND
  assert abs(noise.std() - 0.5) < 4 * 0.5 / np.sqrt(2 * 2000)
  assert abs((noise[:, None] * noisy.x_context).mean()) < 4 * 0.5 / np.sqrt(2 * 2000)
  other = icljax.prompt([(FIRST, 2000)], FIRST, seed=4)
  assert not np.array_equal(plain.x_context, other.x_context)


def test_a_context_may_be_empty():
  made = icljax.prompt([], FIRST, queries=3)
  assert made.x_context.shape == (0, 2)
  assert made.y_context.shape == (0,)
  assert made.x_query.shape == (3, 2)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'tasks': [(FIRST, 2), ([1.0], 2)]}, r'shapes \[1\], \[2\]; allowed is one shape'),
    ({'tasks': [(FIRST, -1)]}, 'whole numbers from 0'),
    ({'tasks': [(FIRST, 1.5)]}, 'whole numbers from 0'),
    ({'tasks': [(FIRST * np.inf, 2)]}, 'not finite'),
    ({'tasks': [(FIRST, 2)], 'noise': -1}, 'noise is -1; allowed are numbers from 0'),
    ({'tasks': [(FIRST, 2)], 'data_scale': np.nan}, 'data_scale is nan'),
  ],
)
def test_wrong_prompts_are_named(arguments, message):
  with pytest.raises(ValueError, match=message):
    icljax.prompt(query=FIRST, **arguments)
