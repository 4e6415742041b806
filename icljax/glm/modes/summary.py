"""The numbers of a record and the table of an evaluation of generalized linear models."""

from typing import NamedTuple

import numpy as np

from icljax.glm.modes import families
from icljax.glm.modes.scores import OF_POOL, PairedScores, reference_of
from icljax.paired import mean_and_error, share_of_gap
from icljax.tables import aligned, cell, nats_table, shown_positions

# Below a tenth of 256 samples a log evidence has a standard error of over .2 nats; where that is so
# at less than 1% of positions, it moves the mean over positions by less than .002.
POOR = 0.1
FEW = 0.01
NEGLIGIBLE = 0.002
# An order of two predictors is impossible beyond so many standard errors of their paired
# difference, which that many episodes tell well enough.
ERRORS = 5.0
ENOUGH = 30

Part = tuple[dict[str, float], list[str]]  # numbers, and lines of the table


class SummaryOptions(NamedTuple):
  """How an evaluation is summed up.

  Attributes:
    families: the names of the families that episodes may be of.
    samples: posterior samples of the oracles.
    conditions_on_family: whether the model's loss is told the family.
    confusion: whether the table says which family is taken for which.
    any_family: whether episodes are of all the families, so that calibration means something.
  """

  families: tuple[str, ...]
  samples: int
  conditions_on_family: bool = False
  confusion: bool = False
  any_family: bool = True


@np.errstate(invalid='ignore')  # the difference of two infinite nats
def summarize(scores: PairedScores, options: SummaryOptions) -> tuple[dict[str, float], str]:
  """The numbers of a record, by name, and the table."""
  parts = [_summarize_nats(scores.nats, options), _summarize_metrics(scores.metrics)]
  if scores.family is not None and len(options.families) > 1:
    parts.append(_summarize_families(scores.family_probabilities, scores.family, options))
  if scores.effective is not None:
    which = 'bayes, bayes_family and plugin are'
    parts.append(summarize_effective(scores.effective, options.samples, which))
  metrics = {name: value for numbers, _ in parts for name, value in numbers.items()}
  warnings = _warn_of_order(scores.nats, options, metrics.get('poor_samples', 0.0) > FEW)
  return metrics, '\n'.join([*(line for _, lines in parts for line in lines), *warnings])


def _summarize_nats(nats: dict[str, np.ndarray], options: SummaryOptions) -> Part:
  """Nats on average and at some positions, the regret, and the share of the gap from `naive`."""
  reference = reference_of(nats, options.conditions_on_family)
  metrics, lines = {}, [nats_table(nats, reference)]
  for name, values in nats.items():
    key = 'nats' if name == 'model' else f'nats_{name}'
    metrics[key], metrics[f'{key}_se'] = map(float, mean_and_error(values.mean(1)))
  if reference:
    _add_regret(metrics, nats['model'] - nats[reference])
  if reference and 'naive' in nats:
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


def _add_regret(metrics: dict[str, float], regret: np.ndarray) -> None:
  """Adds a regret `[n, K]`, on average and at some positions."""
  metrics['regret'], metrics['regret_se'] = map(float, mean_and_error(regret.mean(1)))
  for k in shown_positions(regret.shape[1]):
    metrics[f'regret_k{k}'], metrics[f'regret_k{k}_se'] = map(float, mean_and_error(regret[:, k]))


def _warn_of_order(nats: dict[str, np.ndarray], options: SummaryOptions, rough: bool) -> list[str]:
  """Lines on predictors that come in an order in which they cannot.

  No model that is not told the family does better than `bayes` on episodes of any family, and none
  at all than `bayes_family`.

  Args:
    rough: whether both are, for want of posterior samples; then the model may be better.
  """
  told = options.conditions_on_family or not options.any_family
  best = 'bayes_family' if told and len(options.families) > 1 else 'bayes'
  if knows_pool := next((name for name in OF_POOL if name in nats), ''):
    best = knows_pool if best == 'bayes' else ''  # who knows the pool may be better than both
  lines = []
  if (excess := _excess(nats, 'true', 'naive')) is not None:
    lines.append(
      f'WARNING: true is worse than naive by {excess} nats, which cannot be: what the episodes '
      'give as their truth is not what drew their targets'
    )
  if not rough and (excess := _excess(nats, best, 'model')) is not None:
    lines.append(
      f'WARNING: the model is better than {best} by {excess} nats, which cannot be: {best} is not '
      'the exact answer of the task that is evaluated'
    )
  return lines


def _excess(nats: dict[str, np.ndarray], worse: str, better: str) -> str | None:
  """By how much one predictor is worse than another beyond chance; None if it is not."""
  if worse not in nats or better not in nats or len(nats[worse]) < ENOUGH:
    return None
  excess, error = mean_and_error((nats[worse] - nats[better]).mean(1))
  # An infinite excess has no error.
  is_beyond = excess > NEGLIGIBLE and not excess <= ERRORS * error
  return cell(excess, error) if is_beyond else None


def _summarize_metrics(values_by_name: dict[str, np.ndarray]) -> Part:
  """User-defined metrics `[n, K]` by name: on average, and at some positions."""
  if not values_by_name:
    return {}, []
  shown = shown_positions(next(iter(values_by_name.values())).shape[1])
  metrics, rows = {}, [['', *(f'k = {position}' for position in shown), 'mean']]
  for name, values in values_by_name.items():
    mean, error = map(float, mean_and_error(values.mean(1)))
    metrics |= {f'metric/{name}': mean, f'metric/{name}_se': error}
    rows.append([name, *map(cell, *mean_and_error(values[:, shown])), cell(mean, error)])
  return metrics, ['user-defined metrics of the model\n' + aligned(rows)]


def _summarize_families(
  probabilities: dict[str, np.ndarray], family: np.ndarray, options: SummaryOptions
) -> Part:
  """How well the family of an episode is known."""
  lines = [families.accuracy_table(probabilities, family, options.families, options.any_family)]
  if options.confusion:
    lines.append(families.confusion_table(probabilities, family, options.families))
  return families.metrics(probabilities, family, options.any_family), lines


def summarize_effective(effective: np.ndarray, samples: int, which: str) -> Part:
  """How far the oracles' importance samples are to be trusted.

  Args:
    which: they are, as a subject and its verb.
  """
  poor = float((effective < POOR * samples).mean())
  lowest = np.quantile(effective, [0.001, 0.01, 0.5])
  lines = [
    f'effective posterior samples of {samples}: median {lowest[2]:.0f}, '
    f'lowest 1% {lowest[1]:.0f}, lowest .1% {lowest[0]:.0f}'
  ]
  if poor > FEW:
    lines.append(
      f'WARNING: {which} rough: {poor:.1%} of positions have less than '
      f'{POOR:.0%} effective samples; raise --config.eval.posterior_samples'
    )
  return {'poor_samples': poor}, lines
