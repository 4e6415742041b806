"""Pictures of runs and evaluations: the only importer of matplotlib."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from icljax.evaluation.paired import mean_and_error

STYLES = {
  'model': {'color': 'C3', 'linewidth': 2.5, 'zorder': 5},
  'bayes': {'color': 'black'},
  'bayes_family': {'color': 'black', 'linestyle': '--'},
  'true': {'color': 'C2', 'linestyle': ':'},
  'map': {'color': 'C0'},
  'plugin': {'color': 'C4'},
  'naive': {'color': '0.6'},
}


def _figure(title: str, xlabel: str, ylabel: str):
  figure = Figure(figsize=(7, 4.5), layout='constrained')
  FigureCanvasAgg(figure)
  axes = figure.add_subplot()
  axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
  axes.spines[['top', 'right']].set_visible(False)
  return figure, axes


def _save(figure: Figure, path: Path) -> None:
  """Writes a picture that is whole or absent."""
  temporary = path.with_name(f'.{path.name}.writing')
  figure.savefig(temporary, dpi=120, format='png')
  temporary.replace(path)


def curves(path: Path, nats: dict[str, np.ndarray], title: str) -> None:
  """Nats over the number of pairs seen, with bands of two standard errors; `[n, K]` by predictor.

  A predictor whose numbers are another's has no curve of its own: told the only family there is, Bayes is Bayes.
  """
  figure, axes = _figure(title, 'pairs seen, k', 'nats per target')
  axes.xaxis.set_major_locator(MaxNLocator(integer=True))
  shown = {name: values for name, values in nats.items() if name != 'bayes_family' or not np.array_equal(values, nats['bayes'])}
  for name, values in shown.items():
    mean, error = mean_and_error(values)
    k = np.arange(len(mean))
    style = STYLES.get(name, {})
    (line,) = axes.plot(k, mean, label=name, **style)
    axes.fill_between(k, mean - 2 * error, mean + 2 * error, color=line.get_color(), alpha=0.15, linewidth=0)
  finite = np.concatenate([mean_and_error(values)[0] for name, values in nats.items() if name != 'naive'])
  finite = finite[np.isfinite(finite)]
  low, high = finite.min(), finite.max()
  axes.set_ylim(low - 0.1 * (high - low), high + 0.25 * (high - low))  # the naive curve may leave the picture
  axes.legend(frameon=False, ncols=2)
  _save(figure, path)


def training(path: Path, steps: np.ndarray, loss: np.ndarray, title: str) -> None:
  """The loss of the logged steps `[n]`, and its running mean over a tenth of them."""
  figure, axes = _figure(title, 'step', 'training loss, nats per target')
  axes.plot(steps, loss, color='C3', alpha=0.35, label='logged step')
  window = max(1, len(loss) // 10)
  if window > 1:
    smooth = np.convolve(loss, np.ones(window) / window, mode='valid')
    axes.plot(steps[window - 1 :], smooth, color='C3', label=f'mean of the last {window} logged steps')
  axes.legend(frameon=False)
  _save(figure, path)
