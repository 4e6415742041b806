"""In-context learning in JAX: models trained on families of tasks, measured against the exact Bayes
answer.

    run = icljax.train(config)                                # what the command does; the run's folder
    numbers = icljax.evaluate(run, 'eval', scale=0.8)         # arrays by name
    both = icljax.compare([run, 'runs/other'])                # the same of several models, and a picture
    frame = icljax.metrics('runs/*', fields=['random_seed'])  # a pandas DataFrame of everything on disk
    predictor = icljax.load(run)                              # the newest checkpoint of a run
    likelihood = predictor.at(x_context, y_context, x_query)  # [k, D], [k], [Q, D] -> a distribution per query
    likelihood.mean(), likelihood.sample(key), likelihood.log_prob(y)

Start reading at `icljax/base.py`.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from icljax.predict.load import load
  from icljax.runs import compare, evaluate, metrics, train

__all__ = ['compare', 'evaluate', 'load', 'metrics', 'train']
_HOMES = {'load': 'icljax.predict.load'}  # the others are in icljax.runs


def __getattr__(name: str):
  """Imports what is public when it is asked for: `import icljax` costs nothing and does not import
  JAX.
  """
  if name in __all__:
    return getattr(importlib.import_module(_HOMES.get(name, 'icljax.runs')), name)
  raise AttributeError(f'icljax has no {name!r}; it has {", ".join(__all__)}')
