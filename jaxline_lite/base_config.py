"""Every default of the loop, with a sentence. Imports no JAX: a wrong config fails at once."""

import difflib
import re
from collections.abc import Iterable

from ml_collections import ConfigDict

from jaxline_lite.errors import BadInput

SIZES = ('quick', 'paper')
MOST_KEPT = 10_000  # checkpoints of a run: more than a folder is made for
MOST_WORKERS = 256  # processes of one machine: more than it has cores for
MOST_STEPS = 2**31 - 1  # a step's number is a signed number of 32 bits
# Fields that the loop's configs have not had from the start, with what was done without them.
ABSENT_FIELDS = {
  'deterministic': False,
  'init_from': '',
  'sweep': '',
  'sweep_workers': 1,
  'eval.output_dir': 'runs/compare',
  'eval.titles': '',
}


def get_base_config() -> ConfigDict:
  """What every experiment's config starts from."""
  config = ConfigDict()
  config.random_seed = 0  # initialisation and training data
  config.training_steps = 1000  # updates of the whole run
  config.log_train_data_interval = 100  # steps between the lines of metrics.jsonl
  config.save_checkpoint_interval = '300s'  # steps ('1000') or seconds ('300s') between checkpoints
  # Kept besides the latest 2 and the best, with parameters alone: step 0, and 'log:COUNT' spread
  # over the run or 'every:STEPS'; or 'none'.
  config.keep_checkpoints = 'log:20'
  config.eval_interval = 1000  # steps between evaluations in mode train_eval
  config.eval_modes = ('eval',)  # what `eval`, and the end of `train`, evaluate
  config.final_eval = True  # whether `train` evaluates its last checkpoint
  # The metric that `best` means, MODE/METRIC; '' where there is none.
  config.best_model_eval_metric = ''
  config.best_model_eval_metric_higher_is_better = False
  # Which checkpoints `eval` reads: latest, best, all, or steps as '1000,2000'.
  config.eval_checkpoints = 'latest'
  # Whether `eval` ends with the checkpoints that are there, or follows the run to its end.
  config.one_off_evaluate = True
  # Modes eval*: run folders or checkpoints, separated by commas; '' is checkpoint_dir.
  config.restore_path = ''
  # train: another run, from whose parameters this one starts, at step 0 with a new optimizer state.
  config.init_from = ''
  config.checkpoint_dir = ''  # the run's folder
  # Mode sweep: the fields that its runs differ in, as 'task.r=1.2,2.5; random_seed=0..2', or the
  # name of a published sweep.
  config.sweep = ''
  config.sweep_workers = 1  # how many processes of this machine share a sweep
  config.compilation_cache = True  # whether compiled programs are kept on disk
  # Whether a GPU is to repeat its bits, at some speed; a CPU always does.
  config.deterministic = False
  config.eval = ConfigDict()
  config.eval.seed = 0  # evaluation data; the same for all runs, so that runs are paired
  # Of several models that are compared, separated by commas; '' is their folders' names.
  config.eval.titles = ''
  config.eval.output_dir = 'runs/compare'  # where comparisons of several models go
  return config


def read_words(words: str, presets: Iterable[str], default: str) -> tuple[str, str]:
  """The preset and the size that `FILE:WORDS` names, in any order.

  Raises:
    BadInput: for a word that is neither, or two of one kind.
  """
  presets, chosen = tuple(presets), {}
  for word in filter(None, (word.strip() for word in words.split(','))):
    kind = 'size' if word in SIZES else 'preset' if word in presets else None
    if kind is None:
      raise BadInput(
        f'--config: unknown word {word!r}{nearest(word, (*presets, *SIZES))}; presets: '
        f'{", ".join(presets)}; sizes: {", ".join(SIZES)}'
      )
    if chosen.setdefault(kind, word) != word:
      raise BadInput(
        f'--config: two {kind}s were given, {chosen[kind]!r} and {word!r}; at most one is allowed'
      )
  return chosen.get('preset', default), chosen.get('size', SIZES[0])


def run_folder(file: str, preset: str, default: str, size: str) -> str:
  """Where a run goes if nothing else is said: runs/FILE[_PRESET][_paper]."""
  return (
    f'runs/{file}'
    + (f'_{preset}' if preset != default else '')
    + (f'_{size}' if size != SIZES[0] else '')
  )


def nearest(given: str, known: Iterable[str]) -> str:
  """' (did you mean ...?)' where a known name comes close, in whatever case, else ''."""
  names = {name.casefold(): name for name in known}
  close = difflib.get_close_matches(given.casefold(), list(names), n=1)
  return f' (did you mean {names[close[0]]!r}?)' if close else ''


def interval(value: str) -> tuple[int | None, float | None]:
  """Steps or seconds of an interval: '1000' is (1000, None), '300s' is (None, 300.0)."""
  match = re.fullmatch(r'([0-9]+)(s?)', str(value).strip())
  if not match or int(match[1]) == 0:
    raise BadInput(
      f"save_checkpoint_interval is {value!r}; allowed are steps such as '1000' or seconds such as "
      "'300s'"
    )
  return (None, float(match[1])) if match[2] else (int(match[1]), None)


def keep_rule(value: str) -> tuple[str, int]:
  """The rule of `keep_checkpoints`: ('log', count), ('every', steps) or ('none', 0)."""
  if str(value).strip() == 'none':
    return 'none', 0
  match = re.fullmatch(r'(log|every):([0-9]+)', str(value).strip())
  if not match or int(match[2]) == 0:
    raise BadInput(
      f"keep_checkpoints is {value!r}; allowed are 'log:COUNT' and 'every:STEPS', such as "
      "'log:20', and 'none'"
    )
  if match[1] == 'log' and int(match[2]) > MOST_KEPT:
    raise BadInput(f'keep_checkpoints is {value!r}; allowed are counts up to {MOST_KEPT}')
  return match[1], int(match[2])


def check_base_config(config: ConfigDict) -> None:
  """Refuses loop settings that cannot be followed.

  Raises:
    BadInput: naming the field, what was given and what is allowed.
  """
  interval(config.save_checkpoint_interval)
  keep_rule(config.keep_checkpoints)
  for field in ('training_steps', 'log_train_data_interval', 'eval_interval'):
    if config[field] < 1:
      raise BadInput(f'{field} is {config[field]}; allowed are whole numbers from 1')
  if config.training_steps > MOST_STEPS:
    raise BadInput(
      f'training_steps is {config.training_steps}; allowed are whole numbers from 1 to {MOST_STEPS}'
    )
  if not 1 <= config.sweep_workers <= MOST_WORKERS:
    raise BadInput(
      f'sweep_workers is {config.sweep_workers}; allowed are whole numbers from 1 to {MOST_WORKERS}'
    )
  if not (
    config.eval_modes
    and all(isinstance(mode, str) and mode.startswith('eval') for mode in config.eval_modes)
  ):
    raise BadInput(
      f'eval_modes is {config.eval_modes!r}; allowed are names of eval modes, written as '
      '"(\'eval\',)"'
    )
  if config.eval_checkpoints not in ('latest', 'best', 'all') and not re.fullmatch(
    r'[0-9]+(,[0-9]+)*', config.eval_checkpoints
  ):
    raise BadInput(
      f'eval_checkpoints is {config.eval_checkpoints!r}; allowed are latest, best, all, or steps '
      "such as '1000,2000'"
    )
