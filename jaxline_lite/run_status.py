"""How far a run is, from its files alone. Imports no JAX."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from jaxline_lite.eval_records import EvalFolder
from jaxline_lite.ownership import owner
from jaxline_lite.rules import Rules
from jaxline_lite.run_folder import read_config, read_divergence

TAIL = 4096  # bytes of a file of records in which its last line is looked for

# Nobody has begun it; somebody trains it; nobody does; all its steps and evaluations are there; its
# loss is not finite.
WAITING, TRAINING, STOPPED, FINISHED, DIVERGED = (
  'waiting', 'training', 'stopped', 'finished', 'diverged',
)  # fmt: skip


class RunStatus(NamedTuple):
  """What a run's files tell.

  Attributes:
    state: one of the names above.
    step, steps: how many steps it has made, and is to make.
    rate: steps per second of late; None where that is unknown.
    loss: that of the last recorded step, or None.
    owner: the process that trains it, or None.
    note: what else there is to say, or ''.
  """

  state: str
  step: int
  steps: int
  rate: float | None = None
  loss: float | None = None
  owner: str | None = None
  note: str = ''

  @property
  def is_open(self) -> bool:
    """Whether there is something left to do."""
    return self.state in (WAITING, TRAINING, STOPPED)

  @property
  def seconds_left(self) -> float | None:
    """How long its steps will take at this rate, if somebody trains it."""
    if self.state != TRAINING or not self.rate:
      return None
    return (self.steps - self.step) / self.rate


def run_status(folder: Path, rules: Rules) -> RunStatus:
  """How far the run in a folder is.

  Raises:
    BadInput: if there is no run.
  """
  config, name, divergence = read_config(folder, rules), owner(folder), read_divergence(folder)
  timing, metrics = (_last_record(folder / f'{file}.jsonl') for file in ('timing', 'metrics'))
  saved, ended_early = _newest_checkpoint(folder)
  steps = saved if ended_early else config.training_steps
  recorded = timing.get('step', 0) if name else 0  # those after the last checkpoint are made again
  numbers = max(saved, recorded), steps, timing.get('steps_per_second'), metrics.get('loss')
  if divergence and not name:
    numbers = (divergence['step'], *numbers[1:])
    return RunStatus(DIVERGED, *numbers, note=divergence['message'])
  lacking = [
    mode
    for mode in (config.eval_modes if config.final_eval and saved >= steps else ())
    if not EvalFolder(folder, mode, config, rules).has(saved)
  ]
  if name:
    return RunStatus(TRAINING, *numbers, name, f'evaluates {lacking[0]}' if lacking else '')
  if saved >= steps and not lacking:
    return RunStatus(FINISHED, *numbers)
  has_begun = (folder / 'metrics.jsonl').exists()
  return RunStatus(STOPPED if has_begun else WAITING, *numbers)


def _newest_checkpoint(folder: Path) -> tuple[int, bool]:
  """The step of the newest checkpoint, 0 without one, and whether the run ended with it."""
  names = [path.name for path in (folder / 'checkpoints').glob('*') if path.name.isdecimal()]
  newest = max(map(int, names), default=0)
  try:
    manifest = json.loads((folder / 'checkpoints' / str(newest) / 'manifest.json').read_text())
    return newest, bool(manifest.get('stopped_early'))
  except (OSError, ValueError):  # none, or a damaged one, of which whoever goes on will tell
    return newest, False


def _last_record(path: Path) -> dict[str, Any]:
  """The last whole line of a file of records; {} where there is none."""
  try:
    with path.open('rb') as file:
      file.seek(0, os.SEEK_END)
      file.seek(max(0, file.tell() - TAIL))
      lines = file.read().split(b'\n')[:-1]
    return json.loads(lines[-1]) if lines else {}
  except (OSError, ValueError):
    return {}
