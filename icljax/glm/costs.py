"""The products with which a model of pairs (x, y) reads tokens and gives predictions. No JAX."""

from ml_collections import ConfigDict

from icljax.glm.checks import family_names
from icljax.subjects import Ends, Product

TARGET = 2  # numbers that a token shows of a target, besides one for each class


def ends(config: ConfigDict) -> Ends:
  """Tokens of an episode, and the products before and after the sequence model.

  A user-defined family is taken to have one linear predictor.
  """
  pairs, width, dims = config.task.K, config.model.width, config.task.D
  names = family_names(config)
  predictors = [config.task.classes if name == 'multinomial' else 1 for name in names]
  target = TARGET + (max(predictors) if max(predictors) > 1 else 0)
  tokens, numbers = {  # and what is read of a pair
    'pairs': (pairs, dims + (dims + target + 1)),
    'interleaved': (2 * pairs, dims + target),
    'interleaved_plain': (2 * pairs, 2 * (dims + 1)),
  }[config.model.tokens]
  outputs = {
    'eta': max(predictors),
    'mixture': config.model.components * (len(names) + sum(predictors)),
    'known_noise': 1,
  }[config.model.head]
  products = [
    Product(pairs * numbers * width, reads_parameters=False),
    Product(pairs * width * outputs),
  ]
  if len(names) > 1:  # the read-out of the family
    products.append(Product(pairs * width * len(names), reads_parameters=False))
  return Ends(tokens, tuple(products))
