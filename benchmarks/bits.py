"""Whether a change keeps the bits of training: short runs of two commits, compared byte for byte.

    python -m benchmarks.bits --base c71fb86          # that commit beside the working tree
    python -m benchmarks.bits --base c71fb86 poisson  # some of the cases

Each case is a command that trains 60 steps and evaluates. The `metrics.jsonl` of both have to be
the same bytes, and the arrays of every evaluation have to have the same names and agree within
1e-6. Runs of the base lie in `runs/bits/<commit>` and are made once. Exit status 1 if anything
differs.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / 'runs' / 'bits'
# Of evaluation arrays. A mean over episodes agrees within 1e-6. A single number may not: where a
# count is large, log p is a difference of lgammas of about 100, whose last bit is 7.6e-6, and a
# compiler rounds otherwise where a number that was compiled in becomes an argument.
MEAN_TOLERANCE, NUMBER_TOLERANCE = 1e-6, 1e-5
SHORT = {
  'training_steps': 60, 'optimizer.warmup_steps': 10, 'log_train_data_interval': 1,
  'keep_checkpoints': 'log:2', 'eval.episodes': 64, 'eval.batch_size': 32,
}  # fmt: skip
GLM = SHORT | {'eval.posterior_samples': 64}
GROWING = {
  'task.curriculum.interval': 10, 'early_stopping.patience': 20, 'early_stopping.window': 5,
}  # fmt: skip
PROCEDURAL_MODES = (
  'eval_fewshot_holdout', 'eval_no_support_zipfian', 'eval_bursty', 'eval_mixed', 'eval_random',
  'eval_flip', 'eval_iwl_context', 'eval_induction',
)  # fmt: skip
SINGLE_FAMILIES = ('linear', 'logistic', 'poisson', 'neg_binomial', 'exponential', 'multinomial')
# The words and the fields of each case: every quick preset, then what changes a step besides.
CASES: dict[str, tuple[str, dict[str, object]]] = {
  'joint': ('glm:joint', GLM | {'eval_modes': ('eval', 'eval_joint', 'eval_poisson')}),
  **{name: (f'glm:{name}', GLM) for name in SINGLE_FAMILIES},
  'growing': ('glm:joint', GLM | GROWING),
  'procedural': ('omniglot:procedural', SHORT | {'eval_modes': PROCEDURAL_MODES}),
  'induction': ('omniglot:induction', SHORT),
}


def command(case: str, folder: Path) -> list[str]:
  """The command that makes the run of a case."""
  words, fields = CASES[case]
  file, _, preset = words.partition(':')
  overrides = [f'--config.{name}={value}' for name, value in fields.items()]
  where = f'--config.checkpoint_dir={folder}'
  return [sys.executable, 'run.py', f'--config=configs/{file}.py:{preset}', *overrides, where]


def make_run(tree: Path, case: str, folder: Path) -> None:
  """Makes a run with the code of a tree; says what went wrong where it fails."""
  done = subprocess.run(command(case, folder), cwd=tree, capture_output=True, text=True)
  if done.returncode:
    sys.exit(f'{case} in {tree} failed with status {done.returncode}\n{done.stdout}{done.stderr}')


def make_base_runs(commit: str, cases: Sequence[str]) -> Path:
  """The folder with the runs of a commit, made where they are missing."""
  folder, tree = RUNS / commit, RUNS / f'.tree-{commit}'
  missing = [case for case in cases if not (folder / case / '.done').exists()]
  if missing:
    subprocess.run(['git', 'worktree', 'add', '--detach', '-f', tree, commit], cwd=ROOT, check=True)
    try:
      for case in missing:
        make_run(tree, case, folder / case)
        (folder / case / '.done').touch()
        print(f'{case}: made with {commit}', flush=True)
    finally:
      subprocess.run(['git', 'worktree', 'remove', '--force', tree], cwd=ROOT, check=True)
  return folder


def differences(base: Path, changed: Path) -> list[str]:
  """What differs between two runs, a line each."""
  found = []
  if (base / 'metrics.jsonl').read_bytes() != (changed / 'metrics.jsonl').read_bytes():
    found.append('metrics.jsonl differs')
  for path in sorted(base.glob('eval*/*.npz')):
    name, other = path.relative_to(base), changed / path.relative_to(base)
    if not other.exists():
      found.append(f'{name} is missing')
      continue
    with np.load(path) as before, np.load(other) as after:
      if set(before.files) != set(after.files):
        found.append(f'{name} has other arrays: {sorted({*before.files} ^ {*after.files})}')
      for key in sorted(set(before.files) & set(after.files)):
        if difference := _difference(before[key], after[key]):
          found.append(f'{name}: {key} differs by {difference}')
  return found


def _difference(before: np.ndarray, after: np.ndarray) -> str:
  """How much two arrays `[n, ...]` differ, if it is more than is allowed."""
  if before.shape != after.shape or not np.array_equal(np.isfinite(before), np.isfinite(after)):
    return 'its shape or what is finite'
  gap = np.where(np.isfinite(before), before.astype(np.float64) - after, 0)
  of_number, of_mean = np.abs(gap).max(initial=0), np.abs(gap.mean(0)).max(initial=0)
  is_allowed = of_number <= NUMBER_TOLERANCE and of_mean <= MEAN_TOLERANCE
  return '' if is_allowed else f'{of_number:.1e}, in the mean {of_mean:.1e}'


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('cases', nargs='*', help=f'some of {", ".join(CASES)}')
  parser.add_argument('--base', required=True, help='the commit to compare with')
  options = parser.parse_args()
  cases = options.cases or list(CASES)
  base, changed, failed = make_base_runs(options.base, cases), RUNS / 'changed', False
  shutil.rmtree(changed, ignore_errors=True)
  for case in cases:
    make_run(ROOT, case, changed / case)
    found = differences(base / case, changed / case)
    failed = failed or bool(found)
    print(f'{case}: {"; ".join(found) or "the same"}', flush=True)
  sys.exit(int(failed))


if __name__ == '__main__':
  main()
