"""Files are whole or absent."""

import errno
import json
import math
import os
import stat
from pathlib import Path

import pytest

from jaxline_lite import files
from jaxline_lite.errors import BadInput


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


def strict(text):
  """The value of JSON, without the words that Python's reader understands besides."""

  def refuse(word):
    raise ValueError(f'{word} is no JSON')

  return json.loads(text, parse_constant=refuse)


def test_json_is_strict(tmp_path):
  """Infinity is a number too large for a float, NaN is null; strings and the rest stay."""
  value = {'best': math.inf, 'least': [-math.inf, 0.1], 'NaN "Infinity': ['Infinity, "NaN', True]}
  text = files.to_json(value)
  numbers = '{"best": 1e999, "least": [-1e999, 0.1], '
  assert text == numbers + r'"NaN \"Infinity": ["Infinity, \"NaN", true]}'
  assert strict(text) == files.from_json(text) == value
  assert files.to_json({'loss': math.nan}) == '{"loss": null}'
  path = tmp_path / 'lines'
  files.replace_lines(path, [{'step': 1, 'loss': math.nan, 'settings': {'r': None}}])
  strict(path.read_text())
  (record,) = files.read_lines(path)
  assert math.isnan(record['loss'])
  assert record['settings'] == {'r': None}


def test_words_of_earlier_versions_are_read(tmp_path):
  """And the file is strict once it is written again."""
  path = tmp_path / 'lines'
  path.write_text('{"step": 1, "loss": NaN, "nats": -Infinity}\n{"step": 2}\n')
  first, _ = files.read_lines(path)
  assert math.isnan(first['loss'])
  assert first['nats'] == -math.inf
  files.JsonLines(path, up_to=1).close()
  assert strict(path.read_text()) == {'step': 1, 'loss': None, 'nats': -math.inf}


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
  (tmp_path / 'lines').write_text('{"step": 1}\n{"st\n{"step": 3}\n')
  with pytest.raises(BadInput, match=r'lines: line 2 is damaged .*; restore the file'):
    list(files.read_lines(tmp_path / 'lines'))


@pytest.mark.parametrize('number', [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_does_not_sync_folders_is_used_all_the_same(
  tmp_path, monkeypatch, number
):
  """A file that cannot be synced is another matter."""
  sync = os.fsync

  def refuse(descriptor):
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
      raise OSError(number, os.strerror(number))
    sync(descriptor)

  monkeypatch.setattr(os, 'fsync', refuse)
  files.replace(tmp_path / 'file', 'new')
  assert (tmp_path / 'file').read_text() == 'new'

  def fail(descriptor):
    raise OSError(number, os.strerror(number))

  monkeypatch.setattr(os, 'fsync', fail)
  with pytest.raises(OSError, match=os.strerror(number)):
    files.replace(tmp_path / 'file', 'newer')
  assert (tmp_path / 'file').read_text() == 'new'
