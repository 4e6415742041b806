"""Wrong command lines end in one line that names what is wrong, with exit status 2, and leave
nothing behind.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from configs import glm
from icljax import checks
from jaxline_lite.run_folder import record_config

ROOT = Path(__file__).parent.parent
IMAGES = '--config=configs/omniglot.py:procedural'
GLM = '--config=configs/glm.py'

# what is wrong: (the command line, what its one line has to name); {tmp} is a folder with
# `trained`, a run's config
WRONG = {
  'an unknown field': ([GLM, '--config.traning_steps=5'], ['--config.traning_steps', "'training_steps'"]),
  'an unknown field of a group': ([GLM, '--config.model.widht=5'], ['--config.model.widht', "'model.width'"]),
  'a group of fields': ([GLM, '--config.task=5'], ['--config.task ', 'task.scale']),
  'no whole number': ([GLM, '--config.training_steps=1.5'], ['--config.training_steps', "'1.5'", 'a whole number']),
  'no number': ([GLM, '--config.task.scale=big'], ['--config.task.scale', "'big'", 'a number']),
  'no tuple': ([GLM, '--config.eval_modes=a,b'], ['--config.eval_modes', "'a,b'", '"(\'a\',\'b\')"']),
  'no truth value': ([GLM, '--config.final_eval=maybe'], ['--config.final_eval', "'maybe'", 'true or false']),
  'a negated number': ([GLM, '--noconfig.training_steps'], ['--noconfig.training_steps', 'a whole number']),
  'a negation with a value': ([GLM, '--noconfig.final_eval=1'], ['--noconfig.final_eval=1']),
  'a mode': ([GLM, '--jaxline_mode=trian'], ["'trian'", "did you mean 'train'"]),
  'a mode to come': ([GLM, '--jaxline_mode=sweep'], ['--jaxline_mode sweep', 'not built yet']),
  'an eval mode': ([GLM, '--jaxline_mode=eval_poison', '--config.restore_path={tmp}/trained'], ["'eval_poison'", 'eval_poisson']),
  'eval_modes': ([GLM, "--config.eval_modes=('eval_gamma',)"], ['--config.eval_modes', "'eval_gamma'"]),
  'a missing config': ([], ['--config', 'is missing']),
  'a config that is not there': (['--config=configs/gml.py'], ["'configs/gml.py'", "'configs/glm.py'"]),
  'a broken config': (['--config={tmp}/broken.py'], ['broken.py, line 2', 'SyntaxError']),
  'a config that fails': (['--config={tmp}/failing.py'], ['failing.py', 'OSError: one line and another']),
  'a word': (['--config=configs/glm.py:poison'], ["'poison'", "did you mean 'poisson'"]),
  'two presets': (['--config=configs/glm.py:poisson,linear'], ["'poisson'", "'linear'", 'at most one']),
  'heads': ([GLM, '--config.model.heads=3'], ['model.heads is 3', 'model.width 64']),
  'a batch size': ([GLM, '--config.training.batch_size=30'], ['training.batch_size is 30', '4 devices']),
  'a family': ([GLM, '--config.task.families=poisson,gamma'], ['task.families', "'gamma'", 'exponential']),
  'a learning rate': ([GLM, '--config.optimizer.learning_rate=-1'], ['optimizer.learning_rate is -1.0']),
  'an infinite scale': ([GLM, '--config.task.scale=inf'], ['task.scale is inf']),
  'a large seed': ([GLM, '--config.random_seed=5000000000'], ['random_seed is 5000000000', '4294967295']),
  'an interval': ([GLM, '--config.save_checkpoint_interval=soon'], ['save_checkpoint_interval', "'soon'", "'300s'"]),
  'what is kept': ([GLM, '--config.keep_checkpoints=all'], ['keep_checkpoints', "'all'", "'log:20'"]),
  'restore_path in train': ([GLM, '--config.restore_path={tmp}/trained'], ['restore_path', 'checkpoint_dir']),
  'a run that is not there': ([GLM, '--jaxline_mode=eval'], ['{run}: no run is there', '--config.restore_path']),
  'a trained field in eval': (
    [GLM, '--jaxline_mode=eval', '--config.task.scale=2', '--config.restore_path={tmp}/trained'], ['--config.task.scale (0.5 there, 2.0 here)', 'eval.*']
  ),
  'a preset of images': (['--config=configs/omniglot.py:procedual'], ["'procedual'", "did you mean 'procedural'"]),
  'a kind of sequence': ([IMAGES, '--config.data.train_seqs=fewshot'], ["data.train_seqs is 'fewshot'", 'fewshot_holdout']),
  'too many classes': ([IMAGES, '--config.data.generator_config.n_rare_classes=1600'], ['asks for 1600 rare', 'there are 1623']),
  'a field of sequences': ([IMAGES, '--config.data.seq_config.p_brusty=1'], ['p_brusty', "'data.seq_config.p_bursty'"]),
  'a file of features': (
    [IMAGES, '--config.data.example_type=features', '--config.data.features={tmp}/none.npz'], ['none.npz', 'not a .npz file']
  ),
  'a stray argument': ([GLM, 'training_steps=5'], ["'training_steps=5'", 'belongs to no flag']),
  'a flag': ([GLM, '--training_steps=5'], ["'training_steps'"]),
  'no folder': ([GLM, '--config.checkpoint_dir='], ['checkpoint_dir is empty']),
  'an optimizer': ([GLM, '--config.optimizer.name=adan'], ["optimizer.name is 'adan'", 'adam, adamw, sgd']),
  'a schedule': ([GLM, '--config.optimizer.schedule=cosine'], ["optimizer.schedule is 'cosine'", 'warmup_cosine']),
  'a momentum': ([GLM, '--config.optimizer.momentum=1'], ['optimizer.momentum is 1.0', 'below 1']),
  'a curriculum': (
    [GLM, '--config.task.curriculum.interval=10', '--config.task.curriculum.dims_start=5'],
    ['task.curriculum.dims_start is 5', 'from 1 to 4'],
  ),
  'patience': ([GLM, '--config.early_stopping.patience=-1'], ['early_stopping.patience is -1', 'from 0']),
  'a source that is not there': ([GLM, '--config.init_from={tmp}/nowhere'], ['{tmp}/nowhere: no run is there']),
  'a module': ([GLM, '--config.model.sequence=nowhere:Model'], ["model.sequence is 'nowhere:Model'", "no module 'nowhere'"]),
  'a thing of a module': (
    [GLM, '--config.task.own=examples.own_task:dense'],
    ["task.own is 'examples.own_task:dense'", "has no attribute 'dense'"],
  ),
  'a thing of another kind': (
    [GLM, '--config.task.families=examples.own_family:Binomial'],
    ["task.families is 'examples.own_family:Binomial'", 'is no icljax.families.Family'],
  ),
  'another sequence model': ([GLM, '--config.model.sequence=examples.own_task:sparse'], ['model.sequence is', 'cannot be made of']),
  'a metric of another shape': ([GLM, '--config.eval.metrics=operator:is_'], ['eval.metrics: is_ gives []', '[K]']),
  'two families of one name': ([GLM, '--config.task.families=examples.own_family:binomial,examples.own_family:binomial'], ['task.families is', 'names that differ']),
  "a task of one's own for another family": (
    [GLM, '--config.task.own=examples.own_task:sparse'], ['examples.own_task:sparse is for --config.task.families=linear']
  ),
  'no import path': ([GLM, '--config.eval.metrics=squared_error'], ["eval.metrics is 'squared_error'", "'module:name'"]),
  'eval_joint of one family': (
    ['--config=configs/glm.py:poisson', "--config.eval_modes=('eval_joint',)"], ["'eval_joint'", 'allowed are eval, eval_linear']
  ),
  'titles': (
    [GLM, '--jaxline_mode=eval', '--config.restore_path={tmp}/trained', '--config.eval.titles=A,B'],
    ["eval.titles is 'A,B'", '1 run(s)'],
  ),
  'one of several runs': (
    [GLM, '--jaxline_mode=eval', '--config.restore_path={tmp}/trained,{tmp}/nowhere'], ['{tmp}/nowhere: no run is there']
  ),
  'to follow several runs': (
    [GLM, '--jaxline_mode=eval', '--noconfig.one_off_evaluate', '--config.restore_path={tmp}/trained,{tmp}/trained'],
    ['one_off_evaluate is False', 'restore_path is'],
  ),
  'a file for a folder': ([GLM, '--config.checkpoint_dir={tmp}/broken.py'], ['{tmp}/broken.py', 'checkpoint_dir']),
}  # fmt: skip


# runs run.py for each command line in a fork of one process, which has imported what takes seconds
FORKS = """
import json, os, runpy, sys, traceback
import icljax.experiment, jaxline_lite.train
for arguments, out in json.load(sys.stdin):
  if not os.fork():
    for stream in (1, 2):
      os.dup2(os.open(out + str(stream), os.O_WRONLY | os.O_CREAT), stream)
    sys.argv = ['run.py', *arguments]
    status = 1
    try:
      runpy.run_path('run.py', run_name='__main__')
    except SystemExit as end:
      status = end.code
    except BaseException:
      traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # without a second for tidying up
  print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)  # or the next fork prints it too
"""


@pytest.fixture(scope='module')
def outcomes(tmp_path_factory):
  """What each command line of the table printed and left in its run folder."""
  tmp = tmp_path_factory.mktemp('command_line')
  (tmp / 'broken.py').write_text('def get_config():\n  return (\n')
  (tmp / 'failing.py').write_text("raise OSError('one line\\nand another')\n")
  (tmp / 'trained').mkdir()
  record_config(tmp / 'trained', glm.get_config(), checks)
  commands = []
  for number, (arguments, _) in enumerate(WRONG.values()):
    arguments = [argument.format(tmp=tmp) for argument in arguments]
    if arguments and not any('checkpoint_dir' in argument for argument in arguments):
      arguments.append(f'--config.checkpoint_dir={tmp}/run{number}')
    commands.append((arguments, f'{tmp}/printed{number}_'))
  done = subprocess.run(
    [sys.executable, '-c', FORKS],
    cwd=ROOT,
    input=json.dumps(commands),
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert done.returncode == 0, done.stderr
  ended = {}
  for number, (what, status) in enumerate(zip(WRONG, map(int, done.stdout.split()), strict=True)):
    printed = [Path(f'{tmp}/printed{number}_{stream}').read_text() for stream in (1, 2)]
    ended[what] = (
      subprocess.CompletedProcess(commands[number][0], status, *printed),
      tmp,
      tmp / f'run{number}',
    )
  return ended


@pytest.mark.parametrize('what', WRONG)
def test_a_wrong_command_line_ends_in_one_line(outcomes, what):
  done, tmp, folder = outcomes[what]
  assert done.returncode == 2, done.stderr
  assert done.stdout == ''
  assert done.stderr.count('\n') == 1
  assert done.stderr.strip()
  assert 'Traceback' not in done.stderr
  for named in WRONG[what][1]:
    assert named.format(tmp=tmp, run=folder) in done.stderr
  assert not folder.exists()


def test_a_refused_evaluation_leaves_the_run_as_it_was(outcomes):
  tmp = outcomes['an eval mode'][1]
  assert [path.name for path in (tmp / 'trained').rglob('*')] == ['config.json']


def test_a_process_of_its_own_says_nothing_else(tmp_path):
  """Nor do the things that it imports."""
  arguments = [GLM, '--config.training.batch_size=30', f'--config.checkpoint_dir={tmp_path}']
  done = subprocess.run(
    [sys.executable, 'run.py', *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300
  )
  assert (done.returncode, done.stdout) == (2, '')
  assert done.stderr.startswith('training.batch_size is 30')
  assert done.stderr.count('\n') == 1


def test_help_is_a_page_of_usage():
  done = subprocess.run(
    [sys.executable, 'run.py', '--help'], cwd=ROOT, capture_output=True, text=True, timeout=300
  )
  assert (done.returncode, done.stderr) == (0, '')
  assert done.stdout.startswith('usage: python run.py --config=FILE')
  assert '--jaxline_mode' in done.stdout
