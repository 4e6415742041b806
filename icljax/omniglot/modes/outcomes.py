"""Evaluations of image sequences: accuracies of every kind, and what the heads attend to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from icljax import build
from icljax.glm.modes.curves import write
from icljax.omniglot.modes import pictures as plots
from icljax.omniglot.modes import scores as sequences
from icljax.paired import aligned
from jaxline_lite import devices
from jaxline_lite.evaluate import EvalFolder, settings_of
from jaxline_lite.experiment import Evaluation
from jaxline_lite.files import read_lines

INDUCTION = 'eval_induction'
SOURCES = {
  'procedural': 'procedural characters (not Omniglot)',
  'symbolic': 'symbols',
  'features': 'given features',
}

NOTES = {
  'eval_flip': '\nright is the label that the context shows, which is that of the other class; the answers of the weights are the last row',
  'eval_iwl_context': '\nright is the label of the query, of whose class there is no item in the context',
}


def source_of(config: ConfigDict) -> str:
  """What a config's items are, for logs, tables and pictures."""
  data = config.data
  return SOURCES.get(data.example_type, f'Omniglot {data.omniglot_config.omniglot_split}')


class Outcomes:
  """Of the runs of one config; see `outcomes.glm`."""

  def __init__(self, config: ConfigDict, measure: Callable[..., dict[str, np.ndarray]]):
    self.config, self._measure = config, measure
    self._items = source_of(config)
    self.source = f'{self._items} '

  def evaluate(self, mode: str, check: Callable[[], None]) -> Evaluation:
    task, seed = build.eval_task(self.config, mode), np.uint32(self.config.eval.seed)
    score = sequences.attention_scores if mode == INDUCTION else sequences.model_scores

    def score_model(arguments, tree, indices):
      return score(
        build.predictor(self.config, *tree), *arguments, indices=indices, axis=devices.AXIS
      )

    measured = self._measure(mode, score_model, (task, seed), True, check)
    if mode == INDUCTION:
      metrics, table = sequences.summarize_attention(measured)
    else:
      metrics, table = sequences.summarize(measured)
    note = NOTES.get(mode, '')
    arrays = {f'sequences/{name}': values for name, values in measured.items()}
    return Evaluation(metrics, f'{self._items}: {table}{note}', arrays)

  def draw_training(self, folder: Path) -> None:
    lines = list(read_lines(folder / 'metrics.jsonl'))
    if lines:
      loss = pd.DataFrame(lines)
      modes = [mode for mode in self.config.eval_modes if mode not in (INDUCTION, 'eval')]
      found = {
        mode: pd.DataFrame(EvalFolder(folder, mode).records(settings_of(self.config)))
        for mode in modes
      }
      found = {mode: frame for mode, frame in found.items() if len(frame)}
      plots.training(folder / 'train.png', loss, found, f'{folder.name}, {self._items}: training')

  def draw_evaluation(
    self,
    mode: str,
    folder: Path,
    step: int,
    shifts: list[str],
    evaluation: Evaluation,
    records: list[dict[str, Any]],
  ) -> None:
    suffix = ''.join(f'_{shift}' for shift in shifts)
    title = ', '.join([folder.parent.name, self._items, mode, *shifts])
    evaluated = pd.DataFrame(records).drop(columns='settings')
    if mode == INDUCTION:
      plots.heads(folder / f'heads{suffix}.png', evaluated, title)
    else:
      plots.answers(folder / f'answers{suffix}.png', evaluation.metrics, f'{title} at step {step}')
    if len(records) > 1:
      if mode != INDUCTION:
        plots.over_training(
          folder / f'over_training{suffix}.png', evaluated, f'{title} over training'
        )
      write(folder / f'over_training{suffix}.csv', evaluated)

  def compare(
    self,
    mode: str,
    folder: Path,
    evaluations: dict[str, Evaluation],
    configs: dict[str, ConfigDict],
  ) -> str:
    """`comparison.png` and `comparison.csv`; one table of all models."""
    sources = {title: source_of(config) for title, config in configs.items()}
    named = {
      title: f'{title}, {sources[title]}' if len(set(sources.values())) > 1 else title
      for title in evaluations
    }
    frame = pd.DataFrame({named[title]: found.metrics for title, found in evaluations.items()}).T
    frame = frame.rename_axis('title').reset_index()
    write(folder / 'comparison.csv', frame)
    shown = [name for name in frame.columns if f'{name}_se' in frame.columns]
    about = ', '.join([mode, *dict.fromkeys(sources.values())])
    if mode != INDUCTION:
      plots.comparison(folder / 'comparison.png', frame, about)
    rows = [['', *frame.title]]
    rows += [
      [name, *(f'{m:.3f} ± {e:.3f}' for m, e in zip(frame[name], frame[f'{name}_se']))]
      for name in shown
    ]
    return f'{about}\n{aligned(rows)}'
