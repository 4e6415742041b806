"""Checkpoints are whole, or are noticed and put aside."""

import errno
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from jaxline_lite import files
from jaxline_lite.checkpoint import Checkpoints
from jaxline_lite.errors import BadInput
from jaxline_lite.files import read_lines
from jaxline_lite.stored_state import MANIFEST, Damaged, read, verify, write
from tests.jaxline_lite.dummy import configured, left_by, train


def state_of(step):
  return {'w': np.arange(3, dtype=np.float32) + step, 'count': np.array(step, np.int32)}


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
  """Checkpoints of steps 5, 10 and 20."""
  folder = tmp_path_factory.mktemp('saved')
  for step in (5, 10, 20):
    write(folder / str(step), state_of(step), {'step': step, 'kept': False})
  return folder


@pytest.fixture
def copy(tmp_path, saved):
  """Those checkpoints, to be damaged, and the lines that they cause."""
  lines = []
  return Checkpoints(shutil.copytree(saved, tmp_path / 'checkpoints'), lines.append), lines


def cut(path):
  path.write_bytes(path.read_bytes()[:-1])


def zero(path):
  path.write_bytes(bytes(path.stat().st_size))


def flip(path):
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)


DAMAGES = {'truncate': cut, 'delete': lambda path: path.unlink(), 'zero': zero, 'flip a bit': flip}


def parts(folder):
  """The files of a checkpoint that have contents to lose."""
  return sorted(path for path in folder.rglob('*') if path.is_file() and path.stat().st_size)


@pytest.mark.parametrize('damage', DAMAGES)
def test_damage_to_any_file_is_noticed(copy, damage):
  """Each file of the newest checkpoint in turn: one line, put aside as it is, and the one before is
  read.
  """
  checkpoints, lines = copy
  newest = checkpoints.path(20)
  whole = shutil.copytree(newest, checkpoints.folder.with_name('whole'))
  names = [path.relative_to(newest) for path in parts(newest)]
  assert len(names) > 5
  assert newest.joinpath(MANIFEST) in parts(newest)
  for count, name in enumerate(names):
    DAMAGES[damage](newest / name)
    step, state = checkpoints.restore_latest(state_of(0))
    assert step == 10
    np.testing.assert_equal(state, state_of(10))
    aside = checkpoints.folder / ('20.damaged' + (f'.{count}' if count else ''))
    assert len(lines) == count + 1
    assert lines[-1].startswith(f'checkpoint 20 is damaged ({name} ')
    assert f'now {aside}, and the one before is used' in lines[-1]
    assert aside.is_dir()
    shutil.copytree(whole, newest)
  assert checkpoints.restore_latest(state_of(0))[0] == 20
  assert len(lines) == len(names)


def test_any_flipped_bit_of_the_manifest_is_noticed(copy):
  """A sample of them, so that no place in it is taken on trust."""
  manifest = copy[0].path(20) / MANIFEST
  data = manifest.read_bytes()
  for bit in range(0, 8 * len(data), 97):
    manifest.write_bytes(
      data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]
    )
    with pytest.raises(Damaged, match=MANIFEST):
      verify(manifest.parent)
  manifest.write_bytes(data)
  verify(manifest.parent)


@pytest.mark.parametrize(
  'where', ['.DS_Store', '.ipynb_checkpoints/a', 'state/.nfs01', 'state/d/x']
)
def test_files_of_other_programs_are_no_damage(copy, where):
  checkpoints, lines = copy
  path = checkpoints.path(20) / where
  path.parent.mkdir(exist_ok=True)
  path.write_text('{}')
  step, state = checkpoints.restore_latest(state_of(0))
  assert step == 20
  np.testing.assert_equal(state, state_of(20))
  assert lines == []


@pytest.mark.parametrize('number', [errno.EIO, errno.EACCES, errno.ESTALE])
@pytest.mark.parametrize('name', ['_METADATA', MANIFEST])
def test_what_cannot_be_read_now_is_no_damage(copy, monkeypatch, number, name):
  """It is refused in one line, and everything stays as it is."""
  checkpoints, lines = copy
  open_file = Path.open

  def fail(path, *arguments, **options):
    if path.name == name and checkpoints.path(20) in path.parents:
      raise OSError(number, os.strerror(number), str(path))
    return open_file(path, *arguments, **options)

  monkeypatch.setattr(Path, 'open', fail)
  with pytest.raises(BadInput, match=f'{name} cannot be read .{os.strerror(number)}.; nothing was'):
    checkpoints.restore_latest(state_of(0))
  assert checkpoints.steps() == [5, 10, 20]
  assert lines == []


def test_what_cannot_be_deleted_is_a_line_and_stops_nothing(copy, monkeypatch):
  checkpoints, lines = copy

  def refuse(*_, **__):
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

  monkeypatch.setattr(shutil, 'rmtree', refuse)
  checkpoints.prune(kept=(), best=())
  assert lines == ['checkpoint 5 could not be deleted (Device or resource busy); it stays']
  assert checkpoints.steps() == [10, 20]  # its name was changed before
  monkeypatch.undo()
  checkpoints.clear_leftovers()
  assert {path.name for path in checkpoints.folder.iterdir()} == {'10', '20'}


@pytest.mark.parametrize(
  'damage',
  [lambda folder: flip(folder / MANIFEST), lambda folder: cut(parts(folder / 'state' / 'd')[0])],
)
def test_run_goes_on_from_the_checkpoint_before(tmp_path, capsys, damage):
  train(configured(tmp_path / 'whole', log_train_data_interval=1))
  config = configured(tmp_path / 'run', log_train_data_interval=1)
  train(config)
  for mode in (tmp_path / 'run').glob('eval*'):
    shutil.rmtree(mode)
  damage(tmp_path / 'run' / 'checkpoints' / '60')
  capsys.readouterr()
  made = []
  train(config, on_step=made.append)
  assert made == list(range(40, 60))
  assert capsys.readouterr().out.count('is damaged') == 1
  assert left_by(tmp_path / 'run') == left_by(tmp_path / 'whole')
  assert (tmp_path / 'run' / 'checkpoints' / '60.damaged').is_dir()


def test_no_intact_checkpoint_ends_with_everything_kept(tmp_path):
  config = configured(tmp_path)
  train(config)
  for step in (40, 60):
    flip(tmp_path / 'checkpoints' / str(step) / MANIFEST)
  for _ in range(2):
    with pytest.raises(BadInput, match='no checkpoint is intact; nothing was deleted') as caught:
      train(config)
    assert caught.value.status == 2
    assert sorted(path.name for path in (tmp_path / 'checkpoints').iterdir()) == [
      '40.damaged',
      '60.damaged',
    ]
    assert all(len(parts(tmp_path / 'checkpoints' / f'{step}.damaged')) > 5 for step in (40, 60))
    assert [record['step'] for record in read_lines(tmp_path / 'metrics.jsonl')][-1] == 56


def test_leftovers_are_cleared(tmp_path):
  with pytest.raises(ZeroDivisionError):
    train(configured(tmp_path), on_step=lambda step: 1 // (33 - step))
  checkpoints = tmp_path / 'checkpoints'
  shutil.copytree(checkpoints / '20', checkpoints / '.40.writing')
  shutil.copytree(checkpoints / '20', checkpoints / '.10.deleting')
  train(configured(tmp_path))
  assert sorted(path.name for path in checkpoints.iterdir()) == ['40', '60']


def test_failed_write_leaves_no_checkpoint(tmp_path, monkeypatch):
  checkpoints = Checkpoints(tmp_path, print)
  with monkeypatch.context() as broken:
    broken.setattr(files, 'sync', lambda path: 1 // 0)
    with pytest.raises(ZeroDivisionError):
      checkpoints.save(20, state_of(20), {})
  assert checkpoints.steps() == []
  assert checkpoints.restore_latest(state_of(0)) is None
  checkpoints.save(20, state_of(20), {})
  assert checkpoints.steps() == [20]
  assert verify(tmp_path / '20')['step'] == 20


OTHERS = {
  'shape': (
    {'w': np.zeros(4, np.float32), 'count': np.int32(0)},
    'w is float32[3] there and float32[4] here',
  ),
  'type': (
    {'w': np.zeros(3, np.float16), 'count': np.int32(0)},
    'w is float32[3] there and float16[3] here',
  ),
  'fewer': ({'w': np.zeros(3, np.float32)}, 'count is int32[] there and absent here'),
  'more': (state_of(0) | {'v': np.zeros(2, np.float32)}, 'v is absent there and float32[2] here'),
}


@pytest.mark.parametrize('other', OTHERS)
def test_checkpoint_of_another_model_is_refused(copy, other):
  """It is not damaged: it stays where it is."""
  checkpoints, lines = copy
  target, told = OTHERS[other]
  with pytest.raises(BadInput) as caught:
    checkpoints.restore_latest(target)
  assert told in str(caught.value)
  assert checkpoints.steps() == [5, 10, 20]
  assert not lines


def test_evaluation_passes_over_damage_and_moves_nothing(copy):
  checkpoints, lines = copy
  flip(checkpoints.path(20) / MANIFEST)
  step, state = checkpoints.read_any([20, 10, 5], state_of(0))
  assert step == 10
  np.testing.assert_equal(state, state_of(10))
  assert len(lines) == 1
  assert checkpoints.steps() == [5, 10, 20]
  with pytest.raises(BadInput, match='none of the checkpoints 20 is intact'):
    checkpoints.read_any([20], state_of(0))


def test_empty_parts_of_a_structure_may_come_and_go(tmp_path):
  """Arrays are found by name, as in the optimizer of an earlier version with one stage less."""
  arrays = [np.arange(3.0), np.int32(7)]
  write(tmp_path / '1', {'stages': (Stage(*arrays), ())}, {'step': 1})
  target = {'stages': (Stage(*map(np.zeros_like, arrays)), {}, ()), 'more': {}}
  state = read(tmp_path / '1', target)
  assert isinstance(state['stages'][0], Stage)
  for ours, theirs in zip(state['stages'][0], arrays):
    np.testing.assert_array_equal(ours, theirs)
    assert ours.dtype == theirs.dtype


class Stage(NamedTuple):
  """The state of a stage of an optimizer."""

  mean: np.ndarray
  count: np.int32
