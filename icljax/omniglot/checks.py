"""What a config of image sequences must satisfy, and what follows from its numbers."""

import math
import re

from ml_collections import ConfigDict

from icljax.fields import at_least, between, one_of
from icljax.omniglot.images.omniglot import CLASSES, SPLITS

EXAMPLES = ('omniglot', 'procedural', 'symbolic', 'features')
EXEMPLARS = ('all', 'single', 'separated')
EMBEDDERS = ('resnet', 'linear', 'table')
POSITIONS = ('learned', 'sinusoidal', 'rotary')
INITS = ('gpt2', 'fan_in')
NON_BURSTY = ('zipfian', 'common_uniform', 'common_no_support')
KINDS = ('common', 'rare', 'zipfian')
FEWSHOT = tuple(f'fewshot_{kind}' for kind in (*KINDS, 'holdout'))
SEQUENCES = ('bursty', *(f'no_support_{kind}' for kind in KINDS), *FEWSHOT, 'mixed', 'random')
LABEL_SETS = ('trained', 'holdout')
POLYSEMY = re.compile(r'ordered_polysemy([1-9][0-9]*)')
DRAWINGS = 20  # of a class of Omniglot, and of procedural characters
VARIANTS = 8  # of a class, where images are augmented
FULL = 105  # side of a drawing
# Fields that may change when a run goes on.
RESUMABLE = frozenset({'data.manual_dir', 'data.data_dir', 'data.cache_dir'})
MOST_SETS = 10_000  # of labels


def labelings(config: ConfigDict) -> tuple[str, str, int]:
  """How rare and common classes are labelled, and how many labels a rare class owns."""
  seq = config.data.seq_config
  match = POLYSEMY.fullmatch(seq.labeling_rare)
  return (
    ('ordered' if match else seq.labeling_rare),
    seq.labeling_common,
    int(match[1]) if match else 1,
  )


def label_sets(config: ConfigDict) -> int:
  """How many sets of `ways` labels a few-shot problem can have."""
  seq = config.data.seq_config
  return math.comb(max(seq.fs_labels, seq.ways), seq.ways)


def classes(config: ConfigDict) -> int | None:
  """How many classes the data have; None where a file says it."""
  data = config.data
  if data.example_type == 'symbolic':
    return data.symbolic_config.dataset_size
  if data.example_type == 'features':
    return None
  split = data.omniglot_config.omniglot_split
  count = (
    data.procedural_classes
    if data.example_type == 'procedural'
    else sum(CLASSES[name] for name in SPLITS[split])
  )
  return (
    count
    * (DRAWINGS if data.omniglot_config.exemplars == 'separated' else 1)
    * (VARIANTS if augmented(config) else 1)
  )


def augmented(config: ConfigDict) -> bool:
  return config.data.omniglot_config.augment_images


def eval_modes(config: ConfigDict) -> tuple[str, ...]:
  """The names of all evaluations that a run of this config can have."""
  modes = possible(config)
  # Other sequences would be the same with labels that are trained on.
  if config.eval.labels == 'holdout':
    modes = [name for name in modes if name in (*FEWSHOT, 'induction')]
  return tuple(f'eval_{name}' for name in sorted(modes))


def possible(config: ConfigDict) -> list[str]:
  """The sequences that there are classes and fixed labels for, and `induction`."""
  count, seq = config.data.generator_config, config.data.seq_config
  there = {
    'common': count.n_common_classes,
    'rare': count.n_rare_classes,
    'holdout': count.n_holdout_classes,
  }
  there['zipfian'] = there['common'] + there['rare']
  fixed = {'common': seq.labeling_common != 'unfixed', 'rare': seq.labeling_rare != 'unfixed'}
  fixed['zipfian'] = all(fixed[kind] or not there[kind] for kind in ('common', 'rare'))
  needed = {f'fewshot_{kind}': (kind, seq.ways) for kind in there}
  # Else nothing is in the weights.
  needed |= {f'no_support_{kind}': (kind, 2) for kind in KINDS if fixed[kind]}
  needed |= {'random': ('zipfian', 1)}
  needed |= (
    {'flip': ('zipfian', seq.ways + 1), 'iwl_context': ('zipfian', seq.ways + 1)}
    if fixed['zipfian']
    else {}
  )
  names = [name for name, (kind, least) in needed.items() if there[kind] >= least]
  names += ['bursty'] if _bursty(config, there) else []
  names += ['mixed'] if there['common'] and there['rare'] >= seq.ways else []
  transformer = config.model.sequence == 'transformer'
  return names + (['induction'] if transformer and there['holdout'] >= seq.ways else [])


def _bursty(config: ConfigDict, there: dict[str, int]) -> bool:
  """Whether there are items and classes enough for whatever a bursty sequence may be."""
  seq = config.data.seq_config
  rest = seq.seq_len - 1 - seq.bursty_shots * seq.ways
  least = {'zipfian': 1, 'common': 0, 'rare': 0}

  def needs(kind: str, number: int) -> None:
    least[kind] = max(least[kind], number)

  of_rest = rest if seq.distinct_remainder else min(rest, 1)
  if seq.p_bursty > 0:
    needs('zipfian', seq.ways + (rest if seq.distinct_remainder else 0))
    if seq.p_bursty_common > 0:
      needs('common', seq.ways)
      needs('rare', of_rest)
    if seq.p_bursty_zipfian + seq.p_bursty_common < 1:
      needs('rare', seq.ways)
      needs('common', of_rest)
  if seq.p_bursty < 1 and seq.non_bursty_type != 'zipfian':
    needs('common', 2 if seq.non_bursty_type == 'common_no_support' else 1)
  return rest >= 0 and all(there[kind] >= number for kind, number in least.items())


def check(config: ConfigDict) -> None:
  """Refuses settings that cannot be built, with a ValueError."""
  _check_data(config)
  _check_classes(config)
  _check_sequences(config)
  one_of(config, 'model.embedder', EMBEDDERS)
  one_of(config, 'model.positions', POSITIONS)
  one_of(config, 'model.init', INITS)
  between(config, 0, math.inf, 'model.label_scale')
  reads = {'symbolic': ('table',), 'features': ('linear',)}.get(
    config.data.example_type, ('resnet', 'linear')
  )
  reads = ('linear',) if config.data.components else reads
  if config.model.embedder not in reads:
    of = f'{config.data.components} components of ' if config.data.components else ''
    raise ValueError(
      f'model.embedder is {config.model.embedder!r}; allowed for {of}data.example_type '
      f'{config.data.example_type!r}: {", ".join(reads)}'
    )
  if config.model.sequence == 'transformer':
    _check_positions(config)
  one_of(config, 'eval.labels', LABEL_SETS)
  if config.eval.labels == 'holdout' and not config.data.seq_config.fs_holdout_sets:
    raise ValueError(
      'eval.labels is holdout; allowed is trained, for data.seq_config.fs_holdout_sets is 0'
    )


def _check_positions(config: ConfigDict) -> None:
  if config.model.positions == 'rotary' and config.model.width // config.model.heads % 2:
    raise ValueError(
      'model.positions is rotary, which needs heads of even width; model.width '
      f'{config.model.width} over {config.model.heads} heads is odd'
    )
  seq = config.data.seq_config
  problem = seq.fs_shots * seq.ways + 1
  trained = problem if config.data.train_seqs in (*FEWSHOT, 'mixed') else seq.seq_len
  if config.model.positions == 'learned' and trained < max(problem, seq.seq_len):
    raise ValueError(
      f'model.positions is learned, from sequences of {trained} items, and there are some of '
      f'{max(problem, seq.seq_len)}: set data.seq_config.seq_len and fs_shots * ways + 1 alike, or '
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
  between(
    config, 0, math.inf, 'data.generator_config.noise_scale', 'data.generator_config.zipf_exponent'
  )
  drawn = data.example_type in ('omniglot', 'procedural')
  if (data.example_type == 'features') != bool(data.features):
    raise ValueError(
      f'data.features is {data.features!r} and data.example_type {data.example_type!r}; give a '
      ".npz file if, and only if, that is 'features'"
    )
  if not drawn and (
    augmented(config) or data.components or data.omniglot_config.exemplars != 'all'
  ):
    raise ValueError(
      f'data.example_type is {data.example_type!r}, of which there are no drawings: leave '
      'augment_images, exemplars and components'
    )
  if data.components and augmented(config):
    raise ValueError(
      'data.components are of whole drawings, not of their variants; leave out either them or '
      'augment_images'
    )
  if data.example_type == 'symbolic' and data.generator_config.noise_scale:
    raise ValueError(
      f'data.generator_config.noise_scale is {data.generator_config.noise_scale}; symbols have no '
      'noise: set 0'
    )


def _check_classes(config: ConfigDict) -> None:
  count = config.data.generator_config
  at_least(
    config,
    0,
    *(f'data.generator_config.n_{kind}_classes' for kind in ('rare', 'common', 'holdout')),
  )
  at_least(config, 0, 'data.generator_config.preserve_ordering_every_n')
  asked, there = (
    count.n_rare_classes + count.n_common_classes + count.n_holdout_classes,
    classes(config),
  )
  if there is not None and asked > there:
    raise ValueError(
      f'data.generator_config asks for {count.n_rare_classes} rare, {count.n_common_classes} '
      f'common and {count.n_holdout_classes} held-out classes; there are {there} in all'
    )
  block = count.preserve_ordering_every_n
  if block and there is not None and there % block:
    raise ValueError(
      f'data.generator_config.preserve_ordering_every_n is {block}, which does not divide the '
      f'{there} classes'
    )
  if block and count.n_holdout_classes % block:
    raise ValueError(
      f'data.generator_config.n_holdout_classes is {count.n_holdout_classes}; allowed are '
      f'multiples of preserve_ordering_every_n {block}, so that whole blocks are held out'
    )
  together = VARIANTS * (DRAWINGS if config.data.omniglot_config.exemplars == 'separated' else 1)
  if augmented(config) and (block % together or not block):
    raise ValueError(
      f'data.generator_config.preserve_ordering_every_n is {block}; with augment_images allowed '
      f'are multiples of {together}, so that no character is both trained on and held out'
    )


def _check_sequences(config: ConfigDict) -> None:
  seq = config.data.seq_config
  one_of(config, 'data.train_seqs', SEQUENCES)
  one_of(config, 'data.seq_config.non_bursty_type', NON_BURSTY)
  if not (
    seq.labeling_rare in ('ordered', 'original', 'unfixed') or POLYSEMY.fullmatch(seq.labeling_rare)
  ):
    raise ValueError(
      f'data.seq_config.labeling_rare is {seq.labeling_rare!r}; allowed are ordered, original, '
      'unfixed, and ordered_polysemyN such as ordered_polysemy5'
    )
  one_of(config, 'data.seq_config.labeling_common', ('ordered', 'original', 'unfixed'))
  if (
    'original' in (seq.labeling_rare, seq.labeling_common)
    and len({seq.labeling_rare, seq.labeling_common}) > 1
  ):
    raise ValueError(
      f'data.seq_config.labeling_rare is {seq.labeling_rare!r} and labeling_common '
      f'{seq.labeling_common!r}; original labels of one are those of others: set both'
    )
  at_least(config, 2, 'data.seq_config.ways', 'data.seq_config.seq_len')
  at_least(config, 1, 'data.seq_config.fs_shots', 'data.seq_config.bursty_shots')
  at_least(config, 0, 'data.seq_config.fs_labels', 'data.seq_config.fs_holdout_sets')
  between(
    config,
    0,
    1,
    *(
      f'data.seq_config.{p}'
      for p in ('p_bursty', 'p_bursty_common', 'p_bursty_zipfian', 'p_fewshot')
    ),
  )
  between(config, 0, math.inf, 'training.w_interim')
  if seq.p_bursty_common + seq.p_bursty_zipfian > 1:
    raise ValueError(
      f'data.seq_config.p_bursty_common is {seq.p_bursty_common} and p_bursty_zipfian '
      f'{seq.p_bursty_zipfian}; allowed is a sum of at most 1'
    )
  if 0 < seq.fs_labels < seq.ways or label_sets(config) > MOST_SETS:
    raise ValueError(
      f'data.seq_config.fs_labels is {seq.fs_labels}; allowed are 0 and numbers from {seq.ways}, '
      f'the ways, of which there are at most {MOST_SETS} sets of {seq.ways}'
    )
  if seq.fs_holdout_sets >= label_sets(config):
    raise ValueError(
      f'data.seq_config.fs_holdout_sets is {seq.fs_holdout_sets}; allowed is less than '
      f'{label_sets(config)}, the sets of {seq.ways} of {max(seq.fs_labels, seq.ways)} labels'
    )
  if config.data.train_seqs not in possible(config):
    raise ValueError(
      f'data.train_seqs is {config.data.train_seqs!r}, for which there are too few classes or '
      'items (bursty takes seq_len from bursty_shots * ways + 1 = '
      f'{seq.bursty_shots * seq.ways + 1}), or no fixed labels; allowed here are '
      f'{", ".join(name for name in possible(config) if name in SEQUENCES)}'
    )
