"""The kinds of sequences, as a table. Imports no JAX, so that configs can be checked against it."""

import dataclasses
from collections.abc import Callable

from ml_collections import ConfigDict

# The groups of classes that a class can be drawn from; `zipfian` is rare and common together.
GROUPS = ('rare', 'common', 'zipfian', 'holdout')
# What a `bursty` sequence without a few-shot problem is.
NON_BURSTY = ('zipfian', 'common_uniform', 'common_no_support')

Counts = dict[str, int]  # of classes, by group


def _no_items(seq: ConfigDict) -> int:
  """The least length of sequences that may have any."""
  del seq
  return 0


@dataclasses.dataclass(frozen=True)
class SequenceKind:
  """A kind of sequences; `seq` is the group `data.seq_config` of a config.

  Attributes:
    name: as in `data.train_seqs` and in the eval mode 'eval_<name>'.
    sampler: the name of the function that draws its items, in `samplers.SAMPLERS`.
    group: the group of its query's class.
    least_classes: (seq) -> how many classes it takes, by group.
    least_items: (seq) -> how many items it takes, where its length is `seq_len`.
    keeps_labels: whether it takes classes that have the same labels in all sequences.
    is_problem: whether it is as long as a few-shot problem, `fs_shots * ways + 1`.
    own_labels: the groups whose classes' own labels an answer may be.
    drawn_labels: whether an answer may be a label that is drawn anew for the sequence, however
      classes are labelled.
    context_labels: whether an answer can only be a label of the context.
    is_trained: whether `data.train_seqs` may name it; others are only evaluated.
    accuracy: which accuracy says most: among the labels that are possible ('closed'), where the
      answer is in the context, or among all ('open').
    note: what its table has to say.
  """

  name: str
  sampler: str
  group: str
  least_classes: Callable[[ConfigDict], Counts]
  least_items: Callable[[ConfigDict], int] = _no_items
  keeps_labels: bool = False
  is_problem: bool = False
  own_labels: tuple[str, ...] = ('rare', 'common')
  drawn_labels: bool = False
  context_labels: bool = False
  is_trained: bool = True
  accuracy: str = 'open'
  note: str = ''

  @property
  def has_drawn_labels_alone(self) -> bool:
    """Whether every label is drawn for the sequence, so that labels can be held out."""
    return self.drawn_labels and not self.own_labels


def _fewshot(group: str) -> SequenceKind:
  def least_classes(seq: ConfigDict) -> Counts:
    return {group: seq.ways}

  return SequenceKind(
    f'fewshot_{group}',
    'few_shot',
    group,
    least_classes,
    is_problem=True,
    own_labels=(),
    drawn_labels=True,
    accuracy='closed',
  )


def _without_support(group: str) -> SequenceKind:
  def least_classes(seq: ConfigDict) -> Counts:
    del seq
    return {group: 2}

  own_labels = ('rare', 'common') if group == 'zipfian' else (group,)
  return SequenceKind(
    f'no_support_{group}',
    'without_support',
    group,
    least_classes,
    keeps_labels=True,
    own_labels=own_labels,
  )


def _bursty_items(seq: ConfigDict) -> int:
  """A few-shot problem and its query."""
  return seq.bursty_shots * seq.ways + 1


def _bursty_classes(seq: ConfigDict) -> Counts:
  """Enough for whatever a bursty sequence may be."""
  rest = seq.seq_len - _bursty_items(seq)
  of_rest = rest if seq.distinct_remainder else min(rest, 1)
  least = {'zipfian': 1, 'common': 0, 'rare': 0}
  if seq.p_bursty > 0:
    least['zipfian'] = seq.ways + (rest if seq.distinct_remainder else 0)
    if seq.p_bursty_common > 0:
      least['common'], least['rare'] = seq.ways, of_rest
    if seq.p_bursty_zipfian + seq.p_bursty_common < 1:
      least['rare'] = max(least['rare'], seq.ways)
      least['common'] = max(least['common'], of_rest)
  if seq.p_bursty < 1 and seq.non_bursty_type != 'zipfian':
    of_query = 2 if seq.non_bursty_type == 'common_no_support' else 1
    least['common'] = max(least['common'], of_query)
  return least


def _any_class(seq: ConfigDict) -> Counts:
  del seq
  return {'zipfian': 1}


def _mixed_classes(seq: ConfigDict) -> Counts:
  return {'common': 1, 'rare': seq.ways}


def _probe_classes(seq: ConfigDict) -> Counts:
  return {'zipfian': seq.ways + 1}


BURSTY = SequenceKind('bursty', 'bursty', 'zipfian', _bursty_classes, _bursty_items)
RANDOM = SequenceKind('random', 'random', 'zipfian', _any_class)
MIXED = SequenceKind(
  'mixed',
  'mixed',
  'rare',
  _mixed_classes,
  is_problem=True,
  own_labels=('common',),
  drawn_labels=True,
)
# Only evaluated: what a model believes of context and weights where they differ (after Wei et al.
# 2023), and where only the weights can tell.
FLIP = SequenceKind(
  'flip',
  'flip',
  'zipfian',
  _probe_classes,
  keeps_labels=True,
  is_problem=True,
  context_labels=True,
  is_trained=False,
  accuracy='closed',
  note='right is the label that the context shows, which is that of the other class; the answers '
  'of the weights are the last row',
)
IWL_CONTEXT = SequenceKind(
  'iwl_context',
  'iwl_context',
  'zipfian',
  _probe_classes,
  keeps_labels=True,
  is_problem=True,
  is_trained=False,
  note='right is the label of the query, of whose class there is no item in the context',
)

KINDS = {
  kind.name: kind
  for kind in (
    BURSTY,
    *(_without_support(group) for group in ('rare', 'common', 'zipfian')),
    *(_fewshot(group) for group in GROUPS),
    MIXED,
    RANDOM,
    FLIP,
    IWL_CONTEXT,
  )
}
