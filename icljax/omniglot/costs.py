"""The products with which a model of labelled items reads them and gives labels. No JAX."""

from ml_collections import ConfigDict

from icljax.omniglot.derived import CHANNELS, class_count, label_count, problem_points
from icljax.omniglot.kinds import KINDS
from icljax.subjects import Ends, Product

# Of `icljax.models.resnet`, which imports JAX: channels and kernel of the stem, which halves the
# image and is followed by a pool that halves it again; blocks of a group; strides of the groups.
STEM, STEM_KERNEL, BLOCKS, STRIDES = 64, 7 * 7, 2, (1, 2, 2, 2)
KERNEL = 3 * 3  # of the middle convolution of a block


def ends(config: ConfigDict) -> Ends:
  """Tokens of a sequence, and the products before and after the sequence model.

  How many numbers the items of a user's file of features have is not known without reading it:
  what embeds them is left out.
  """
  is_problem = KINDS[config.data.train_seqs].is_problem
  items = problem_points(config) if is_problem else config.data.seq_config.seq_len
  labelled = items if config.training.w_interim else 1  # at the query alone, or everywhere
  labels = label_count(config, class_count(config) or 0)
  head = Product(labelled * config.model.width * labels)
  embedder = [
    product._replace(multiply_adds=items * product.multiply_adds) for product in _embedder(config)
  ]
  return Ends(2 * items - 1, (*embedder, head))


def _embedder(config: ConfigDict) -> list[Product]:
  """The products of one item."""
  data, width = config.data, config.model.width
  if config.model.embedder == 'resnet':
    return _resnet(data.side, width)
  if config.model.embedder == 'table' or data.example_type == 'features':
    return []
  numbers = data.components or data.side**2
  return [Product(numbers * width, reads_parameters=False)]


def _resnet(side: int, width: int) -> list[Product]:
  """The convolutions of one image of `side` x `side` pixels."""
  side = _halved(side)
  products = [Product(side**2 * STEM_KERNEL * STEM, reads_parameters=False)]
  side, inputs = _halved(side), STEM
  for channels, stride in zip((*CHANNELS, width), STRIDES):
    inner = channels // 4
    for block in range(BLOCKS):
      before, shrinks = side, stride > 1 and block == 0
      side = _halved(side) if shrinks else side
      products.append(Product(before**2 * inputs * inner))
      products.append(Product(side**2 * (KERNEL * inner**2 + inner * channels)))
      if block == 0:  # the shortcut is projected
        products.append(Product(side**2 * inputs * channels))
      inputs = channels
  return products


def _halved(side: int) -> int:
  """The side behind a stride of 2, padded so that no pixel is lost."""
  return -(-side // 2)
