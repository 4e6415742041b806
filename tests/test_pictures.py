"""Numbers are on disk before anything is drawn; what cannot be drawn costs a line and no run."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import matplotlib.font_manager
import numpy as np
import pytest
from matplotlib.figure import Figure

import icljax
from jaxline_lite.eval_records import EvalFolder
from jaxline_lite.files import read_lines
from tests.configs import tiny
from tests.jaxline_lite import dummy

ROOT = Path(__file__).parents[1]
SHORT = {
  'training_steps': 2, 'optimizer__warmup_steps': 1, 'eval__episodes': 16,
  'log_train_data_interval': 1,
}  # fmt: skip
DRAW = """
import sys
from pathlib import Path
from icljax import figures
with figures.own_style():
  drawing, axes = figures.figure('title', ('x', 'y'))
  axes.plot([1, 2], [1, 2], label='line')
  figures.legend(axes)
  figures.save(drawing, Path(sys.argv[1]))
"""


def no_import(monkeypatch):
  """As where its settings are broken: importing it fails, whenever that is."""
  for name in [name for name in sys.modules if name.partition('.')[0] == 'matplotlib']:
    monkeypatch.delitem(sys.modules, name)
  monkeypatch.setitem(sys.modules, 'matplotlib', None)


def no_space(monkeypatch):
  def fail(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  monkeypatch.setattr(Figure, 'savefig', fail)


def no_font(monkeypatch):
  def fail(*_, **__):
    raise ValueError(
      'Failed to find font DejaVu Sans,\nand fallback to the default font was disabled'
    )

  monkeypatch.setattr(matplotlib.font_manager.FontManager, 'findfont', fail)


FAILURES = {'no matplotlib': no_import, 'disk full': no_space, 'no font': no_font}


@pytest.mark.parametrize('failure', FAILURES)
def test_what_cannot_be_drawn_is_a_line(tmp_path, monkeypatch, failure):
  """Of the training, of an evaluation, and of a comparison."""
  FAILURES[failure](monkeypatch)
  for name in ('a', 'b'):
    run = icljax.train(tiny(tmp_path / name, **SHORT))
    assert [record['step'] for record in read_lines(run / 'eval' / 'metrics.jsonl')] == [2]
    assert np.load(run / 'eval' / '2.npz')['nats/model'].shape == (16, 6)
    lines = [line for line in (run / 'log.txt').read_text().splitlines() if 'not drawn' in line]
    assert len(lines) == 2
    assert 'eval at step 2 is recorded, but not drawn: ' in lines[0]
    assert 'the training is recorded, but not drawn: ' in lines[1]
  numbers = icljax.compare([tmp_path / 'a', tmp_path / 'b'], output_dir=tmp_path / 'compared')
  assert list(numbers) == ['a', 'b']
  assert {path.suffix for path in (tmp_path / 'compared').rglob('[!.]*.*')} == {'.csv'}


def test_an_interrupt_while_drawing_leaves_the_numbers(tmp_path, monkeypatch):
  """As in a notebook's thread, where no signal is caught: what was not drawn is made again."""
  drawn = []

  def interrupt(self, mode, folder, step, *_):
    drawn.append(step)
    raise KeyboardInterrupt

  monkeypatch.setattr(dummy.Dummy, 'draw_evaluation', interrupt)
  config = dummy.configured(tmp_path, training_steps=20)
  with pytest.raises(KeyboardInterrupt):
    dummy.train(config)
  assert [record['step'] for record in read_lines(tmp_path / 'eval' / 'metrics.jsonl')] == [20]
  assert not EvalFolder(tmp_path, 'eval', config, dummy.RULES).has(20)
  monkeypatch.undo()
  dummy.train(config)
  assert drawn == [20]
  assert EvalFolder(tmp_path, 'eval', config, dummy.RULES).has(20)
  assert len(list(read_lines(tmp_path / 'eval' / 'metrics.jsonl'))) == 1


def draw(tmp_path, **environment) -> subprocess.CompletedProcess:
  """Draws a picture in a process with such variables."""
  return subprocess.run(
    [sys.executable, '-c', DRAW, str(tmp_path / 'a.png')],
    cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=600,
  )  # fmt: skip


def test_a_broken_font_cache_is_passed_over(tmp_path):
  version = matplotlib.font_manager.FontManager.__version__
  (tmp_path / f'fontlist-v{version}.json').write_text('{"_version": ')
  done = draw(tmp_path, MPLCONFIGDIR=str(tmp_path))
  assert done.returncode == 0, done.stderr
  assert (tmp_path / 'a.png').exists()


def test_neither_a_backend_of_windows_nor_a_folder_that_cannot_be_written_matters(tmp_path):
  done = draw(tmp_path, MPLBACKEND='QtAgg', MPLCONFIGDIR='/dev/null/nowhere')
  assert done.returncode == 0, done.stderr
  assert (tmp_path / 'a.png').exists()


def test_a_backend_that_is_not_there_stops_no_run():
  """Matplotlib refuses it when it is imported, which is not before something is drawn."""
  done = subprocess.run(
    [sys.executable, '-c', 'import icljax.experiment'],
    cwd=ROOT, env=os.environ | {'MPLBACKEND': 'Qt4Agg'}, capture_output=True, timeout=600,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
