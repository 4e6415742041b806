"""Signals at every moment of a real run, each with another fate of its output: one run goes through
all of them, and ends with the bits of a run left alone.

The dummy experiment goes through every combination, in `jaxline_lite/test_signal_matrix.py`.
"""

import os
import signal
import subprocess
import sys
import time

from benchmarks import kills
from jaxline_lite.files import read_lines
from tests.configs import TINY
from tests.jaxline_lite.dummy import steps
from tests.jaxline_lite.outputs import Output

FIELDS = TINY | {
  'training_steps': 400, 'log_train_data_interval': 1, 'save_checkpoint_interval': '50',
  'eval_interval': kills.EVAL_INTERVAL, 'eval.episodes': 640, 'compilation_cache': True,
}  # fmt: skip
# The last one goes on to the end: nohup ignores SIGHUP.
MOMENTS = (
  ('compiling', signal.SIGINT, 'terminal', 75),
  ('stepping', signal.SIGTERM, 'tee that dies first', 75),
  ('saving', signal.SIGHUP, 'terminal', 75),
  ('evaluating', signal.SIGINT, 'error without reader', 75),
  ('drawing', signal.SIGTERM, 'output closed', 75),
  ('stepping', signal.SIGHUP, 'nohup', 0),
)
COMPILES_SOON = 0.2  # seconds from the line that tells where it starts


def signalled(folder, moment: str, number: signal.Signals, kind: str) -> tuple[int, str]:
  """Sends the command a signal when a moment has come; its exit status and what was shown."""
  output = Output(kind, folder.parent / 'shown.txt')
  has_come = kills.moment(moment, folder)
  launcher = [sys.executable, '-m', 'tests.jaxline_lite.outputs', kind]
  stdin, stdout, stderr = output.streams
  process = subprocess.Popen(
    [*launcher, *kills.command(folder, 'linear', FIELDS)],
    cwd=kills.ROOT, stdin=stdin, stdout=stdout, stderr=stderr,
  )  # fmt: skip
  output.close_streams()
  while not has_come():
    assert process.poll() is None, f'{moment} has not come'
    time.sleep(kills.TURN)
  if moment == 'compiling':
    time.sleep(COMPILES_SOON)
  output.lose()
  output.send(process.pid, number)
  status = process.wait(kills.PATIENCE)
  output.close()
  return status, output.shown


def test_a_run_goes_through_every_moment_to_the_same_bits(tmp_path, monkeypatch):
  monkeypatch.setenv('JAX_COMPILATION_CACHE_DIR', str(tmp_path / 'programs'))
  monkeypatch.setenv(
    'XLA_FLAGS', os.environ['XLA_FLAGS'].replace('--xla_force_host_platform_device_count=4', '')
  )
  alone, folder = tmp_path / 'alone', tmp_path / 'run'
  assert kills.launch(alone, 'linear', FIELDS).wait() == 0
  for moment, number, kind, wanted in MOMENTS:
    status, shown = signalled(folder, moment, number, kind)
    log = (folder / 'log.txt').read_text()
    assert status == wanted, (moment, shown, log)
    assert 'Traceback' not in shown
    if status:
      assert f'stopped by {number.name}; everything is saved' in log.splitlines()[-1]
    logged = [record['step'] for record in read_lines(folder / 'metrics.jsonl')]
    # It may not have come to its first step: then there is nothing to save.
    assert max(steps(folder), default=0) == max(logged, default=0)
  assert kills.fingerprints(folder) == kills.fingerprints(alone)
