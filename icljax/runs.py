"""What the command does, from Python: train, evaluate, and the numbers of many runs."""

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from icljax import checks
from jaxline_lite import evaluated_runs, modes
from jaxline_lite import sweep as sweeping
from jaxline_lite.config_files import load_config
from jaxline_lite.errors import BadInput, without_flags
from jaxline_lite.experiment import Evaluation
from jaxline_lite.files import read_lines
from jaxline_lite.paths import expand
from jaxline_lite.rules import with_chosen_fields
from jaxline_lite.run_folder import flat, is_sweep, plain, read_config, read_valid_config, run_of
from jaxline_lite.sweep_folder import read_points

EXPERIMENT = 'icljax.experiment:Experiment'
# What stands here for fields of a command's config.
ARGUMENTS = {'restore_path': 'the argument run', 'eval_checkpoints': 'the argument checkpoint'}


@without_flags()
def config(file: str, words: str = '') -> ConfigDict:
  """A config of `configs/`, such as `icljax.config('glm', 'poisson,paper')`.

  Args:
    file: the name of its file.
    words: at most one preset and one size, as behind the colon of `--config=FILE:WORDS`.

  Raises:
    BadInput: if there is no such file, or a word is neither.
  """
  if file != Path(file).stem:
    raise BadInput(
      f"file is {file!r}; give the name of a file of configs/ alone, such as 'glm', and a preset "
      "and a size as words: icljax.config('glm', 'poisson,paper')"
    )
  config = load_config(f'{Path(__file__).parent / "configs" / file}.py:{words}')
  config.lock()  # so that a field that there is not cannot be set
  return config


def _make(config: ConfigDict):
  return modes.make(EXPERIMENT, config)


@without_flags()
def train(config: ConfigDict, evaluates_along: bool = False) -> Path:
  """Trains the run of a config, or goes on training it, and evaluates it: `--jaxline_mode train`,
  or `train_eval`.

  Args:
    config: as `get_config` of a file in `configs/` gives it, changed at will.
    evaluates_along: whether to evaluate every `config.eval_interval` steps as well.

  Returns:
    The run's folder, `config.checkpoint_dir`.

  Raises:
    BadInput: if the config cannot be followed.
    Stopped: after a signal, when everything is saved.
    Diverged: if the loss is not finite.
  """
  if not isinstance(config, ConfigDict):
    raise BadInput(
      f"train was given {config!r}; it takes a config, such as icljax.config('glm') gives"
    )
  config = with_chosen_fields(config, checks)
  modes.check(config, 'train_eval' if evaluates_along else 'train', checks)
  return modes.train(_make, config, checks, evaluates_along)


@without_flags()
def sweep(
  config: ConfigDict, spec: str = '', folder: str | Path | None = None, workers: int = 1
) -> Path:
  """Trains, evaluates and reads many runs: `--jaxline_mode sweep`.

  Args:
    config: what they have in common.
    spec: the fields in which they differ, such as 'task.r=1.2,2.5; random_seed=0..2', or the name
      of a published sweep; by default `config.sweep`.
    folder: where the folders of the runs go; by default `config.checkpoint_dir` with `_sweep`
      behind it.
    workers: how many processes of this machine share the work.

  Returns:
    The sweep's folder; `icljax.metrics` reads it.

  Raises:
    BadInput: if a run cannot be followed, before any starts.
    Stopped: after a signal, when everything is saved.
    Diverged: when all others are finished, naming the runs whose loss is not finite.
  """
  config = config.copy_and_resolve_references()
  config.sweep, config.sweep_workers = spec or config.sweep, workers
  if folder is not None:
    config.checkpoint_dir = str(folder)
  target = sweeping.sweep_folder(config, is_chosen=folder is not None)
  sweeping.sweep(EXPERIMENT, checks.__name__, config, checks, target)
  return target


@without_flags(**ARGUMENTS)
def evaluate(
  run: str | Path,
  mode: str = 'eval',
  checkpoint: int | str = 'latest',
  data: Mapping[str, str] | None = None,
  **settings: Any,
) -> dict[str, np.ndarray]:
  """Evaluates a run in one mode, as the command does, and keeps the record in the run's folder.

  Args:
    run: a run's folder, or one checkpoint in it.
    mode: `eval` or `eval_<name>`.
    checkpoint: 'latest', 'best', a step, or several: 'all', '1000,2000'.
    data: where data lie, if not where the run had them: some of `manual_dir`, `data_dir`,
      `cache_dir` and `features`, as `{'features': 'f.npz'}`.
    settings: fields of `config.eval`, such as `episodes=1000, scale=0.8`.

  Returns:
    The numbers of the record by name, among them `step`, and the arrays behind them, such as
    `nats/model` `[n, K]`; of several checkpoints stacked, a row for each.

  Raises:
    BadInput: if there is no such run, checkpoint, mode or setting.
    Stopped: after a signal.
  """
  evaluated = _evaluate([run], mode, checkpoint, data, settings)
  arrays = [_arrays(step, evaluations[mode]) for step, evaluations in evaluated]
  if len(arrays) == 1:
    return arrays[0]
  return {name: np.stack([each[name] for each in arrays]) for name in arrays[0]}


@without_flags(**ARGUMENTS)
def compare(
  runs: Sequence[str | Path],
  mode: str = 'eval',
  titles: Sequence[str] = (),
  output_dir: str | Path = 'runs/compare',
  checkpoint: int | str = 'latest',
  data: Mapping[str, str] | None = None,
  **settings: Any,
) -> dict[str, dict[str, np.ndarray]]:
  """Evaluates several models and puts them side by side: what `--config.restore_path=A,B` does.

  Args:
    runs: their folders, or checkpoints in them.
    titles: what they are called; by default as their folders, which then have to differ.
    output_dir: where table, picture and CSV go, below the mode, in a folder named after what is
      compared.
    mode, checkpoint, data, settings: as of `evaluate`; one checkpoint of each.

  Returns:
    What `evaluate` returns, by title.

  Raises:
    BadInput, Stopped: as `evaluate`.
  """
  if isinstance(runs, str | Path):
    raise BadInput(f"runs is {str(runs)!r}; give a list of folders, such as ['runs/a', 'runs/b']")
  given = ','.join(titles)
  titles = list(titles) or [expand(run, 'runs').absolute().name for run in runs]
  is_one_each = len(set(titles)) == len(runs) and given.count(',') < len(runs)
  if len(runs) < 2 or not is_one_each or checkpoint == 'all' or ',' in str(checkpoint):
    raise BadInput(
      f'{len(runs)} run(s), titles {titles}, checkpoint {checkpoint!r}; give several runs, a title '
      'of its own, without a comma, and one checkpoint for each'
    )
  chosen = settings | {'titles': given, 'output_dir': str(output_dir)}
  found = _evaluate(runs, mode, checkpoint, data, chosen)
  return {
    title: _arrays(step, evaluations[mode]) for title, (step, evaluations) in zip(titles, found)
  }


def _evaluate(
  runs: Sequence[str | Path],
  mode: str,
  checkpoint: int | str,
  data: Mapping[str, str] | None,
  settings: dict[str, Any],
) -> list[tuple[int, dict[str, Evaluation]]]:
  if not mode.startswith('eval'):
    raise BadInput(f'mode is {mode!r}; allowed are eval and eval_<name>')
  if checkpoint != 'latest' and any(run_of(expand(run, 'run'))[1] for run in runs):
    raise BadInput(
      f'one checkpoint is named by its path, and checkpoint is {checkpoint!r}; give the run, or '
      'leave that out'
    )
  config = read_valid_config(run_of(expand(runs[0], 'run'))[0], checks)
  try:
    places = checks.data_places(config, data or {})
  except ValueError as error:
    raise BadInput(str(error)) from error
  if mode == 'eval' and mode not in checks.eval_modes(config):
    raise BadInput(
      f"mode is 'eval'; this run has {', '.join(checks.eval_modes(config))}: name one of them"
    )
  settings = {'titles': ''} | settings  # those of a run's own config are of no use here
  unknown = settings.keys() - config.eval.keys()
  if unknown:
    raise BadInput(
      f'there is no setting {min(unknown)!r} of an evaluation; allowed are {", ".join(config.eval)}'
    )
  with config.unlocked(), config.ignore_type():
    wanted = {
      'eval_checkpoints': str(checkpoint),
      'restore_path': ','.join(map(str, runs)),
      'one_off_evaluate': True,
    }
    config.update(
      wanted
      | {'eval': {name: _typed(name, value, config.eval[name]) for name, value in settings.items()}}
    )
  configs = evaluated_runs.evaluated_configs(config, checks, places)
  for each in configs:
    modes.check(each, mode, checks)
  return modes.evaluate(_make, configs, checks, (mode,))


def _typed(name: str, given: Any, usual: Any) -> Any:
  """A setting as a config has it, whose own value is `usual`; None stands for a number that is not
  set.
  """
  value, kind = (
    (given.item() if isinstance(given, np.generic) else given),
    float if usual is None else type(usual),
  )
  if usual is None and value is None:
    return None
  fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
  if not fits or isinstance(value, bool):
    raise BadInput(
      f'eval.{name} is {given!r}; allowed is {"a number" if kind is float else kind.__name__}'
    )
  return kind(value)


def _arrays(step: int, evaluation: Evaluation) -> dict[str, np.ndarray]:
  return {
    name: np.asarray(value) for name, value in ({'step': step} | evaluation.metrics).items()
  } | evaluation.arrays


@without_flags(**ARGUMENTS)
def metrics(runs: str | Path = 'runs/*', fields: Sequence[str] = ()) -> pd.DataFrame:
  """All numbers on disk: a row for every logged training step (mode 'train') and every recorded
  evaluation.

  Args:
    runs: a run's folder, a sweep's, whose points are meant, or a pattern such as 'runs/*'.
    fields: of the runs' configs, such as 'task.r', to be columns.

  Returns:
    Columns run, mode, step, the fields, `eval.<setting>`, and the metrics; what a row does not have
    is NaN.

  Raises:
    BadInput: if no run matches, or one does not have a field.
  """
  pattern = expand(runs, 'runs')
  if is_sweep(pattern):
    found = [str(pattern / name) for name in read_points(pattern)]
  else:
    found = [str(pattern)] if pattern.is_dir() else sorted(glob.glob(str(pattern)))
  folders = [Path(name) for name in found if (Path(name) / 'config.json').exists()]
  if not folders:
    raise BadInput(
      f'{runs}: no run is there (no config.json); give a run folder or a pattern such as runs/*'
    )
  rows = []
  for folder in folders:
    config = flat(plain(read_config(folder, checks)))
    absent = [field for field in fields if field not in config]
    if absent:
      raise BadInput(f'{folder}: its config has no field {absent[0]!r}')
    of_run = {'run': str(folder)} | {field: config[field] for field in fields}
    rows += [of_run | {'mode': 'train'} | line for line in read_lines(folder / 'metrics.jsonl')]
    for path in sorted(folder.glob('eval*/metrics.jsonl')):
      for record in read_lines(path):
        settings = {f'eval.{name}': value for name, value in record.pop('settings').items()}
        rows.append(of_run | {'mode': path.parent.name} | record | settings)
  return pd.DataFrame(rows)
