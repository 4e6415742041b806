"""A run that is killed and started again is the run left alone: the small sister of
`benchmarks/kills.py`.
"""

import os

from benchmarks import kills
from tests.configs import TINY


def test_three_kills_change_no_bit(tmp_path, monkeypatch):
  monkeypatch.setenv('JAX_COMPILATION_CACHE_DIR', str(tmp_path / 'programs'))
  monkeypatch.setenv(
    'XLA_FLAGS', os.environ['XLA_FLAGS'].replace('--xla_force_host_platform_device_count=4', '')
  )
  fields = {
    **TINY,
    'training_steps': 400,
    'save_checkpoint_interval': '50',
    'eval_interval': kills.EVAL_INTERVAL,
  }
  fields |= {'eval.episodes': 640, 'compilation_cache': True}
  alone, killed, delivered = kills.compare(
    tmp_path, ('stepping', 'saving', 'evaluating'), 'linear', fields
  )
  assert all(delivered)
  assert killed == alone
  assert {
    'state after step 400',
    'metrics.jsonl',
    'eval/metrics.jsonl',
    'eval/100.npz',
    'eval/400.npz',
  } <= alone.keys()
