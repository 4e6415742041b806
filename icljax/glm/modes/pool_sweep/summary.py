"""What a sweep over the pool's size shows: a row per run and task, findings, a table, a picture."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from icljax.glm.modes.diversity_tables import mean_metrics
from icljax.glm.modes.pool_sweep.crossing import estimate_crossing
from icljax.glm.modes.pool_sweep.pictures import draw_sweep
from icljax.glm.modes.pool_sweep.regimes import describe_memorisation, find_regime
from icljax.glm.modes.pool_sweep.runs import (
  NEW_TASKS,
  POOL_TASKS,
  Baselines,
  Group,
  PoolRun,
  find_baselines,
  key_of,
  make_groups,
  mean_over_seeds,
  text_of,
)
from icljax.glm.modes.pool_sweep.threshold import estimate_thresholds
from icljax.glm.modes.pool_sweep.valley import estimate_valley
from icljax.tables import aligned, cell, write_csv, write_json

WITHOUT_MEANS = (
  'targets are classes, which have no means: there are nats alone, and neither a crossing nor a '
  'threshold'
)
TOO_CLOSE = (
  'threshold: not determined, for no length of training is at least twice as long as another'
)


class Summary(NamedTuple):
  """A sweep in numbers and words.

  Attributes:
    frame: a row per run and mode: `run`, `M` as text ('inf' for an infinite pool), `seed`,
      `training_steps`, the other swept fields, `mode`, and means over positions and episodes with
      their standard errors, `<name>_se`.
    findings: `groups` and `thresholds`, as values that JSON has; every estimate has a `sentence`.
    table: the same as text.
  """

  frame: pd.DataFrame
  findings: dict[str, Any]
  table: str


def summarize(runs: Sequence[PoolRun]) -> Summary:
  """What the runs of a sweep over `task.n_tasks` show.

  Raises:
    ValueError: if there is no run, or if runs have different numbers of episodes, so that they are
      not paired, or different exact answers.
  """
  _check(runs)
  groups, baselines = make_groups(runs), find_baselines(runs)
  tables = [_table(group, baselines) for group in groups]
  if baselines.quantity == 'nats':
    findings = {'groups': [], 'thresholds': [], 'sentence': WITHOUT_MEANS}
    return Summary(_frame(groups), findings, '\n'.join([*tables, WITHOUT_MEANS]))
  of_groups = [_describe_group(group, baselines) for group in groups]
  thresholds = _describe_thresholds(groups, baselines)
  lines = [
    line for table, each in zip(tables, of_groups) for line in [table, *_sentences(each)]
  ] + [each['sentence'] for each in thresholds]
  findings = {'groups': of_groups, 'thresholds': thresholds}
  return Summary(_frame(groups), findings, '\n'.join(lines))


def write(folder: Path, summary: Summary) -> None:
  """Writes `diversity.csv` and `diversity.json`."""
  write_csv(folder / 'diversity.csv', summary.frame)
  write_json(folder / 'diversity.json', summary.findings)


def draw(folder: Path, title: str, summary: Summary, runs: Sequence[PoolRun]) -> None:
  """Draws `diversity.png`."""
  crossings = [each['crossing'] for each in summary.findings['groups']]
  draw_sweep(folder / 'diversity.png', title, make_groups(runs), find_baselines(runs), crossings)


def _check(runs: Sequence[PoolRun]) -> None:
  """Refuses runs that cannot be compared."""
  if not runs:
    raise ValueError('no run of the sweep was evaluated: there is nothing to sum up')
  counts, exact = {}, {}
  for run in runs:
    for scores in run.scores.values():
      counts[f'{len(scores.nats["model"]):,}'] = run.name
    exact[run.scores[NEW_TASKS].exact] = run.name
  for values, what, advice in (
    (counts, 'numbers of episodes', 'evaluate them all with the same eval.episodes'),
    (exact, 'exact answers', 'evaluate the families one by one'),
  ):
    if len(values) > 1:
      listed = ', '.join(f'{value} of {name}' for value, name in values.items())
      raise ValueError(
        f'the runs of a sweep are compared, and their {what} differ: {listed}; {advice}'
      )


def _frame(groups: Sequence[Group]) -> pd.DataFrame:
  rows = []
  for group in groups:
    for run in sorted(group.runs, key=lambda run: (run.tasks or math.inf, run.seed)):
      point = {
        'run': run.name,
        'M': key_of(run.tasks),
        'seed': run.seed,
        'training_steps': run.training_steps,
        **dict(run.others),
      }
      rows += [point | {'mode': mode} | mean_metrics(scores) for mode, scores in run.scores.items()]
  return pd.DataFrame(rows)


def _describe_group(group: Group, baselines: Baselines) -> dict[str, Any]:
  """The findings of runs that differ in M and seed alone."""
  memorisation = describe_memorisation(group, baselines)
  return {
    'training_steps': group.training_steps,
    'others': {field: str(value) for field, value in group.others},
    'seeds': {key_of(size): len(group.at_size(size)) for size in group.all_sizes},
    'memorisation': _jsonable(memorisation._asdict()),
    'crossing': _jsonable(estimate_crossing(group, baselines)._asdict()),
    'regime': _jsonable(find_regime(group, baselines)._asdict()),
    't_star': [
      {'run': run.name, 'M': key_of(run.tasks), 'seed': run.seed}
      | _jsonable(estimate_valley(run.valley)._asdict())
      for size in group.all_sizes
      for run in group.at_size(size)
      if run.valley
    ],
  }


def _describe_thresholds(groups: Sequence[Group], baselines: Baselines) -> list[dict[str, Any]]:
  """The findings of groups that differ in training steps alone."""
  by_others: dict[str, list[Group]] = {}
  for group in groups:
    by_others.setdefault(str(group.others), []).append(group)
  findings = []
  for same in by_others.values():
    others = {field: str(value) for field, value in same[0].others}
    settings = ''.join(f', {field}={value}' for field, value in others.items())
    estimates = estimate_thresholds(same, baselines)
    for estimate in estimates:
      values = _jsonable(estimate._asdict())
      findings.append({'others': others} | values)
      findings[-1]['sentence'] += settings
    if len(same) > 1 and not estimates:
      findings.append({'others': others, 'sentence': TOO_CLOSE + settings})
  return findings


def _jsonable(value: Any) -> Any:
  """The same with text for keys and None for numbers that are not finite."""
  if isinstance(value, dict):
    return {str(key): _jsonable(each) for key, each in value.items()}
  if isinstance(value, list | tuple):
    return [_jsonable(each) for each in value]
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value


def _table(group: Group, baselines: Baselines) -> str:
  """A block for each kind of tasks, with a row per M: means over seeds, positions and episodes."""
  has_means = baselines.quantity == 'errors'
  unit = group.runs[0].scores[NEW_TASKS].unit if has_means else 'nats per target'
  columns = {'model': (baselines.quantity, 'model')}
  columns |= {name: (baselines.quantity, name) for name in baselines.names}
  if has_means:
    columns |= {f'delta to {name}': ('deltas', name) for name in baselines.names}
  rows = []
  for title, mode in (("the pool's tasks, M", POOL_TASKS), ('new tasks, M', NEW_TASKS)):
    sizes = group.sizes if mode == POOL_TASKS else group.all_sizes
    rows += [[title, 'seeds', *columns]] if sizes else []
    for size in sizes:
      runs = group.at_size(size)
      cells = [_cell(runs, mode, *column) for column in columns.values()]
      rows.append([text_of(size), str(len(runs)), *cells])
  about = f'{group.label}: {unit}, means over seeds, positions and episodes ± standard error'
  return f'{about}\n{aligned(rows)}'


def _cell(runs: Sequence[PoolRun], mode: str, quantity: str, predictor: str) -> str:
  values = [
    by_predictor[predictor].mean(1)
    for run in runs
    if mode in run.scores and predictor in (by_predictor := getattr(run.scores[mode], quantity))
  ]
  return cell(*mean_over_seeds(values)) if values else ''


def _sentences(findings: dict[str, Any]) -> list[str]:
  """What is said below the table of a group."""
  lines = [findings[name]['sentence'] for name in ('memorisation', 'crossing', 'regime')]
  by_sentence: dict[str, list[str]] = {}
  for each in findings['t_star']:
    of_run = f'M = {each["M"]} (seed {each["seed"]})'
    by_sentence.setdefault(each['sentence'], []).append(of_run)
  lines += [f't* of {", ".join(of_runs)}: {text}' for text, of_runs in by_sentence.items()]
  return lines
