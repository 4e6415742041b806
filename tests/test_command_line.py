"""Wrong command lines end in one line that names what is wrong, with exit status 2, and leave
nothing behind.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from configs import glm, omniglot
from icljax import checks
from jaxline_lite import modes
from jaxline_lite.errors import BadInput
from jaxline_lite.run_folder import record_config
from tests import wrong_sweeps

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
  'a mode to come': ([GLM, '--jaxline_mode=report'], ['--jaxline_mode report', 'not built yet']),
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
  'a field without config.': ([GLM, '--training_steps=5'], ['--config.training_steps=5']),
  'a field of a group without config.': ([GLM, '--lr', '5'], ['--lr', '--config.optimizer.learning_rate=VALUE']),
  'a field behind one dash': ([GLM, '-model.heads=5'], ['--config.model.heads=5']),
  'a flag': ([GLM, '--jaxline_mod', 'train'], ['--jaxline_mod', "did you mean 'jaxline_mode'"]),
  'a flag of other systems': ([GLM, '--mode=train'], ['--mode', "did you mean 'jaxline_mode'"]),
  'the usual short name': ([GLM, '--config.optimizer.lr=1'], ["'optimizer.learning_rate'"]),
  'a name of elsewhere': ([GLM, '--config.n_layers=1'], ["did you mean 'model.layers'"]),
  'a name without its group': ([GLM, '--config.batch_size=1'], ["'eval.batch_size' or 'training.batch_size'"]),
  'a name in capitals': ([GLM, '--config.model.Width=1'], ["did you mean 'model.width'"]),
  'a seed': ([GLM, '--config.seed=1'], ["did you mean 'random_seed'"]),
  'a name like no other': ([GLM, '--config.nn=4'], ['--config.nn', 'jaxline_lite/base_config.py list them']),
  'a field without a value': ([GLM, '--config.training_steps'], ['--config.training_steps has no value', 'a whole number']),
  'a field before a flag': ([GLM, '--config.checkpoint_dir', '--noconfig.final_eval'], ['--config.checkpoint_dir has no value']),
  'a whole number as a power': ([GLM, '--config.training_steps=1e3'], ["'1e3'", 'such as 1000']),
  'a truth value behind a space': ([GLM, '--config.final_eval', 'false'], ["'false'", '--config.final_eval=false']),
  'a broken tuple': ([GLM, '--config.eval_modes=(a,b)'], ["'(a,b)'", '"(\'a\',\'b\')"']),
  'no tuple, but brackets': ([GLM, "--config.eval_modes=('eval')"], ['--config.eval_modes', '"(\'a\',\'b\')"']),
  'a tuple with a set that cannot be': ([GLM, "--config.eval_modes=({{[]}},)"], ["'({{[]}},)'", 'a tuple such as']),
  'workers': ([GLM, '--config.sweep_workers=0'], ['sweep_workers is 0', 'from 1 to 256']),
  'numbers for names': ([GLM, '--config.eval_modes=(1,2)'], ['eval_modes is (1, 2)', 'names of eval modes']),
  'a mode in capitals': ([GLM, '--jaxline_mode=TRAIN'], ["'TRAIN'", "did you mean 'train'"]),
  'a word in capitals': (['--config=configs/glm.py:Poisson'], ["'Poisson'", "did you mean 'poisson'"]),
  'a folder for a config': (['--config=configs'], ["'configs' is a folder"]),
  'a text for a config': (['--config=README.md'], ["'README.md' is no Python file"]),
  'a program for a config': (['--config={tmp}/plain.py'], ['plain.py', 'get_config']),
  'a config that exits': (['--config={tmp}/exiting.py'], ['exiting.py', 'SystemExit: 3']),
  'a colon in the name of a config': (['--config={tmp}/with:colon.py'], ['colon.py', 'a colon in its name']),
  'a config twice': ([GLM, IMAGES], ['--config is given 2 times']),
  'fewer steps than the warm-up': (
    [GLM, '--config.training_steps=100'], ['optimizer.warmup_steps is 200', '--config.training_steps=100 --config.optimizer.warmup_steps=10']
  ),
  'more checkpoints than can be kept': ([GLM, '--config.keep_checkpoints=log:99999999999'], ["keep_checkpoints is 'log:99999999999'", 'up to 10000']),
  'more steps than numbers': ([GLM, '--config.training_steps=3000000000'], ['training_steps is 3000000000', '2147483647']),
  'a large whole number': ([GLM, '--config.task.curriculum.interval=9999999999'], ['task.curriculum.interval is 9999999999', '2147483647']),
  'a small whole number': ([GLM, '--config.task.curriculum.points_increment=-9999999999'], ['task.curriculum.points_increment is -9999999999']),
  'a large seed of the pool': ([IMAGES, '--config.task.pool_seed=5000000000'], ['task.pool_seed is 5000000000', '4294967295']),
  'a rate that is 0 in 32 bits': ([GLM, '--config.optimizer.learning_rate=1e-60'], ['optimizer.learning_rate is 1e-60', '1.2e-38']),
  'a scale beyond 32 bits': ([GLM, '--config.task.scale=1e300'], ['task.scale is 1e+300', '3.4e+38']),
  'no number at all': ([GLM, '--config.optimizer.momentum=nan'], ['optimizer.momentum is nan']),
  'a mode that the labels make impossible': (
    ['--config=configs/omniglot.py:induction', "--config.eval_modes=('eval_flip',)"],
    ["there is no 'eval_flip' of this run", 'zipfian classes have no fixed labels'],
  ),
  'a mode that the split makes impossible': (
    ['--config=configs/omniglot.py:symbolic', "--config.eval_modes=('eval_fewshot_common',)"],
    ["there is no 'eval_fewshot_common' of this run", 'common classes are 0 and not at least 2'],
  ),
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
    ['--config=configs/glm.py:poisson', "--config.eval_modes=('eval_joint',)"], ["'eval_joint'", 'of one family (poisson)', 'allowed are eval, eval_linear']
  ),
  'tasks of a pool that is none': (
    [GLM, '--jaxline_mode=eval_pretrain', '--config.restore_path={tmp}/trained'],
    ["there is no 'eval_pretrain' of this run", 'from a pool of 0 (task.n_tasks'],
  ),
  'between the tasks of a pool of one': (
    [GLM, '--config.task.n_tasks=1', "--config.eval_modes=('eval_interpolation',)"],
    ["there is no 'eval_interpolation' of this run", 'from a pool of 1 (task.n_tasks'],
  ),
  'an infinite pool': ([GLM, '--config.task.n_tasks=inf'], ["task.n_tasks is 'inf'", '0 means a fresh task per episode']),
  'a pool called infinite': (
    [GLM, '--config.task.n_tasks=infinite'], ["task.n_tasks is 'infinite'", '0 means a fresh task per episode']
  ),
  'a pool of less than nothing': (
    [GLM, '--config.task.n_tasks=-1'], ['task.n_tasks is -1', '1 to 2147483647', '0 means a fresh task per episode']
  ),
  'a pool that cannot be counted': ([GLM, '--config.task.n_tasks=2147483648'], ['task.n_tasks is 2147483648', 'up to 2147483647']),
  'the seed of a pool': ([GLM, '--config.task.pool_seed=-1'], ['task.pool_seed is -1', '0 to 4294967295']),
  "a pool for a task of one's own": (
    [GLM, '--config.task.n_tasks=4', '--config.task.own=examples.own_task:sparse'],
    ['task.n_tasks is 4', "task.own is 'examples.own_task:sparse'", 'leave one of them out'],
  ),
  'what stops a run': ([GLM, '--config.early_stopping.on=valid'], ["early_stopping.on is 'valid'", 'train, pretrain, latent']),
  'new tasks of image sequences': (
    ['--config=configs/omniglot.py', '--config.early_stopping.on=latent'], ["early_stopping.on is 'latent'", 'train and pretrain']
  ),
  "new tasks of a task of one's own": (
    [GLM, '--config.early_stopping.on=latent', '--config.task.own=examples.own_task:sparse'], ["early_stopping.on is 'latent'", 'on=pretrain']
  ),
  'titles': (
    [GLM, '--jaxline_mode=eval', '--config.restore_path={tmp}/trained', '--config.eval.titles=A,B'],
    ["eval.titles is 'A,B'", '1 run(s)'],
  ),
  'a title of one model': (
    [GLM, '--jaxline_mode=eval', '--config.restore_path={tmp}/trained', '--config.eval.titles=A'],
    ["eval.titles is 'A'", 'changes nothing', 'one run'],
  ),
  'an r that no evaluated family has': (
    ['--config=configs/glm.py:poisson', '--config.eval.r=3'],
    ['eval.r is 3.0', 'changes nothing in eval,', 'leave it out, or evaluate eval_neg_binomial'],
  ),
  'an r of an evaluated family that has none': (
    [GLM, '--jaxline_mode=eval_linear', '--config.restore_path={tmp}/trained', '--config.eval.r=3'],
    ['eval.r is 3.0', 'changes nothing in eval_linear', 'eval_neg_binomial'],
  ),
  'one of several runs': (
    [GLM, '--jaxline_mode=eval', '--config.restore_path={tmp}/trained,{tmp}/nowhere'], ['{tmp}/nowhere: no run is there']
  ),
  'to follow several runs': (
    [GLM, '--jaxline_mode=eval', '--noconfig.one_off_evaluate', '--config.restore_path={tmp}/trained,{tmp}/trained'],
    ['one_off_evaluate is False', 'restore_path is'],
  ),
  'a run of another subject': (
    [IMAGES, '--jaxline_mode=eval', '--config.restore_path={tmp}/trained'],
    ["{tmp}/trained: subject is 'glm' there, and 'omniglot' in", '--config=configs/glm.py'],
  ),
  'an eval mode of another subject': (
    [IMAGES, '--jaxline_mode=eval_flip', '--config.restore_path={tmp}/trained'],
    ["{tmp}/trained: subject is 'glm' there", '--config=configs/glm.py'],
  ),
  'a config.json with a width of text': (
    [GLM, '--jaxline_mode=eval', '--config.restore_path={tmp}/edited'],
    ["{tmp}/edited/config.json: model.width is '64'", 'whole numbers from 1'],
  ),
  'another size of the drawings of a run': (
    [IMAGES, '--jaxline_mode=eval', '--config.restore_path={tmp}/drawn', '--config.data.side=3', '--config.data.manual_dir=D'],
    ['--config.data.side (28 there, 3 here): an evaluated run keeps its own', 'data.features, data.manual_dir'],
  ),
  'a file for a folder': ([GLM, '--config.checkpoint_dir={tmp}/broken.py'], ['{tmp}/broken.py', 'checkpoint_dir']),
}  # fmt: skip
WRONG |= wrong_sweeps.WRONG


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
  (tmp / 'plain.py').write_text('x = 1\n')
  (tmp / 'exiting.py').write_text('import sys\nsys.exit(3)\n')
  (tmp / 'with:colon.py').write_text('')
  (tmp / 'trained').mkdir()
  record_config(tmp / 'trained', glm.get_config(), checks)
  edited = glm.get_config()
  with edited.ignore_type():
    edited.model.width = '64'
  for name, config in (('edited', edited), ('drawn', omniglot.get_config('procedural'))):
    (tmp / name).mkdir()
    record_config(tmp / name, config, checks)
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


def test_numbers_may_have_underscores_and_configs_blanks_in_their_names(tmp_path):
  """Up to the last check, which names what was read."""
  file = tmp_path / 'my config.py'
  file.write_text('from configs.glm import get_config\n')
  arguments = [f'--config={file}:poisson', '--config.training_steps=1_00']
  done = subprocess.run(
    [sys.executable, 'run.py', *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300
  )
  assert done.returncode == 2
  assert 'training_steps 100: set both' in done.stderr


SHIPPED = [
  (module, f'{preset},{size}')
  for module in (glm, omniglot)
  for preset in module.PRESETS
  for size in ('quick', 'paper')
]


@pytest.mark.parametrize(('module', 'words'), SHIPPED, ids=[words for _, words in SHIPPED])
@pytest.mark.parametrize('steps', [1, 5, 100])
def test_a_short_run_takes_what_its_error_says(module, words, steps):
  """Both fields, in one line; `eval_interval` and what is logged may be longer than the run."""
  config = module.get_config(words)
  config.training_steps = steps
  try:
    modes.check(config, 'train_eval', checks)
  except BadInput as error:
    both = dict(re.findall(r'--config\.([\w.]+)=(\d+)', str(error)))
    assert both.keys() == {'training_steps', 'optimizer.warmup_steps'}
    config.update_from_flattened_dict({field: int(value) for field, value in both.items()})
    modes.check(config, 'train_eval', checks)
  assert config.training_steps == steps


def test_without_arguments_it_names_help():
  done = subprocess.run(
    [sys.executable, 'run.py'], cwd=ROOT, capture_output=True, text=True, timeout=300
  )
  assert (done.returncode, done.stdout, done.stderr.count('\n')) == (2, '', 1)
  assert '--config=configs/glm.py' in done.stderr
  assert '--help' in done.stderr


def test_help_is_a_page_of_usage():
  done = subprocess.run(
    [sys.executable, 'run.py', '--help'], cwd=ROOT, capture_output=True, text=True, timeout=300
  )
  assert (done.returncode, done.stderr) == (0, '')
  assert done.stdout.startswith('usage: python run.py --config=FILE')
  assert '--jaxline_mode' in done.stdout
