"""Training and evaluation of a config's model, as an experiment of the loop."""

import functools
import warnings
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from icljax import build, checks
from icljax.ambient import fixed_arithmetic
from icljax.base import ARITHMETIC, Task
from icljax.figures import own_style
from icljax.paired import Indices, draw_episodes
from icljax.parameters import parameter_table
from icljax.predict import load
from icljax.subjects import Drawing, EvalContext, EvalMode, Report, Subject, subject_of
from icljax.training.step import TrainState
from icljax.training.warm_start import warm_start
from jaxline_lite import devices
from jaxline_lite.errors import BadInput
from jaxline_lite.eval_records import EvalFolder
from jaxline_lite.experiment import AbstractExperiment, Comparison, Evaluation, Outline
from jaxline_lite.files import read_lines
from jaxline_lite.run_folder import read_valid_config, run_of

MEASURES = 64  # evaluations that a process keeps compiled
CHECKED = 64  # episodes of a user-defined task whose targets are checked before it is trained

Arrays = dict[str, np.ndarray]
CheckSignal = Callable[[], None]


class Experiment(AbstractExperiment):
  """A model on all local devices, or on some."""

  rules = checks
  arithmetic = ARITHMETIC

  @fixed_arithmetic()
  def __init__(self, config: ConfigDict, on: Sequence[Any] | None = None):
    self.config, self._devices = build.with_machine_defaults(config), devices.Devices(on)
    try:
      self._subject: Subject = subject_of(self.config)
      self._network = self._subject.network(self.config)
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
    self._eval_tasks: dict[Callable, Task] = {}  # by what makes them
    self._reference_scores: dict[tuple, Arrays] = {}  # no state enters them

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

  def with_machine_defaults(self, config: ConfigDict) -> ConfigDict:
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
        how = build.warm_start_of(self.config, read_valid_config(run_of(Path(given))[0], checks))
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
    task = self._eval_task(chosen)
    measured = self._measure(*self._measurement(chosen), check)
    references = self._references(chosen, check)
    report = chosen.summarize(EvalContext(self.config, task), measured, references)
    if self._data_change:
      report = report._replace(table=f'WARNING: {self._data_change}\n{report.table}')
    return Evaluation(*report)

  def _measurement(self, mode: EvalMode) -> tuple[Callable, Task, Any]:
    """What `_measure` measures of the present state: the function, the task and the tree."""
    state = self._replicated
    measure = _measure_model(
      mode.score, self._subject, self._network, mode.options(self.config), self._token
    )
    tree = self._settings.task, state.params, state.model_state, self._data
    return measure, self._eval_task(mode), tree

  @fixed_arithmetic()
  def outline(self, mode: str) -> Outline:
    chosen = self._modes[mode]
    model = self._two_examples(*self._measurement(chosen))
    of_references = self._reference_measurement(chosen)
    references = self._two_examples(*of_references) if of_references else {}
    context = EvalContext(self.config, self._eval_task(chosen))
    with warnings.catch_warnings(), np.errstate(all='ignore'):
      warnings.simplefilter('ignore')  # means of what is always 0
      report = chosen.summarize(context, model, references)
    size = sum(array.nbytes for array in report.arrays.values()) // 2 * self.config.eval.episodes
    return Outline(tuple(report.metrics), size)

  def _two_examples(self, measure: Callable, task: Task, tree: Any) -> Arrays:
    """Zeros in place of the measurements of two episodes, `[2, ...]`."""
    arguments = (task, np.uint32(self.config.eval.seed))
    shapes = self._devices.example_shapes(measure, arguments, tree, self.config.eval.batch_size)
    return {name: np.zeros((2, *shape.shape), shape.dtype) for name, shape in shapes.items()}

  def lighten(self, state: TrainState) -> TrainState:
    return state.light()

  def _eval_task(self, mode: EvalMode) -> Task:
    """The task of a mode, made once."""
    if mode.task not in self._eval_tasks:
      self._eval_tasks[mode.task] = mode.task(self.config)
    return self._eval_tasks[mode.task]

  def _references(self, mode: EvalMode, check: CheckSignal) -> Arrays:
    """The scores of a mode's references, measured once for all checkpoints and modes of a task."""
    key = mode.task, mode.references, mode.score_references
    if key not in self._reference_scores:
      of_references = self._reference_measurement(mode)
      scores = self._measure(*of_references, check) if of_references else {}
      self._reference_scores[key] = scores
    return self._reference_scores[key]

  def _reference_measurement(self, mode: EvalMode) -> tuple[Callable, Task, Any] | None:
    """The same of a mode's references; None where the evaluated task has none."""
    task = self._eval_task(mode)
    references = mode.references(self.config, task)
    if references is None:
      return None
    measure = _measure_references(mode.score_references, self._token)
    return measure, task, self._devices.replicate(references)

  def _measure(self, measure: Callable, task: Task, tree: Any, check: CheckSignal) -> Arrays:
    """Measures all evaluation episodes, batch by batch: arrays `[episodes, ...]`.

    Args:
      tree: what `measure` reads besides, replicated.
    """
    episodes, batch = self.config.eval.episodes, self.config.eval.batch_size
    program = self._devices.pmap_examples(measure)
    arguments = (task, np.uint32(self.config.eval.seed))
    batches = []
    for first in range(0, episodes, batch):
      check()
      batches.append(program(arguments, tree, first, batch))
    return {
      name: np.concatenate([part[name] for part in batches])[:episodes] for name in batches[0]
    }

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
    chosen.draw(EvalContext(self.config, self._eval_task(chosen)), drawing)

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


@functools.lru_cache(maxsize=MEASURES)
def _measure_model(
  score: Callable, subject: Subject, network: Any, options: tuple[Hashable, ...], token: object
) -> Callable:
  """A score of models as `Devices.pmap_examples` takes it; the same one for the same arguments."""
  del token

  def measure(arguments, tree, indices, axis):
    (task, seed), (trained, params, model_state, data) = arguments, tree
    model = subject.predictor(network, trained, params, model_state)
    return score(task, model, data, Indices(seed, indices, axis), *options)

  return measure


@functools.lru_cache(maxsize=MEASURES)
def _measure_references(score: Callable, token: object) -> Callable:
  """The same of a score of references."""
  del token

  def measure(arguments, tree, indices, axis):
    task, seed = arguments
    return score(task, tree, None, Indices(seed, indices, axis))

  return measure
