"""Principal components against scikit-learn's."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from icljax.omniglot.images import components, store


def test_components_are_scikit_learns():
  images = store.load(
    'procedural', side=14, classes=30, cache_dir='/nonexistent', say=lambda line: None
  )
  ours = components.leading(images.packed, 14, 20).reshape(-1, 20)
  theirs = PCA(20, svd_solver='full').fit_transform(
    images.unpack().reshape(-1, 196).astype(np.float64)
  )
  theirs /= np.sqrt((theirs**2).mean())
  np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-3)
  assert (ours**2).mean() == pytest.approx(1, rel=1e-4)


def test_no_more_components_than_pixels():
  with pytest.raises(
    ValueError, match=r'data.components is 197; drawings of 14 x 14 pixels have at most 196'
  ):
    components.leading(np.zeros((1, 1, 25), np.uint8), 14, 197)
