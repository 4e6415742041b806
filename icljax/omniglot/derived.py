"""What follows from the numbers of a config of image sequences. Imports no JAX."""

import math
import re

from ml_collections import ConfigDict

from icljax.omniglot.images.omniglot import CLASSES, SPLITS

POLYSEMY = re.compile(r'ordered_polysemy([1-9][0-9]*)')
DRAWINGS = 20  # of a class of Omniglot, and of procedural characters
VARIANTS = 8  # of a class, where images are augmented: four rotations, each mirrored or not
FULL = 105  # side of a drawing of Omniglot, in pixels
CHANNELS = (16, 32, 32)  # of the ResNet's first groups (Chan et al. 2022); the last has the width


def is_augmented(config: ConfigDict) -> bool:
  """Whether flips and rotations make classes of their own."""
  return config.data.omniglot_config.augment_images


def class_count(config: ConfigDict) -> int | None:
  """How many classes the data have; None where a file says it."""
  data = config.data
  if data.example_type == 'symbolic':
    return data.symbolic_config.dataset_size
  if data.example_type == 'features':
    return None
  if data.example_type == 'procedural':
    count = data.procedural_classes
  else:
    count = sum(CLASSES[name] for name in SPLITS[data.omniglot_config.omniglot_split])
  if data.omniglot_config.exemplars == 'separated':
    count *= DRAWINGS
  return count * VARIANTS if is_augmented(config) else count


def group_counts(config: ConfigDict) -> dict[str, int]:
  """How many classes a sequence can draw from, by group."""
  count = config.data.generator_config
  return {
    'rare': count.n_rare_classes,
    'common': count.n_common_classes,
    'zipfian': count.n_rare_classes + count.n_common_classes,
    'holdout': count.n_holdout_classes,
  }


def labelings(config: ConfigDict) -> tuple[str, str, int]:
  """How rare and common classes are labelled, and how many labels a rare class owns."""
  seq = config.data.seq_config
  match = POLYSEMY.fullmatch(seq.labeling_rare)
  if match:
    return 'ordered', seq.labeling_common, int(match[1])
  return seq.labeling_rare, seq.labeling_common, 1


def keeps_labels(config: ConfigDict, group: str) -> bool:
  """Whether the classes of a group have the same labels in all sequences."""
  seq, counts = config.data.seq_config, group_counts(config)
  unfixed = {'rare': seq.labeling_rare == 'unfixed', 'common': seq.labeling_common == 'unfixed'}
  members = ('rare', 'common') if group == 'zipfian' else (group,)
  return not any(unfixed[member] and (counts[member] or group != 'zipfian') for member in members)


def drawn_label_count(config: ConfigDict) -> int:
  """How many labels few-shot problems draw theirs from."""
  seq = config.data.seq_config
  return max(seq.fs_labels, seq.ways)


def label_count(config: ConfigDict, classes: int) -> int:
  """How many labels a model has: those of few-shot problems, and those that classes own.

  Args:
    classes: how many there are.
  """
  count = config.data.generator_config
  rare, common, polysemy = labelings(config)
  owned = 0
  if 'original' in (rare, common):
    owned = classes
  elif (rare, common) != ('unfixed', 'unfixed'):
    owned = polysemy * count.n_rare_classes + count.n_common_classes
    owned += count.n_holdout_classes if polysemy == 1 else 0
  return max(owned, drawn_label_count(config))


def label_set_count(config: ConfigDict) -> int:
  """How many sets of `ways` labels a few-shot problem can have."""
  return math.comb(drawn_label_count(config), config.data.seq_config.ways)


def problem_points(config: ConfigDict) -> int:
  """K of a few-shot problem, query included."""
  seq = config.data.seq_config
  return seq.fs_shots * seq.ways + 1


def longest_points(config: ConfigDict) -> int:
  """K of the longest sequences that a model reads."""
  return max(config.data.seq_config.seq_len, problem_points(config))
