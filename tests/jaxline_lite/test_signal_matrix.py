"""Every signal, at every moment of a run, with every fate of its output: nothing is lost.

Each cell is a process that says when it has come to the moment and waits there, so that nothing
depends on the machine's pace; `cells.py` makes them. A cell ends with the right status, with the
state of its last step saved, and the same command goes on to the bits of a run left alone.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaxline_lite.files import read_lines
from tests.jaxline_lite import dummy
from tests.jaxline_lite.cells import PHASES
from tests.jaxline_lite.outputs import KINDS, Output

ROOT = Path(__file__).parents[2]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = 600.0  # seconds after which something has gone wrong: a busy machine is slow
STOPPED_AT = {'compile': 1, 'save': 20, 'evaluate': 20, 'draw': 20}


def receive(wire: socket.socket) -> bytes:
  wire.settimeout(PATIENCE)
  return wire.recv(64)


class Server:
  """Starts processes that have imported everything already."""

  def __init__(self):
    self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, '-W', 'ignore', '-m', 'tests.jaxline_lite.cells']
    # One device, as most machines have: the command asks for none.
    environment = os.environ | {'XLA_FLAGS': ''}
    self.process = subprocess.Popen(
      [*command, str(theirs.fileno())], cwd=ROOT, env=environment, pass_fds=[theirs.fileno()]
    )
    theirs.close()

  def close(self) -> None:
    self.control.close()
    self.process.wait(PATIENCE)


@pytest.fixture(scope='module')
def server() -> Iterator[Server]:
  server = Server()
  yield server
  server.close()


class Cell:
  """One process of the dummy's command.

  Attributes:
    pid: the process.
    output: where its output goes.
  """

  def __init__(self, server: Server, folder: Path, phase: str = '', kind: str = ''):
    self._server, self.output = server, Output(kind, folder.parent / 'shown.txt')
    self._wire, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    request = {
      'arguments': [
        f'--config={dummy.__file__}', f'--config.checkpoint_dir={folder}',
        '--jaxline_mode=train_eval', '--config.log_train_data_interval=1',
        '--config.training_steps=40',
        "--config.eval_modes=('eval','eval_twice')",
      ],
      'phase': phase,
      'kind': kind,
    }  # fmt: skip
    descriptors = [*self.output.streams, theirs.fileno()]
    socket.send_fds(server.control, [json.dumps(request).encode()], descriptors)
    self.output.close_streams()
    theirs.close()
    self.pid = int(receive(server.control))

  def await_moment(self) -> None:
    assert receive(self._wire) == b'here'

  def go_on(self, when: bytes = b'go') -> int:
    """Lets the process go on from its moment; its exit status."""
    self._wire.send(when)
    return self.status()

  def status(self) -> int:
    """Waits for the end of the process; its exit status."""
    status = int(receive(self._server.control))
    self.output.close()
    self._wire.close()
    return status


@pytest.fixture(scope='module')
def alone(server, tmp_path_factory) -> dict[str, bytes]:
  """What a run leaves that nobody disturbs."""
  folder = tmp_path_factory.mktemp('alone') / 'run'
  assert Cell(server, folder).status() == 0
  return dummy.left_by(folder)


def newest(folder: Path) -> int:
  return dummy.steps(folder)[-1]


@pytest.mark.parametrize('phase', PHASES)
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('number', SIGNALS, ids=lambda number: number.name)
def test_a_signal_loses_nothing(server, alone, tmp_path, number, kind, phase):
  folder = tmp_path / 'run'
  cell = Cell(server, folder, phase, kind)
  cell.await_moment()
  cell.output.lose()
  cell.output.send(cell.pid, number)
  outlives = kind == 'nohup' and number == signal.SIGHUP
  status = cell.go_on(b'go' if outlives else b'heard')
  log, shown = (folder / 'log.txt').read_text(), cell.output.shown
  assert 'Traceback' not in shown + log
  if outlives:
    assert (status, dummy.left_by(folder)) == (0, alone)
    return
  assert status == 75, shown + log
  assert f'stopped by {number.name}; everything is saved' in log
  steps_made = [record['step'] for record in read_lines(folder / 'metrics.jsonl')][-1]
  assert newest(folder) == steps_made
  assert steps_made == STOPPED_AT.get(phase, steps_made)
  if kind == 'nohup' or (kind == 'terminal' and number != signal.SIGHUP):
    assert f'stopped by {number.name}' in shown
  assert Cell(server, folder).status() == 0
  assert dummy.left_by(folder) == alone


@pytest.mark.parametrize('phase', PHASES)
def test_a_kill_loses_nothing(server, alone, tmp_path, phase):
  folder = tmp_path / 'run'
  cell = Cell(server, folder, phase, 'terminal')
  cell.await_moment()
  os.kill(cell.pid, signal.SIGKILL)
  assert cell.status() == -signal.SIGKILL
  assert Cell(server, folder).status() == 0
  assert dummy.left_by(folder) == alone
