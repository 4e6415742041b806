"""The settings of sequences of drawings and labels (Chan et al. 2022)."""

from flax import struct
from jax import Array

from icljax.omniglot.classes import Pool
from icljax.omniglot.kinds import SequenceKind


class Burstiness(struct.PyTreeNode):
  """What a `bursty` sequence is made of; all but the names are probabilities.

  Attributes:
    bursty: that a few-shot problem is embedded in the sequence at all.
    zipfian: that its classes and the remaining ones are both drawn by the Zipf law,
    common: that they are common among rare ones; else they are rare among common ones.
    otherwise: what a sequence without a few-shot problem is, one of `kinds.NON_BURSTY`.
    distinct: whether the remaining items are all of other classes, instead of independent draws.
  """

  bursty: Array
  zipfian: Array
  common: Array
  otherwise: str = struct.field(pytree_node=False, default='zipfian')
  distinct: bool = struct.field(pytree_node=False, default=False)


class SequenceSettings(struct.PyTreeNode):
  """What a distribution over sequences of one kind depends on.

  Attributes:
    pool: the classes.
    burstiness: of `bursty` sequences.
    fewshot: probability that a `mixed` sequence is a few-shot problem.
    interim: loss weight of the labels before the query's, whose own is 1; None if only that counts.
    label_sets: labels of a few-shot problem, of whose rows one is drawn, `[R, ways]`.
    noise: standard deviation of what is added to each number of an item; None for nothing.
    labelings: of rare and of common classes: 'ordered', their position in the pool; 'original',
      their class id; or 'unfixed', drawn anew for each sequence from one of the `label_sets`, where
      the classes of a bursty problem have different ones.
    labels: how many labels each class owns, of which a sequence uses one: more than 1 is polysemy.
      Only rare classes whose labels are ordered own several.
    points: K, items of a sequence whose kind is no problem.
    shots, ways: of the few-shot problem.
    drawings: J, drawings of a class.
    replacement: whether the classes of a few-shot problem may be one twice, as published.
    grouped: whether every `ways` items of a few-shot context have one of each class.
  """

  pool: Pool
  burstiness: Burstiness
  fewshot: Array
  interim: Array | None
  label_sets: Array
  kind: SequenceKind = struct.field(pytree_node=False)
  noise: Array | None = None
  labelings: tuple[str, str] = struct.field(pytree_node=False, default=('ordered', 'ordered'))
  labels: int = struct.field(pytree_node=False, default=1)
  points: int = struct.field(pytree_node=False, default=9)
  shots: int = struct.field(pytree_node=False, default=3)
  ways: int = struct.field(pytree_node=False, default=2)
  drawings: int = struct.field(pytree_node=False, default=20)
  replacement: bool = struct.field(pytree_node=False, default=False)
  grouped: bool = struct.field(pytree_node=False, default=False)
