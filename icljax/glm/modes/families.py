"""What is known of an episode's family: by the exact posterior, and by a model's read-out.

Everywhere `known` holds probabilities of the families `[n, K, F]` before y_k is seen, by who gives
them, and `true` is the index of each episode's family `[n]`.
"""

import numpy as np

from icljax.paired import aligned, mean_and_error, shown_positions

BINS = 10  # of probabilities, for calibration
Known = dict[str, np.ndarray]


def hits(probabilities: np.ndarray, true: np.ndarray) -> np.ndarray:
  """Whether the likeliest family is the true one, `[n, K]`."""
  return probabilities.argmax(-1) == true[:, None]


def nats(probabilities: np.ndarray, true: np.ndarray) -> np.ndarray:
  """-log of the probability that the true family is given, `[n, K]`."""
  given = np.take_along_axis(probabilities, true[:, None, None], axis=-1)[..., 0]
  return -np.log(np.maximum(given.astype(np.float64), np.finfo(np.float32).tiny))


def reliability(
  probabilities: np.ndarray, true: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """By bins of the first family's probability: its mean, the share of episodes that are of that
  family, their count `[BINS]`.
  """
  said, is_first = (
    probabilities[..., 0].ravel(),
    np.broadcast_to((true == 0)[:, None], probabilities.shape[:2]).ravel(),
  )
  bins = np.minimum((said * BINS).astype(int), BINS - 1)
  count = np.bincount(bins, minlength=BINS)
  with np.errstate(invalid='ignore'):
    return np.bincount(bins, said, BINS) / count, np.bincount(bins, is_first, BINS) / count, count


def calibration_error(probabilities: np.ndarray, true: np.ndarray) -> float:
  """Expected calibration error of the first family's probability, 0 to 1 (Guo et al. 2017, eq. 3)."""
  said, are, count = reliability(probabilities, true)
  filled = count > 0
  return float((count[filled] * np.abs(said[filled] - are[filled])).sum() / count.sum())


def confusion(probabilities: np.ndarray, true: np.ndarray) -> np.ndarray:
  """How often episodes of a family (row) are taken for each family (column) at the last target:
  rows sum to 1, `[F, F]`.
  """
  families = probabilities.shape[-1]
  counts = np.zeros((families, families))
  np.add.at(counts, (true, probabilities[:, -1].argmax(-1)), 1)
  return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def metrics(known: Known, true: np.ndarray, any_family: bool = True) -> dict[str, float]:
  """Accuracy and nats on average over positions, accuracy at the last, and the calibration error,
  by who knows.
  """
  values = {}
  for who, probabilities in known.items():
    for name, rows in (
      ('accuracy', hits(probabilities, true)),
      ('nats', nats(probabilities, true)),
    ):
      values[f'family_{name}_{who}'], values[f'family_{name}_{who}_se'] = map(
        float, mean_and_error(rows.mean(1))
      )
    values[f'family_accuracy_last_{who}'] = float(hits(probabilities, true)[:, -1].mean())
    if any_family:
      values[f'family_calibration_error_{who}'] = calibration_error(probabilities, true)
  return values


def table(known: Known, true: np.ndarray, names: tuple[str, ...], any_family: bool = True) -> str:
  """Accuracy per position, nats, and calibration unless all episodes are of one family."""
  shown = shown_positions(next(iter(known.values())).shape[1])
  cell = lambda mean, error: f'{mean:.3f} ± {error:.3f}'
  rows = [
    [
      '',
      *(f'k = {k}' for k in shown),
      'mean',
      'nats',
      *(['calibration error'] if any_family else []),
    ]
  ]
  for who, probabilities in known.items():
    hit, surprise = hits(probabilities, true), nats(probabilities, true)
    at_shown = map(cell, *mean_and_error(hit[:, shown]))
    averages = [cell(*mean_and_error(values.mean(1))) for values in (hit, surprise)]
    rows.append(
      [
        who,
        *at_shown,
        *averages,
        *([f'{calibration_error(probabilities, true):.3f}'] if any_family else []),
      ]
    )
  return (
    f'share of episodes whose family ({", ".join(names)}) is named rightly after k pairs\n'
    + aligned(rows)
  )


def confusion_table(known: Known, true: np.ndarray, names: tuple[str, ...]) -> str:
  """Which family is taken for which at the last target."""
  rows = [['true family', *(f'{who}: {name}' for who in known for name in names)]]
  matrices = [confusion(probabilities, true) for probabilities in known.values()]
  rows += [
    [name, *(f'{share:.3f}' for matrix in matrices for share in matrix[i])]
    for i, name in enumerate(names)
  ]
  last = next(iter(known.values())).shape[1] - 1
  return f"share of a family's episodes taken for each family after k = {last} pairs\n" + aligned(
    rows
  )
