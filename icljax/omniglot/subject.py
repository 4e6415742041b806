"""Sequences of drawings by config."""

import functools
import io
import itertools
import zipfile
import zlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from icljax.models.embedders import Linear, Lookup
from icljax.models.resnet import ResNet
from icljax.models.sequence import at_ends, check_same, precision, sequence_model
from icljax.omniglot import checks
from icljax.omniglot.classes import ordered_classes, pool
from icljax.omniglot.drawings import Drawings, Features, Symbols
from icljax.omniglot.images import components, store
from icljax.omniglot.model import LabelledItems, LabelPredictor
from icljax.omniglot.sequences import FEWSHOT, PROBES, Burstiness, Sequences

INDUCTION = 'fewshot_holdout'  # what `eval_induction` looks at attention on
CHANNELS = (16, 32, 32)  # of the ResNet's groups; the last one is as wide as the model


def data(config: ConfigDict) -> Any:
  """The drawings, features or symbols that handles point to, read or made where need be.

  Raises:
    ValueError: if there is no way to them; the message says what to do.
  """
  chosen = config.data
  if chosen.example_type == 'symbolic':
    return Symbols()
  if chosen.example_type == 'features':
    return Features(_features(chosen.features))
  images = store.load(
    'procedural' if chosen.example_type == 'procedural' else chosen.omniglot_config.omniglot_split,
    data_dir=chosen.data_dir or None,
    manual_dir=chosen.manual_dir or None,
    side=chosen.side,
    cache_dir=chosen.cache_dir,
    classes=chosen.procedural_classes,
  )
  packed = images.packed[:, :1] if chosen.omniglot_config.exemplars == 'single' else images.packed
  if chosen.omniglot_config.exemplars == 'separated':
    packed = packed.reshape(-1, 1, packed.shape[-1])
  if chosen.components:
    return Features(components.leading(packed, images.side, chosen.components))
  return Drawings(packed, images.side, checks.augmented(config))


@functools.lru_cache(maxsize=2)
def _features(path: str) -> np.ndarray:
  """The array `[C, J, F]` of a .npz file.

  Raises:
    ValueError: if there is none.
  """
  try:
    with np.load(
      io.BytesIO(Path(path).read_bytes()), allow_pickle=False
    ) as arrays:  # by its name numpy leaves a damaged file open
      (found,) = arrays.values()
  except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
    raise ValueError(
      f'data.features is {path!r}, not a .npz file with one array [C, J, F]: {error}'
    ) from error
  if found.ndim != 3 or not np.issubdtype(found.dtype, np.floating) or not np.isfinite(found).all():
    raise ValueError(
      f'data.features is {path!r}, with a {found.dtype} array {list(found.shape)}; allowed are '
      'finite numbers [C, J, F]'
    )
  return found.astype(np.float32)


def item(config: ConfigDict) -> jax.ShapeDtypeStruct:
  """What a model reads of one item."""
  if config.data.example_type == 'symbolic':
    return jax.ShapeDtypeStruct((), jnp.int32)
  if config.data.example_type == 'features':
    return jax.ShapeDtypeStruct(_features(config.data.features).shape[2:], jnp.float32)
  if config.data.components:
    return jax.ShapeDtypeStruct((config.data.components,), jnp.float32)
  return jax.ShapeDtypeStruct((config.data.side, config.data.side), jnp.float32)


def _classes(config: ConfigDict) -> tuple[int, int]:
  """How many classes there are, and how many drawings of each."""
  if config.data.example_type == 'features':
    return _features(config.data.features).shape[:2]
  several = (
    config.data.omniglot_config.exemplars == 'all' and config.data.example_type != 'symbolic'
  )
  return checks.classes(config) or 0, checks.DRAWINGS if several else 1


def task(config: ConfigDict) -> Sequences:
  """The sequences that are trained on."""
  return _sequences(config, config.data.train_seqs)


def full_at(config: ConfigDict) -> int:
  """Sequences are as they stay from the first step on."""
  del config
  return 0


def eval_task(config: ConfigDict, mode: str) -> Sequences:
  """The sequences of an eval mode."""
  kind = mode.removeprefix('eval_')
  return _sequences(
    config, INDUCTION if kind == 'induction' else kind, held_out=config.eval.labels == 'holdout'
  )


def _sequences(config: ConfigDict, kind: str, held_out: bool = False) -> Sequences:
  seq, count = config.data.seq_config, config.data.generator_config
  number, drawings = _classes(config)
  order = ordered_classes(number, config.task.pool_seed, count.preserve_ordering_every_n or 1)
  rare, common, polysemy = checks.labelings(config)
  is_problem = kind in FEWSHOT or kind in PROBES or kind == 'mixed'
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
    shots=seq.fs_shots if is_problem else seq.bursty_shots,
    ways=seq.ways,
    drawings=drawings,
    replacement=seq.fewshot_replacement,
    grouped=seq.grouped,
  )


def _label_sets(config: ConfigDict, held_out: bool) -> jax.Array:
  """The sets of labels that few-shot problems have, `[R, ways]`: of all in a random order the
  first, or the ones held out.
  """
  seq = config.data.seq_config
  sets = np.array(
    list(itertools.combinations(range(max(seq.fs_labels, seq.ways)), seq.ways)), np.int32
  )
  sets = sets[np.random.default_rng(config.task.pool_seed).permutation(len(sets))]
  trained = len(sets) - seq.fs_holdout_sets
  return jnp.asarray(sets[trained:] if held_out else sets[:trained])


def outputs(config: ConfigDict) -> int:
  """How many labels a model has: those of few-shot problems, and those that classes own."""
  seq, count = config.data.seq_config, config.data.generator_config
  rare, common, polysemy = checks.labelings(config)
  owned = 0
  if 'original' in (rare, common):
    owned = _classes(config)[0]
  elif (rare, common) != ('unfixed', 'unfixed'):
    owned = (
      polysemy * count.n_rare_classes
      + count.n_common_classes
      + (count.n_holdout_classes if polysemy == 1 else 0)
    )
  return max(owned, seq.fs_labels, seq.ways)


def items(config: ConfigDict) -> int:
  """K of the longest sequences that a model reads."""
  seq = config.data.seq_config
  return max(seq.seq_len, seq.fs_shots * seq.ways + 1)


def model(config: ConfigDict) -> LabelledItems:
  """The model of a config."""
  width = config.model.width
  embedder = {
    'resnet': lambda: ResNet((*CHANNELS, width), precision=precision(config)),
    'linear': lambda: Linear(width, at_ends(config)),
    'table': lambda: Lookup(width, _classes(config)[0]),
  }[config.model.embedder]()
  options = {
    'positions': config.model.positions,
    'mlp': config.model.mlp,
    'start': config.model.init,
  }
  return LabelledItems(
    embedder=embedder,
    sequence=sequence_model(config, 2 * items(config) - 1, **options),
    width=width,
    labels=outputs(config),
    label_scale=config.model.label_scale,
    precision=at_ends(config),
  )


def predictor(
  network: LabelledItems, trained: Sequences, params: Any, model_state: Any, data: Any
) -> LabelPredictor:
  """The model with parameters, and the data that it looks handles up in."""
  return LabelPredictor(params, model_state, trained, data, network)


def start(
  network: LabelledItems, trained: Sequences, key: jax.Array, config: ConfigDict
) -> tuple[Any, Any]:
  """Parameters and averages of batch norm before the first step."""
  del trained
  shape, points = item(config), items(config)
  variables = dict(
    network.init(key, jnp.zeros((1, points, *shape.shape), shape.dtype), jnp.zeros((1, points)))
  )
  return variables.pop('params'), variables or None


def warm_start_of(config: ConfigDict, source: ConfigDict) -> tuple[int, bool]:
  """As of generalized linear models; there are no families to compare.

  Raises:
    ValueError: if the same parameters would mean something else.
  """
  check_same(config, source, 'sequence', 'heads', 'embedder', 'positions')
  return 0, True
