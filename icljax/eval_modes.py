"""What an evaluation is: the protocol between an experiment and the modes of its subjects."""

import dataclasses
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ml_collections import ConfigDict

if TYPE_CHECKING:
  import jax
  import numpy as np
  import pandas as pd

  from icljax.base import Task

  Scores = Mapping[str, 'jax.Array']
  Arrays = dict[str, 'np.ndarray']


MOST_HEADLINES = 3  # metrics that a picture of many runs shows side by side


@dataclasses.dataclass(frozen=True)
class ModeRule:
  """What has to be known of an eval mode before JAX is imported.

  Attributes:
    name: 'eval' or 'eval_<name>', which is the folder of its records too.
    reads: the fields of `config.eval` on which its numbers depend.
    headline: the metrics of its report that say most, at most `MOST_HEADLINES`, the first most;
      with what an axis says of each, its unit included.
  """

  name: str
  reads: frozenset[str]
  headline: Mapping[str, str]


class Report(NamedTuple):
  """What an evaluation found: the loop's `Evaluation`, which subjects do not import.

  Attributes:
    metrics: numbers by name.
    table: what a terminal shows.
    arrays: everything behind them, by name, as it is kept on disk; `[n, ...]` for n episodes.
  """

  metrics: 'dict[str, float]'
  table: str
  arrays: 'Arrays'


class Comparison(NamedTuple):
  """Several models side by side: the loop's `Comparison`, which subjects do not import.

  Attributes:
    table: what a terminal shows.
    draw: draws their picture.
  """

  table: str
  draw: Callable[[], None]


class EvalContext(NamedTuple):
  """What an evaluation is summed up with: the run's config and the task that was evaluated."""

  config: ConfigDict
  task: 'Task'


class Drawing(NamedTuple):
  """What the pictures of an evaluation are drawn from.

  Attributes:
    folder: where they go.
    suffix: what follows in the names of files, such as '_scale=0.8' for changed settings.
    titles: of a picture of this checkpoint, and of one over training.
    report: of the evaluation.
    records: the metrics of all checkpoints that were evaluated with these settings, by step.
  """

  folder: Path
  suffix: str
  titles: tuple[str, str]
  report: Report
  records: 'pd.DataFrame'


def no_options(config: ConfigDict) -> tuple[Hashable, ...]:
  """The options of a mode that has none."""
  del config
  return ()


@dataclasses.dataclass(frozen=True)
class EvalMode:
  """An evaluation: whatever can be computed from a checkpoint.

  The functions `score` are pure and compiled once for all runs of a shape: task, model and data are
  their arguments. They get `indices` (`icljax.paired.Indices`), and return arrays with a row for
  each episode.

  Attributes:
    rule: its name, and the fields of `config.eval` that it reads.
    task: (config) -> the task whose episodes are evaluated.
    score: (task, model, data, indices, *options) -> arrays by name, `[B, ...]`.
    summarize: (context, arrays of the model, arrays of the references) -> the report.
    draw: writes pictures, and the numbers behind curves as CSV.
    compare: (folder, title, reports by model, configs by model) -> several models side by side,
      whose numbers are written, and whose picture is not drawn yet.
    options: (config) -> what `score` gets besides: hashable, for it is compiled in.
    references: (config, task) -> the arrays that predictors without training need, or None if the
      model stands alone on this task; None where it always does.
    score_references: as `score`, of the references; they do not depend on a checkpoint.
  """

  rule: ModeRule
  task: 'Callable[[ConfigDict], Task]'
  score: 'Callable[..., Scores]'
  summarize: 'Callable[[EvalContext, Arrays, Arrays], Report]'
  draw: Callable[[EvalContext, Drawing], None]
  compare: Callable[[Path, str, dict[str, Report], dict[str, ConfigDict]], Comparison]
  options: Callable[[ConfigDict], tuple[Hashable, ...]] = no_options
  references: 'Callable[[ConfigDict, Any], Any] | None' = None
  score_references: 'Callable[..., Scores] | None' = None
