"""A model beside every reference, on the same episodes: generalized linear models, and tasks with
references of their own.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from icljax.base import Episode, FamilyTask, score
from icljax.glm.model import ModelPredictor
from icljax.glm.modes import families
from icljax.glm.oracles import ORACLES, Oracles
from icljax.likelihoods import Likelihood
from icljax.paired import aligned, episodes, mean_and_error, share_of_gap, shown_positions, table

POOR = 0.1  # share of the posterior samples below which an effective number of them is poor
FEW = 0.01  # share of positions that may be poor without a warning

# Of one episode: the prediction of every target `[K]` -> a number each.
Metric = Callable[[Likelihood, Episode], Array]


def model_scores(
  predictor: ModelPredictor,
  task: FamilyTask,
  seed: Array,
  indices: Array,
  axis: str | None,
  metrics: Mapping[str, Metric],
) -> dict[str, Array]:
  """What a model says of (this device's share of) evaluation episodes.

  Its log-probabilities of the targets, `model` `[B, K]`, the probabilities that its read-out, if
  there is one, gives the families, `read_out` `[B, K, F]`, and `metric/<name>` `[B, K]`.
  """
  drawn = episodes(task, seed, indices, axis)
  predicted, log_families = predictor.outputs(drawn)
  found = {'model': score(predicted, drawn)} | (
    {} if log_families is None else {'read_out': jnp.exp(log_families)}
  )
  for name, metric in metrics.items():
    values = jax.vmap(lambda one, episode: jnp.asarray(metric(one.given(episode.task), episode)))(
      predicted, drawn
    )
    if values.shape != drawn.y.shape:
      raise ValueError(
        f'eval.metrics: {name} gives {list(values.shape[1:])} for an episode; it has to give a '
        'number per target, [K]'
      )
    found[f'metric/{name}'] = values
  return found


def reference_scores(
  task: FamilyTask, normals: Array, seed: Array, indices: Array, axis: str | None = None
) -> dict[str, Array]:
  """Log-probabilities by each reference `[B, K]`; of a GLM what `Oracles.score` tells, and each
  episode's `family` `[B]`.
  """
  drawn = episodes(task, seed, indices, axis)
  if (references := getattr(task, 'references', None)) is not None:
    return {name: predictor.score(drawn) for name, predictor in references().items()}
  return Oracles(task, normals).score(drawn) | {'family': drawn.task.family}  # pyright: ignore[reportArgumentType]


def arrays(
  model: dict[str, np.ndarray], references: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
  """All that an evaluation keeps.

  `nats/<predictor>` `[n, K]`, `metric/<name>` `[n, K]`, and of a GLM `effective` `[n, K]`, `family`
  `[n]`, and `family/<who>` `[n, K, F]`, the probabilities of the families by the exact posterior
  (`bayes`) and, on a task with as many families as the model was trained on, by `read_out`.
  """
  if 'family' not in references:
    kept = {
      f'nats/{name}': -values for name, values in ({'model': model['model']} | references).items()
    }
  else:
    scores = {'model': model['model']} | {name: references[name] for name in ORACLES}
    kept = {f'nats/{name}': -values for name, values in scores.items()}
    kept |= {name: references[name] for name in ('effective', 'family')} | {
      'family/bayes': references['family_posterior']
    }
    if 'read_out' in model and model['read_out'].shape == references['family_posterior'].shape:
      kept['family/read_out'] = model['read_out']
  return kept | {name: values for name, values in model.items() if name.startswith('metric/')}


def group(measured: Mapping[str, np.ndarray], kind: str) -> dict[str, np.ndarray]:
  """The arrays of `arrays` called kind/<name>, by name."""
  return {
    name.removeprefix(f'{kind}/'): values
    for name, values in measured.items()
    if name.startswith(f'{kind}/')
  }


def reference_of(nats: Mapping[str, np.ndarray], told_family: bool = False) -> str:
  """What a model is compared with: bayes, or bayes_family if its loss is told the family; else the
  first reference.
  """
  wanted = 'bayes_family' if told_family else 'bayes'
  return wanted if wanted in nats else next((name for name in nats if name != 'model'), 'model')


class Shown(NamedTuple):
  """How an evaluation is summed up.

  Attributes:
    families: names of the episodes' families.
    samples: posterior samples of the oracles.
    told_family: whether the model's loss is told the family, so that its fair reference is
      `bayes_family`.
    confused: whether the table is to say which family is taken for which.
    any_family: whether episodes are of all the families, so that calibration means something.
  """

  families: tuple[str, ...]
  samples: int
  told_family: bool = False
  confused: bool = False
  any_family: bool = True


def summarize(measured: dict[str, np.ndarray], shown: Shown) -> tuple[dict[str, float], str]:
  """The numbers of a record, and the table, from what `arrays` gives."""
  nats = group(measured, 'nats')
  reference = reference_of(nats, shown.told_family)
  parts = [_nats(nats, reference), _own_metrics(measured)]
  if len(shown.families) > 1 and 'family/bayes' in measured:
    known, true = group(measured, 'family'), measured['family']
    lines = [families.table(known, true, shown.families, shown.any_family)]
    lines += [families.confusion_table(known, true, shown.families)] if shown.confused else []
    parts.append((families.metrics(known, true, shown.any_family), lines))
  if 'effective' in measured:
    parts.append(_effective(measured['effective'], shown.samples))
  metrics = {name: value for numbers, _ in parts for name, value in numbers.items()}
  return metrics, '\n'.join(line for _, lines in parts for line in lines)


def _nats(nats: dict[str, np.ndarray], reference: str) -> tuple[dict[str, float], list[str]]:
  """Nats on average and at some positions, the regret, and the share of the gap from `naive` that
  is closed.
  """
  metrics, lines = {}, [table(nats, reference)]
  for name, values in nats.items():
    key = 'nats' if name == 'model' else f'nats_{name}'
    metrics[key], metrics[f'{key}_se'] = map(float, mean_and_error(values.mean(1)))
  regret = nats['model'] - nats[reference]
  metrics['regret'], metrics['regret_se'] = map(float, mean_and_error(regret.mean(1)))
  for k in shown_positions(regret.shape[1]):
    metrics[f'regret_k{k}'], metrics[f'regret_k{k}_se'] = map(float, mean_and_error(regret[:, k]))
  if 'naive' in nats:
    share, error = share_of_gap(nats['model'], nats[reference], nats['naive'])
    metrics |= {'share_of_gap': share, 'share_of_gap_se': error}
    lines.append(
      f'share of the gap from naive to {reference} closed by the model: {share:.3f} ± {error:.3f}'
    )
  if not np.isfinite(metrics['nats']):
    lines.append(
      'the model gives some targets no probability at all: no family that it was trained on can '
      'produce them'
    )
  return metrics, lines


def _own_metrics(measured: dict[str, np.ndarray]) -> tuple[dict[str, float], list[str]]:
  metrics, rows = {}, []
  for name, values in group(measured, 'metric').items():
    metrics[f'metric/{name}'], metrics[f'metric/{name}_se'] = mean, error = tuple(
      map(float, mean_and_error(values.mean(1)))
    )
    k = shown_positions(values.shape[1])
    cells = [f'{m:.3f} ± {e:.3f}' for m, e in zip(*mean_and_error(values[:, k]))]
    rows.append([name, *cells, f'{mean:.3f} ± {error:.3f}'])
    head = ['', *(f'k = {position}' for position in k), 'mean']
  return metrics, ["metrics of one's own, of the model\n" + aligned([head, *rows])] if rows else []


def _effective(effective: np.ndarray, samples: int) -> tuple[dict[str, float], list[str]]:
  """How far the oracles' importance samples are to be trusted."""
  poor = float((effective < POOR * samples).mean())
  lowest = np.quantile(effective, [0.001, 0.01, 0.5])
  lines = [
    f'effective posterior samples of {samples}: median {lowest[2]:.0f}, lowest 1% {lowest[1]:.0f}, '
    f'lowest .1% {lowest[0]:.0f}'
  ]
  if poor > FEW:
    lines.append(
      f'WARNING: bayes, bayes_family and plugin are rough: {poor:.1%} of positions have less than '
      f'{POOR:.0%} effective samples; raise --config.eval.posterior_samples'
    )
  return {'poor_samples': poor}, lines
