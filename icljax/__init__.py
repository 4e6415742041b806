"""In-context learning in JAX: models trained on families of tasks, measured against exact Bayes.

    config = icljax.config('glm', 'poisson')           # a config, to be changed at will
    run = icljax.train(config)                         # what the command does; the run's folder
    numbers = icljax.evaluate(run, 'eval', scale=0.8)  # arrays by name
    both = icljax.compare([run, 'runs/other'])         # the same of several models, and a picture
    many = icljax.sweep(config, 'task.scale=0.5,1; random_seed=0..2')  # the folder of six runs
    frame = icljax.metrics('runs/*', ['random_seed'])  # a pandas DataFrame of all that is on disk
    model = icljax.load(run)                           # the newest checkpoint of a run
    likelihood = model.at(x_context, y_context, x_query)  # [k, D], [k], [Q, D] -> one per query
    ridge = icljax.predictor('ridge', run)             # what can be known without training: `at`
    made = icljax.prompt([(w, 5), (v, 2)], query=v)    # pairs of linear regressions, made by hand
    likelihood.mean(), likelihood.sample(key), likelihood.log_prob(y)
    likelihood.variance(), likelihood.cdf(y), likelihood.quantile(0.9)

Start reading at `icljax/base.py`.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from icljax.contexts import prompt
  from icljax.predict import load, predictor
  from icljax.runs import compare, config, evaluate, metrics, sweep, train

__all__ = [
  'compare',
  'config',
  'evaluate',
  'load',
  'metrics',
  'predictor',
  'prompt',
  'sweep',
  'train',
]
_HOMES = {
  'load': 'icljax.predict',
  'predictor': 'icljax.predict',
  'prompt': 'icljax.contexts',
}  # the others are in icljax.runs


def __getattr__(name: str):
  """Imports what is public when it is asked for.

  So `import icljax` costs nothing and does not import JAX.
  """
  if name in __all__:
    return getattr(importlib.import_module(_HOMES.get(name, 'icljax.runs')), name)
  raise AttributeError(f'icljax has no {name!r}; it has {", ".join(__all__)}')
