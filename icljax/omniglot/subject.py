"""Sequences of drawings and labels as a subject."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from icljax.base import Predictor
from icljax.eval_modes import Comparison, EvalMode
from icljax.fields import check_same
from icljax.likelihoods import Eta, Likelihood
from icljax.omniglot import from_config, modes
from icljax.omniglot.derived import longest_points
from icljax.omniglot.kinds import KINDS
from icljax.omniglot.model import LabelledItems, LabelPredictor
from icljax.omniglot.modes import pictures
from icljax.omniglot.modes.names import describe_data
from icljax.omniglot.sequences import Sequences
from icljax.subjects import Data, Subject, WarmStart

# The fields on which the meaning of parameters depends: the network, what it reads, and which class
# a label is of.
SAME_MODEL = (
  'model.sequence', 'model.layers', 'model.width', 'model.heads', 'model.embedder',
  'model.norm', 'model.mlp_width', 'model.gelu',
)  # fmt: skip
SAME_ITEMS = (
  'data.example_type', 'data.side', 'data.components', 'data.procedural_classes',
  'data.omniglot_config.omniglot_split', 'data.omniglot_config.exemplars',
  'data.omniglot_config.augment_images', 'data.symbolic_config.dataset_size',
)  # fmt: skip
SAME_LABELS = (
  'task.pool_seed', 'data.generator_config.n_rare_classes',
  'data.generator_config.n_common_classes', 'data.generator_config.n_holdout_classes',
  'data.generator_config.preserve_ordering_every_n', 'data.seq_config.labeling_rare',
  'data.seq_config.labeling_common', 'data.seq_config.fs_labels',
  'data.seq_config.fs_holdout_sets',
)  # fmt: skip


class ImageSequences(Subject):
  """Items and labels in turn: see `icljax.subjects.Subject` for what each method gives."""

  def task(self, config: ConfigDict) -> Sequences:
    return from_config.make_sequences(config, KINDS[config.data.train_seqs])

  def held_out_task(self, config: ConfigDict) -> Sequences:
    return self.task(config)

  def data(self, config: ConfigDict) -> Data:
    return from_config.load_data(config)

  def network(self, config: ConfigDict) -> LabelledItems:
    return from_config.make_network(config)

  def init(
    self,
    network: LabelledItems,
    task: Sequences,
    item: jax.ShapeDtypeStruct,
    points: int,
    key: jax.Array,
  ) -> tuple[Any, Any]:
    del task
    items = jnp.zeros((1, points, *item.shape), item.dtype)
    variables = dict(network.init(key, items, jnp.zeros((1, points))))
    return variables.pop('params'), variables or None

  def predictor(
    self, network: LabelledItems, task: Sequences, params: Any, model_state: Any
  ) -> LabelPredictor:
    return LabelPredictor(params, model_state, network, scores_query=task.interim is None)

  def full_size_step(self, config: ConfigDict) -> jax.Array:
    del config
    return jnp.int32(0)

  def warm_start(self, config: ConfigDict, source: ConfigDict) -> WarmStart:
    check_same(config, source, *SAME_MODEL, *SAME_ITEMS, *SAME_LABELS)
    if config.model.sequence == 'transformer':
      check_same(config, source, 'model.positions', 'model.mlp')
    if config.data.seq_config.fs_holdout_sets:
      check_same(config, source, 'data.seq_config.ways')  # the size of the sets
    if not {config.data.digest, source.data.digest} & {'auto'}:
      check_same(config, source, 'data.digest')
    return WarmStart()

  def modes(self, config: ConfigDict) -> dict[str, EvalMode]:
    return modes.table(config)

  def sweep_readers(self) -> dict[str, Callable[[Path, str, list], Comparison]]:
    return {}

  def baselines(self, config: ConfigDict) -> dict[str, Predictor]:
    del config
    return {}

  def describe_data(self, config: ConfigDict) -> str:
    return describe_data(config)

  def draw_training(
    self, path: Path, title: str, logged: pd.DataFrame, evaluated: dict[str, pd.DataFrame]
  ) -> None:
    accuracies = {}
    for name, kind in KINDS.items():
      if (frame := evaluated.get(f'eval_{name}')) is not None:
        column = f'accuracy_{kind.accuracy}'
        columns = {column: 'accuracy', f'{column}_se': 'accuracy_se'}
        accuracies[f'{name}, {kind.accuracy}'] = frame.rename(columns=columns)
    pictures.training(path, logged, accuracies, title)

  def item(self, config: ConfigDict) -> jax.ShapeDtypeStruct:
    return from_config.item(config)

  def points(self, config: ConfigDict) -> int:
    return longest_points(config)

  def describe(self, config: ConfigDict) -> str:
    item, labels = from_config.item(config), from_config.output_count(config)
    return f'items={list(item.shape)}, K={longest_points(config)}, labels={labels}'

  def check_pairs(
    self, config: ConfigDict, x_context: np.ndarray, y_context: np.ndarray, x_query: np.ndarray
  ) -> None:
    """Items are drawings from 0 to 1, but for noise, or symbols; labels are those of the model."""
    self.check_targets(config, 'y_context', y_context)
    item = from_config.item(config)
    for items in (x_context, x_query):
      if len(item.shape) == 2 and not config.data.generator_config.noise_scale:
        _check_drawings(items)
      if item.shape == ():
        _check_symbols(items, config.data.symbolic_config.dataset_size)

  def check_targets(self, config: ConfigDict, name: str, y: np.ndarray) -> None:
    labels = from_config.output_count(config)
    if not np.isin(y, np.arange(labels)).all():
      raise ValueError(
        f'{name} has labels from {y.min():g} to {y.max():g}; allowed are whole numbers from 0 to '
        f'{labels - 1}'
      )

  def complete(self, config: ConfigDict, answer: Likelihood | Eta, family: str) -> Likelihood:
    del config
    if family:
      raise ValueError(f'family is {family!r}; labels are of no family: leave it out')
    return cast(Likelihood, answer)


def _check_drawings(items: np.ndarray) -> None:
  if items.size and (items.min() < 0 or items.max() > 1):
    raise ValueError(
      f'drawings have numbers from {items.min():g} to {items.max():g}; allowed are 0, paper, to 1, '
      'ink: of an image in grey levels take 1 - image / 255'
    )


def _check_symbols(items: np.ndarray, symbols: int) -> None:
  if not np.isin(items, np.arange(symbols)).all():
    raise ValueError(
      f'items have symbols from {items.min()} to {items.max()}; allowed are whole numbers from 0 '
      f'to {symbols - 1}'
    )


SUBJECT = ImageSequences()
