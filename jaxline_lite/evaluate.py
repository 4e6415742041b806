"""Evaluating the checkpoints of a run: measure, record, draw, announce."""

import functools
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from jaxline_lite.checkpoint import Checkpoints
from jaxline_lite.errors import BadInput
from jaxline_lite.eval_records import EvalFolder, best_steps
from jaxline_lite.experiment import AbstractExperiment, Evaluation, Recorded, SweptRun
from jaxline_lite.files import canonical, digest
from jaxline_lite.ownership import hold
from jaxline_lite.rules import Rules
from jaxline_lite.run_folder import changed_fields, differing_fields, flat
from jaxline_lite.signals import StopFlag
from jaxline_lite.writers import Log, draw_or_say

# Characters of a folder's name, before its digest; file systems allow 255 bytes, and a character
# may take four.
LONGEST_NAME = 60
MANY = 3  # models that are compared also by the fields in which they differ

Evaluations = dict[str, Evaluation]  # by mode


class EvaluatedModel(NamedTuple):
  """One model: its run and title, the step of its checkpoint, its config and its evaluations."""

  run: Path
  title: str
  step: int
  config: ConfigDict
  evaluations: Evaluations


def evaluate(
  experiment: AbstractExperiment,
  config: ConfigDict,
  folders: dict[str, EvalFolder],
  step: int,
  stop: StopFlag,
  log: Log,
  check: Callable[[], None] = lambda: None,
  draws: bool = True,
) -> Evaluations:
  """Evaluates the experiment's state, that of `step`, in each mode, and keeps what it finds.

  Args:
    folders: where it is kept, by mode.
    check: called before anything is written; raises Stopped if that may not be.
    draws: whether pictures are drawn.

  Raises:
    Stopped: between two batches, if a signal came; what is recorded stays.
  """
  evaluations = {}
  for mode, folder in folders.items():
    evaluation = evaluations[mode] = experiment.evaluate(mode, stop.check)
    with hold(folder.path, 'evaluated', wait=stop.check):
      check()
      folder.write(step, evaluation)
      if draws:
        draw = functools.partial(
          experiment.draw_evaluation,
          mode, folder.path, step, folder.changed_settings, evaluation, folder.records(),
        )  # fmt: skip
        draw_or_say(draw, f'{mode} at step {step}', log)
      folder.mark_drawn(step)
    check()
    _announce(folder, config, mode, step, evaluation, log)
  return evaluations


def _announce(
  folder: EvalFolder, config: ConfigDict, mode: str, step: int, evaluation: Evaluation, log: Log
) -> None:
  """Shows the table, and says if the metric of `best` is not in it."""
  best_mode, _, best = config.best_model_eval_metric.partition('/')
  if mode == best_mode and best not in evaluation.metrics:
    log.say(
      f'best_model_eval_metric is {config.best_model_eval_metric!r}: there is no {best!r}, so no '
      f'checkpoint will be the best; there are {", ".join(evaluation.metrics)}'
    )
  what = ', '.join([f'{mode} at step {step}', *folder.changed_settings])
  log.say(f'{what}, written to {folder.path}\n{evaluation.table}')


def evaluate_run(
  experiment: AbstractExperiment,
  config: ConfigDict,
  run: Path,
  step: str | None,
  folders: dict[str, EvalFolder],
  stop: StopFlag,
  log: Log,
  drawn: Collection[int] | None = None,
) -> Iterator[tuple[int, Evaluations]]:
  """Evaluates checkpoints of a run.

  They are those that the config, or `step`, names.

  Args:
    folders: where evaluations are kept, by mode.
    drawn: the steps whose pictures are drawn; by default all.

  Yields:
    The step of each checkpoint and its evaluations.

  Raises:
    BadInput, Stopped.
  """
  checkpoints, target = run_checkpoints(experiment, config, run, log), experiment.state
  which = step or config.eval_checkpoints
  for steps in choose_steps(run, config, experiment.rules, which, checkpoints.steps()):
    chosen, experiment.state = checkpoints.read_any(steps, target)
    draws = drawn is None or chosen in drawn
    yield chosen, evaluate(experiment, config, folders, chosen, stop, log, draws=draws)


def run_checkpoints(
  experiment: AbstractExperiment, config: ConfigDict, run: Path, log: Log
) -> Checkpoints:
  """The checkpoints of the run of a config, for an experiment."""
  changes = functools.partial(changed_fields, config=config, rules=experiment.rules)
  return Checkpoints(run / 'checkpoints', log.say, experiment.lighten, changes)


def chosen_steps(
  config: ConfigDict, rules: Rules, run: Path, log: Log, step: str | None = None
) -> list[list[int]]:
  """As `choose_steps`, of the checkpoints that the config, or `step`, names. Raises BadInput."""
  steps = Checkpoints(run / 'checkpoints', log.say).steps()
  return choose_steps(run, config, rules, step or config.eval_checkpoints, steps)


def compare(
  experiment: AbstractExperiment,
  output: Path,
  models: list[EvaluatedModel],
  stop: StopFlag,
  log: Log,
) -> None:
  """Puts the evaluations of several models side by side, in `<output>/<mode>/<comparison>/`.

  The folder is named after what is compared, so that the same comparison replaces itself, and no
  other one.
  """
  titles = [model.title for model in models]
  by_title = {
    model.title if titles.count(model.title) == 1 else f'{model.title} at step {model.step}': model
    for model in models
  }
  configs = {title: model.config for title, model in by_title.items()}
  for mode in models[0].evaluations:
    folder = output / mode / _comparison_name(by_title, mode, experiment.rules)
    with hold(folder, 'written', wait=stop.check):
      evaluations = {title: model.evaluations[mode] for title, model in by_title.items()}
      table, draw = experiment.compare(mode, folder, evaluations, configs)
      draw_or_say(draw, f'the comparison in {mode}', log)
      table = '\n'.join([table, *_by_fields(experiment, mode, folder, by_title, log)])
    log.say(f'{mode} of {", ".join(by_title)}, written to {folder}\n{table}')


def _by_fields(
  experiment: AbstractExperiment,
  mode: str,
  folder: Path,
  models: dict[str, EvaluatedModel],
  log: Log,
) -> list[str]:
  """Many models once more over the fields in which their runs differ, as the points of a sweep; the
  table, if there are enough of them.
  """
  fields = differing_fields(model.config for model in models.values())
  if len(models) < MANY or not fields:
    return []
  runs = [
    SweptRun(
      title,
      {name: flat(model.config.to_dict()).get(name) for name in fields},
      model.config,
      ({model.step: Recorded(model.evaluations[mode].metrics, Path())},),
    )
    for title, model in models.items()
  ]
  table, draw = experiment.read_runs(mode, folder, mode, runs)
  draw_or_say(draw, f'the comparison by {", ".join(fields)}', log)
  return [table]


def _comparison_name(models: dict[str, EvaluatedModel], mode: str, rules: Rules) -> str:
  """A name for a folder that tells a comparison from all others, and begins readably."""
  identity, words = [], []
  for title, model in models.items():
    folder = EvalFolder(model.run, mode, model.config, rules)
    identity.append([title, str(model.run.resolve()), model.step, folder.settings])
    words.append(f'{Path(model.title).name}@{model.step}')
    changed = folder.changed_settings
  readable = re.sub(r'[^\w.@=+-]+', '_', '_'.join([*words, *changed]))
  return f'{readable[:LONGEST_NAME]}_{digest(canonical(identity).encode())[:8]}'


def choose_steps(
  run: Path, config: ConfigDict, rules: Rules, which: str, steps: list[int]
) -> list[list[int]]:
  """The checkpoints that `which` names: latest, best, all, or steps.

  Args:
    steps: those on disk, ascending.

  Returns:
    A list for each, of its step and of the steps that may stand in for it.

  Raises:
    BadInput: naming what there is.
  """
  there = f'there are {", ".join(map(str, steps))}' if steps else 'there is none'
  if which == 'best':
    best = best_steps(run, config, rules, steps)
    if not best:
      raise BadInput(
        f'{run}: no best checkpoint is known; it takes mode train_eval and best_model_eval_metric'
      )
    which = str(best[0])
  wanted = steps if which in ('latest', 'all') else [int(step) for step in which.split(',')]
  absent = [step for step in wanted if step not in steps]
  if absent or not wanted:
    missing = ', '.join(map(str, absent)) or 'at all'
    raise BadInput(f'{run}: there is no checkpoint {missing}; {there}')
  return [wanted[::-1]] if which == 'latest' else [[step] for step in wanted]
