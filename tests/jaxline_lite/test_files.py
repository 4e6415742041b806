"""Files are whole or absent."""

import os
from pathlib import Path

import pytest

from jaxline_lite import files


@pytest.mark.parametrize('failing', ['write_bytes', 'sync', 'replace'])
def test_failure_in_the_middle_leaves_the_old_contents(tmp_path, monkeypatch, failing):
  path = tmp_path / 'file'
  files.replace(path, 'old')

  def fail(*arguments):
    raise OSError(28, 'No space left on device')

  with monkeypatch.context() as broken:
    broken.setattr(files if failing == 'sync' else Path, failing, fail)
    with pytest.raises(OSError, match='No space left'):
      files.replace(path, 'new')
  assert path.read_text() == 'old'
  files.replace(path, b'new')
  assert path.read_bytes() == b'new'
  assert [name.name for name in tmp_path.iterdir()] == ['file']


def test_contents_are_on_the_disk_before_the_name(tmp_path, monkeypatch):
  happened, fsync = [], os.fsync
  monkeypatch.setattr(
    os,
    'fsync',
    lambda descriptor: (
      happened.append(os.readlink(f'/proc/self/fd/{descriptor}')) or fsync(descriptor)
    ),
  )
  monkeypatch.setattr(
    Path, 'replace', lambda old, new: happened.append('replace') or os.replace(old, new)
  )
  files.replace(tmp_path / 'file', 'new')
  assert happened == [str(tmp_path / '.file.writing'), 'replace', str(tmp_path)]


def test_last_line_that_was_cut_off_is_ignored(tmp_path):
  path = tmp_path / 'lines'
  assert list(files.read_lines(path)) == []
  path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3')
  assert list(files.read_lines(path)) == [{'step': 1}, {'step': 2}]
  path.write_text('{"st')
  assert list(files.read_lines(path)) == []


def test_lines_go_on_after_the_step_that_was_restored(tmp_path):
  path = tmp_path / 'lines'
  path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"step": 4')
  lines = files.JsonLines(path, up_to=2)
  assert path.read_text() == '{"step": 1}\n{"step": 2}\n'
  lines.append({'step': 3, 'loss': 0.1})
  assert path.read_text().endswith('{"step": 2}\n{"step": 3, "loss": 0.1}\n')
  lines.sync()
  lines.close()


def test_one_spelling_of_equal_values():
  assert files.canonical({'a': 1, 'b': [2.5, None]}) == files.canonical({'b': [2.5, None], 'a': 1})
  assert files.digest(b'abc').startswith('ba7816bf')
