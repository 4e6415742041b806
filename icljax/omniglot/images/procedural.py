"""Procedural characters: classes of drawings without any file, for tests, speed and a quick start.
They are not Omniglot.

A character is 1 to 5 smooth strokes, each through a few random knots and joined to one before it. A
drawing of it moves the knots a little, applies an affine map of its own and takes a pen of its own.
"""

import numpy as np

SIDE = 105  # of the canvas, as Omniglot's
DRAWINGS = 20
STROKES = (0.2, 0.3, 0.3, 0.15, 0.05)  # probabilities of 1, 2, ... strokes
KNOTS = (3, 4)  # of a stroke, at least and at most
STEP = 32  # points of a curve between two knots: few enough to be quick, enough for no gaps
TURN = 1.2  # standard deviation, in radians, of the change of direction at a knot
EXTENT = 0.65  # of a character's larger extent, as a share of the canvas
KNOT_JITTER = 3.0  # standard deviations, in pixels
SHIFT = 5.0
AFFINE = 0.13  # of each entry of the linear map, around the identity
PENS = (2, 4, 5)  # squares of radii
MARGIN = 4  # around the canvas, for strokes that leave it


def _curve(knots: int) -> np.ndarray:
  """`[T, knots]`: points of the Catmull-Rom spline through the knots, as weights of the knots."""
  t = np.linspace(0, 1, STEP)
  # [4, STEP].
  weights = (
    np.stack(
      [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3]
    )
    / 2
  )
  spread = np.zeros((knots - 1, STEP, knots))
  for i in range(knots - 1):
    for j, weight in enumerate(weights):  # the knots beyond the ends are the ends again
      spread[i, :, np.clip(i - 1 + j, 0, knots - 1)] += weight
  return spread.reshape(-1, knots)


CURVES = {knots: _curve(knots) for knots in range(KNOTS[0], KNOTS[1] + 1)}
PEN = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3) if dy**2 + dx**2 <= max(PENS)]


def _skeleton(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
  """Knots `[N, 2]` of a character around 0, and the points of its strokes as weights of them, `[T,
  N]`.
  """
  count = 1 + rng.choice(len(STROKES), p=STROKES)
  knots: list[np.ndarray] = [np.zeros(2)]
  strokes = []
  for _ in range(count):
    stroke = [int(rng.integers(len(knots)))]  # the joint
    angles = rng.uniform(0, 2 * np.pi) + np.cumsum(
      TURN * rng.normal(size=rng.integers(KNOTS[0], KNOTS[1] + 1) - 1)
    )
    for angle, length in zip(angles, rng.uniform(0.5, 1.5, len(angles))):
      knots.append(knots[stroke[-1]] + length * np.array([np.sin(angle), np.cos(angle)]))
      stroke.append(len(knots) - 1)
    strokes.append(stroke)
  weights = np.zeros((sum(len(CURVES[len(stroke)]) for stroke in strokes), len(knots)))
  row = 0
  for stroke in strokes:
    curve = CURVES[len(stroke)]
    weights[row : row + len(curve), stroke] = curve
    row += len(curve)
  low, high = np.min(knots, axis=0), np.max(knots, axis=0)
  return (np.stack(knots) - (low + high) / 2) * EXTENT * SIDE / (high - low).max(), weights


def character(seed: int, index: int) -> np.ndarray:
  """`[J, SIDE, SIDE]` bool, the drawings of a class; it depends on nothing but the seed and the
  class's number.
  """
  rng = np.random.default_rng([seed, index])
  knots, weights = _skeleton(rng)
  moved = knots + KNOT_JITTER * rng.normal(size=(DRAWINGS, *knots.shape))
  affine = np.eye(2) + AFFINE * rng.normal(size=(DRAWINGS, 2, 2))
  points = weights @ (moved @ affine + SHIFT * rng.normal(size=(DRAWINGS, 1, 2)))  # [J, T, 2]
  pens = rng.choice(PENS, size=DRAWINGS)

  wide = SIDE + 2 * MARGIN
  rows, columns = np.clip(np.rint(points + wide / 2).astype(int), 2, wide - 3).transpose(2, 0, 1)
  at = (np.arange(DRAWINGS)[:, None] * wide + rows) * wide + columns  # [J, T] in the flat canvases
  canvas = np.zeros(DRAWINGS * wide * wide, bool)
  for dy, dx in PEN:
    canvas[at[pens >= dy**2 + dx**2] + dy * wide + dx] = True
  return canvas.reshape(DRAWINGS, wide, wide)[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
