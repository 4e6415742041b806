"""What a run tells."""

import pytest

from jaxline_lite import writers
from jaxline_lite.writers import Log, Rate, clock


@pytest.mark.parametrize(
  ('seconds', 'shown'),
  [(0, '0:00'), (59.6, '1:00'), (3599, '59:59'), (3723, '1:02:03'), (90_000, '25:00:00')],
)
def test_clock(seconds, shown):
  assert clock(seconds) == shown


def test_log_file_has_what_a_terminal_shows(tmp_path, capsys):
  log = Log(tmp_path / 'log.txt')
  log.show_progress(100, 0)
  log.say('from step 0')
  log.step('step 7')
  log.progress(7, loss='1.0')
  assert (tmp_path / 'log.txt').read_text() == capsys.readouterr().out == 'from step 0\nstep 7\n'
  log.close()
  log.close()
  log = Log(tmp_path / 'log.txt')
  log.say('again')
  log.close()
  assert (tmp_path / 'log.txt').read_text() == 'from step 0\nstep 7\nagain\n'


def test_on_a_terminal_steps_move_a_bar(tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(writers.sys.stderr, 'isatty', lambda: True, raising=False)
  log = Log(tmp_path / 'log.txt')
  log.show_progress(100, 20)
  log.say('event')
  log.step('step 27')
  log.progress(27, loss='1.0')
  log.close()
  shown = capsys.readouterr()
  assert shown.out == 'event\n'
  assert '27/100' in shown.err
  assert 'loss=1.0' in shown.err
  assert (tmp_path / 'log.txt').read_text() == 'event\nstep 27\n'


def test_rate_leaves_out_the_first_call(monkeypatch):
  """Which compiles: 60 s for a step, then 5 s for ten."""
  now = [0.0]
  monkeypatch.setattr(writers.time, 'perf_counter', lambda: now[0])
  rate = Rate()
  assert rate.steps_in(2.0, 1000) == 1
  for seconds, steps in ((60, 1), (5, 10)):
    rate.start()
    now[0] += seconds
    rate.stop(steps)
  assert rate.per_second == 2.0
  assert rate.steps_in(10.0, 1000) == 20
  assert rate.steps_in(10.0, 7) == 7
  assert rate.steps_in(0.1, 7) == 1
