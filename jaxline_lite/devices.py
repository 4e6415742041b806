"""One program on all local devices: the only file that says pmap.

Every device holds the whole state and works on its share of a batch; a mean over `AXIS` makes them
agree.
"""

import contextlib
import functools
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxline_lite import terminal
from jaxline_lite.errors import BadInput

AXIS = 'devices'
PROBE = bytes(65_536)  # about as much as a small compiled program
PROGRAMS = 64  # compiled ones that a process keeps: more than one config has
Metrics = dict[str, np.ndarray]


@contextlib.contextmanager
def programs_on_disk(wanted: bool) -> Iterator[None]:
  """Keeps compiled programs on disk if `wanted`, unless JAX was told where to already.

  Where that is impossible, it says so in one line, and they are compiled anew.
  """
  name = 'jax_compilation_cache_dir'
  if jax.config.values[name] or not wanted:
    yield
    return
  try:
    folder = _program_cache()
  except (OSError, RuntimeError) as error:  # RuntimeError: the user has no home
    terminal.show(f'compiled programs are not kept on disk: {error}', error=True)
    yield
    return
  jax.config.update(name, str(folder))
  try:
    yield
  finally:
    jax.config.update(name, None)


def _program_cache() -> Path:
  """The folder of compiled programs, which has just been written to.

  Raises:
    OSError: if nothing can be kept there.
    RuntimeError: if there is neither `XDG_CACHE_HOME` nor a home folder.
  """
  caches = os.environ.get('XDG_CACHE_HOME', '')  # a relative one does not count, says XDG
  folder = (Path(caches) if os.path.isabs(caches) else Path.home() / '.cache') / 'jaxline_lite'
  folder.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryFile(dir=folder) as probe:
    probe.write(PROBE)
  return folder


def many_steps(step: Callable, most: int) -> Callable:
  """A pure function that makes any number of steps, up to `most`, in one program.

  Args:
    step: (data, settings, state, t) -> (state, metrics), metrics a dict of scalars.
    most: room for the metrics of so many steps.

  Returns:
    (data, settings, state, first, count) -> (state, metrics `[most]`, zero from row `count` on).
  """

  def run(data, settings, state, first, count):
    shapes = jax.eval_shape(step, data, settings, state, first)[1]
    rows = jax.tree.map(lambda shape: jnp.zeros((most, *shape.shape), shape.dtype), shapes)

    def body(i, carry):
      state, rows = carry
      state, metrics = step(data, settings, state, first + i)
      return state, jax.tree.map(lambda row, value: row.at[i].set(value), rows, metrics)

    return jax.lax.fori_loop(0, count, body, (state, rows))

  return run


@functools.lru_cache(maxsize=PROGRAMS)
def _steps_program(step: Callable, most: int, devices: tuple[Any, ...]) -> Callable:
  """The compiled steps of all runs of one shape: their numbers are arguments."""
  on_axis = functools.partial(step, axis=AXIS)
  in_axes = (0, 0, 0, None, None)
  return jax.pmap(
    many_steps(on_axis, most), AXIS, in_axes=in_axes, donate_argnums=2, devices=devices
  )


@functools.lru_cache(maxsize=PROGRAMS)
def _examples_program(measure: Callable, devices: tuple[Any, ...]) -> Callable:
  """A compiled measurement, for all arguments of one shape."""

  def on_axis(_, arguments, tree, indices):
    return measure(arguments, tree, indices, AXIS)

  return jax.pmap(on_axis, AXIS, in_axes=(0, None, 0, None), devices=devices)


class Devices:
  """Some local devices, by default all of them."""

  def __init__(self, devices: Sequence[Any] | None = None):
    self.devices = list(devices or jax.local_devices())

  def check_divides(self, number: int, name: str) -> None:
    """Raises BadInput if so many examples cannot be shared equally, with the nearest that can."""
    count = len(self.devices)
    if number % count:
      below = number // count * count
      nearest = ' and '.join(str(size) for size in (below, below + count) if size)
      raise BadInput(
        f'{name} is {number}, which {count} devices cannot share equally; the nearest that they '
        f'can: {nearest}'
      )

  def replicate(self, tree: Any) -> Any:
    """Puts a copy of every array on each device, under a new leading axis `[N, ...]`."""
    sharding = NamedSharding(Mesh(np.array(self.devices), (AXIS,)), PartitionSpec(AXIS))
    copies = lambda leaf: np.broadcast_to(np.asarray(leaf), (len(self.devices), *np.shape(leaf)))
    return jax.tree.map(lambda leaf: jax.device_put(copies(leaf), sharding), tree)

  def pmap_steps(
    self, step: Callable, most: int
  ) -> Callable[[Any, Any, Any, int, int], tuple[Any, Metrics]]:
    """Steps on all devices.

    Args:
      step: (data, settings, state, t, axis) -> (state, metrics). By the axis name it finds its
        place among the devices, and averages. The same function is compiled once.
      most: the most steps of one call.

    Returns:
      (data, settings, state, first, count) -> (state, metrics `[count]`), where data, settings and
      state are replicated. The state that goes in is donated.
    """
    program = _steps_program(step, most, tuple(self.devices))

    def run(data, settings, state, first, count):
      if count > most:
        raise ValueError(f'{count} steps in one call; there is room for {most}')
      state, metrics = program(data, settings, state, np.int32(first), np.int32(count))
      return state, {name: rows[:count] for name, rows in unreplicate(metrics).items()}

    return run

  def pmap_examples(self, measure: Callable) -> Callable[[Any, Any, int, int], Metrics]:
    """Measurements on all devices.

    Args:
      measure: (arguments, tree, indices, axis) -> a dict of `[ceil(count / N), ...]`. It gets all
        indices `[count]` and finds its share of them by the axis name; what fills up the last
        shares is left out of the result. The same function is compiled once.

    Returns:
      (arguments, tree, first, count) -> a dict of `[count, ...]`, where the tree is replicated.
    """
    program = _examples_program(measure, tuple(self.devices))
    place = np.arange(
      len(self.devices)
    )  # pmap wants something to map over, and the tree may be empty

    def run(arguments, tree, first, count):
      measured = program(place, arguments, tree, first + np.arange(count, dtype=np.int32))
      return {
        name: np.asarray(rows).reshape(-1, *rows.shape[2:])[:count]
        for name, rows in measured.items()
      }

    return run

  def example_shapes(
    self, measure: Callable, arguments: Any, tree: Any, count: int
  ) -> dict[str, jax.ShapeDtypeStruct]:
    """Shape and type of an example's measurements, which are not made.

    Args:
      measure, arguments, tree, count: as of `pmap_examples` and what it returns.
    """
    program, place = _examples_program(measure, tuple(self.devices)), np.arange(len(self.devices))
    shapes = jax.eval_shape(program, place, arguments, tree, np.arange(count, dtype=np.int32))
    return {
      name: jax.ShapeDtypeStruct(shape.shape[2:], shape.dtype) for name, shape in shapes.items()
    }


def unreplicate(tree: Any) -> Any:
  """The first device's copy, as numpy arrays."""
  return jax.tree.map(lambda leaf: np.asarray(leaf.addressable_shards[0].data)[0], tree)
