"""Scores of a model and of everything it is measured against, on the same episodes."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array

from icljax.base import Episode, score
from icljax.glm.discrete import PoolPosterior
from icljax.glm.laplace import Prior
from icljax.glm.model import ModelPredictor
from icljax.glm.oracles import ORACLES, Oracles
from icljax.glm.task import FamilyTask
from icljax.likelihoods import Likelihood
from icljax.paired import Indices, draw_episodes

# Of one episode: (the prediction of every target `[K]`, the episode) -> a number each, `[K]`.
Metric = Callable[[Likelihood, Episode], Array]


def score_model(
  task: FamilyTask,
  model: ModelPredictor,
  data: None,
  indices: Indices,
  *metrics: tuple[str, Metric],
) -> dict[str, Array]:
  """What a model predicts on (this device's share of) evaluation episodes.

  Args:
    metrics: user-defined ones, by name.

  Returns:
    `model`, its log-probabilities of the targets `[B, K]`; `read_out`, the probabilities that its
    read-out gives the families `[B, K, F]`, where it has one; and `metric/<name>` `[B, K]`.

  Raises:
    ValueError: if a metric does not give a number per target.
  """
  del data
  episodes = draw_episodes(task, indices)
  predicted, log_families = model.outputs(episodes)
  scores = {'model': score(predicted, episodes)}
  if log_families is not None:
    scores['read_out'] = jnp.exp(log_families)
  for name, metric in metrics:

    def measure(prediction, episode, metric=metric):
      return jnp.asarray(metric(prediction.given(episode.task), episode))

    values = jax.vmap(measure)(predicted, episodes)
    if values.shape != episodes.y.shape:
      raise ValueError(
        f'eval.metrics: {name} gives {list(values.shape[1:])} for an episode; it has to give a '
        'number per target, [K]'
      )
    scores[f'metric/{name}'] = values
  return scores


# The names of the exact answer where weights are from a pool: of linear regression, and of others.
OF_POOL = ('dmmse', 'bayes_pool')


class References(struct.PyTreeNode):
  """What the oracles of a task are made from.

  Attributes:
    normals: standard normals `[S, C*D]`, with which they sample posteriors of new weights.
    pool: the exact answer where weights are from a pool; None where they are new.
    pool_name: what it is called, one of `OF_POOL`.
  """

  normals: Array
  pool: PoolPosterior | None
  pool_name: str = struct.field(pytree_node=False)


def score_references(
  task: FamilyTask, references: References, data: None, indices: Indices
) -> dict[str, Array]:
  """The log-probabilities of the targets by each reference, `[B, K]`.

  Of a task without references of its own, whose law the oracles know, it is they that are scored
  (`Oracles.score`), with one of `OF_POOL` where weights are from a pool; `family` `[B]` is the
  index of each episode's family.
  """
  del data
  episodes = draw_episodes(task, indices)
  if (own := getattr(task, 'references', None)) is not None:
    return {name: predictor.score(episodes) for name, predictor in own().items()}
  oracles = Oracles(cast(Prior, task), references.normals)
  of_pool = {}
  if references.pool is not None:
    of_pool[references.pool_name] = references.pool.score(episodes)
  return oracles.score(episodes) | of_pool | {'family': episodes.task.family}


@dataclasses.dataclass(frozen=True)
class PairedScores:
  """What an evaluation keeps, for n episodes.

  Attributes:
    nats: -log p of every target by predictor, `[n, K]`; `model` comes first.
    metrics: user-defined metrics of the model by name, `[n, K]`.
    family_probabilities: what is known of an episode's family before each target, `[n, K, F]`, by
      the exact posterior (`bayes`) and by the model's `read_out`.
    family: the index of each episode's family `[n]`; None where the oracles are not scored.
    effective: the effective number of posterior samples behind each target `[n, K]`, or None.
  """

  nats: dict[str, np.ndarray]
  metrics: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
  family_probabilities: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
  family: np.ndarray | None = None
  effective: np.ndarray | None = None

  def flatten(self) -> dict[str, np.ndarray]:
    """The arrays by the names that they have on disk."""
    arrays = {f'nats/{name}': values for name, values in self.nats.items()}
    if self.effective is not None and self.family is not None:
      arrays |= {'effective': self.effective, 'family': self.family}
    arrays |= {f'family/{name}': values for name, values in self.family_probabilities.items()}
    return arrays | {f'metric/{name}': values for name, values in self.metrics.items()}


def unflatten(arrays: Mapping[str, np.ndarray]) -> PairedScores:
  """The scores whose `flatten` gives these arrays."""
  groups = {'nats': {}, 'metric': {}, 'family': {}}
  for path, values in arrays.items():
    group, _, name = path.partition('/')
    if name:
      groups[group][name] = values
  return PairedScores(
    groups['nats'],
    groups['metric'],
    groups['family'],
    arrays.get('family'),
    arrays.get('effective'),
  )


def collect(model: dict[str, np.ndarray], references: dict[str, np.ndarray]) -> PairedScores:
  """Puts together what `score_model` and `score_references` give of all episodes.

  The read-out is kept on tasks with as many families as the model was trained on.
  """
  metrics = {
    name.partition('/')[2]: values for name, values in model.items() if name.startswith('metric/')
  }
  if 'family' not in references:
    nats = {'model': model['model']} | references
    return PairedScores({name: -values for name, values in nats.items()}, metrics)
  scored = [name for name in (*OF_POOL, *ORACLES) if name in references]
  nats = {'model': model['model']} | {name: references[name] for name in scored}
  probabilities = {'bayes': references['family_posterior']}
  if 'read_out' in model and model['read_out'].shape == probabilities['bayes'].shape:
    probabilities['read_out'] = model['read_out']
  return PairedScores(
    {name: -values for name, values in nats.items()},
    metrics,
    probabilities,
    references['family'],
    references['effective'],
  )


def reference_of(nats: Mapping[str, np.ndarray], conditions_on_family: bool) -> str | None:
  """The predictor that a model is compared with: the best one that knows as much; None where there
  is no other predictor.

  Args:
    nats: by predictor.
    conditions_on_family: whether the model's loss is told the family.
  """
  of_new = 'bayes_family' if conditions_on_family else 'bayes'
  names = {'bayes', of_new}
  several = names <= nats.keys() and not np.array_equal(nats['bayes'], nats[of_new])
  is_told = conditions_on_family and several
  of_pool = () if is_told else OF_POOL  # it is not told the family
  wanted = next((name for name in of_pool if name in nats), of_new)
  return wanted if wanted in nats else next((name for name in nats if name != 'model'), None)
