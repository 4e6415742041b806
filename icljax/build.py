"""From a config to the things that it names: the only reader of configs (`checks` aside)."""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from icljax import optimizers
from icljax.base import stream
from icljax.baselines.glm import Oracles
from icljax.baselines.posterior import sobol_normals
from icljax.checks import family_names
from icljax.families import Dispersion, families
from icljax.models.heads import EtaHead, MixtureHead
from icljax.models.in_context import TOKENS, InContextModel, ModelPredictor
from icljax.models.transformer import Transformer
from icljax.tasks.glm import GLM
from icljax.training import Settings, TrainState, make_train_step

PRECISION = {'highest': 'highest', 'tf32': 'tensorfloat32'}


def precision(config: ConfigDict) -> str:
  """The precision of the model's matrix products: by default exact on a CPU, TF32 on an accelerator."""
  name = config.model.precision
  return PRECISION['highest' if jax.default_backend() == 'cpu' else 'tf32'] if name == 'auto' else PRECISION[name]


def task(config: ConfigDict) -> GLM:
  """The task that is trained on."""
  known = families(config.task.classes)
  return GLM(
    scale=jnp.float32(config.task.scale),
    clip=jnp.float32(config.task.clip),
    dispersion=Dispersion(noise=jnp.float32(config.task.noise), r=jnp.float32(config.task.r)),
    families=tuple(known[name] for name in family_names(config)),
    dims=config.task.D,
    points=config.task.K,
  )


def eval_task(config: ConfigDict, mode: str) -> GLM:
  """The task of an eval mode: that of training, or one family of it or of another, at `eval.scale` and `eval.r`."""
  trained = task(config)
  family = mode.removeprefix('eval').removeprefix('_')
  scale, r = config.eval.scale or config.task.scale, config.eval.r or config.task.r
  shifted = trained.replace(scale=jnp.float32(scale), dispersion=trained.dispersion.replace(r=jnp.float32(r)))
  names = family_names(config)
  if family and family in names and len(names) > 1:
    return shifted.replace(only=jnp.int32(names.index(family)))  # one family, of which `bayes` is not told, as the model
  return shifted.replace(families=(families(config.task.classes)[family],)) if family else shifted


def oracles(config: ConfigDict, prior: GLM) -> Oracles:
  """The references for episodes of `prior`."""
  return Oracles(prior, jnp.asarray(sobol_normals(config.eval.posterior_samples, prior.predictors * prior.dims)))


def model(config: ConfigDict, trained: GLM) -> InContextModel:
  """The model of a config."""
  at = precision(config)
  if config.model.head == 'eta':
    head = EtaHead(trained.families, precision=at)
  else:
    head = MixtureHead(trained.families, config.model.components, precision=at)
  length = trained.points * TOKENS[config.model.tokens]
  return InContextModel(
    sequence=Transformer(config.model.layers, config.model.heads, length, precision=at),
    head=head,
    width=config.model.width,
    classes=trained.predictors if trained.predictors > 1 else 0,
    tokens=config.model.tokens,
    precision=at,
  )


def settings(config: ConfigDict) -> Settings:
  """The numbers of training."""
  optimizer = config.optimizer
  numbers = {
    'learning_rate': jnp.float32(optimizer.learning_rate),
    'warmup_steps': jnp.float32(optimizer.warmup_steps),
    'training_steps': jnp.float32(config.training_steps),
    'clip_norm': jnp.float32(optimizer.clip_norm),
  }
  return Settings(task(config), numbers, jnp.uint32(config.random_seed))


def predictor(config: ConfigDict, params) -> ModelPredictor:
  """A config's model with parameters."""
  trained = task(config)
  return ModelPredictor(params, trained.dispersion, model(config, trained))


def init(config: ConfigDict) -> TrainState:
  """The state before the first step."""
  network = model(config, task(config))
  make_optimizer = _optimizer(config)

  @jax.jit  # one program instead of hundreds of small ones
  def start(numbers: Settings) -> TrainState:
    episodes = jax.vmap(numbers.task.sample)(jax.random.split(jax.random.key(0), 1))
    params = network.init(stream(numbers.seed, 'init'), episodes.x, episodes.y, numbers.task.dispersion)['params']
    return TrainState(params, make_optimizer(numbers.optimizer).init(params))

  return start(settings(config))


def train_step(config: ConfigDict):
  """The step of `training.make_train_step`."""
  network = model(config, task(config))
  predict = lambda params, numbers: ModelPredictor(params, numbers.task.dispersion, network)
  return make_train_step(predict, _optimizer(config), config.training.batch_size)


def _optimizer(config: ConfigDict):
  return optimizers.adam(config.optimizer.schedule)
