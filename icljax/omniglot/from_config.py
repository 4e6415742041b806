"""From a config to the data, the sequences and the network of image sequences."""

import functools
import hashlib
import io
import itertools
import zipfile
import zlib
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from icljax.models.embedders import Linear, Lookup
from icljax.models.resnet import ResNet
from icljax.models.sequence import end_precision, make_sequence_model, product_precision
from icljax.omniglot.classes import ordered_classes, pool
from icljax.omniglot.derived import (
  CHANNELS,
  DRAWINGS,
  class_count,
  drawn_label_count,
  is_augmented,
  label_count,
  labelings,
  longest_points,
)
from icljax.omniglot.drawings import Drawings, Features, Symbols
from icljax.omniglot.images import components, store
from icljax.omniglot.kinds import SequenceKind
from icljax.omniglot.model import LabelledItems
from icljax.omniglot.sequences import Sequences
from icljax.omniglot.settings import Burstiness
from icljax.subjects import Data


def load_data(config: ConfigDict) -> Data:
  """The `Drawings`, `Features` or `Symbols` that handles point to, read or made where need be.

  Raises:
    ValueError: if there is no way to them; the message says what to do.
  """
  data = config.data
  if data.example_type == 'symbolic':
    return Data(Symbols())
  if data.example_type == 'features':
    features = read_features(data.features)
    return Data(Features(features), _digest(features), f'data.features {data.features!r}')
  is_procedural = data.example_type == 'procedural'
  images = store.load(
    'procedural' if is_procedural else data.omniglot_config.omniglot_split,
    data_dir=data.data_dir or None,
    manual_dir=data.manual_dir or None,
    side=data.side,
    cache_dir=data.cache_dir,
    classes=data.procedural_classes,
  )
  # Of the drawings, not of components, whose last bits depend on the machine.
  digest, source = _digest(images.packed), f'{images.source} of data.cache_dir {data.cache_dir!r}'
  exemplars, packed = data.omniglot_config.exemplars, images.packed
  if exemplars == 'single':
    packed = packed[:, :1]
  elif exemplars == 'separated':
    packed = packed.reshape(-1, 1, packed.shape[-1])
  if data.components:
    values = components.leading(packed, images.side, data.components)
    return Data(Features(values), digest, source)
  return Data(Drawings(packed, images.side, is_augmented(config)), digest, source)


def _digest(array: np.ndarray) -> str:
  """SHA-256 of an array's type, shape and bytes."""
  head = f'{array.dtype.str}{array.shape}'.encode()
  return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def read_features(path: str) -> np.ndarray:
  """The array `[C, J, F]` of a .npz file, as it is now.

  Raises:
    ValueError: if there is none.
  """
  try:
    stat = Path(path).expanduser().stat()
  except OSError as error:
    raise ValueError(
      f'data.features is {path!r}, not a .npz file with one array [C, J, F]: {error}'
    ) from error
  return _read_features(path, (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))


@functools.lru_cache(maxsize=2)
def _read_features(path: str, version: tuple[int, ...]) -> np.ndarray:
  """The array of a file, read once for each version of the file."""
  del version
  try:
    # From bytes: by its name numpy leaves a damaged file open.
    with np.load(io.BytesIO(Path(path).expanduser().read_bytes()), allow_pickle=False) as arrays:
      (features,) = arrays.values()
  except (
    OSError,
    RuntimeError,  # a ~ without a home
    ValueError,
    TypeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
  ) as error:
    raise ValueError(
      f'data.features is {path!r}, not a .npz file with one array [C, J, F]: {error}'
    ) from error
  is_float = np.issubdtype(features.dtype, np.floating)
  if features.ndim != 3 or not is_float or not np.isfinite(features).all():
    raise ValueError(
      f'data.features is {path!r}, with a {features.dtype} array {list(features.shape)}; allowed '
      'are finite numbers [C, J, F]'
    )
  return features.astype(np.float32)


def item(config: ConfigDict) -> jax.ShapeDtypeStruct:
  """Shape and type of what a model reads of one item."""
  data = config.data
  if data.example_type == 'symbolic':
    return jax.ShapeDtypeStruct((), jnp.int32)
  if data.example_type == 'features':
    return jax.ShapeDtypeStruct(read_features(data.features).shape[2:], jnp.float32)
  shape = (data.components,) if data.components else (data.side, data.side)
  return jax.ShapeDtypeStruct(shape, jnp.float32)


def classes_and_drawings(config: ConfigDict) -> tuple[int, int]:
  """How many classes there are, and how many drawings of each."""
  if config.data.example_type == 'features':
    return read_features(config.data.features).shape[:2]
  is_single = config.data.omniglot_config.exemplars != 'all'
  drawings = 1 if is_single or config.data.example_type == 'symbolic' else DRAWINGS
  return class_count(config) or 0, drawings


def make_sequences(config: ConfigDict, kind: SequenceKind, held_out: bool = False) -> Sequences:
  """The sequences of a kind.

  Args:
    held_out: whether few-shot problems have the sets of labels that are not trained on.
  """
  seq, count = config.data.seq_config, config.data.generator_config
  number, drawings = classes_and_drawings(config)
  order = ordered_classes(number, config.task.pool_seed, count.preserve_ordering_every_n or 1)
  rare, common, polysemy = labelings(config)
  return Sequences(
    pool=pool(
      order,
      count.zipf_exponent,
      count.n_rare_classes,
      count.n_common_classes,
      count.n_holdout_classes,
      count.use_zipf_for_common_rare,
    ),
    burstiness=Burstiness(
      jnp.float32(seq.p_bursty),
      jnp.float32(seq.p_bursty_zipfian),
      jnp.float32(seq.p_bursty_common),
      otherwise=seq.non_bursty_type,
      distinct=seq.distinct_remainder,
    ),
    fewshot=jnp.float32(seq.p_fewshot),
    interim=jnp.float32(config.training.w_interim) if config.training.w_interim else None,
    label_sets=_label_sets(config, held_out),
    kind=kind,
    noise=jnp.float32(count.noise_scale) if count.noise_scale else None,
    labelings=(rare, common),
    labels=polysemy,
    points=seq.seq_len,
    shots=seq.fs_shots if kind.is_problem else seq.bursty_shots,
    ways=seq.ways,
    drawings=drawings,
    replacement=seq.fewshot_replacement,
    grouped=seq.grouped,
  )


def _label_sets(config: ConfigDict, held_out: bool) -> jax.Array:
  """The sets of labels that few-shot problems have, `[R, ways]`.

  In an order of `task.pool_seed` the last ones are held out, the others trained on.
  """
  seq = config.data.seq_config
  labels = range(drawn_label_count(config))
  sets = np.array(list(itertools.combinations(labels, seq.ways)), np.int32)
  sets = sets[np.random.default_rng(config.task.pool_seed).permutation(len(sets))]
  trained = len(sets) - seq.fs_holdout_sets
  return jnp.asarray(sets[trained:] if held_out else sets[:trained])


def output_count(config: ConfigDict) -> int:
  """How many labels a model has: those of few-shot problems, and those that classes own."""
  return label_count(config, classes_and_drawings(config)[0])


def _make_embedder(config: ConfigDict) -> nn.Module:
  width, precision = config.model.width, config.model.precision
  if config.model.embedder == 'resnet':
    return ResNet((*CHANNELS, width), precision=product_precision(precision))
  if config.model.embedder == 'linear':
    return Linear(width, end_precision(precision))
  return Lookup(width, classes_and_drawings(config)[0])


def make_network(config: ConfigDict) -> LabelledItems:
  """The model of a config."""
  model = config.model
  options: dict[str, Any] = {
    'positions': model.positions,
    'mlp': model.mlp,
    'start': model.init,
    'norm': model.norm,
    'mlp_width': model.mlp_width,
    'gelu': model.gelu,
  }
  sequence = make_sequence_model(
    model.sequence,
    layers=model.layers,
    heads=model.heads,
    length=2 * longest_points(config) - 1,
    precision=model.precision,
    **options,
  )
  return LabelledItems(
    embedder=_make_embedder(config),
    sequence=sequence,
    width=model.width,
    labels=output_count(config),
    label_scale=model.label_scale,
    precision=end_precision(model.precision),
  )
