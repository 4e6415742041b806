"""Numbers and tables of task diversity."""

import dataclasses

import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from icljax.glm.checks import family_names, is_joint
from icljax.paired import mean_and_error
from icljax.tables import aligned, cell, nats_table, shown_positions

ByPredictor = dict[str, np.ndarray]  # `[n, K]` each
ORDER = ('model', 'ridge', 'bayes', 'dmmse', 'bayes_pool', 'own', 'ols', 'zero', 'true')


@dataclasses.dataclass(frozen=True)
class Predictions:
  """What an evaluation keeps, for n episodes.

  Attributes:
    nats: -log p of every target by predictor, `[n, K]`; `model` comes first.
    errors: squared errors of predicted means against the noise-free target, `[n, K]`; empty where
      targets have no mean.
    deltas: squared differences of the model's predicted mean and each baseline's, `[n, K]`.
    exact: the baseline that is exact for the evaluated task.
    unit: what errors and deltas are.
    is_told: whether the model's loss is told the family, of several, which no baseline is: then
      neither is the exact one the best that it can be, nor is its distance a part of its risk.
  """

  nats: ByPredictor
  errors: ByPredictor
  deltas: ByPredictor
  exact: str
  unit: str
  is_told: bool = False


def unflatten(
  config: ConfigDict, arrays: dict[str, np.ndarray], exact: tuple[str, ...]
) -> Predictions:
  """The predictions behind the arrays of a record of a run.

  Args:
    exact: names of which one baseline has, the exact one.
  """
  dims = config.task.D if family_names(config) == ('linear',) else None
  groups: dict[str, ByPredictor] = {'nats': {}, 'mean': {}}
  for path, values in arrays.items():
    group, _, name = path.partition('/')
    if name:
      groups[group][name] = values
  nats, means = (_in_order(groups[name]) for name in ('nats', 'mean'))
  errors = {
    name: _squares(mean, means['true'], dims) for name, mean in means.items() if name != 'true'
  }
  deltas = {name: _squares(means['model'], means[name], dims) for name in errors if name != 'model'}
  unit = 'squared difference / D' if dims else 'squared difference'
  known = next(name for name in exact if name in nats)
  is_told = config.model.head == 'eta' and is_joint(config)
  return Predictions(nats, errors, deltas, known, unit, is_told)


def _in_order(by_predictor: ByPredictor) -> ByPredictor:
  """The same, the model first, then what is exact."""
  return {name: by_predictor[name] for name in ORDER if name in by_predictor}


def _squares(mean: np.ndarray, other: np.ndarray, dims: int | None) -> np.ndarray:
  return (np.asarray(mean, np.float64) - other) ** 2 / (dims or 1)


def summarize(scores: Predictions) -> tuple[dict[str, float], str]:
  """The numbers of a record, by name, and the table."""
  metrics, lines = mean_metrics(scores), []
  if scores.errors:
    lines += _error_lines(scores)
  if scores.errors and not scores.is_told:
    lines.append(_risk_line(scores))
    for part, of in (('risk_excess', 'delta'), ('risk_posterior', 'error')):
      metrics[part] = metrics[f'{of}_{scores.exact}']
      metrics[f'{part}_se'] = metrics[f'{of}_{scores.exact}_se']
  lines.append(nats_table(scores.nats, scores.exact))
  if scores.is_told:
    lines.append('the model is told the family by its loss, and no baseline is: no regret is shown')
  return metrics, '\n'.join(lines)


def mean_metrics(scores: Predictions) -> dict[str, float]:
  """Means over positions and episodes by name, each followed by its standard error, `<name>_se`."""
  named = {_name('nats', name): values for name, values in scores.nats.items()}
  named |= {_name('error', name): values for name, values in scores.errors.items()}
  named |= {f'delta_{name}': values for name, values in scores.deltas.items()}
  if not scores.is_told:
    named['regret'] = scores.nats['model'] - scores.nats[scores.exact]
  metrics = {}
  for name, values in named.items():
    metrics[name], metrics[f'{name}_se'] = map(float, mean_and_error(values.mean(1)))
  return metrics


def _name(quantity: str, predictor: str) -> str:
  """What the mean of a quantity is called in a record."""
  return quantity if predictor == 'model' else f'{quantity}_{predictor}'


def _error_lines(scores: Predictions) -> list[str]:
  """Errors and deltas."""
  count = len(scores.nats['model'])
  about = f'after k pairs, {count} episodes ± standard error'
  differences = {f'to {name}': values for name, values in scores.deltas.items()}
  return [
    position_table(f'{scores.unit} of predicted mean and noise-free target {about}', scores.errors),
    position_table(f"{scores.unit} of the model's predicted mean and a baseline's", differences),
  ]


def _risk_line(scores: Predictions) -> str:
  """The model's risk in its two parts."""
  parts = (scores.errors['model'], scores.deltas[scores.exact], scores.errors[scores.exact])
  risk, excess, posterior = (cell(*mean_and_error(values.mean(1))) for values in parts)
  return (
    f'risk {risk}: distance to {scores.exact} {excess}, posterior variance {posterior} (the error '
    f'of {scores.exact}, whose expectation it is); in expectation both add up to the risk'
  )


def position_table(title: str, values: ByPredictor, columns: dict[int, str] | None = None) -> str:
  """Means at some positions, and over all, a row for each predictor.

  Args:
    columns: what the positions that are shown are called; by default numbers of pairs.
  """
  points = next(iter(values.values())).shape[1]
  columns = columns or {k: f'k = {k}' for k in shown_positions(points)}
  rows = [['', *columns.values(), 'mean']]
  for name, each in values.items():
    average = cell(*mean_and_error(each.mean(1)))
    rows.append([name, *map(cell, *mean_and_error(each[:, list(columns)])), average])
  return f'{title}\n{aligned(rows)}'


def means_by_position(scores: Predictions, axis: str = 'k') -> pd.DataFrame:
  """Mean and standard error of every quantity, a row for each predictor and position.

  Args:
    axis: what a position is called.
  """
  groups = {'error': scores.errors, 'delta': scores.deltas, 'nats': scores.nats}
  rows = [
    (quantity, predictor, k, mean, error)
    for quantity, by_predictor in groups.items()
    for predictor, values in by_predictor.items()
    for k, (mean, error) in enumerate(zip(*mean_and_error(values)))
  ]
  return pd.DataFrame(rows, columns=['quantity', 'predictor', axis, 'mean', 'standard_error'])
