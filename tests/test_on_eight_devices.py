"""Evaluations are the same on any number of devices, those too that cannot share a batch."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.on_eight_devices import EPISODES, NUMBERS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def evaluated(tmp_path_factory) -> dict[int, dict[str, np.ndarray]]:
  """Metrics, arrays and episodes, by the number of devices and by name."""
  file = tmp_path_factory.mktemp('devices') / 'values.npz'
  command = [sys.executable, '-m', 'tests.on_eight_devices', file]
  done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)
  assert done.returncode == 0, done.stderr
  values = {on: {} for on in NUMBERS}
  with np.load(file) as arrays:
    for described in arrays.files:
      on, _, name = described.partition(' ')
      values[int(on)][name] = arrays[described]
  return values


@pytest.mark.parametrize('on', NUMBERS[1:])
def test_evaluations_are_padded(evaluated, on):
  """Batches of 16, shared by so many: the same episodes to the bit, the numbers of one device."""
  alone, shared = evaluated[1], evaluated[on]
  assert alone.keys() == shared.keys()
  for name, values in alone.items():
    kind = name.partition(' ')[0]
    if kind == 'episodes':
      assert len(values) == 16
      np.testing.assert_array_equal(shared[name], values, err_msg=name)
    elif kind == 'metrics':
      np.testing.assert_allclose(shared[name], values, rtol=0, atol=1e-6, err_msg=name)
    elif name == 'arrays effective':
      # The exponential of a difference of logs of about 20, each of which rounds at 2e-6: of these
      # the means agree.
      assert len(values) == EPISODES
      np.testing.assert_allclose(shared[name].mean(), values.mean(), rtol=1e-6, err_msg=name)
    else:  # single numbers, in whose last bit float32 rounds
      assert len(values) == EPISODES
      np.testing.assert_allclose(shared[name], values, rtol=1e-6, atol=1e-5, err_msg=name)
