"""What data are called in tables and titles, and arrays on disk."""

import numpy as np
from ml_collections import ConfigDict

SOURCES = {
  'procedural': 'procedural characters (not Omniglot)',
  'symbolic': 'symbols',
  'features': 'given features',
}


def describe_data(config: ConfigDict) -> str:
  """What a config's items are."""
  data = config.data
  return SOURCES.get(data.example_type, f'Omniglot {data.omniglot_config.omniglot_split}')


def store_names(scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Scores by the names that they have on disk."""
  return {f'sequences/{name}': values for name, values in scores.items()}
