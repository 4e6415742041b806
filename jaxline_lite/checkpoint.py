"""The checkpoints of a run: which are kept, whole or light, and from which one it goes on."""

import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from jaxline_lite.errors import BadInput
from jaxline_lite.stored_state import (
  Damaged,
  Lighten,
  Manifest,
  delete_left_rest,
  drop_rest,
  finish_replacement,
  is_whole,
  read,
  read_manifest,
  write,
)

LATEST = 2  # checkpoints that always stay whole: the one before is used where the newest is damaged


class Checkpoints:
  """The checkpoints of a run, `<folder>/<step>/`, each whole or light as in `stored_state`.

  Args:
    folder: where they are.
    say: takes the lines that tell an event.
    lighten: takes of a state what evaluations need; by default all of it.
    changes: takes the fields of a config that a manifest records, and names those that are not this
      run's; '' where there are none.
  """

  def __init__(
    self,
    folder: Path,
    say: Callable[[str], None],
    lighten: Lighten | None = None,
    changes: Callable[[dict[str, Any]], str] | None = None,
  ):
    self.folder = folder
    self._say, self._lighten, self._changes = say, lighten, changes

  def steps(self) -> list[int]:
    """Steps on disk, ascending."""
    names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
    return sorted(int(name) for name in names if name.isdecimal())

  def path(self, step: int) -> Path:
    return self.folder / str(step)

  def manifest(self, step: int) -> Manifest:
    """What is recorded of a checkpoint of this run.

    Raises:
      Damaged, BadInput: as `read_manifest`; and BadInput for a checkpoint of another run.
    """
    path, manifest = self.path(step), read_manifest(self.path(step))
    if manifest.get('step', step) != step:
      raise BadInput(
        f'{path} is of step {manifest["step"]}, as if it had been copied; remove it, or give it '
        'its own name'
      )
    changes = self._changes(manifest.get('run', {})) if self._changes else ''
    if changes:
      raise BadInput(
        f"{path} is another run's, which differs in {changes}; remove it, and put back what "
        'belongs there'
      )
    return manifest

  def save(self, step: int, state: Any, about: Manifest) -> None:
    """Writes the state of `step`, unless it is there.

    It is whole but for step 0, from which a run begins anew.
    """
    if not self._has(step):
      about = {'step': step, **about}
      write(self.path(step), state, about, self._lighten, whole=step > 0)

  def _has(self, step: int) -> bool:
    """Whether nothing would be gained by saving a step."""
    try:
      return step in self.steps() and (step == 0 or is_whole(read_manifest(self.path(step))))
    except Damaged:
      return False

  def begun(self) -> bool:
    """Whether there is a checkpoint behind step 0, intact or not."""
    damaged = [path for path in self.folder.glob('*.damaged*') if path.name.split('.')[0] != '0']
    return bool(damaged) or any(self.steps())

  def restore_latest(self, target: Any) -> tuple[int, Any] | None:
    """The newest intact whole (step, state), or None where no run has begun; damaged ones are
    renamed `<step>.damaged`.

    Raises:
      BadInput: if there are checkpoints and none is intact and whole, or one is another run's.
    """
    light = []
    for step in reversed(self.steps()):
      try:
        if is_whole(self.manifest(step)):
          return step, read(self.path(step), target)
        light.append(step)
      except Damaged as damage:
        self._say(
          f'checkpoint {step} is damaged ({damage}); now {self._put_aside(step)}, and the one '
          'before is used'
        )
    if not self.begun():
      return None
    if any(light):
      raise BadInput(
        f'{self.folder}: checkpoints {", ".join(map(str, light[::-1]))} have parameters alone, and '
        'none with the state of the optimizer is intact; nothing was deleted; restore one from a '
        'backup, or start another run from their parameters with --config.init_from'
      )
    raise BadInput(
      f'{self.folder}: no checkpoint is intact; nothing was deleted; restore one from a backup '
      'or choose another --config.checkpoint_dir'
    )

  def read_any(self, steps: Sequence[int], target: Any) -> tuple[int, Any]:
    """The first intact (step, state) of `steps`, with a line for each that is passed over; changes
    nothing on disk.

    The states are light where `lighten` was given.

    Raises:
      BadInput: if none is intact, or one is another run's.
    """
    for step in steps:
      try:
        return step, self._read(step, target)
      except Damaged as damage:
        kind = 'damaged' if self.path(step).exists() else 'no longer there'
        self._say(f'checkpoint {step} is {kind} ({damage}) and passed over')
    raise BadInput(f'{self.folder}: none of the checkpoints {", ".join(map(str, steps))} is intact')

  def _read(self, step: int, target: Any) -> Any:
    self.manifest(step)  # refuses those of other runs
    return read(self.path(step), target, self._lighten)

  def arithmetic(self, step: int) -> int:
    """The arithmetic of the program that made a checkpoint; 1 where nobody counted yet."""
    return read_manifest(self.path(step)).get('arithmetic', 1)

  def stopped_early(self, step: int) -> bool:
    """Whether a run ended with this checkpoint, before all its steps."""
    try:
      return read_manifest(self.path(step)).get('stopped_early', False)
    except Damaged:
      return False

  def read_kept(self, step: int, target: Any) -> Any | None:
    """The state of a step; None if the trainer has deleted it in the meantime, or it is damaged."""
    try:
      return self._read(step, target)
    except (Damaged, OSError) as error:
      if self.path(step).exists():
        self._say(f'checkpoint {step} is damaged ({error}) and passed over')
      return None

  def _put_aside(self, step: int) -> Path:
    aside, count = self.folder / f'{step}.damaged', 1
    while aside.exists():
      aside, count = self.folder / f'{step}.damaged.{count}', count + 1
    return self.path(step).rename(aside)

  def prune(self, kept: Collection[int], best: Collection[int]) -> None:
    """Leaves the latest 2 and the best checkpoints as they are, makes those that are kept light,
    and deletes the others.

    Those stay that cannot be read now, for nobody knows whether they are kept.

    Args:
      kept: the steps that the run's plan keeps; others were kept by an earlier one of its plans, as
        their manifests say. Those of earlier versions, which do not say so, are kept whole.
      best: the steps of the best checkpoints.
    """
    manifests = {}
    for step in self.steps():
      try:
        manifests[step] = read_manifest(self.path(step))
      except (Damaged, BadInput):
        continue
    whole = [step for step, manifest in manifests.items() if is_whole(manifest)]
    for step in manifests.keys() - {*whole[-LATEST:], *best}:
      manifest = manifests[step]
      try:
        if not (step in kept or manifest.get('kept', True)):
          self._delete(step)
        elif manifest.get('rest'):
          drop_rest(self.path(step), manifest)
      except OSError as error:  # housekeeping: what stays is in nobody's way
        self._say(f'checkpoint {step} could not be deleted ({error.strerror}); it stays')

  def _delete(self, step: int) -> None:
    doomed = self.folder / f'.{step}.deleting'
    self.path(step).rename(doomed)
    shutil.rmtree(doomed)

  def clear_leftovers(self) -> None:
    """Finishes what a killed process was writing, replacing or deleting."""
    for path in self.folder.glob('.*.replaced'):
      finish_replacement(path)
    for pattern in ('.*.writing', '.*.deleting'):
      for path in self.folder.glob(pattern):
        shutil.rmtree(path, ignore_errors=True)
    for step in self.steps():
      delete_left_rest(self.path(step))
