"""How well an episode's family is known: by the exact posterior, and by a model's read-out.

Everywhere `probabilities` are of the families before y_k is seen, `[n, K, F]`, or by predictor a
dict of such, and `family` is the index of each episode's family, `[n]`.
"""

import numpy as np

from icljax.paired import mean_and_error
from icljax.tables import aligned, cell, shown_positions

BINS = 10  # of probabilities, for calibration: with 10,000 episodes each holds hundreds

ByPredictor = dict[str, np.ndarray]


def hits(probabilities: np.ndarray, family: np.ndarray) -> np.ndarray:
  """Whether the likeliest family is the episode's, `[n, K]`."""
  return probabilities.argmax(-1) == family[:, None]


def nats(probabilities: np.ndarray, family: np.ndarray) -> np.ndarray:
  """-log of the probability of the episode's family, `[n, K]`."""
  given = np.take_along_axis(probabilities, family[:, None, None], axis=-1)[..., 0]
  return -np.log(np.maximum(given.astype(np.float64), np.finfo(np.float32).tiny))


def reliability(
  probabilities: np.ndarray, family: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """How often the first family is true where it is given some probability.

  Returns:
    By bins of its probability, `[BINS]` each: the mean probability; the share of episodes that are
    of that family; how many targets there are. Both means are NaN in an empty bin.
  """
  predicted = probabilities[..., 0].ravel()
  observed = np.broadcast_to((family == 0)[:, None], probabilities.shape[:2]).ravel()
  bins = np.minimum((predicted * BINS).astype(int), BINS - 1)
  count = np.bincount(bins, minlength=BINS)
  with np.errstate(invalid='ignore'):
    mean, share = (np.bincount(bins, values, BINS) / count for values in (predicted, observed))
  return mean, share, count


def calibration_error(probabilities: np.ndarray, family: np.ndarray) -> float:
  """Expected calibration error for the first family (Guo et al. 2017, eq. 3), 0 to 1."""
  predicted, observed, count = reliability(probabilities, family)
  filled = count > 0
  gaps = np.abs(predicted[filled] - observed[filled])
  return float((count[filled] * gaps).sum() / count.sum())


def confusion(probabilities: np.ndarray, family: np.ndarray) -> np.ndarray:
  """How often episodes of a family are taken for each family at the last target, `[F, F]`.

  Rows are true families and sum to 1.
  """
  families = probabilities.shape[-1]
  counts = np.zeros((families, families))
  np.add.at(counts, (family, probabilities[:, -1].argmax(-1)), 1)
  return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def metrics(
  probabilities: ByPredictor, family: np.ndarray, any_family: bool = True
) -> dict[str, float]:
  """Accuracy and nats on average over positions, accuracy at the last, and the calibration error.

  Args:
    any_family: whether episodes are of all the families; else calibration means nothing.
  """
  values = {}
  for predictor, given in probabilities.items():
    for name, rows in (('accuracy', hits(given, family)), ('nats', nats(given, family))):
      key = f'family_{name}_{predictor}'
      values[key], values[f'{key}_se'] = map(float, mean_and_error(rows.mean(1)))
    values[f'family_accuracy_last_{predictor}'] = float(hits(given, family)[:, -1].mean())
    if any_family:
      values[f'family_calibration_error_{predictor}'] = calibration_error(given, family)
  return values


def accuracy_table(
  probabilities: ByPredictor, family: np.ndarray, names: tuple[str, ...], any_family: bool = True
) -> str:
  """Accuracy per position, nats, and the calibration error where `any_family`."""
  shown = shown_positions(next(iter(probabilities.values())).shape[1])
  calibration = ['calibration error'] if any_family else []
  rows = [['', *(f'k = {k}' for k in shown), 'mean', 'nats', *calibration]]
  for predictor, given in probabilities.items():
    hit, surprise = hits(given, family), nats(given, family)
    at_shown = map(cell, *mean_and_error(hit[:, shown]))
    averages = [cell(*mean_and_error(values.mean(1))) for values in (hit, surprise)]
    error = [f'{calibration_error(given, family):.3f}'] if any_family else []
    rows.append([predictor, *at_shown, *averages, *error])
  listed = ', '.join(names)
  title = f'share of episodes whose family ({listed}) is named rightly after k pairs'
  return f'{title}\n{aligned(rows)}'


def confusion_table(probabilities: ByPredictor, family: np.ndarray, names: tuple[str, ...]) -> str:
  """Which family is taken for which at the last target."""
  rows = [
    ['true family', *(f'{predictor}: {name}' for predictor in probabilities for name in names)]
  ]
  matrices = [confusion(given, family) for given in probabilities.values()]
  for i, name in enumerate(names):
    rows.append([name, *(f'{share:.3f}' for matrix in matrices for share in matrix[i])])
  last = next(iter(probabilities.values())).shape[1] - 1
  return (
    f"share of a family's episodes taken for each family after k = {last} pairs\n{aligned(rows)}"
  )
