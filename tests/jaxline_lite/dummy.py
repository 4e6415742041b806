"""The smallest experiment: three weights that follow a wave. Numpy only, so that a run takes no
time to compile.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from ml_collections import ConfigDict

from jaxline_lite import base_config, modes
from jaxline_lite.experiment import (
  AbstractExperiment,
  Comparison,
  Evaluation,
  Outline,
  SweptRun,
)
from jaxline_lite.rules import Rules

BATCHES = 3  # of an evaluation


def get_config(words: str = '') -> ConfigDict:
  preset, size = base_config.read_words(words, ('slow', 'fast'), default='slow')
  config = base_config.get_base_config()
  config.checkpoint_dir = base_config.run_folder('dummy', preset, 'slow', size)
  config.training_steps = 60
  config.log_train_data_interval = 7
  config.save_checkpoint_interval = '20'
  config.keep_checkpoints = 'none'
  config.eval_interval = 20
  config.compilation_cache = False
  config.model = ConfigDict()
  config.model.width = 3
  config.model.dtype = 'float32'
  config.model.rate = 0.5 if preset == 'fast' else 0.1
  config.model.schedule = 'constant'  # with another, training_steps may not change
  config.model.bad_loss_at = 0  # the step whose loss is nan, if any
  config.model.bad_state_at = 0  # the step after which the state is not finite, if any
  config.eval.target = 50  # what the step is compared with
  config.eval.batch_size = 4
  return config


def check(config: ConfigDict) -> None:
  if config.model.rate <= 0:
    raise ValueError(f'model.rate is {config.model.rate}; allowed are numbers above 0')


def eval_modes(config: ConfigDict) -> tuple[str, ...]:
  del config
  return ('eval', 'eval_twice')


def why_no_mode(config: ConfigDict, mode: str) -> str:
  del config
  return 'for it takes three' if mode == 'eval_three_times' else ''


def eval_fields(config: ConfigDict, mode: str) -> frozenset[str]:
  del config, mode
  return frozenset({'seed', 'target'})


def absent_fields(config: ConfigDict) -> dict[str, Any]:
  del config
  return {'model.rate': 0.1}


def sweep_modes(configs: list[ConfigDict]) -> dict[str, Any]:
  """One that reads two modes, the second at all checkpoints, of sweeps over the width."""
  if len({config.model.width for config in configs}) < 2:
    return {}
  return {'eval_widths': (('eval', '', {}), ('eval_twice', 'all', {'target': 7}))}


def sweeps(config: ConfigDict) -> dict[str, str]:
  del config
  return {'rates': 'model.rate=0.1,0.5; random_seed=0..2', 'widths': 'model.width=2^0..2^3'}


def hints(config: ConfigDict) -> dict[str, str]:
  del config
  return {'training_steps': '60 are enough'}


def resumable(config: ConfigDict) -> frozenset[str]:
  return frozenset({'training_steps'}) if config.model.schedule == 'constant' else frozenset()


def located_fields(config: ConfigDict) -> frozenset[str]:
  del config
  return frozenset()


def check_evaluated(config: ConfigDict, run: ConfigDict) -> None:
  del config, run


def chosen_fields(config: ConfigDict) -> dict[str, Any]:
  del config
  return {}


RULES = cast(
  Rules,
  SimpleNamespace(
    check=check,
    eval_modes=eval_modes,
    why_no_mode=why_no_mode,
    eval_fields=eval_fields,
    absent_fields=absent_fields,
    chosen_fields=chosen_fields,
    sweep_modes=sweep_modes,
    sweeps=sweeps,
    hints=hints,
    resumable=resumable,
    located_fields=located_fields,
    check_evaluated=check_evaluated,
  ),
)


def update(
  config: ConfigDict, state: dict[str, np.ndarray], step: int
) -> tuple[dict[str, np.ndarray], float]:
  """The state and the loss of one step: a pure function."""
  gap = np.sin(np.arange(config.model.width) + step) - state['w'].astype(np.float64)
  weights = (state['w'] + config.model.rate * gap).astype(state['w'].dtype)
  if step + 1 == config.model.bad_state_at:
    weights[1] = np.inf
  loss = np.nan if step + 1 == config.model.bad_loss_at else np.mean(gap**2)
  return {'w': weights, 'count': np.asarray(state['count'] + np.int32(1))}, loss


class Dummy(AbstractExperiment):
  """Calls `on_step` with the index of every step, and `on_batch` with that of every batch of an
  evaluation.
  """

  rules = RULES
  state: Any = None

  def __init__(
    self,
    config: ConfigDict,
    on_step: Callable[[int], None] = lambda step: None,
    on_batch: Callable[[int], None] = lambda batch: None,
    most_steps: int = 16,
  ):
    self.config, self.on_step, self.on_batch, self.most_steps = (
      config,
      on_step,
      on_batch,
      most_steps,
    )
    weights = np.full(config.model.width, config.random_seed, np.dtype(config.model.dtype))
    self.state = {'w': weights, 'count': np.array(0, np.int32)}

  def step(self, first: int, count: int) -> dict[str, np.ndarray]:
    losses = []
    for step in range(first, first + count):
      self.on_step(step)
      self.state, loss = update(self.config, self.state, step)
      losses.append(loss)
    return {'loss': np.array(losses)}

  def outline(self, mode: str) -> Outline:
    del mode
    return Outline(('distance', 'score'), 24)

  def evaluate(self, mode: str, check: Callable[[], None]) -> Evaluation:
    times, scores = 2 if mode == 'eval_twice' else 1, []
    for batch in range(BATCHES):
      check()
      self.on_batch(batch)
      scores.append(
        times * np.random.default_rng((self.config.eval.seed, batch)).normal() * self.state['w']
      )
    distance = float(abs(self.state['count'] - self.config.eval.target))
    return Evaluation(
      {'distance': distance, 'score': float(np.mean(scores))},
      f'distance {distance}',
      {'scores': np.array(scores)},
    )

  @staticmethod
  def describe_sweep(configs: Sequence[ConfigDict]) -> str:
    return f'{len(configs)} waves'

  @classmethod
  def read_runs(cls, mode: str, folder: Path, title: str, runs: list[SweptRun]) -> Comparison:
    numbers = {run.name: [len(each) for each in run.evaluations] for run in runs}
    fields = {run.name: run.fields for run in runs}
    (folder / 'counts.json').write_text(json.dumps({'numbers': numbers, 'fields': fields}))
    return Comparison(f'{mode}: {numbers}', (folder / 'counts.png').touch)


def configured(folder: Path, **fields: Any) -> ConfigDict:
  """The dummy's config in a folder; `fields` are overrides with `__` for the dots."""
  config = get_config()
  config.update_from_flattened_dict(
    {name.replace('__', '.'): value for name, value in fields.items()}
  )
  config.checkpoint_dir = str(folder)
  return config


def train(config: ConfigDict, evaluates_along: bool = False, **hooks: Any) -> Dummy:
  """What `--jaxline_mode train` does; the experiment at the end."""
  made = []
  make = lambda config: made.append(Dummy(config, **hooks)) or made[-1]
  modes.train(make, config, RULES, evaluates_along)
  return made[-1]


def steps(folder: Path) -> list[int]:
  """The steps of a run's intact checkpoints."""
  return sorted(
    int(path.name) for path in (folder / 'checkpoints').glob('*') if path.name.isdecimal()
  )


def left_by(folder: Path) -> dict[str, bytes]:
  """Everything that has to be the same however a run was made."""
  from jaxline_lite import stored_state

  last = folder / 'checkpoints' / str(steps(folder)[-1])
  state = stored_state.read(last, Dummy(configured(folder)).state)
  files = [
    'metrics.jsonl',
    *(
      str(path.relative_to(folder))
      for path in folder.glob('eval*/*')
      if not path.name.startswith('.')
    ),
  ]
  return {name: leaf.tobytes() for name, leaf in state.items()} | {
    name: (folder / name).read_bytes() for name in files
  }
