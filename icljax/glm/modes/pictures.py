"""Pictures of generalized linear models: nats over pairs and over training, and what is known of
families.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from icljax.figures import banded, figure, framed, legend, loss_curve, save, shades, whole
from icljax.glm.modes.families import hits, reliability
from icljax.paired import mean_and_error

STYLES = {
  'model': {'color': 'C3', 'linewidth': 2.5, 'zorder': 5},
  'read_out': {'color': 'C3', 'linewidth': 2.5},
  'bayes_pool': {'color': 'C5'},
  'dmmse': {'color': 'C5'},
  'bayes': {'color': 'black'},
  'bayes_family': {'color': 'black', 'linestyle': '--'},
  'true': {'color': 'C2', 'linestyle': ':'},
  'map': {'color': 'C0'},
  'plugin': {'color': 'C4'},
  'naive': {'color': '0.6'},
}


def curves(path: Path, nats: dict[str, np.ndarray], title: str) -> None:
  """Nats over the number of pairs seen, with bands of two standard errors; `[n, K]` by predictor.

  A predictor whose numbers are another's has no curve of its own: told the only family there is,
  Bayes is Bayes.
  """
  drawing, axes = figure(title, ('pairs seen, k', 'nats per target'))
  whole(axes)
  shown = {
    name: values
    for name, values in nats.items()
    if name != 'bayes_family' or not np.array_equal(values, nats.get('bayes', ()))
  }
  for name, values in shown.items():
    banded(
      axes, np.arange(values.shape[1]), *mean_and_error(values), label=name, **STYLES.get(name, {})
    )
  framed(axes, [mean_and_error(values)[0] for name, values in nats.items() if name != 'naive'])
  legend(axes)
  save(drawing, path)


def training(path: Path, logged: pd.DataFrame, evaluated: pd.DataFrame, title: str) -> None:
  """The loss of the logged steps, its running mean, and what evaluations measured.

  Args:
    logged: a row per logged step.
    evaluated: a row per evaluation, with `step`, `nats` of the model and `nats_<reference>` of
      every reference.
  """
  drawing, axes = figure(title, ('step', 'nats per target'))
  loss_curve(axes, logged)
  if len(evaluated):
    axes.errorbar(
      evaluated.step,
      evaluated.nats,
      2 * evaluated.nats_se,
      fmt='o',
      color='C1',
      markersize=4,
      label='evaluated, ± 2 s.e.',
    )
    _reference_lines(axes, evaluated)
  columns = [name for name in _references(evaluated).values() if name != 'nats_naive']
  framed(axes, [logged.loss, *(evaluated[name] for name in columns)])
  axes.legend(frameon=False, ncols=2, fontsize='small')
  save(drawing, path)


def _references(evaluated: pd.DataFrame) -> dict[str, str]:
  """The columns of the references' nats, by reference."""
  columns = [
    name
    for name in evaluated.columns
    if name.startswith('nats_') and f'{name}_se' in evaluated.columns
  ]
  return {name.removeprefix('nats_'): name for name in columns}


def _reference_lines(axes, evaluated: pd.DataFrame) -> None:
  for reference, column in _references(evaluated).items():
    axes.axhline(
      evaluated[column].iloc[-1], label=reference, **STYLES.get(reference, {}) | {'linewidth': 1}
    )


def over_training(path: Path, evaluated: pd.DataFrame, title: str) -> None:
  """Nats on average beside every reference, and the regret after k pairs if there is one, over the
  steps of evaluations.
  """
  columns = [name for name in evaluated.columns if re.fullmatch('regret_k[0-9]+', name)]
  labels = [('step', 'nats per target'), ('step', 'nats above the reference after k pairs')]
  drawing, average, *others = figure(title, *labels[: 2 if columns else 1])
  banded(
    average,
    evaluated.step,
    evaluated.nats,
    evaluated.nats_se,
    'model',
    **STYLES['model'],
    marker='o',
  )
  _reference_lines(average, evaluated)
  for regret in others:
    _regret_curves(regret, evaluated, columns)
  shown = [column for reference, column in _references(evaluated).items() if reference != 'naive']
  framed(average, [evaluated.nats, *(evaluated[column] for column in shown)])
  for axes in (average, *others):
    legend(axes)
  save(drawing, path)


def _regret_curves(axes, evaluated: pd.DataFrame, columns: Sequence[str]) -> None:
  for name, color in zip(columns, shades(len(columns))):
    banded(
      axes,
      evaluated.step,
      evaluated[name],
      evaluated[f'{name}_se'],
      label=f'k = {name.removeprefix("regret_k")}',
      color=color,
      marker='o',
    )
  axes.axhline(0, color='black', linewidth=1)


def families(
  path: Path,
  probabilities: dict[str, np.ndarray],
  family: np.ndarray,
  names: Sequence[str],
  title: str,
) -> None:
  """How well the episode's family is known: accuracy over k, and calibration.

  Args:
    probabilities: of the families, `[n, K, F]` by predictor.
    family: the index of each episode's family, `[n]`.
    names: of the families.
  """
  drawing, accuracy, calibration = figure(
    title,
    ('pairs seen, k', 'share of families named rightly'),
    (f'probability given to {names[0]}', f'share of episodes that are {names[0]}'),
  )
  whole(accuracy)
  accuracy.axhline(1 / len(names), color='0.6', linestyle=':', label='chance')
  calibration.plot([0, 1], [0, 1], color='0.6', linestyle=':', label='calibrated')
  for predictor, given in probabilities.items():
    style = STYLES.get(predictor, {})
    hit = mean_and_error(hits(given, family))
    banded(accuracy, np.arange(given.shape[1]), *hit, label=predictor, **style)
    mean, share, _ = reliability(given, family)
    calibration.plot(mean, share, label=predictor, marker='o', **style)
  legend(accuracy)
  calibration.legend(frameon=False)
  save(drawing, path)


def comparison(
  path: Path, nats: dict[str, dict[str, np.ndarray]], references: dict[str, str | None], title: str
) -> None:
  """Several models, each in a colour, and what each is measured against, dashed, if anything is;
  `[n, K]` by title and predictor.
  """
  labels = [('pairs seen, k', 'nats per target'), ('pairs seen, k', 'nats above the reference')]
  drawing, axes, *others = figure(title, *labels[: 2 if any(references.values()) else 1])
  drawn = []
  for i, (name, values) in enumerate(nats.items()):
    model, best = values['model'], references[name]
    k = np.arange(model.shape[1])
    banded(axes, k, *mean_and_error(model), label=name, color=f'C{i}')
    if best is None:
      continue
    reference = values[best]
    if not any(np.array_equal(reference, other) for other in drawn):
      banded(
        axes,
        k,
        *mean_and_error(reference),
        label=f'{best} ({name})',
        color=f'C{i}',
        linestyle='--',
      )
      drawn.append(reference)
    for regret in others:
      banded(regret, k, *mean_and_error(model - reference), label=name, color=f'C{i}')
  for regret in others:
    regret.axhline(0, color='black', linewidth=1)
  for each in (axes, *others):
    whole(each)
    legend(each)
  save(drawing, path)
