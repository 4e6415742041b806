"""Pictures of image sequences: accuracies, what answers are, and what heads attend to."""

from pathlib import Path

import numpy as np
import pandas as pd

from icljax.figures import banded, figure, framed, legend, loss_curve, save, shades

STEP, LABELLED = 'step', 'share of queries labelled rightly'


def training(
  path: Path, logged: pd.DataFrame, accuracies: dict[str, pd.DataFrame], title: str
) -> None:
  """The loss of the logged steps, and accuracies in context and in weights.

  Args:
    logged: a row per logged step.
    accuracies: by label, rows with `step`, `accuracy` and `accuracy_se`.
  """
  drawing, loss, accuracy = figure(title, (STEP, 'nats per query'), (STEP, LABELLED))
  loss_curve(loss, logged)
  loss.legend(frameon=False)
  framed(loss, [logged.loss])
  for label, frame in accuracies.items():
    values = frame.step, frame.accuracy, frame.accuracy_se
    banded(accuracy, *values, label, marker='o', markersize=4)
  accuracy.set_ylim(0, 1.05)
  if accuracies:
    legend(accuracy)
  save(drawing, path)


def over_training(path: Path, evaluated: pd.DataFrame, title: str) -> None:
  """Accuracies and shares of answers over the steps of evaluations."""
  drawing, accuracy, shares = figure(
    title, (STEP, LABELLED), (STEP, 'share of answers that are ...')
  )
  for name in ('accuracy_open', 'accuracy_closed'):
    banded(
      accuracy,
      evaluated.step,
      evaluated[name],
      evaluated[f'{name}_se'],
      name.removeprefix('accuracy_'),
      marker='o',
    )
  accuracy.axhline(evaluated.chance.iloc[-1], color='0.6', linestyle=':', label='chance, closed')
  named = [
    name for name in evaluated.columns if name.startswith('share_') and not name.endswith('_se')
  ]
  for i, name in enumerate(named):  # dashes of different lengths: shares are often the same
    style = (
      {'marker': 'o', 'linewidth': 2, 'linestyle': (2 * i, (2, 2 * (len(named) - 1)))}
      if len(named) > 1
      else {}
    )
    label = f'labels of {name.removeprefix("share_").replace("own", "its class")}'
    banded(shares, evaluated.step, evaluated[name], evaluated[f'{name}_se'], label, **style)
  for axes in (accuracy, shares):
    axes.set_ylim(0, 1.05)
    legend(axes)
  save(drawing, path)


def answers(path: Path, found: dict[str, float], title: str) -> None:
  """One evaluation as bars: accuracies, and what answers are among the labels of."""
  kinds = {'accuracy_': 'C3', 'copier_': '0.5', 'share_': 'C0'}
  names = [
    (name, color)
    for kind, color in kinds.items()
    for name in found
    if name.startswith(kind) and not name.endswith('_se')
  ]
  drawing, axes = figure(title, ('share of queries', ''))
  for name, color in names[::-1]:
    label = (
      name.replace('share_own', 'share_its class')
      .replace('share_', 'answers: labels of ')
      .replace('_', ' ')
    )
    axes.barh(label, found[name], xerr=2 * found[f'{name}_se'], color=color)
  axes.axvline(found['chance'], color='0.6', linestyle=':', label='chance of closed answers')
  axes.set_xlim(0, 1.05)
  axes.legend(frameon=False, title='bars: ± 2 standard errors')
  save(drawing, path)


def heads(path: Path, evaluated: pd.DataFrame, title: str) -> None:
  """How much every head attends to the item before, and from the query to its class's labels, over
  training.
  """
  drawing, *panels = figure(
    title,
    (STEP, 'attention of labels to their items'),
    (STEP, "attention of the query to its class's labels"),
  )
  for axes, kind in zip(panels, ('previous', 'induction')):
    names = [
      name for name in evaluated.columns if name.startswith(f'{kind}/') and not name.endswith('_se')
    ]
    blocks = sorted({name.split('/')[1] for name in names}, key=int)
    for block, color in zip(blocks, shades(len(blocks) + 1)):
      for name in [name for name in names if name.split('/')[1] == block]:
        label = f'heads of block {block}' if name.endswith('/0') else '_'
        banded(
          axes,
          evaluated.step,
          evaluated[name],
          evaluated[f'{name}_se'],
          label,
          color=color,
          marker='o',
          markersize=3,
        )
        axes.annotate(
          name.split('/')[2],
          (evaluated.step.iloc[-1], evaluated[name].iloc[-1]),
          (4, 0),
          textcoords='offset points',
        )
    axes.set_ylim(0, 1.05)
    legend(axes)
  save(drawing, path)


def comparison(path: Path, found: pd.DataFrame, title: str) -> None:
  """Accuracies of several models side by side, with two standard errors; a row per model with its
  `title`.
  """
  drawing, axes = figure(title, ('', LABELLED))
  places = np.arange(len(found))
  for i, name in enumerate(('accuracy_open', 'accuracy_closed')):
    axes.bar(
      places + 0.4 * i - 0.2,
      found[name],
      0.38,
      yerr=2 * found[f'{name}_se'],
      label=name.removeprefix('accuracy_'),
    )
  axes.set_xticks(places, found.title)
  axes.set_ylim(0, 1.05)
  legend(axes)
  save(drawing, path)
