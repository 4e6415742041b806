"""A family of one's own: everything between the two lines is what it takes; the rest trains it and
asks its oracles.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import gammaln
from scipy import stats

from icljax.base import draw_batch, stream
from icljax.families import Dispersion, Family
from icljax.glm.laplace import sobol_normals
from icljax.glm.model import InContextModel, ModelPredictor
from icljax.glm.oracles import Oracles
from icljax.glm.task import GLM
from icljax.likelihoods import SMALLEST_POSITIVE, Likelihood
from icljax.models.heads import MixtureHead
from icljax.models.transformer import Transformer
from icljax.training import optimizers, schedules
from icljax.training.optimizers import make_clipped
from icljax.training.step import Settings, TrainState, make_train_step

# --------------------------------------------------------------------------------------------------
# ----------------------
SHAPE = 2


class Gamma(Likelihood):
  """Gamma with shape `SHAPE` and mean exp(eta); eta `[...]`."""

  eta: Array

  def support(self, y):
    return (y > 0) & jnp.isfinite(y)

  def _log_prob(self, y):
    scaled = SHAPE * (jnp.log(SHAPE) - self.eta - y * jnp.exp(-self.eta))
    return scaled + (SHAPE - 1) * jnp.log(y) - gammaln(SHAPE)

  def mean(self):
    return jnp.exp(self.eta)

  def _sample(self, key):
    times = jax.random.exponential(key, (SHAPE, *self.eta.shape))  # their sum is a gamma
    return jnp.maximum(self.mean() * times.mean(0), SMALLEST_POSITIVE)


GAMMA = Family('gamma', lambda eta, d: Gamma.of(eta[..., 0]), mean=jnp.exp, link=jnp.log)
# --------------------------------------------------------------------------------------------------
# ----------------------

DISPERSION = Dispersion(noise=jnp.float32(0.5), r=jnp.float32(1.2))
TASK = GLM(
  scale=jnp.float32(0.7),
  clip=jnp.float32(4.0),
  dispersion=DISPERSION,
  families=(GAMMA,),
  dims=2,
  points=6,
)
MODEL = InContextModel(
  Transformer(layers=1, heads=2, length=6), MixtureHead(TASK.families, components=2), width=16
)


def test_its_likelihood_is_scipys(key):
  eta, y = np.array([-1.0, 0.0, 1.5], np.float32), np.array([0.2, 1.0, 7.0], np.float32)
  theirs = stats.gamma(SHAPE, scale=np.exp(eta) / SHAPE)
  np.testing.assert_allclose(Gamma.of(eta).log_prob(y), theirs.logpdf(y), rtol=1e-5)
  draws = Gamma.of(jnp.full(4_000, 0.4)).sample(key)
  assert (
    stats.kstest(np.asarray(draws), stats.gamma(SHAPE, scale=np.exp(0.4) / SHAPE).cdf).pvalue > 1e-3
  )


def test_a_model_of_it_learns_and_stands_where_it_should_among_its_oracles():
  """After 20 steps: better than at the start and than knowing nothing, worse than the exact
  posterior.
  """
  predictor = lambda task, params, _: ModelPredictor(params, task.dispersion, MODEL)
  numbers = {'learning_rate': jnp.float32(1e-2), 'clip_norm': jnp.float32(1.0)}
  settings = Settings(TASK, numbers, jnp.uint32(0))
  make_optimizer = make_clipped(optimizers.adam, schedules.constant)
  step = jax.jit(make_train_step(predictor, make_optimizer, batch_size=64))

  @jax.jit
  def start():
    params = MODEL.init(jax.random.key(0), jnp.zeros((1, 6, 2)), jnp.ones((1, 6)), DISPERSION)[
      'params'
    ]
    return TrainState(params, make_optimizer(numbers).init(params))

  @jax.jit
  def scores(params):
    episodes = draw_batch(TASK, stream(jnp.uint32(0), 'eval'), 0, jnp.arange(400))
    return {'model': predictor(TASK, params, None).score(episodes)} | Oracles(TASK, normals).score(
      episodes
    )

  normals = jnp.asarray(sobol_normals(64, 2))
  first = state = start()
  for t in range(20):
    state, _ = step(None, settings, state, jnp.int32(t))
  before, after = jax.device_get((scores(first.params), scores(state.params)))
  nats = {
    name: -values.mean(1)
    for name, values in after.items()
    if name not in ('effective', 'family_posterior')
  }

  def below(better, worse):
    difference = worse - better
    return difference.mean() > 3 * difference.std() / np.sqrt(len(difference))

  assert below(nats['model'], -before['model'].mean(1))
  assert below(nats['bayes'], nats['model'])
  assert below(nats['bayes'], nats['naive'])
  assert below(nats['true'], nats['bayes'])
  np.testing.assert_allclose(nats['bayes'], nats['bayes_family'], atol=1e-4)
  assert after['effective'].min() > 16
