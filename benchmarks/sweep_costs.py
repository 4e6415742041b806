"""What the published sweeps cost: writes the table of docs/sweeps.md, without training anything.

python -m benchmarks.sweep_costs           # the table, by formula
python -m benchmarks.sweep_costs --rates   # what share of a core training steps reach here
"""

import argparse
import time
from pathlib import Path

import jax
import jax.numpy as jnp

from benchmarks.results import between
from icljax import build, checks, costs
from icljax.subjects import subject_of
from jaxline_lite import modes
from jaxline_lite.config_files import load_config
from jaxline_lite.devices import many_steps
from jaxline_lite.sweep_points import make_points

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / 'docs' / 'sweeps.md'
OF_BASE, OF_SMALL = ('raventos', 'diversity', 'threshold', 'dims', 'batch'), ('decay', 'size')
# The sweeps of these configs, or some of them: the published ones are of one model each.
SHOWN = {
  'linear_regression.py': (*OF_BASE, *OF_SMALL),
  'linear_regression.py:paper': OF_BASE,
  'linear_regression.py:small,paper': OF_SMALL,
  'linear_regression.py:wide,paper': ('raventos',),
  'glm.py': ('dispersion', 'diversity'),
  'glm.py:paper': ('dispersion', 'diversity'),
  'omniglot.py:procedural': ('burstiness', 'zipf', 'classes', 'recurrent'),
  'omniglot.py:paper': ('burstiness', 'zipf', 'classes', 'recurrent'),
}
HEAD = ('sweep', '`--config=configs/...`', '`config.sweep` spelled out', 'points', 'operations')
# Configs of other widths and models, and how many steps of each are timed.
TIMED = {
  'linear_regression.py': 100,
  'linear_regression.py:small': 100,
  'glm.py': 50,
  'omniglot.py:symbolic': 100,
  'omniglot.py:induction': 200,
  'linear_regression.py:small,paper': 10,
  'linear_regression.py:raventos,paper': 2,
  'omniglot.py:symbolic,paper': 20,
}
REPEATS = 3  # of which the least time counts


def row(words: str, name: str) -> list[str]:
  """One sweep of one config."""
  config = load_config(f'{ROOT}/configs/{words}')
  config.sweep = name
  points = make_points(
    config, Path('sweep'), checks, lambda point: modes.check(point, 'train', checks)
  )
  configs = [point.config for point in points]
  operations = sum(map(costs.run_operations, configs))
  hours = [costs.core_hours(configs)]
  hours += [costs.accelerator_hours(configs, device) for device in costs.ACCELERATORS]
  return [
    f'`{name}`',
    f'`{words}`',
    f'`{checks.sweeps(config)[name]}`',
    str(len(configs)),
    costs.text_of_operations(operations),
    *map(costs.text_of_hours, hours),
  ]


def table() -> str:
  """All sweeps in Markdown."""
  head = [*HEAD, 'hours: one core', *costs.ACCELERATORS]
  rows = [head, ['---'] * len(head)]
  rows += [row(words, name) for words, names in SHOWN.items() for name in names]
  return '\n'.join(f'| {" | ".join(cells)} |' for cells in rows)


def rate(words: str, steps: int) -> float:
  """Operations that training steps make in a second of CPU time."""
  config = load_config(f'{ROOT}/configs/{words}')
  data, settings = subject_of(config).data(config).values, build.make_settings(config)
  run = jax.jit(many_steps(build.train_step(config), steps))
  seconds = []
  for _ in range(1 + REPEATS):  # the first compiles
    began = time.process_time()
    state = build.init_state(config)
    jax.block_until_ready(run(data, settings, state, jnp.int32(0), jnp.int32(steps)))
    seconds.append(time.process_time() - began)
  return steps * costs.step_operations(config) / min(seconds[1:])


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--rates', action='store_true', help='time steps of some configs here')
  if parser.parse_args().rates:
    for words, steps in TIMED.items():
      print(f'{words}: {rate(words, steps):.2g} operations a second of CPU', flush=True)
    return
  before, _, after = between(PAGE.read_text(), 'sweep costs')
  PAGE.write_text(f'{before}\n{table()}\n{after}')


if __name__ == '__main__':
  main()
