"""Sweeps of the dummy experiment: many runs, by one process and by several."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.sweeps import children, is_alive
from jaxline_lite import evaluated_runs, files, modes, status, sweep, sweep_reading
from jaxline_lite.errors import BadInput, Diverged
from jaxline_lite.ownership import hold
from jaxline_lite.run_status import run_status
from tests.faults import command, needs_faults
from tests.jaxline_lite import dummy

NAMES = ('tests.jaxline_lite.dummy:Dummy', 'tests.jaxline_lite.dummy')
FOUR = 'model.rate=0.1,0.2; random_seed=0..1'
# Long enough to be killed in the middle: every 20 steps are saved.
LONG = {'training_steps': 400, 'eval_modes': ('eval', 'eval_twice')}


def make(folder: Path, spec: str, **fields) -> None:
  """What `--jaxline_mode sweep` does."""
  config = dummy.configured(folder, sweep=spec, **fields)
  sweep.sweep(*NAMES, config, dummy.RULES, folder)


def names(folder: Path) -> list[str]:
  return sorted(path.name for path in folder.iterdir() if (path / 'config.json').exists())


def single(folder: Path, point: Path, **fields) -> None:
  """Trains the run of a point alone."""
  swept = files.from_json((point.parent / 'sweep.json').read_text())['points']
  (own,) = (listed['fields'] for listed in swept if listed['name'] == point.name)
  config = dummy.configured(folder, **fields)
  config.update_from_flattened_dict(own)
  dummy.train(config)


def assert_equal_to_single_runs(folder: Path, where: Path, **fields) -> None:
  for name in names(folder):
    single(where / name, folder / name, **fields)
    assert dummy.left_by(folder / name) == dummy.left_by(where / name)


def process(folder: Path, workers: int) -> subprocess.Popen:
  """The command of four long points in a process of its own."""
  program = f'from jaxline_lite import platform\nplatform.main{NAMES!r}'
  fields = LONG | {'sweep': FOUR, 'sweep_workers': workers, 'checkpoint_dir': folder}
  overrides = [f'--config.{name}={value}' for name, value in fields.items()]
  flags = [f'--config={dummy.__file__}', '--jaxline_mode=sweep', *overrides]
  return subprocess.Popen(
    [sys.executable, '-c', program, *flags],
    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
  )  # fmt: skip


def saved(folder: Path) -> int:
  """How many steps of all points together are saved."""
  return sum(dummy.steps(path)[-1] for path in folder.glob('*=*') if dummy.steps(path))


def await_progress(folder: Path, beyond: int = 0) -> None:
  """Waits until more steps than `beyond` are saved."""
  end = time.monotonic() + 60
  while saved(folder) <= beyond:
    assert time.monotonic() < end, f'no more than {beyond} steps of {folder} are saved'
    time.sleep(0.01)


def test_every_point_is_its_single_run(tmp_path):
  make(tmp_path / 'all', FOUR)
  assert len(names(tmp_path / 'all')) == 4
  assert_equal_to_single_runs(tmp_path / 'all', tmp_path / 'single')
  listed = files.from_json((tmp_path / 'all' / 'sweep.json').read_text())
  assert (listed['finished'], listed['of']) == (4, 4)
  assert {point['state'] for point in listed['points']} == {'finished'}


def test_two_processes_share_a_sweep(tmp_path):
  ended = process(tmp_path / 'all', workers=2)
  output, _ = ended.communicate(timeout=120)
  assert ended.returncode == 0, output
  assert_equal_to_single_runs(tmp_path / 'all', tmp_path / 'single', **LONG)


def test_kills_of_launcher_and_workers_change_no_bit(tmp_path):
  random, folder = np.random.default_rng(0), tmp_path / 'all'
  for _ in range(4):
    before = saved(folder)
    running = process(folder, workers=2)
    await_progress(folder, beyond=before + 40)
    pids = [running.pid, *children(running.pid)]
    os.kill(int(random.choice(pids)), signal.SIGKILL)
    time.sleep(0.3)
    for pid in pids:
      if is_alive(pid):
        os.kill(pid, signal.SIGKILL)
    running.communicate(timeout=60)
  ended = process(folder, workers=2)
  output, _ = ended.communicate(timeout=120)
  assert ended.returncode == 0, output
  assert_equal_to_single_runs(folder, tmp_path / 'single', **LONG)


def test_the_point_of_a_killed_worker_is_taken_up_by_another(tmp_path):
  folder = tmp_path / 'all'
  running = process(folder, workers=2)
  await_progress(folder, beyond=60)
  for pid in children(running.pid):
    os.kill(pid, signal.SIGKILL)
  output, _ = running.communicate(timeout=120)
  assert running.returncode == 0, output
  assert_equal_to_single_runs(folder, tmp_path / 'single', **LONG)


def test_no_worker_outlives_its_launcher(tmp_path):
  running = process(tmp_path / 'all', workers=3)
  await_progress(tmp_path / 'all')
  workers = children(running.pid)
  assert len(workers) == 2
  running.kill()
  running.communicate(timeout=60)
  end = time.monotonic() + 10
  while any(map(is_alive, workers)):
    assert time.monotonic() < end
    time.sleep(0.1)


def test_a_signal_saves_and_the_same_command_goes_on(tmp_path):
  folder = tmp_path / 'all'
  running = process(folder, workers=2)
  await_progress(folder, beyond=60)
  workers = children(running.pid)
  running.send_signal(signal.SIGTERM)
  output, _ = running.communicate(timeout=60)
  assert running.returncode == 75, output
  assert 'stopped by SIGTERM' in output
  assert not any(map(is_alive, workers))
  make(folder, FOUR, **LONG)
  assert_equal_to_single_runs(folder, tmp_path / 'single', **LONG)


def test_adding_points_trains_only_the_new_ones(tmp_path):
  folder = tmp_path / 'all'
  make(folder, 'random_seed=0..1')
  before = {name: (folder / name / 'log.txt').read_bytes() for name in names(folder)}
  make(folder, 'random_seed=0..3')
  assert len(names(folder)) == 4
  assert {name: (folder / name / 'log.txt').read_bytes() for name in before} == before
  make(folder, 'model.width=4')
  listed = files.from_json((folder / 'sweep.json').read_text())
  assert listed['finished'] == listed['of'] == 5


def test_a_point_that_diverges_leaves_and_the_others_go_on(tmp_path):
  folder, spec = tmp_path / 'all', 'model.bad_loss_at=30,0; random_seed=0..1'
  for _ in range(2):  # the second time nothing is trained, and the same is said
    with pytest.raises(
      Diverged, match='bad_loss_at=30,random_seed=0, bad_loss_at=30,random_seed=1'
    ):
      make(folder, spec)
    states = {name: run_status(folder / name, dummy.RULES).state for name in names(folder)}
    assert list(states.values()).count('diverged') == 2
    assert list(states.values()).count('finished') == 2


def test_a_folder_that_another_run_has_is_refused_before_anything_starts(tmp_path):
  folder = tmp_path / 'all'
  make(folder, 'random_seed=0')
  with pytest.raises(BadInput, match=r'random_seed=0: another run is there.*model.rate'):
    make(folder, 'random_seed=0..3', model__rate=0.2)
  assert names(folder) == ['random_seed=0']
  dummy.train(dummy.configured(tmp_path / 'run'))
  with pytest.raises(BadInput, match='a run is there, and a sweep takes a folder of its own'):
    make(tmp_path / 'run', 'random_seed=0..3')
  (folder / 'random_seed=1').write_text('')
  with pytest.raises(BadInput, match='a file is there'):
    make(folder, 'random_seed=1')


@needs_faults
def test_a_disk_that_fills_in_the_middle_ends_the_sweep_in_a_line(tmp_path):
  folder = tmp_path / 'all'
  arguments = [
    f'--config={dummy.__file__}', '--jaxline_mode=sweep', f'--config.sweep={FOUR}',
    f'--config.checkpoint_dir={folder}',
  ]  # fmt: skip
  name = f'{folder}/random_seed=1,rate=0.1/metrics.jsonl'
  full = command('dummy', *arguments, rules=(('write', errno.ENOSPC, name),))
  assert full.returncode == 2, full.stdout + full.stderr
  assert len(full.stderr.strip().splitlines()) == 1
  assert 'is full: nothing that was saved is lost' in full.stderr
  shown = command('dummy', arguments[0], '--jaxline_mode=status', f'--config.restore_path={folder}')
  assert '1 of 4 finished' in shown.stdout
  assert 'random_seed=0,rate=0.2  waiting' in shown.stdout
  assert command('dummy', *arguments).returncode == 0
  assert_equal_to_single_runs(folder, tmp_path / 'single')


def test_status_tells_runs_and_sweeps_from_their_files(tmp_path, capsys):
  folder, base = tmp_path / 'run_sweep', dummy.configured(tmp_path / 'run')
  with pytest.raises(BadInput, match='no run is there, and no sweep'):
    status.show_status(base, dummy.RULES)
  with pytest.raises(Diverged):
    make(folder, 'model.bad_loss_at=30,0')
  dummy.train(base)
  capsys.readouterr()
  with hold(folder / 'bad_loss_at=0', 'trained'):
    status.show_status(base, dummy.RULES)
  run, whole, diverged, trained = capsys.readouterr().out.splitlines()
  assert 'run  finished  step 60/60' in run
  assert whole.endswith('run_sweep: 0 of 2 finished, 1 diverged')
  assert 'bad_loss_at=30  diverged  step 30/60' in diverged
  assert 'bad_loss_at=0  training  step 60/60' in trained
  assert f'process {os.getpid()} on' in trained


def read(folder: Path, mode: str, **fields) -> None:
  """What `--jaxline_mode eval*` does with a sweep as `restore_path`."""
  config = dummy.configured(folder, restore_path=str(folder), **fields)
  assert sweep_reading.swept_folder(config) == folder
  configs = sweep_reading.finished_configs(config, dummy.RULES, folder)
  asked = sweep_reading.check_modes(configs, mode, dummy.RULES)
  with sweep.StopFlag() as stop:
    sweep_reading.read_sweep(NAMES[0], configs, dummy.RULES, folder, asked, stop)


def test_reading_evaluates_what_is_missing_and_leaves_out_what_is_unfinished(tmp_path, capsys):
  folder = tmp_path / 'all'
  with pytest.raises(Diverged):
    make(folder, 'model.bad_loss_at=30,0; model.width=2,3')
  finished = ['bad_loss_at=0,width=2', 'bad_loss_at=0,width=3']
  capsys.readouterr()
  before = (folder / finished[0] / 'eval' / 'metrics.jsonl').stat().st_mtime_ns
  read(folder, 'eval_twice', eval__target=3)
  assert (
    'left out, for they are not finished: bad_loss_at=30,width=2 (div' in capsys.readouterr().out
  )
  for name in finished:
    assert (folder / name / 'eval_twice' / '60_target=3.npz').exists()
  assert (folder / 'eval_twice_target=3').is_dir()
  read(folder, 'eval')
  assert (folder / finished[0] / 'eval' / 'metrics.jsonl').stat().st_mtime_ns == before


def test_a_mode_of_sweeps_is_known_where_its_field_is_swept(tmp_path):
  make(tmp_path / 'widths', 'model.width=2,3')
  assert (tmp_path / 'widths' / 'eval_widths').is_dir()
  assert (tmp_path / 'widths' / 'width=2' / 'eval_twice' / '60_target=7.npz').exists()
  make(tmp_path / 'seeds', 'random_seed=0..1')
  with pytest.raises(BadInput, match="there is no 'eval_widths'"):
    read(tmp_path / 'seeds', 'eval_widths')
  both = dummy.configured(tmp_path, restore_path=f'{tmp_path / "seeds"},{tmp_path / "widths"}')
  with pytest.raises(BadInput, match='is a sweep; give one sweep alone'):
    sweep_reading.swept_folder(both)


def test_a_sweep_over_a_further_field_keeps_the_points_that_are_there(tmp_path):
  folder = tmp_path / 'all'
  make(folder, 'model.width=2,3')
  make(folder, 'model.width=2,3; random_seed=0..1')
  assert names(folder) == ['random_seed=1,width=2', 'random_seed=1,width=3', 'width=2', 'width=3']
  points = files.from_json((folder / 'sweep.json').read_text())['points']
  assert {point['name']: point['fields'] for point in points}['width=2'] == {
    'model.width': 2,
    'random_seed': 0,
  }


def test_what_is_refused_when_it_is_built_blocks_no_corrected_command(tmp_path, monkeypatch):
  def refuse(self):
    raise BadInput('it cannot be trained here')

  folder = tmp_path / 'all'
  with monkeypatch.context() as patched:
    patched.setattr(dummy.Dummy, 'check_training', refuse)
    with pytest.raises(BadInput, match=r'2 point\(s\) could not be made.*cannot be trained here'):
      make(folder, 'random_seed=0..1', model__rate=0.9)
  make(folder, 'random_seed=0..1')
  assert {run_status(folder / name, dummy.RULES).state for name in names(folder)} == {'finished'}


def test_a_damaged_list_is_made_anew(tmp_path, capsys):
  folder = tmp_path / 'all'
  make(folder, 'random_seed=0..2')
  (folder / 'sweep.json').write_text('{')
  make(folder, 'random_seed=0..3')
  assert 'cannot be read' in capsys.readouterr().out
  states = [run_status(folder / name, dummy.RULES).state for name in names(folder)]
  assert states == ['finished'] * 4


def test_a_sweep_that_is_all_made_writes_no_config_anew(tmp_path):
  folder = tmp_path / 'all'
  make(folder, 'random_seed=0..1')
  before = [(folder / name / 'config.json').stat().st_mtime_ns for name in names(folder)]
  make(folder, 'random_seed=0..1')
  assert [(folder / name / 'config.json').stat().st_mtime_ns for name in names(folder)] == before


def test_points_of_other_common_settings_are_told_apart(tmp_path):
  folder = tmp_path / 'all'
  make(folder, 'random_seed=0..1')
  make(folder, 'random_seed=2..3', model__rate=0.3)
  fields = files.from_json((folder / 'eval' / 'counts.json').read_text())
  assert {name: sorted(swept) for name, swept in fields['fields'].items()} == {
    f'random_seed={seed}': ['model.rate', 'random_seed'] for seed in range(4)
  }


def test_a_mode_that_no_point_has_is_one_line(tmp_path):
  make(tmp_path / 'all', 'random_seed=0..1')
  with pytest.raises(BadInput, match="there is no 'eval_twise'"):
    read(tmp_path / 'all', 'eval', eval_modes=('eval', 'eval_twise'))


def test_many_runs_that_are_compared_are_shown_by_what_differs(tmp_path):
  make(tmp_path / 'all', 'random_seed=0..2')
  paths = [tmp_path / 'all' / name for name in names(tmp_path / 'all')]
  for count, is_shown in ((2, False), (3, True)):
    output = tmp_path / f'compared{count}'
    config = dummy.configured(
      tmp_path, restore_path=','.join(map(str, paths[:count])), eval__output_dir=str(output)
    )
    configs = evaluated_runs.evaluated_configs(config, dummy.RULES)
    modes.evaluate(dummy.Dummy, configs, dummy.RULES, ('eval',))
    shown = list(output.glob('eval/*/counts.json'))
    assert bool(shown) == is_shown
  fields = files.from_json(shown[0].read_text())['fields']
  assert fields == {f'random_seed={seed}': {'random_seed': seed} for seed in range(3)}
