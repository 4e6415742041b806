"""Checkpoints that are whole or absent: the only importer of orbax.

Orbax writes the arrays; it neither checks them when reading nor falls back. So every checkpoint
folder also holds a manifest with the SHA-256 of each file, and appears under its final name only
when all of it is on the disk.
"""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxline_lite.errors import BadInput
from jaxline_lite.files import canonical, digest, sync

MANIFEST = 'manifest.json'
PACKAGES = ('jax', 'flax', 'optax', 'orbax-checkpoint')


class Damaged(Exception):
  """A checkpoint is not what was written."""


def _digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
  """SHA-256 of files below a folder, by relative name; those that are not there are left out."""
  digests = {}
  for name in names:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
      digests[name] = digest((folder / name).read_bytes())
  return digests


def _written_files(folder: Path) -> list[str]:
  """The names of all files below a folder."""
  return [str(path.relative_to(folder)) for path in sorted(folder.rglob('*')) if path.is_file()]


def _arrays(tree: Any) -> dict[str, str]:
  """Type and shape of every leaf, by name."""
  return {_name(path): _shape(leaf) for path, leaf in jax.tree.leaves_with_path(tree)}


def write(folder: Path, state: Any, about: dict[str, Any]) -> None:
  """Writes a pytree of arrays to `folder`, which exists afterwards complete or not at all."""
  import orbax.checkpoint as ocp

  temporary = folder.with_name(f'.{folder.name}.writing')
  shutil.rmtree(temporary, ignore_errors=True)
  temporary.mkdir(parents=True)
  state = jax.tree.map(np.asarray, state)
  with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
    checkpointer.save(temporary.resolve() / 'state', args=ocp.args.StandardSave(state))
  versions = {name: version(name) for name in PACKAGES}
  files = _digests(temporary, _written_files(temporary))
  manifest = {**about, 'arrays': _arrays(state), 'files': files, 'versions': versions}
  manifest['digest'] = digest(canonical(manifest).encode())
  (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True))
  for path in sorted(temporary.rglob('*')):
    sync(path)
  sync(temporary)
  temporary.rename(folder)
  sync(folder.parent)


def read_manifest(folder: Path) -> dict[str, Any]:
  """The manifest of a checkpoint, without looking at the files that it lists.

  Raises:
    Damaged: if it is missing or altered.
    BadInput: if it is there and cannot be read now, which is no damage.
  """
  try:
    with _readable():
      manifest = json.loads((folder / MANIFEST).read_text(encoding='utf-8'))
    claimed = manifest.pop('digest')
  except FileNotFoundError as error:
    raise Damaged(f'{MANIFEST} is missing') from error
  except (ValueError, KeyError, AttributeError) as error:
    raise Damaged(f'{MANIFEST} is altered ({type(error).__name__})') from error
  if digest(canonical(manifest).encode()) != claimed:
    raise Damaged(f'{MANIFEST} is altered')
  return manifest


@contextlib.contextmanager
def _readable() -> Iterator[None]:
  """Turns an error of the system, but that a file is missing, into BadInput."""
  try:
    yield
  except FileNotFoundError:
    raise
  except OSError as error:
    raise BadInput(
      f'{error.filename} cannot be read ({error.strerror}); nothing was changed; see to that, and '
      'give the same command'
    ) from error


def verify(folder: Path) -> dict[str, Any]:
  """The manifest of a checkpoint, after comparing the files that it lists with it.

  Other files are not looked at: programs that show or copy folders leave some of their own.

  Raises:
    Damaged: naming the first file that is missing or altered.
    BadInput: if a file is there and cannot be read now, which is no damage.
  """
  manifest = read_manifest(folder)
  with _readable():
    found = _digests(folder, manifest['files'])
  for name, expected in sorted(manifest['files'].items()):
    if found.get(name) != expected:
      raise Damaged(f'{name} is {"altered" if name in found else "missing"}')
  return manifest


def read(folder: Path, target: Any) -> Any:
  """The pytree in a checkpoint, as numpy arrays in the structure of `target`.

  Arrays are found by their names, so that empty parts of the structure, such as stages of an
  optimizer without a state, may have come or gone since.

  Raises:
    Damaged: if a file is not what was written.
    BadInput: if the checkpoint's arrays are not those of `target`, naming the first that differs.
  """
  verify(folder)
  with _kept(folder):
    arrays = _restore(folder / 'state')
  wanted, structure = jax.tree_util.tree_flatten_with_path(target)
  names = [_name(path) for path, _ in wanted]
  here = {name: _shape(leaf) for name, (_, leaf) in zip(names, wanted)}
  there = {name: _shape(leaf) for name, leaf in arrays.items()}
  for name in sorted(there.keys() | here.keys()):
    if there.get(name) != here.get(name):
      differ = f'{name} is {there.get(name, "absent")} there and {here.get(name, "absent")} here'
      raise BadInput(
        f'{folder}: holds another model or optimizer: {differ}; give the config that it was '
        'trained with, or go on with the version that made it'
      )
  return jax.tree.unflatten(structure, [arrays[name] for name in names])


def _restore(folder: Path) -> dict[str, np.ndarray]:
  """All arrays that orbax wrote to a folder, by name."""
  import orbax.checkpoint as ocp

  with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
    tree = checkpointer.metadata(folder.resolve()).item_metadata.tree
    template = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), tree)
    restored = checkpointer.restore(folder.resolve(), args=ocp.args.StandardRestore(template))
  return {_name(path): leaf for path, leaf in jax.tree.leaves_with_path(restored)}


def _name(path: Any) -> str:
  """The name of a leaf by its path, the same for tuples with and without names of fields."""
  return jax.tree_util.keystr(path, simple=True, separator='/')


def _shape(leaf: Any) -> str:
  """Type and shape of an array."""
  return f'{np.dtype(leaf.dtype)}{list(leaf.shape)}'


@contextlib.contextmanager
def _kept(folder: Path) -> Iterator[None]:
  """Turns an error into Damaged if the checkpoint was deleted meanwhile, by the run that it belongs
  to.
  """
  try:
    yield
  except Exception as error:
    if folder.exists():
      raise
    raise Damaged('it was deleted meanwhile') from error


class Checkpoints:
  """The checkpoints of a run, `<folder>/<step>/`."""

  def __init__(self, folder: Path, say: Callable[[str], None]):
    self.folder = folder
    self._say = say

  def steps(self) -> list[int]:
    """Steps on disk, ascending."""
    names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
    return sorted(int(name) for name in names if name.isdecimal())

  def path(self, step: int) -> Path:
    return self.folder / str(step)

  def save(self, step: int, state: Any, about: dict[str, Any]) -> None:
    """Writes the state of `step`, unless it is there."""
    if step not in self.steps():
      write(self.path(step), state, {'step': step, **about})

  def begun(self) -> bool:
    """Whether there is any checkpoint, intact or not."""
    return bool(self.steps() or list(self.folder.glob('*.damaged*')))

  def restore_latest(self, target: Any) -> tuple[int, Any] | None:
    """The newest intact (step, state), or None where no run has begun; damaged ones are renamed
    `<step>.damaged`.

    Raises:
      BadInput: if there are checkpoints and none is intact.
    """
    steps = self.steps()
    for step in reversed(steps):
      try:
        return step, read(self.path(step), target)
      except Damaged as damage:
        self._say(
          f'checkpoint {step} is damaged ({damage}); now {self._put_aside(step)}, and the one '
          'before is used'
        )
    if self.begun():
      raise BadInput(
        f'{self.folder}: no checkpoint is intact; nothing was deleted; restore one from a backup '
        'or choose another --config.checkpoint_dir'
      )
    return None

  def read_any(self, steps: Sequence[int], target: Any) -> tuple[int, Any]:
    """The first intact (step, state) of `steps`, with a line for each that is passed over; changes
    nothing on disk.

    Raises:
      BadInput: if none is intact.
    """
    for step in steps:
      try:
        return step, read(self.path(step), target)
      except Damaged as damage:
        kind = 'damaged' if self.path(step).exists() else 'no longer there'
        self._say(f'checkpoint {step} is {kind} ({damage}) and passed over')
    raise BadInput(f'{self.folder}: none of the checkpoints {", ".join(map(str, steps))} is intact')

  def arithmetic(self, step: int) -> int:
    """The arithmetic of the program that made a checkpoint; 1 where nobody counted yet."""
    return json.loads((self.path(step) / MANIFEST).read_text()).get('arithmetic', 1)

  def stopped_early(self, step: int) -> bool:
    """Whether a run ended with this checkpoint, before all its steps."""
    try:
      return read_manifest(self.path(step)).get('stopped_early', False)
    except Damaged:
      return False

  def read_kept(self, step: int, target: Any) -> Any | None:
    """The state of a step; None if the trainer has deleted it in the meantime, or it is damaged."""
    try:
      return read(self.path(step), target)
    except (Damaged, OSError) as error:
      if self.path(step).exists():
        self._say(f'checkpoint {step} is damaged ({error}) and passed over')
      return None

  def _put_aside(self, step: int) -> Path:
    aside, count = self.folder / f'{step}.damaged', 1
    while aside.exists():
      aside, count = self.folder / f'{step}.damaged.{count}', count + 1
    return self.path(step).rename(aside)

  def keep(self, wanted: Iterable[int]) -> None:
    """Deletes every checkpoint but the wanted ones."""
    for step in sorted(set(self.steps()) - set(wanted)):
      doomed = self.folder / f'.{step}.deleting'
      try:
        self.path(step).rename(doomed)
        shutil.rmtree(doomed)
      except OSError as error:  # housekeeping: what stays is in nobody's way
        self._say(f'checkpoint {step} could not be deleted ({error.strerror}); it stays')

  def clear_leftovers(self) -> None:
    """Deletes what a killed process was writing or deleting."""
    for pattern in ('.*.writing', '.*.deleting'):
      for path in self.folder.glob(pattern):
        shutil.rmtree(path, ignore_errors=True)
