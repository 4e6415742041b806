"""A state on disk, whole or absent: the only importer of orbax.

Orbax writes the arrays; it neither checks them when reading nor falls back. So the folder of a
state also holds a manifest with the SHA-256 of each file, and appears under its final name only
when all of it is on the disk.

The arrays lie in two parts: `state`, which evaluations read, and `rest`, which training needs
besides, such as the optimizer's. A state with both is whole; without the rest it is light. Earlier
versions wrote everything into `state`.
"""

import contextlib
import functools
import shutil
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxline_lite import files
from jaxline_lite.errors import BadInput
from jaxline_lite.terminal import quiet_libraries

MANIFEST, STATE, REST = 'manifest.json', 'state', 'rest'
PACKAGES = ('jax', 'flax', 'optax', 'orbax-checkpoint')

Manifest = dict[str, Any]
Lighten = Callable[[Any], Any]  # what evaluations need of a state


class Damaged(Exception):
  """A checkpoint is not what was written."""


def _digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
  """SHA-256 of files below a folder, by relative name; those that are not there are left out."""
  digests = {}
  for name in names:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
      digests[name] = files.digest((folder / name).read_bytes())
  return digests


def _written_files(folder: Path) -> list[str]:
  """The names of all files below a folder."""
  return [str(path.relative_to(folder)) for path in sorted(folder.rglob('*')) if path.is_file()]


def _arrays(tree: Any) -> dict[str, str]:
  """Type and shape of every leaf, by name."""
  return {_name(path): _shape(leaf) for path, leaf in jax.tree.leaves_with_path(tree)}


def _parts(state: Any, lighten: Lighten | None) -> dict[str, Any]:
  """The parts of a state, each with None for the leaves of the other; no part without leaves."""
  if lighten is None:
    return {STATE: state}
  names = _arrays(lighten(state)).keys()
  rest = jax.tree_util.tree_map_with_path(
    lambda path, leaf: None if _name(path) in names else leaf, state
  )
  return {STATE: lighten(state)} | ({REST: rest} if jax.tree.leaves(rest) else {})


def write(
  folder: Path, state: Any, about: Manifest, lighten: Lighten | None = None, whole: bool = True
) -> None:
  """Writes a pytree of arrays to `folder`, which exists afterwards complete or not at all.

  Args:
    about: what else the manifest is to say.
    lighten: takes of a state what evaluations need; by default all of it.
    whole: whether the rest is written too. A whole state takes the place of a light one.
  """
  temporary = folder.with_name(f'.{folder.name}.writing')
  shutil.rmtree(temporary, ignore_errors=True)
  temporary.mkdir(parents=True)
  parts = _parts(jax.tree.map(np.asarray, state), lighten)
  if not whole:
    parts.pop(REST, None)
  with files.complete_or_deleted(temporary, folder):
    for part, tree in parts.items():
      files.write_or_copy(temporary / part, functools.partial(_write_arrays, tree=tree))
    written = {
      'whole': whole,
      'arrays': _arrays(parts[STATE]),
      'rest': _arrays(parts.get(REST)),
      'files': _digests(temporary, _written_files(temporary)),
      'versions': {name: version(name) for name in PACKAGES},
    }
    _write_manifest(temporary, about | written)
    for path in sorted(temporary.rglob('*')):
      files.sync(path)
  files.sync(temporary)
  _put_in_place(temporary, folder)


def _write_arrays(folder: Path, tree: Any) -> None:
  import orbax.checkpoint as ocp

  with quiet_libraries(), ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
    checkpointer.save(folder.resolve(), args=ocp.args.StandardSave(tree))


def _put_in_place(temporary: Path, folder: Path) -> None:
  """Gives a written folder its name; a process that is killed meanwhile leaves the old one, or this
  one, or what `finish_replacement` puts back.
  """
  replaced = folder.with_name(f'.{folder.name}.replaced')
  if folder.exists():
    folder.rename(replaced)
  temporary.rename(folder)
  files.sync(folder.parent)
  shutil.rmtree(replaced, ignore_errors=True)


def finish_replacement(replaced: Path) -> None:
  """Deletes what was replaced, or puts it back where a killed process had put nothing in its place
  yet.
  """
  folder = replaced.with_name(replaced.name.removeprefix('.').removesuffix('.replaced'))
  if folder.exists():
    shutil.rmtree(replaced, ignore_errors=True)
  else:
    replaced.rename(folder)


def _write_manifest(folder: Path, manifest: Manifest) -> None:
  """Writes a manifest with its own digest, in place of one that is there."""
  manifest = files.from_json(files.to_json(manifest))  # as it will be read
  manifest['digest'] = files.digest(files.canonical(manifest).encode())
  files.replace(folder / MANIFEST, files.to_json(manifest, indent=1, sort_keys=True))


def drop_rest(folder: Path, manifest: Manifest) -> None:
  """Turns a whole state with this manifest into a light one, which is kept.

  It is one or the other at every moment; a process that is killed leaves files of the rest perhaps,
  which `delete_left_rest` deletes.
  """
  digests = {name: digest for name, digest in manifest['files'].items() if not _is_rest(name)}
  _write_manifest(folder, manifest | {'whole': False, 'kept': True, 'rest': {}, 'files': digests})
  shutil.rmtree(folder / REST, ignore_errors=True)


def delete_left_rest(folder: Path) -> None:
  """Deletes the rest of a state that a killed process has made light."""
  with contextlib.suppress(Damaged, BadInput):
    if (folder / REST).exists() and not is_whole(read_manifest(folder)):
      shutil.rmtree(folder / REST, ignore_errors=True)


def _is_rest(name: str) -> bool:
  return name.startswith(f'{REST}/')


def is_whole(manifest: Manifest) -> bool:
  """Whether training can go on from a state; earlier versions wrote no other."""
  return manifest.get('whole', True)


def read_manifest(folder: Path) -> Manifest:
  """The manifest of a state, which is compared with its own digest.

  Raises:
    Damaged: if it is missing or altered.
    BadInput: if it is there and cannot be read now, which is no damage.
  """
  try:
    manifest = files.from_json((folder / MANIFEST).read_text(encoding='utf-8'))
    claimed = manifest.pop('digest')
    if files.digest(files.canonical(manifest).encode()) != claimed:
      raise Damaged(f'{MANIFEST} is altered')
  except FileNotFoundError as error:
    raise Damaged(f'{MANIFEST} is missing') from error
  except OSError as error:
    raise _unreadable(error) from error
  except (ValueError, KeyError, AttributeError) as error:
    raise Damaged(f'{MANIFEST} is altered ({type(error).__name__})') from error
  return manifest


def _unreadable(error: OSError) -> BadInput:
  return BadInput(
    f'{error.filename} cannot be read ({error.strerror}); nothing was changed; see to that, and '
    'give the same command'
  )


def verify(folder: Path) -> Manifest:
  """The manifest of a state, after comparing the files that it lists with it.

  Other files are not looked at: programs that show or copy folders leave some of their own.

  Raises:
    Damaged: naming the first file that is missing or altered.
    BadInput: if a file is there and cannot be read now, which is no damage.
  """
  manifest = read_manifest(folder)
  try:
    digests = _digests(folder, manifest['files'])
  except OSError as error:
    raise _unreadable(error) from error
  for name, expected in sorted(manifest['files'].items()):
    if digests.get(name) != expected:
      if _is_rest(name) and not is_whole(read_manifest(folder)):
        return verify(folder)  # the run that it belongs to has made it light meanwhile
      raise Damaged(f'{name} is {"altered" if name in digests else "missing"}')
  return manifest


def read(folder: Path, target: Any, lighten: Lighten | None = None) -> Any:
  """The pytree on disk, as numpy arrays in the structure of `target`.

  Arrays are found by their names, so that empty parts of the structure, such as stages of an
  optimizer without a state, may have come or gone since.

  Args:
    lighten: takes of a state what evaluations need; then that alone is read.

  Raises:
    Damaged: if a file is not what was written.
    BadInput: if the arrays are not those of `target`, naming the first that differs.
  """
  manifest = verify(folder)
  in_parts = bool(manifest.get('rest')) or not is_whole(manifest)
  if lighten is not None and in_parts:
    target = lighten(target)
  with _unless_deleted(folder):
    arrays = _restore(folder / STATE)
    if lighten is None and manifest.get('rest'):
      arrays |= _restore(folder / REST)
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
  state = jax.tree.unflatten(structure, [arrays[name] for name in names])
  return state if lighten is None or in_parts else lighten(state)


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
def _unless_deleted(folder: Path) -> Iterator[None]:
  """Turns an error into Damaged if the run that the folder belongs to deleted it meanwhile."""
  try:
    yield
  except Exception as error:
    if folder.exists():
      raise
    raise Damaged('it was deleted meanwhile') from error
