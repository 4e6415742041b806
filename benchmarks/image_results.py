"""Trains the image sequences that the README and configs/omniglot.py tell of, and writes the
README's table and picture.

    python -m benchmarks.image_results                            # whatever is not in image_results.json yet
    python -m benchmarks.image_results --again LSTM               # once more, every row whose name has `LSTM` in it
    python -m benchmarks.image_results --archives ../omniglot     # also real drawings, whose archive lies there

Each row is one command in a fresh folder below `runs/results/`, timed from start to end without
compiled programs from earlier runs. `docs/omniglot.png` shows accuracies over training, and
`docs/induction.png` what the heads attend to.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.results import README, ROOT, between, cpu, run_folder
from jaxline_lite.files import read_lines

RESULTS = ROOT / 'benchmarks' / 'image_results.json'
SEEDS = (0, 1, 2)
QUICK, UNIFORM = '--config=configs/omniglot.py:procedural', '--config.data.seq_config.p_bursty=0.0'
REAL = (
  '--config=configs/omniglot.py --config.data.omniglot_config.omniglot_split=small1'
  ' --config.data.omniglot_config.augment_images=True '
  '--config.data.generator_config.preserve_ordering_every_n=8'
  ' --config.data.generator_config.n_rare_classes=800 '
  '--config.data.generator_config.n_common_classes=0'
  ' --config.data.generator_config.n_holdout_classes=288 '
  '--config.data.seq_config.labeling_rare=ordered_polysemy3'
)
COMMANDS = {
  **{f'bursty, seed {seed}': f'{QUICK} --config.random_seed={seed}' for seed in SEEDS},
  **{f'uniform, seed {seed}': f'{QUICK} {UNIFORM} --config.random_seed={seed}' for seed in SEEDS},
  'LSTM, bursty': f'{QUICK} --config.model.sequence=lstm',
  'RNN, bursty': f'{QUICK} --config.model.sequence=rnn',
  'induction': '--config=configs/omniglot.py:induction',
  **{f'real, seed {seed}': f'{REAL} --config.random_seed={seed}' for seed in SEEDS},
}


def run(name: str, archives: str | None) -> dict:
  """Trains and evaluates one row in a fresh folder; the evaluations of every step, by mode."""
  folder = run_folder(name)
  shutil.rmtree(folder, ignore_errors=True)
  command = [
    sys.executable,
    'run.py',
    *shlex.split(COMMANDS[name]),
    '--jaxline_mode=train_eval',
    f'--config.checkpoint_dir={folder}',
  ]
  command += [f'--config.data.manual_dir={archives}'] if name.startswith('real') else []
  began, cpu_before = time.perf_counter(), cpu()
  subprocess.run(
    command, cwd=ROOT, check=True, env=os.environ | {'JAX_ENABLE_COMPILATION_CACHE': 'false'}
  )
  seconds, cpu_seconds = time.perf_counter() - began, cpu() - cpu_before
  if name == 'induction':
    draw_induction(folder)
  modes = sorted(path for path in folder.glob('eval_*') if path.name != 'eval_induction')
  over = {
    path.name: [shown(record) for record in read_lines(path / 'metrics.jsonl')] for path in modes
  }
  return {'seconds': round(seconds), 'cpu_seconds': round(cpu_seconds), 'over_training': over}


def shown(record: dict) -> dict:
  return {
    name: value
    for name, value in record.items()
    if name.startswith(('step', 'accuracy', 'share_context'))
  }


def row(name: str, result: dict) -> str:
  """One line of the table: the last evaluation of each mode."""
  last = {mode: records[-1] for mode, records in result['over_training'].items()}
  pair = lambda mode, key: (
    f'{last[mode][key]:.3f} ± {last[mode][key + "_se"]:.3f}' if mode in last else ''
  )
  cells = [
    name,
    f'`{COMMANDS[name]}`',
    result['seconds'],
    result['cpu_seconds'],
    pair('eval_fewshot_holdout', 'accuracy_closed'),
    pair('eval_fewshot_holdout', 'accuracy_open'),
    pair('eval_fewshot_holdout', 'share_context'),
    pair('eval_no_support_zipfian', 'accuracy_open'),
  ]
  return '| ' + ' | '.join(map(str, cells)) + ' |'


def table(results: dict[str, dict]) -> str:
  head = [
    '| run | `python run.py ... --jaxline_mode train_eval` | seconds | of CPU | held-out classes, '
    'closed (chance .5; of 5 labels: .2) | open | answers among labels of the context | classes '
    'without support, open |',
    '|---|---|---|---|---|---|---|---|',
  ]
  return '\n'.join(
    head
    + [
      row(name, results[name])
      for name in COMMANDS
      if name in results and not name.startswith('real')
    ]
  )


def draw(results: dict[str, dict]) -> None:
  """`docs/omniglot.png`: learning in context and in weights over training, bursty beside uniform,
  all seeds.
  """
  figure = Figure(figsize=(11, 4), layout='constrained')
  FigureCanvasAgg(figure)
  figure.suptitle(
    'procedural characters (not Omniglot), quick settings: three seeds each, ± 2 standard errors',
    fontsize='medium',
  )
  in_context, in_weights = figure.subplots(1, 2)
  panels = [
    (
      in_context,
      'eval_fewshot_holdout',
      'accuracy_closed',
      'in context: held-out classes, two ways',
    ),
    (in_weights, 'eval_no_support_zipfian', 'accuracy_open', 'in weights: classes without support'),
  ]
  for axes, mode, key, title in panels:
    for color, kind in (('C3', 'bursty'), ('C0', 'uniform')):
      for name in [name for name in results if name.startswith(f'{kind}, ')]:
        frame = pd.DataFrame(results[name]['over_training'][mode])
        label = kind if name.endswith('0') else '_'
        axes.errorbar(frame.step, frame[key], 2 * frame[f'{key}_se'], color=color, label=label)
    axes.set(title=title, xlabel='step', ylabel='share of queries labelled rightly', ylim=(0, 1.02))
    axes.legend(frameon=False)
  in_context.axhline(0.5, color='0.6', linestyle=':')
  figure.savefig(ROOT / 'docs' / 'omniglot.png', dpi=110)


def draw_induction(folder: Path) -> None:
  """`docs/induction.png`: the loss with its plateau and drop, and what every head attends to, over
  training.
  """
  figure = Figure(figsize=(13, 3.8), layout='constrained')
  FigureCanvasAgg(figure)
  figure.suptitle(
    'induction: fixed features of procedural characters (not Omniglot), every line a head',
    fontsize='medium',
  )
  loss, *panels = figure.subplots(1, 3)
  logged, heads = (
    pd.DataFrame(read_lines(folder / name / 'metrics.jsonl')) for name in ('', 'eval_induction')
  )
  loss.plot(logged.step, logged.loss, color='C3')
  loss.set(xlabel='step', ylabel='nats per query, training')
  labels = {
    'previous': 'attention of labels to their items',
    'induction': "attention of the query to its class's labels",
  }
  for axes, (kind, label) in zip(panels, labels.items()):
    for name in [
      name for name in heads.columns if name.startswith(f'{kind}/') and not name.endswith('_se')
    ]:
      block, head = name.split('/')[1:]
      axes.plot(
        heads.step, heads[name], color=f'C{block}', label=f'block {block}' if head == '0' else '_'
      )
    axes.set(xlabel='step', ylabel=label, ylim=(0, 1))
    axes.legend(frameon=False)
  for axes in (loss, *panels):
    axes.set_xscale('log')
  figure.savefig(ROOT / 'docs' / 'induction.png', dpi=110)


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument(
    '--only',
    metavar='NAME',
    nargs='+',
    default=[''],
    help='only rows that have one of these in their name',
  )
  parser.add_argument(
    '--again', metavar='NAME', help='measure the rows once more that have NAME in their name'
  )
  parser.add_argument(
    '--archives',
    metavar='FOLDER',
    help='where images_background_small1.zip lies, for the rows of real drawings',
  )
  given = parser.parse_args()
  archives = str(Path(given.archives).absolute()) if given.archives else None
  results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
  for name in COMMANDS:
    wanted = name not in results or (given.again and given.again in name)
    if (
      wanted
      and any(part in name for part in given.only)
      and (archives or not name.startswith('real'))
    ):
      results[name] = run(name, archives)
      results = {name: results[name] for name in COMMANDS if name in results}
      RESULTS.write_text(json.dumps(results, indent=1) + '\n')
      print(row(name, results[name]), flush=True)
  draw(results)
  before, _, after = between(README.read_text(), 'image results')
  README.write_text(f'{before}\n{table(results)}\n{after}')


if __name__ == '__main__':
  main()
