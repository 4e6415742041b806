"""A model of generalized linear models beside every oracle, on the same episodes."""

import numpy as np
from jax import Array

from icljax.base import Predictor
from icljax.baselines.glm import ORACLES, Oracles
from icljax.evaluation.paired import aligned, episodes, mean_and_error, share_of_gap, shown_positions, table
from icljax.tasks.glm import GLM

POOR = 0.1  # share of the posterior samples below which an effective number of them is poor
FEW = 0.01  # share of positions that may be poor without a warning


def model_scores(predictor: Predictor, task: GLM, seed: Array, indices: Array, axis: str | None = None) -> dict[str, Array]:
  """The model's log-probabilities of (this device's share of) evaluation episodes: `model` `[B, K]`."""
  return {'model': predictor.score(episodes(task, seed, indices, axis))}


def oracle_scores(task: GLM, normals: Array, seed: Array, indices: Array, axis: str | None = None) -> dict[str, Array]:
  """What `Oracles.score` tells of evaluation episodes, and each episode's `family` `[B]`."""
  drawn = episodes(task, seed, indices, axis)
  return Oracles(task, normals).score(drawn) | {'family': drawn.task.family}


def arrays(model: dict[str, np.ndarray], oracles: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """All that an evaluation keeps: `nats/<predictor>` `[n, K]`, `effective`, `family_posterior`, `family`."""
  scores = model | {name: oracles[name] for name in ORACLES}
  rest = {name: oracles[name] for name in ('effective', 'family_posterior', 'family')}
  return {f'nats/{name}': -values for name, values in scores.items()} | rest


def summarize(measured: dict[str, np.ndarray], task: GLM, samples: int, told_family: bool) -> tuple[dict[str, float], str]:
  """The numbers of a record, and the table.

  Args:
    measured: what `arrays` gives.
    task: the episodes' task.
    samples: posterior samples of the oracles.
    told_family: whether the model's loss is told the family, so that its fair reference is `bayes_family`.
  """
  nats = {name.removeprefix('nats/'): values for name, values in measured.items() if name.startswith('nats/')}
  reference = 'bayes_family' if told_family else 'bayes'
  metrics = {}
  for name, values in nats.items():
    key = 'nats' if name == 'model' else f'nats_{name}'
    metrics[key], metrics[f'{key}_se'] = map(float, mean_and_error(values.mean(1)))
  metrics['regret'], metrics['regret_se'] = map(float, mean_and_error((nats['model'] - nats[reference]).mean(1)))
  share, error = share_of_gap(nats['model'], nats[reference], nats['naive'])
  poor = float((measured['effective'] < POOR * samples).mean())
  metrics |= {'share_of_gap': share, 'share_of_gap_se': error, 'poor_samples': poor}
  lines = [table(nats, reference), f'share of the gap from naive to {reference} closed by the model: {share:.3f} ± {error:.3f}']
  if len(task.families) > 1:
    lines.append(family_table(measured, task))
  if not np.isfinite(metrics['nats']):
    lines.append('the model gives some targets no probability at all: no family that it was trained on can produce them')
  lowest = np.quantile(measured['effective'], [0.001, 0.01, 0.5])
  lines.append(
    f'effective posterior samples of {samples}: median {lowest[2]:.0f}, lowest 1% {lowest[1]:.0f}, lowest .1% {lowest[0]:.0f}'
  )
  if poor > FEW:
    lines.append(
      f'WARNING: bayes, bayes_family and plugin are rough: {poor:.1%} of positions have less than {POOR:.0%} effective samples; raise --config.eval.posterior_samples'
    )
  return metrics, '\n'.join(lines)


def family_table(measured: dict[str, np.ndarray], task: GLM) -> str:
  """How often the exact posterior's likeliest family is the true one, per position."""
  hit = measured['family_posterior'].argmax(-1) == measured['family'][:, None]
  shown = shown_positions(hit.shape[1])
  mean, error = mean_and_error(hit[:, shown])
  names = ', '.join(family.name for family in task.families)
  cells = [f'{m:.3f} ± {e:.3f}' for m, e in zip(mean, error)]
  head = f'share of episodes whose family ({names}) the exact posterior names after k pairs'
  return f'{head}\n' + aligned([['', *(f'k = {k}' for k in shown)], ['bayes', *cells]])
