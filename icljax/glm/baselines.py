"""What a model is measured against, by name: the exact answer for each prior over weights.

linear, no clip ridge, for Gaussian weights; dmmse, for the pool; ols, least squares; zero; true
other families  bayes, for Gaussian weights; bayes_pool, for the pool; true

`true` is told the weights. What knows the pool is there only where the training task has one.
"""

import jax
import jax.numpy as jnp
from flax import struct

from icljax.base import Episode, Predictor
from icljax.families import LINEAR
from icljax.glm.discrete import PoolPosterior
from icljax.glm.laplace import sobol_normals
from icljax.glm.oracles import Bayes, Oracles
from icljax.glm.priors import Pool
from icljax.glm.ridge import LeastSquares, Ridge, Zero
from icljax.glm.task import GLM
from icljax.likelihoods import Likelihood


class TrueWeights(Predictor, struct.PyTreeNode):
  """An episode's own family at its own weights: what is left is noise."""

  def along(self, episodes: Episode) -> Likelihood:
    own = lambda episode: episode.task.likelihood(episode.task.eta(episode.x))
    return jax.vmap(own)(episodes)


def is_plain_linear(task: GLM) -> bool:
  """Whether a task is linear regression, of which ridge is exact: without a clip."""
  return task.families == (LINEAR,) and bool(jnp.isinf(task.clip))


def baselines(trained: GLM, evaluated: GLM, samples: int) -> dict[str, Predictor]:
  """What a model is measured against, by name. Not for traced tasks.

  Args:
    trained: the task of the run, whose pool is the one that `dmmse` and `bayes_pool` know, at its
      scale, also when the evaluated tasks are new or of another scale.
    evaluated: the task whose episodes are asked about: all baselines know its families, clip and
      dispersion, and the others its scale. Its own prior is not read.
    samples: posterior samples of `bayes`.
  """
  true, noise = {'true': TrueWeights()}, evaluated.dispersion.noise
  has_pool = isinstance(trained.prior, Pool) and int(trained.prior.size) > 0
  knows_pool = PoolPosterior(evaluated.replace(prior=trained.prior, scale=trained.scale))
  if is_plain_linear(evaluated):
    pool = {'dmmse': knows_pool} if has_pool else {}
    ridge = Ridge(evaluated.scale, noise)
    return {'ridge': ridge, **pool, 'ols': LeastSquares(noise), 'zero': Zero(noise), **true}
  pool = {'bayes_pool': knows_pool} if has_pool else {}
  normals = jnp.asarray(sobol_normals(samples, evaluated.predictors * evaluated.dims))
  return {'bayes': Bayes(Oracles(evaluated, normals)), **pool, **true}
