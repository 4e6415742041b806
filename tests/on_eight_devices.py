"""What an evaluation is on 1, 2, 3, 4, 6 and 8 of eight devices.

`python -m tests.on_eight_devices FILE.npz` writes its metrics, arrays and episodes, by name and
number of devices: a process has to be told how many devices there are before it looks for them.
"""

import os
import sys

from tests import conftest

NUMBERS = (1, 2, 3, 4, 6, 8)
EPISODES = 40  # two and a half batches of 16


def main() -> None:
  flags = conftest.FLAGS.replace('device_count=4', f'device_count={max(NUMBERS)}')
  os.environ['XLA_FLAGS'] = flags

  import jax
  import jax.numpy as jnp
  import numpy as np

  from icljax import build
  from icljax.experiment import Experiment
  from icljax.paired import Indices, draw_episodes
  from icljax.subjects import subject_of
  from tests.configs import tiny

  config = tiny(eval__episodes=EPISODES)
  task, state = subject_of(config).task(config), build.init_state(config)

  def draw(_, task, seed, numbers):
    return draw_episodes(task, Indices(seed, numbers, 'devices'))

  values = {}
  for on in NUMBERS:
    experiment = Experiment(config, jax.devices()[:on])
    experiment.state = state
    metrics, _, arrays = experiment.evaluate('eval', lambda: None)
    in_axes = (0, None, None, None)
    shares = jax.pmap(draw, 'devices', in_axes=in_axes, devices=jax.devices()[:on])
    episodes = shares(jnp.arange(on), task, jnp.uint32(0), jnp.arange(16))
    for name in ('x', 'y'):
      leaf = np.asarray(getattr(episodes, name))
      values[f'{on} episodes {name}'] = leaf.reshape(-1, *leaf.shape[2:])[:16]
    values |= {f'{on} metrics {name}': value for name, value in metrics.items()}
    values |= {f'{on} arrays {name}': value for name, value in arrays.items()}
  np.savez(sys.argv[1], allow_pickle=False, **values)


if __name__ == '__main__':
  main()
