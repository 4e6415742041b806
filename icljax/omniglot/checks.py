"""What a config of image sequences must satisfy, and the names that it may use."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from icljax.eval_modes import ModeRule
from icljax.fields import at_least, between, flags, one_of, texts
from icljax.omniglot.derived import (
  DRAWINGS,
  FULL,
  POLYSEMY,
  VARIANTS,
  class_count,
  drawn_label_count,
  group_counts,
  is_augmented,
  keeps_labels,
  label_set_count,
  longest_points,
  problem_points,
)
from icljax.omniglot.images.omniglot import SPLITS
from icljax.omniglot.kinds import KINDS, NON_BURSTY, SequenceKind

EXAMPLES = ('omniglot', 'procedural', 'symbolic', 'features')
EXEMPLARS = ('all', 'single', 'separated')
EMBEDDERS = ('resnet', 'linear', 'table')
POSITIONS = ('learned', 'sinusoidal', 'rotary')
INITS = ('gpt2', 'fan_in')
LABELINGS = ('ordered', 'original', 'unfixed')
LABEL_SETS = ('trained', 'holdout')
TRAINED_KINDS = tuple(name for name, kind in KINDS.items() if kind.is_trained)
LOCATED_FIELDS = frozenset({'data.manual_dir', 'data.data_dir', 'data.cache_dir', 'data.features'})
ABSENT_FIELDS: dict[str, object] = {'data.digest': 'auto'}
HINTS: dict[str, str] = {}
FLAGS = (
  'data.omniglot_config.augment_images', 'data.generator_config.use_zipf_for_common_rare',
  'data.seq_config.grouped', 'data.seq_config.fewshot_replacement',
  'data.seq_config.distinct_remainder', 'model.mlp',
)  # fmt: skip
MOST_SETS = 10_000  # of labels: all of them are listed in the task
READS = frozenset({'seed', 'episodes'})
# The metrics that say most, and what an axis says of them.
ACCURACIES = {
  'accuracy_open': 'share labelled rightly, of all labels (open)',
  'accuracy_closed': 'share labelled rightly, of possible labels (closed)',
}
HEADS = {
  'induction': "attention of the query to its class's labels, strongest head",
  'previous': 'attention of labels to their items, strongest head',
}


def why_impossible(config: ConfigDict, kind: SequenceKind) -> str:
  """What a kind of sequences lacks: classes, items or fixed labels; '' if it is possible."""
  seq, counts = config.data.seq_config, group_counts(config)
  if kind.least_items(seq) > seq.seq_len:
    return f'whose sequences are of {seq.seq_len} items and not of {kind.least_items(seq)}'
  if kind.keeps_labels and not keeps_labels(config, kind.group):
    return f'where {kind.group} classes have no fixed labels'
  for group, least in kind.least_classes(seq).items():
    if counts[group] < least:
      return f'where {group} classes are {counts[group]} and not at least {least}'
  return ''


def is_possible(config: ConfigDict, kind: SequenceKind) -> bool:
  """Whether there are classes, items and fixed labels enough for a kind of sequences."""
  return not why_impossible(config, kind)


def why_no_mode(config: ConfigDict, mode: str) -> str:
  """Why a run of this config cannot have an eval mode that others can; '' if none can."""
  name = mode.removeprefix('eval_')
  if name == 'induction' and config.model.sequence != 'transformer':
    return f'whose model.sequence {config.model.sequence!r} has no heads'
  if name not in KINDS and name != 'induction':
    return ''
  reason = why_impossible(config, KINDS['fewshot_holdout' if name == 'induction' else name])
  return reason or 'for eval.labels is holdout, and none of its labels are held out'


def mode_rules(config: ConfigDict) -> dict[str, ModeRule]:
  """The eval modes that a run of this config can have, by name.

  Of held-out labels there are those whose labels are all drawn: others would be the same as with
  the labels that are trained on.
  """
  rules = []
  for name, kind in KINDS.items():
    reads = READS | {'labels'} if kind.has_drawn_labels_alone else READS
    if is_possible(config, kind) and (config.eval.labels != 'holdout' or 'labels' in reads):
      # Both are told everywhere, first the one that says most.
      names = sorted(ACCURACIES, key=lambda name, kind=kind: name != f'accuracy_{kind.accuracy}')
      headline = {name: ACCURACIES[name] for name in names}
      rules.append(ModeRule(f'eval_{name}', reads, headline))
  if config.model.sequence == 'transformer' and is_possible(config, KINDS['fewshot_holdout']):
    rules.append(ModeRule('eval_induction', READS | {'labels'}, HEADS))
  return {rule.name: rule for rule in sorted(rules, key=lambda rule: rule.name)}


def sweep_modes(configs: Sequence[ConfigDict]) -> Mapping[str, Sequence[tuple]]:
  """As `jaxline_lite.rules.Rules.sweep_modes`."""
  del configs
  return {}


def chosen_fields(config: ConfigDict) -> dict[str, Any]:
  """Nothing is left open."""
  del config
  return {}


def check(config: ConfigDict) -> None:
  """Refuses settings that cannot be built.

  Raises:
    ValueError: naming the field, what was given and what is allowed.
  """
  flags(config, *FLAGS)
  texts(config, 'data.digest', 'data.seq_config.labeling_rare', *sorted(LOCATED_FIELDS))
  _check_data(config)
  _check_classes(config)
  _check_labels(config)
  _check_sequences(config)
  _check_embedder(config)
  if config.early_stopping.on == 'latent':
    raise ValueError(
      "early_stopping.on is 'latent', which is for pools of weights; allowed are train and pretrain"
    )
  one_of(config, 'model.positions', POSITIONS)
  one_of(config, 'model.init', INITS)
  between(config, 0, math.inf, 'model.label_scale')
  if config.model.mlp_width and not config.model.mlp:
    raise ValueError(
      f'model.mlp_width is {config.model.mlp_width} and model.mlp False; leave 0 without an MLP'
    )
  if config.model.sequence == 'transformer':
    _check_positions(config)
  one_of(config, 'eval.labels', LABEL_SETS)
  if config.eval.labels == 'holdout' and not config.data.seq_config.fs_holdout_sets:
    raise ValueError(
      'eval.labels is holdout; allowed is trained, for data.seq_config.fs_holdout_sets is 0'
    )


def _check_embedder(config: ConfigDict) -> None:
  one_of(config, 'model.embedder', EMBEDDERS)
  data, embedder = config.data, config.model.embedder
  reads = {'symbolic': ('table',), 'features': ('linear',)}
  allowed = ('linear',) if data.components else reads.get(data.example_type, ('resnet', 'linear'))
  if embedder not in allowed:
    components = f'{data.components} components of ' if data.components else ''
    raise ValueError(
      f'model.embedder is {embedder!r}; allowed for {components}data.example_type '
      f'{data.example_type!r}: {", ".join(allowed)}'
    )


def _check_positions(config: ConfigDict) -> None:
  model = config.model
  if model.positions == 'rotary' and model.width // model.heads % 2:
    raise ValueError(
      f'model.positions is rotary, which needs heads of even width; model.width {model.width} over '
      f'{model.heads} heads is odd'
    )
  is_problem = KINDS[config.data.train_seqs].is_problem
  trained = problem_points(config) if is_problem else config.data.seq_config.seq_len
  if model.positions == 'learned' and trained < longest_points(config):
    raise ValueError(
      f'model.positions is learned, from sequences of {trained} items, and there are some of '
      f'{longest_points(config)}: set data.seq_config.seq_len and fs_shots * ways + 1 alike, or '
      'other positions'
    )


def _check_data(config: ConfigDict) -> None:
  data = config.data
  one_of(config, 'data.example_type', EXAMPLES)
  one_of(config, 'data.omniglot_config.omniglot_split', SPLITS)
  one_of(config, 'data.omniglot_config.exemplars', EXEMPLARS)
  at_least(config, 1, 'data.side', 'data.procedural_classes', 'data.symbolic_config.dataset_size')
  at_least(config, 0, 'data.components', 'task.pool_seed')
  between(config, 1, FULL, 'data.side')
  generator = 'data.generator_config'
  between(config, 0, math.inf, f'{generator}.noise_scale', f'{generator}.zipf_exponent')
  if (data.example_type == 'features') != bool(data.features):
    raise ValueError(
      f'data.features is {data.features!r} and data.example_type {data.example_type!r}; give a '
      ".npz file if, and only if, that is 'features'"
    )
  has_drawings = data.example_type in ('omniglot', 'procedural')
  is_plain = not data.components and data.omniglot_config.exemplars == 'all'
  if not has_drawings and (is_augmented(config) or not is_plain):
    raise ValueError(
      f'data.example_type is {data.example_type!r}, of which there are no drawings: leave '
      'augment_images, exemplars and components'
    )
  if data.components and is_augmented(config):
    raise ValueError(
      'data.components are of whole drawings, not of their variants; leave out either them or '
      'augment_images'
    )
  noise = data.generator_config.noise_scale
  if data.example_type == 'symbolic' and noise:
    raise ValueError(f'{generator}.noise_scale is {noise}; symbols have no noise: set 0')


def _check_classes(config: ConfigDict) -> None:
  prefix, count = 'data.generator_config', config.data.generator_config
  at_least(config, 0, *(f'{prefix}.n_{group}_classes' for group in ('rare', 'common', 'holdout')))
  at_least(config, 0, f'{prefix}.preserve_ordering_every_n')
  available = class_count(config)
  asked = count.n_rare_classes + count.n_common_classes + count.n_holdout_classes
  if available is not None and asked > available:
    raise ValueError(
      f'{prefix} asks for {count.n_rare_classes} rare, {count.n_common_classes} common and '
      f'{count.n_holdout_classes} held-out classes; there are {available} in all'
    )
  block = count.preserve_ordering_every_n
  if block and available is not None and available % block:
    raise ValueError(
      f'{prefix}.preserve_ordering_every_n is {block}, which does not divide the {available} '
      'classes'
    )
  if block and count.n_holdout_classes % block:
    raise ValueError(
      f'{prefix}.n_holdout_classes is {count.n_holdout_classes}; allowed are multiples of '
      f'preserve_ordering_every_n {block}, so that whole blocks are held out'
    )
  together = VARIANTS * (DRAWINGS if config.data.omniglot_config.exemplars == 'separated' else 1)
  if is_augmented(config) and (block % together or not block):
    raise ValueError(
      f'{prefix}.preserve_ordering_every_n is {block}; with augment_images allowed are multiples '
      f'of {together}, so that no character is both trained on and held out'
    )


def _check_labels(config: ConfigDict) -> None:
  prefix, seq = 'data.seq_config', config.data.seq_config
  if seq.labeling_rare not in LABELINGS and not POLYSEMY.fullmatch(seq.labeling_rare):
    raise ValueError(
      f'{prefix}.labeling_rare is {seq.labeling_rare!r}; allowed are {", ".join(LABELINGS)}, and '
      'ordered_polysemyN such as ordered_polysemy5'
    )
  one_of(config, f'{prefix}.labeling_common', LABELINGS)
  labelings = {seq.labeling_rare, seq.labeling_common}
  if 'original' in labelings and len(labelings) > 1:
    raise ValueError(
      f'{prefix}.labeling_rare is {seq.labeling_rare!r} and labeling_common '
      f'{seq.labeling_common!r}; original labels of one are those of others: set both'
    )
  at_least(config, 2, f'{prefix}.ways', f'{prefix}.seq_len')
  at_least(config, 0, f'{prefix}.fs_labels', f'{prefix}.fs_holdout_sets')
  sets = label_set_count(config)
  if 0 < seq.fs_labels < seq.ways or sets > MOST_SETS:
    raise ValueError(
      f'{prefix}.fs_labels is {seq.fs_labels}; allowed are 0 and numbers from {seq.ways}, the '
      f'ways, of which there are at most {MOST_SETS} sets of {seq.ways}'
    )
  if seq.fs_holdout_sets >= sets:
    raise ValueError(
      f'{prefix}.fs_holdout_sets is {seq.fs_holdout_sets}; allowed is less than {sets}, the sets '
      f'of {seq.ways} of {drawn_label_count(config)} labels'
    )


def _check_sequences(config: ConfigDict) -> None:
  prefix, seq = 'data.seq_config', config.data.seq_config
  one_of(config, 'data.train_seqs', TRAINED_KINDS)
  one_of(config, f'{prefix}.non_bursty_type', NON_BURSTY)
  at_least(config, 1, f'{prefix}.fs_shots', f'{prefix}.bursty_shots')
  probabilities = ('p_bursty', 'p_bursty_common', 'p_bursty_zipfian', 'p_fewshot')
  between(config, 0, 1, *(f'{prefix}.{name}' for name in probabilities))
  between(config, 0, math.inf, 'training.w_interim')
  if seq.p_bursty_common + seq.p_bursty_zipfian > 1:
    raise ValueError(
      f'{prefix}.p_bursty_common is {seq.p_bursty_common} and p_bursty_zipfian '
      f'{seq.p_bursty_zipfian}; allowed is a sum of at most 1'
    )
  possible = [name for name in TRAINED_KINDS if is_possible(config, KINDS[name])]
  if config.data.train_seqs not in possible:
    raise ValueError(
      f'data.train_seqs is {config.data.train_seqs!r}, for which there are too few classes or '
      f'items (bursty takes seq_len from {KINDS["bursty"].least_items(seq)}, which is bursty_shots '
      f'* ways + 1), or no fixed labels; allowed here are {", ".join(possible)}'
    )
