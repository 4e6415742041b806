"""Command lines of sweeps that cannot be followed, for `test_command_line.py`: what is wrong, the
command line, and what its one line has to name.
"""

GLM, LINEAR = '--config=configs/glm.py', '--config=configs/linear_regression.py'
IMAGES = '--config=configs/omniglot.py:procedural'

_SPECS = {
  'an unknown field': ('task.rr=1,2', ["'task.rr'", "'task.r'"]),
  'a field twice': ('task.r=1; random_seed=0; task.r=2', ['task.r', 'twice']),
  'a field twice in step': ('task.r,task.r=(1,2)', ['task.r', 'twice']),
  'a point twice': ('random_seed=0,1,0', ['random_seed']),
  'one number written twice': ('task.r=1,1.0', ['task.r']),
  'a range that runs backwards': ('random_seed=2..0', ['2..0']),
  'powers that run backwards': ('task.n_tasks=2^7..2^1', ['2^7..2^1']),
  'mixed bases': ('task.n_tasks=2^1..3^4', ['2^1..3^4']),
  'a setting of evaluations': ('eval.r=1,2', ['eval.r']),
  'a folder': ('checkpoint_dir=a,b', ['checkpoint_dir']),
  'what is evaluated': ('restore_path=a,b', ['restore_path']),
  'an interval of the log': ('log_train_data_interval=1,2', ['log_train_data_interval']),
  'a sweep in a sweep': ('sweep=a,b', ['sweep']),
  'too many points': ('random_seed=0..10000', ['10000']),
  'far too many points': ('random_seed=0..2147483647; task.n_tasks=1..2147483647', ['10000']),
  'a point of a wrong kind': ('random_seed=0,x', ['random_seed', "'x'"]),
  'half a seed': ('random_seed=0.5', ['random_seed']),
  'a point that its checks refuse': ('model.heads=4,3', ['heads=3', 'model.width 64']),
  'a family that there is not': ('task.families=poisson,gamma', ["'gamma'"]),
  'too few in step': ('task.r,random_seed=(1,2),(3)', ['task.r,random_seed']),
  'nothing in step': ('task.r,random_seed=1,2', ['task.r,random_seed']),
  'no value': ('task.r=', ['task.r']),
  'no field': ('1,2', ['1,2']),
  'an unknown name': ('disperson', ["'disperson'", "'dispersion'"]),
  'an empty axis': ('task.r=1,2;;random_seed=0', [';']),
  'a group': ('task=1,2', ['task']),
  'a parenthesis that stays open': ('task.r,random_seed=(1,2', ['(1,2']),
}  # fmt: skip

WRONG = {
  f'a sweep: {what}': ([GLM, '--jaxline_mode=sweep', f'--config.sweep={spec}'], named)
  for what, (spec, named) in _SPECS.items()
} | {
  'a sweep in the folder of a run': (
    [GLM, '--jaxline_mode=sweep', '--config.checkpoint_dir={tmp}/trained'],
    ['{tmp}/trained: a run is there', '--config.checkpoint_dir'],
  ),
  'a sweep of no process': (
    [GLM, '--jaxline_mode=sweep', '--config.sweep_workers=0'], ['sweep_workers is 0'],
  ),
  'a sweep of what is evaluated': (
    [GLM, '--jaxline_mode=sweep', '--config.restore_path={tmp}/trained'],
    ['restore_path', 'checkpoint_dir'],
  ),
  'a config without a sweep': (
    ['--config=configs/omniglot.py:induction', '--jaxline_mode=sweep'], ['sweep']
  ),
  'the status of nothing': (
    [GLM, '--jaxline_mode=status'], ['{run}: no run is there', '{run}_sweep'],
  ),
  'a sweep in another mode': ([GLM, '--config.sweep=task.r=1,2'], ['--jaxline_mode sweep']),
  'a mode that is nearly one': ([GLM, '--jaxline_mode=statu'], ["did you mean 'status'"]),
  'a mode of sweeps on a run': (
    [LINEAR, '--jaxline_mode=eval_diversity', '--config.restore_path={tmp}/trained'],
    ["'eval_diversity'", 'a sweep over task.n_tasks'],
  ),
}  # fmt: skip
