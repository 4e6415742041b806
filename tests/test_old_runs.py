"""Runs that an earlier commit made are resumed, evaluated and loaded by this one.

`tests/data` holds a run of each subject, made by commit c71fb86, and in `expected.json` what that
commit went on to do with it: the losses of ten more steps, evaluations and predictions. They were
made on another machine perhaps, so that numbers agree to rounding; `benchmarks/bits.py` compares
bits on one machine.
"""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

import icljax
from icljax import checks
from icljax.base import ARITHMETIC
from jaxline_lite.errors import BadInput
from jaxline_lite.files import canonical, digest, read_lines
from jaxline_lite.run_folder import read_config
from tests.configs import cache_dir

DATA = Path(__file__).parent / 'data'
EXPECTED = json.loads((DATA / 'expected.json').read_text())
SUBJECTS = list(EXPECTED)


@pytest.fixture(params=SUBJECTS)
def old(request, tmp_path):
  """A run folder of an earlier commit, and what that commit made of it."""
  return unpack(request.param, tmp_path), EXPECTED[request.param]


def unpack(subject: str, folder: Path) -> Path:
  """The run folder of a subject."""
  with tarfile.open(DATA / f'{subject}.tar.xz') as archive:
    archive.extractall(folder, filter='data')
  return folder / subject


def config_of(run: Path, **fields):
  """The run's own config, with a cache of drawings that the tests share."""
  config = read_config(run, checks)
  config.checkpoint_dir = str(run)
  if config.subject == 'omniglot':
    config.data.cache_dir = cache_dir()
  config.update(fields)
  return config


def agrees(record, expected) -> None:
  assert record.keys() >= expected.keys() - {'settings'}
  for name in expected.keys() - {'settings', 'step'}:
    assert record[name] == pytest.approx(expected[name], rel=1e-3, abs=2e-4), name


def test_the_runs_are_small():
  assert sum(path.stat().st_size for path in DATA.iterdir()) < 100_000


def test_a_run_is_resumed(old):
  """Ten more steps, then the final evaluation."""
  run, expected = old
  icljax.train(config_of(run, training_steps=20))
  lines = list(read_lines(run / 'metrics.jsonl'))
  assert [line['step'] for line in lines] == list(range(1, 21))
  losses = [line['loss'] for line in lines[10:]]
  np.testing.assert_allclose(losses, expected['resumed_loss'], rtol=1e-4)
  record = list(read_lines(run / expected['mode'] / 'metrics.jsonl'))[-1]
  assert record['step'] == 20
  agrees(record, expected['resumed_evaluation'])


def test_a_run_is_evaluated_and_its_record_is_found_again(old):
  """The record of the earlier commit is replaced, not put beside the new one."""
  run, expected = old
  before = list(read_lines(run / expected['mode'] / 'metrics.jsonl'))
  config = json.loads((run / 'config.json').read_text())
  if 'data' in config:
    config['data']['cache_dir'] = cache_dir()
    (run / 'config.json').write_text(json.dumps(config))
  icljax.evaluate(run, expected['mode'])
  (record,) = read_lines(run / expected['mode'] / 'metrics.jsonl')
  assert len(before) == 1
  assert sorted(path.name for path in (run / expected['mode']).glob('*.npz')) == ['10.npz']
  agrees(record, expected['evaluation'])


def test_a_run_is_loaded(old):
  run, expected = old
  x, y, queries = (np.array(expected[name]) for name in ('x_context', 'y_context', 'x_query'))
  answer = icljax.load(run).at(x, y, queries)
  log_prob = answer.log_prob(np.array(expected['targets'], np.float32))
  np.testing.assert_allclose(log_prob, expected['log_prob'], rtol=1e-4)


@pytest.fixture
def glm(tmp_path):
  """The run folder of generalized linear models."""
  return unpack('glm', tmp_path)


def test_a_run_from_before_there_were_subjects_is_a_glm(glm):
  """Fields that its config lacks have the values that do what was done then."""
  run = glm
  config = json.loads((run / 'config.json').read_text())
  for group, names in {'model': ['sequence'], 'task': ['own', 'curriculum']}.items():
    for name in names:
      del config[group][name]
  for name in ('subject', 'deterministic', 'init_from'):
    del config[name]
  del config['eval']['titles'], config['optimizer']['momentum'], config['eval']['metrics']
  (run / 'config.json').write_text(json.dumps(config))
  found = read_config(run, checks)
  assert (found.subject, found.model.sequence, found.task.curriculum.interval) == (
    'glm',
    'transformer',
    0,
  )
  assert icljax.load(run).step == 10
  icljax.evaluate(run, 'eval')


def alter_arithmetic(run: Path, number: int) -> None:
  """Lets the run's checkpoint say that a program with another arithmetic made it."""
  path = run / 'checkpoints' / '10' / 'manifest.json'
  manifest = json.loads(path.read_text()) | {'arithmetic': number}
  del manifest['digest']
  manifest['digest'] = digest(canonical(manifest).encode())
  path.write_text(json.dumps(manifest))


@pytest.mark.parametrize('there', [ARITHMETIC - 1, ARITHMETIC + 1])
def test_older_arithmetic_is_told_and_newer_refused(glm, there, capsys):
  run = glm
  alter_arithmetic(run, there)
  config = config_of(run, training_steps=11, final_eval=False)
  if there > ARITHMETIC:
    with pytest.raises(BadInput, match=f'was made by a newer version .arithmetic {there}, here'):
      icljax.train(config)
    assert not (run / 'checkpoints' / '11').exists()
  else:
    icljax.train(config)
    assert 'is continued by newer arithmetic' in capsys.readouterr().out
    manifest = json.loads((run / 'checkpoints' / '11' / 'manifest.json').read_text())
    assert manifest['arithmetic'] == ARITHMETIC


def test_a_precision_that_was_not_recorded_may_be_anything(glm):
  """Early runs recorded 'auto', whatever the machine made of it."""
  config = json.loads((glm / 'config.json').read_text())
  config['model']['precision'] = 'auto'
  (glm / 'config.json').write_text(json.dumps(config))
  icljax.train(config_of(glm, training_steps=11, final_eval=False))
  assert read_config(glm, checks).model.precision == 'highest'
