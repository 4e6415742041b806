"""What can be known of a generalized linear model from k pairs: what a model is measured against.

told the weights   true
told the family    map, which plugs in the posterior's mode
                   plugin, which plugs in the mean that the posterior predicts: the best that
                   one eta can do
                   bayes_family, the posterior predictive
                   naive, which plugs in the mean of the targets so far
told neither       bayes, the posterior predictive over all families
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array
from jax.scipy.special import logsumexp

from icljax.base import Episode, Predictor
from icljax.families import Family
from icljax.glm import laplace as posterior
from icljax.glm.laplace import Prior
from icljax.glm.priors import Gaussian, Pool
from icljax.glm.task import GLM, FamilyTask, loses_to_atom
from icljax.likelihoods import Likelihood, Mixture

ORACLES = ('true', 'map', 'plugin', 'bayes_family', 'bayes', 'naive')
# Episodes whose samples are held at once. Of one of 40 pairs, eta under 256 samples of each of 41
# posteriors is 1.7 MB.
CHUNK = 8


def has_oracles(task: FamilyTask) -> bool:
  """Whether the oracles are those of a task: of a `GLM`, and of a task whose own class says
  `changes_only_inputs = True`, for given w and x its targets follow the law that is integrated
  here.

  A class that inherits from either may have changed the law, and has to say it again.
  """
  if type(task) is GLM:
    return isinstance(task.prior, Gaussian | Pool)
  return bool(vars(type(task)).get('changes_only_inputs', False))


class Prefixes(struct.PyTreeNode):
  """One family's posterior after the first k pairs of an episode, for k = 0..K.

  Attributes:
    log_evidence: log p(y_1..y_k | x) `[K+1]`.
    effective: effective number of posterior samples `[K+1]`.
    map_eta: linear predictors of the next target at the mode `[K, C]`.
    plugin_eta: linear predictors that predict the posterior's mean of the next target `[K, C]`.
  """

  log_evidence: Array
  effective: Array
  map_eta: Array
  plugin_eta: Array


def prefixes(family: Family, prior: Prior, x: Array, y: Array, normals: Array) -> Prefixes:
  """The posteriors of one family along an episode `[K, D]`, `[K]`; normals `[S, C*D]`."""
  points = y.shape[0]

  def clip(eta):
    return jnp.clip(eta, -prior.clip, prior.clip)

  def after(k):
    samples = posterior.sample(family, prior, x, y, jnp.arange(points) < k, normals)
    x_next = x[jnp.minimum(k, points - 1)]
    expected = samples.expect(family.mean(clip(samples.beta @ x_next)))
    return (
      samples.log_evidence,
      samples.effective,
      clip(samples.mode @ x_next),
      family.link(expected),
    )

  log_evidence, effective, map_eta, plugin_eta = jax.vmap(after)(jnp.arange(points + 1))
  return Prefixes(log_evidence, effective, map_eta[:-1], plugin_eta[:-1])


def naive_eta(family: Family, y: Array) -> Array:
  """The link of the mean of the targets so far and of one more at eta = 0: `[K, C]` from `[K]`."""
  statistic = family.statistic(y)
  before = jnp.cumsum(statistic, axis=0) - statistic
  pseudo = family.mean(jnp.zeros((1, family.predictors)))
  return family.link((before + pseudo) / (jnp.arange(y.shape[0]) + 1.0)[:, None])


class Oracles(struct.PyTreeNode):
  """All references at once, since they share the posteriors.

  Attributes:
    prior: the task, as far as its distribution of coefficients and families goes.
    normals: standard normals `[S, >= C*D]`, see `posterior.sobol_normals`.
  """

  prior: Prior
  normals: Array

  def score(self, episodes: Episode, with_means: bool = False) -> dict[str, Array]:
    """log p(y_k | ...) of every oracle `[B, K]`, in nats, with facts about the posterior.

    `effective` `[B, K]` is the smaller effective number of samples of the two evidences whose ratio
    is `bayes_family`; `family_posterior` `[B, K, F]` is the exact probability of each family before
    y_k is seen.

    Args:
      with_means: whether `bayes_mean` `[B, K]` is given too, the mean of `bayes`; then targets have
        to be numbers.
    """
    score = functools.partial(self._score, with_means=with_means)
    return jax.lax.map(score, episodes, batch_size=CHUNK)

  def _score(self, episode: Episode, with_means: bool) -> dict[str, Array]:
    families = [
      prefixes(family, self.prior, episode.x, episode.y, self.normals)
      for family in self.prior.families
    ]
    evidence = jnp.stack([family.log_evidence for family in families])  # [F, K+1]
    effective = jnp.stack([family.effective for family in families])[episode.task.family]
    common = evidence + self._impossible(episode.y)
    total = logsumexp(common, axis=0)
    plugged_in = self._plugged_in(episode, families)
    scores = {name: likelihood.log_prob(episode.y) for name, likelihood in plugged_in.items()} | {
      'bayes_family': jnp.diff(evidence[episode.task.family]),
      'bayes': jnp.diff(total),
      'effective': jnp.minimum(effective[:-1], effective[1:]),
      'family_posterior': jnp.exp(common - total[None]).T[:-1],
    }
    if with_means:
      scores['bayes_mean'] = self._mean(families, scores['family_posterior'])
    return scores

  def _mean(self, families: Sequence[Prefixes], weights: Array) -> Array:
    """The posterior predictive's mean `[K]`, with weights of the families `[K, F]`."""
    means = [
      family.mean(prefix.plugin_eta)[:, 0] for family, prefix in zip(self.prior.families, families)
    ]
    return (weights * jnp.stack(means, axis=1)).sum(1)

  def _plugged_in(self, episode: Episode, families: Sequence[Prefixes]) -> dict[str, Likelihood]:
    """The oracles that are one value of eta, in the episode's own family."""
    truth = episode.task
    most = max(family.predictors for family in self.prior.families)

    def in_own_family(etas: Sequence[Array]) -> Likelihood:
      padded = [jnp.pad(eta, ((0, 0), (0, most - eta.shape[-1]))) for eta in etas]
      return truth.likelihood(jnp.stack(padded)[truth.family])

    return {
      'true': truth.likelihood(truth.eta(episode.x)),
      'map': in_own_family([family.map_eta for family in families]),
      'plugin': in_own_family([family.plugin_eta for family in families]),
      'naive': in_own_family([naive_eta(family, episode.y) for family in self.prior.families]),
    }

  def _impossible(self, y: Array) -> Array:
    """0 while the first k targets leave a family possible, then -inf: `[F, K+1]`.

    What is possible is meant under the common measure of `Mixture`.
    """
    seen = jnp.cumsum(loses_to_atom(self.prior.families, self.prior.dispersion, y), axis=1) > 0
    return jnp.where(jnp.pad(seen, ((0, 0), (1, 0))), -jnp.inf, 0.0)


class Bayes(Predictor, struct.PyTreeNode):
  """The posterior predictive over all families, as a mixture over posterior samples: told neither
  family nor weights.

  Its mixture is what can be asked for any target; `score` is more accurate, a ratio of evidences.
  """

  oracles: Oracles

  def along(self, episodes: Episode) -> Mixture:
    return jax.lax.map(self._along, episodes, batch_size=CHUNK)

  def score(self, episodes: Episode) -> Array:
    return self.oracles.score(episodes)['bayes']

  def scores_and_means(self, episodes: Episode) -> tuple[Array, Array]:
    scores = self.oracles.score(episodes, with_means=True)
    return scores['bayes'], scores['bayes_mean']

  def _along(self, episode: Episode) -> Mixture:
    prior, x, y = self.oracles.prior, episode.x, episode.y
    impossible = self.oracles._impossible(y)

    def after(k):
      log_weights, parts = [], []
      for f, family in enumerate(prior.families):
        samples = posterior.sample(
          family, prior, x, y, jnp.arange(y.shape[0]) < k, self.oracles.normals
        )
        eta = jnp.clip(samples.beta @ x[k], -prior.clip, prior.clip)
        log_weights.append(samples.log_weights + impossible[f, k])
        parts.append(family.likelihood(eta, prior.dispersion))
      log_weights = jnp.stack(log_weights)
      return Mixture(log_weights - logsumexp(log_weights), tuple(parts))

    return jax.vmap(after)(jnp.arange(y.shape[0]))
