"""In-context learning in JAX: models trained on families of tasks, measured against the exact Bayes answer.

    predictor = icljax.load('runs/glm')                       # the newest checkpoint of a run
    likelihood = predictor.at(x_context, y_context, x_query)  # [k, D], [k], [Q, D] -> a distribution per query
    likelihood.mean(), likelihood.sample(key), likelihood.log_prob(y)

Start reading at `icljax/base.py`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from icljax.predict import load

__all__ = ['load']


def __getattr__(name: str):
  """Imports what is public when it is asked for: `import icljax` costs nothing and does not import JAX."""
  if name in __all__:
    from icljax import predict

    return getattr(predict, name)
  raise AttributeError(f'icljax has no {name!r}; it has {", ".join(__all__)}')
