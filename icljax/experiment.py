"""Training and evaluation of a config's model, as an experiment of the loop."""

import functools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from icljax import build, checks, costs
from icljax.ambient import fixed_arithmetic
from icljax.base import ARITHMETIC
from icljax.eval_modes import Drawing, EvalContext, Report
from icljax.figures import own_style
from icljax.measures import CheckSignal, Measures
from icljax.paired import Indices, draw_episodes
from icljax.parameters import parameter_table
from icljax.predict import load
from icljax.subjects import Subject, checks_of, subject_of
from icljax.sweep_pictures import compare_points
from icljax.training.step import TrainState
from icljax.training.warm_start import warm_start
from jaxline_lite import devices
from jaxline_lite.errors import BadInput
from jaxline_lite.eval_records import EvalFolder
from jaxline_lite.experiment import (
  AbstractExperiment,
  Comparison,
  Evaluation,
  Outline,
  SweptRun,
)
from jaxline_lite.files import read_lines
from jaxline_lite.paths import expand
from jaxline_lite.run_folder import flat, read_valid_config, run_of

CHECKED = 64  # episodes of a user-defined task whose targets are checked before it is trained

Arrays = dict[str, np.ndarray]


class Experiment(AbstractExperiment):
  """A model on all local devices, or on some."""

  rules = checks
  arithmetic = ARITHMETIC

  @fixed_arithmetic()
  def __init__(self, config: ConfigDict, on: Sequence[Any] | None = None):
    self.config, self._devices = build.with_machine_defaults(config), devices.Devices(on)
    try:
      self._subject: Subject = subject_of(self.config)
      self._modes = self._subject.modes(self.config)
      self._token = build.sharing_token(self.config)
      step = build.train_step(self.config, self._token)
      data = self._subject.data(self.config)
      self._data_change = build.record_digest(self.config, data)
      settings = build.make_settings(self.config)
      self._check_options()
    except ValueError as error:  # of user-defined things, and of data that are not there
      raise BadInput(str(error)) from error
    except TypeError as error:
      if 'hash' not in str(error):
        raise
      raise BadInput(
        'a user-defined model or metric cannot be hashed, which finding its compiled program takes '
        f'({error}): make its attributes tuples instead of lists, or freeze its dataclass'
      ) from error
    self._data, self._settings = (
      self._devices.replicate(data.values),
      self._devices.replicate(settings),
    )
    self._steps = self._devices.pmap_steps(step, self.most_steps)
    self._fresh: tuple[str, ...] = ()  # the parts that `init_from` does not give
    self._state: Any = None  # on the devices, from its first use on
    trained, network = self._settings.task, self._subject.network(self.config)
    self._measures = Measures(
      self.config, self._devices, self._subject, network, self._token, trained, self._data
    )

  @property
  def state(self) -> TrainState:
    return devices.unreplicate(self._replicated)

  @state.setter
  @fixed_arithmetic()
  def state(self, state: TrainState) -> None:
    self._state = self._devices.replicate(state)

  @property
  def _replicated(self) -> TrainState:
    if self._state is None:
      with fixed_arithmetic():
        self._state = self._devices.replicate(build.init_state(self.config))
    return self._state

  @property
  def stopped(self) -> bool:
    stop_state = self.state.watch
    return stop_state is not None and bool(stop_state.stopped)

  @staticmethod
  def with_machine_defaults(config: ConfigDict) -> ConfigDict:
    return build.with_machine_defaults(config)

  def with_origins(self, config: ConfigDict) -> ConfigDict:
    config = build.with_machine_defaults(config)
    config.init_from = self.config.init_from
    if 'data' in config:
      config.data.digest = self.config.data.digest
    return config

  @fixed_arithmetic()
  def check_training(self) -> None:
    if self._data_change:
      raise BadInput(
        f'{self._data_change}; give the data of then, or another run folder with '
        '--config.checkpoint_dir'
      )
    self._devices.check_divides(self.config.training.batch_size, 'training.batch_size')
    if build.is_user_defined(self.config, 'task'):  # else targets are right by construction
      task = self._subject.task(self.config).at(jnp.int32(0))
      draw = jax.jit(lambda task, indices: draw_episodes(task, Indices(jnp.uint32(0), indices)))
      targets = np.asarray(draw(task, jnp.arange(CHECKED)).y).ravel()
      try:
        self._subject.check_targets(self.config, 'the task that is trained on', targets)
      except ValueError as error:
        raise BadInput(str(error)) from error

  @fixed_arithmetic()
  def begin(self) -> None:
    if self.config.init_from:
      given = self.config.init_from
      try:
        run, _ = run_of(expand(given, 'init_from'))
        how = build.warm_start_of(self.config, read_valid_config(run, checks))
        source = load(given, data=checks.places_of_data(self.config))
        params, self._fresh = warm_start(self.state.params, source.params, how)
      except ValueError as error:
        raise BadInput(f'init_from is {given!r}: {error}') from error
      self.state = self.state.replace(params=params, model_state=source.model_state)
      # The checkpoint, for a run's newest one is another one later.
      self.config.init_from = str(source.path)

  @fixed_arithmetic()
  def step(self, first: int, count: int) -> Arrays:
    state = self._replicated
    self._state, metrics = self._steps(self._data, self._settings, state, first, count)
    return metrics

  def describe(self) -> str:
    where = f'{len(self._devices.devices)} {jax.default_backend()} device(s)'
    products = f'matrix products of the model at precision {self.config.model.precision}'
    data = self._subject.describe_data(self.config)
    source = f', starting from {self.config.init_from}' if self.config.init_from else ''
    source += f' (fresh: {", ".join(self._fresh)})' if self._fresh else ''
    table = parameter_table(self.state.params)
    return f'{table}\n{data + " " if data else ""}on {where}, {products}{source}'

  @fixed_arithmetic()
  def evaluate(self, mode: str, check: CheckSignal) -> Evaluation:
    chosen = self._modes[mode]
    measured = self._measures.of_model(chosen, self._replicated, check)
    references = self._measures.of_references(chosen, check)
    context = EvalContext(self.config, self._measures.task(chosen))
    report = chosen.summarize(context, measured, references)
    if self._data_change:
      report = report._replace(table=f'WARNING: {self._data_change}\n{report.table}')
    return Evaluation(*report)

  @fixed_arithmetic()
  def outline(self, mode: str) -> Outline:
    chosen = self._modes[mode]
    zeros = self._measures.two_examples(chosen, self._replicated)
    context = EvalContext(self.config, self._measures.task(chosen))
    with warnings.catch_warnings(), np.errstate(all='ignore'):
      warnings.simplefilter('ignore')  # means of what is always 0
      report = chosen.summarize(context, *zeros)
    size = sum(array.nbytes for array in report.arrays.values()) // 2 * self.config.eval.episodes
    return Outline(tuple(report.metrics), size)

  def lighten(self, state: TrainState) -> TrainState:
    return state.light()

  def _check_options(self) -> None:
    """Raises ValueError for user-defined metrics that would fail after all the training."""
    for mode in self._modes.values():
      if options := mode.options(self.config):
        hash(options)
        task, state = mode.task(self.config), jax.eval_shape(lambda: build.init_state(self.config))
        indices = Indices(jnp.uint32(0), jnp.arange(2))

        def score(state, mode=mode, task=task, options=options, indices=indices):
          model = build.make_predictor(self.config, state.params, state.model_state)
          return mode.score(task, model, None, indices, *options)

        jax.eval_shape(score, state)
        return

  @staticmethod
  def describe_sweep(configs: Sequence[ConfigDict]) -> str:
    return costs.describe(configs)

  @classmethod
  @fixed_arithmetic()
  def read_runs(cls, mode: str, folder: Path, title: str, runs: list[SweptRun]) -> Comparison:
    subject = subject_of(runs[0].config)
    read = subject.sweep_readers().get(mode, functools.partial(_read_points, mode))
    try:
      table, draw = read(folder, title, runs)
    except ValueError as error:  # of runs that cannot be compared
      raise BadInput(str(error)) from error
    return Comparison(table, own_style()(draw))

  @own_style()
  def draw_training(self, folder: Path) -> None:
    logged = pd.DataFrame(read_lines(folder / 'metrics.jsonl'))
    if len(logged):
      evaluated = {}
      for mode in self._modes:
        records = EvalFolder(folder, mode, self.config, self.rules).records()
        if records:
          evaluated[mode] = pd.DataFrame(records).drop(columns='settings')
      data = self._subject.describe_data(self.config)
      title = f'{folder.name}{", " + data if data else ""}: training'
      path = folder / 'train.png'
      self._subject.draw_training(path, title, logged, evaluated)

  @own_style()
  @fixed_arithmetic()
  def draw_evaluation(
    self,
    mode: str,
    folder: Path,
    step: int,
    changed_settings: list[str],
    evaluation: Evaluation,
    records: list[dict[str, Any]],
  ) -> None:
    chosen, data = self._modes[mode], self._subject.describe_data(self.config)
    run = ', '.join(filter(None, [folder.parent.name, data]))
    drawing = Drawing(
      folder=folder,
      suffix=''.join(f'_{setting}' for setting in changed_settings),
      titles=(
        ', '.join([run, f'{mode} at step {step}', *changed_settings]),
        ', '.join([run, f'{mode} over training', *changed_settings]),
      ),
      report=Report(*evaluation),
      records=pd.DataFrame(records).drop(columns='settings'),
    )
    chosen.draw(EvalContext(self.config, self._measures.task(chosen)), drawing)

  def compare(
    self,
    mode: str,
    folder: Path,
    evaluations: dict[str, Evaluation],
    configs: dict[str, ConfigDict],
  ) -> Comparison:
    reports = {title: Report(*evaluation) for title, evaluation in evaluations.items()}
    data = dict.fromkeys(subject_of(each).describe_data(each) for each in configs.values())
    title = ', '.join([mode, *filter(None, data)])
    table, draw = self._modes[mode].compare(folder, title, reports, configs)
    return Comparison(table, own_style()(draw))


def _read_points(mode: str, folder: Path, title: str, runs: list[SweptRun]) -> Comparison:
  """The mode's numbers of each run's last checkpoint, over the fields in which the runs differ."""
  fields = list(dict.fromkeys(field for run in runs for field in run.fields))
  rows, headline = [], {}
  for run in runs:
    (recorded,) = run.evaluations
    values = flat(run.config.to_dict())
    metrics = {k: v for k, v in recorded[max(recorded)].metrics.items() if k != 'settings'}
    rows.append({'name': run.name, **{field: values.get(field) for field in fields}, **metrics})
    headline |= checks_of(run.config.subject).mode_rules(run.config)[mode].headline
  return Comparison(*compare_points(folder, title, pd.DataFrame(rows), fields, headline))
