"""Figures with labelled axes, lines with bands of two errors: the only importer of matplotlib.

It is imported when something is drawn: where its settings are broken, or name a backend that is not
there, the import itself fails, and that may cost a picture, but no run.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

if TYPE_CHECKING:
  from matplotlib.figure import Figure


@contextlib.contextmanager
def own_style() -> Iterator[None]:
  """Draws in matplotlib's default style, whatever the user's matplotlibrc says (usetex)."""
  from matplotlib import style

  with style.context('default'):
    yield


def figure(title: str, *labels: tuple[str, str]):
  """A figure with axes side by side, by their labels (x, y)."""
  drawing, (all_axes,) = grid(title, [labels])
  return drawing, *all_axes


def grid(title: str, rows: Sequence[Sequence[tuple[str, str]]]) -> 'tuple[Figure, list[list]]':
  """A figure with rows of axes, by their labels (x, y); rows are of one length."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  size = 2 + 5 * len(rows[0]), 4.5 * len(rows)
  drawing = Figure(figsize=size, layout='constrained')
  FigureCanvasAgg(drawing)
  drawing.suptitle(title, fontsize='medium')
  all_axes = drawing.subplots(len(rows), len(rows[0]), squeeze=False).tolist()
  for labels, row in zip(rows, all_axes):
    for axes, (xlabel, ylabel) in zip(row, labels):
      axes.set(xlabel=xlabel, ylabel=ylabel)
      axes.spines[['top', 'right']].set_visible(False)
  return drawing, all_axes


def banded(axes, x: ArrayLike, mean: ArrayLike, error: ArrayLike, label: str, **style) -> None:
  """A line with a band of two standard errors."""
  mean, error = np.asarray(mean), np.asarray(error)
  (line,) = axes.plot(x, mean, label=label, **style)
  axes.fill_between(
    x, mean - 2 * error, mean + 2 * error, color=line.get_color(), alpha=0.15, linewidth=0
  )


def framed(axes, values: Iterable[ArrayLike]) -> None:
  """Limits the y-axis to these values; other curves may leave the picture."""
  finite = np.concatenate([np.ravel(some) for some in values])
  finite = finite[np.isfinite(finite)]
  if len(finite):
    margin = 0.1 * (finite.max() - finite.min()) or 0.1
    axes.set_ylim(finite.min() - margin, finite.max() + 2.5 * margin)


def loss_curve(axes, logged: pd.DataFrame) -> None:
  """The loss of logged steps, and its running mean over a tenth of them.

  Args:
    logged: rows with `step` and `loss`.
  """
  axes.plot(logged.step, logged.loss, color='C3', alpha=0.3, label='training loss')
  window = max(1, len(logged) // 10)
  if window > 1:
    smooth = np.convolve(logged.loss, np.ones(window) / window, mode='valid')
    label = f'mean of the last {window} logged steps'
    axes.plot(logged.step[window - 1 :], smooth, color='C3', label=label)


def legend(axes) -> None:
  axes.legend(
    frameon=False,
    ncols=2,
    fontsize='small',
    title='bands: ± 2 standard errors',
    title_fontsize='small',
  )


def shared_legend(drawing: 'Figure', title: str) -> None:
  """One legend below all axes of a figure, with a single entry for each label."""
  handles = {}
  for axes in drawing.axes:
    for handle, label in zip(*axes.get_legend_handles_labels()):
      handles.setdefault(label, handle)
  drawing.legend(
    handles.values(),
    handles.keys(),
    loc='outside lower center',
    ncols=6,
    frameon=False,
    fontsize='small',
    title=title,
    title_fontsize='small',
  )


def save(figure: 'Figure', path: Path) -> None:
  """Writes a picture that is whole or absent."""
  temporary = path.with_name(f'.{path.name}.writing')
  figure.savefig(temporary, dpi=120, format='png')
  temporary.replace(path)


def whole(*axes) -> None:
  """Ticks at whole numbers."""
  from matplotlib.ticker import MaxNLocator

  for each in axes:
    each.xaxis.set_major_locator(MaxNLocator(integer=True))


def shades(count: int) -> list:
  """Colours for an ordered series."""
  from matplotlib import colormaps

  return [colormaps['viridis'](i / max(1, count - 1)) for i in range(count)]
