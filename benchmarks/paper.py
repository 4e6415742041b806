"""One step and one evaluation of every published experiment, at its size: the commands in the
docstring of configs/glm.py.

    python -m benchmarks.paper

Each command is run from start to end, but for one step and one batch of evaluation episodes. Prints
the number of parameters, the loss, the nats of model and reference, and the seconds that it took
with compilation; and the most memory of all.
"""

import re
import resource
import shlex
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

import icljax
from configs import glm
from jaxline_lite.files import read_lines

SHORT = {'training_steps': 1, 'eval.episodes': 500, 'log_train_data_interval': 1}


def commands() -> list[str]:
  """The words and fields of each command at the paper's size."""
  text = re.sub(r' \\\n *', ' ', glm.__doc__ or '')  # lines that go on
  found = re.findall(
    r'^    python run.py --config=configs/glm.py:(\S*paper.*)$', text, re.MULTILINE
  )
  return list(dict.fromkeys(command.split('#')[0].strip() for command in found))


def configured(command: str, folder: Path) -> ConfigDict:
  """The config of a command, whose runs lie in another folder."""
  words, *fields = shlex.split(command)
  config = glm.get_config(words)
  for field in fields:
    name, value = field.removeprefix('--config.').split('=')
    config.update_from_flattened_dict({name: type(_get(config, name))(value)})
  config.update_from_flattened_dict(SHORT)
  for field in ('checkpoint_dir', 'init_from'):
    config[field] = str(folder / config[field]) if config[field] else ''
  return config


def _get(config: ConfigDict, path: str):
  for name in path.split('.'):
    config = config[name]
  return config


def main() -> None:
  with tempfile.TemporaryDirectory() as folder:
    lines = []
    for command in commands():
      began = time.perf_counter()
      run = icljax.train(configured(command, Path(folder)))
      seconds = time.perf_counter() - began
      (step,), (record,) = (
        read_lines(run / 'metrics.jsonl'),
        read_lines(run / 'eval' / 'metrics.jsonl'),
      )
      parameters = sum(np.size(leaf) for leaf in jax.tree.leaves(icljax.load(run).params))
      reference = record['nats'] - record['regret']
      lines.append(
        f'{parameters:,} parameters  loss {step["loss"]:.3f}  nats {record["nats"]:.3f}, reference '
        f'{reference:.3f}  {seconds:.0f} s  {command}'
      )
  print('\n'.join(lines))
  print(f'most memory of all: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB')


if __name__ == '__main__':
  main()
