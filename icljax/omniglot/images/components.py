"""Fixed features of drawings that need no trained network: their leading principal components."""

import numpy as np


def leading(packed: np.ndarray, side: int, count: int) -> np.ndarray:
  """Each drawing's leading `count` principal components, `[C, J, count]`, in units that make their
  mean square 1.

  The components are those of all drawings, whatever is trained on: nothing of a label enters.

  Args:
    packed: `[C, J, ceil(side^2 / 8)]` uint8, a bit per pixel.

  Raises:
    ValueError: if drawings have fewer pixels than that.
  """
  if count > side * side:
    raise ValueError(
      f'data.components is {count}; drawings of {side} x {side} pixels have at most {side * side}'
    )
  pixels = (
    np.unpackbits(packed, axis=-1, count=side * side).reshape(-1, side * side).astype(np.float32)
  )
  pixels -= pixels.mean(0)
  _, directions = np.linalg.eigh((pixels.T @ pixels).astype(np.float64))  # by rising variance
  # Either sign is an eigenvector.
  directions *= np.sign(directions[np.abs(directions).argmax(0), np.arange(side * side)])
  found = pixels @ directions[:, ::-1][:, :count].astype(np.float32)
  return (found / np.sqrt((found**2).mean())).reshape(*packed.shape[:2], count)
