r"""Linear regression in context."""

import math

from ml_collections import ConfigDict

from icljax.configs import glm
from jaxline_lite.config_files import make_config

DEFAULTS = glm.DEFAULTS | {
  'task.families': 'linear',
  'task.D': 4,
  'task.K': 8,
  'task.scale': 1.0,
  'task.clip': math.inf,
  'task.noise': 0.5,
  'model.layers': 2,
  'model.width': 64,
  'model.heads': 2,
  'model.tokens': 'pairs',
  'model.head': 'known_noise',
  'training.batch_size': 128,
  'training_steps': 6_000,
  'optimizer.learning_rate': 1e-3,
  'optimizer.schedule': 'triangle',
  'optimizer.warmup_steps': 3_000,  # the peak in the middle
  'optimizer.clip_norm': math.inf,
  'eval_interval': 1_000,
}
WIDE_NOISE = 0.125**0.5
PRESETS = {
  'raventos': {},
  'small': {'model.width': 32},
  'wide': {
    'task.noise': WIDE_NOISE,
    'model.heads': 4,
    'model.mlp_width': 64,  # the stream's
    'model.norm': 'post',
    'model.gelu': 'erf',
    'model.end_bias': True,
    'optimizer.warmup_steps': 600,  # a tenth, as published
    'optimizer.clip_norm': 1.0 / (2 * WIDE_NOISE**2),  # 1 of squared error, in nats
  },
}
PAPER = {
  'task.D': 8,
  'task.K': 16,
  'model.layers': 8,
  'model.width': 128,
  'model.tokens': 'interleaved_plain',
  'training.batch_size': 256,
  'training_steps': 500_000,
  'optimizer.warmup_steps': 250_000,
  'eval_interval': 10_000,
}
PAPER_PRESETS = {
  'small': {'model.layers': 4, 'model.width': 64},
  'wide': {
    'model.layers': 3,
    'model.width': 512,
    'model.mlp_width': 512,
    'training.batch_size': 2048,
    'optimizer.warmup_steps': 50_000,
    'keep_checkpoints': 'every:50000',
  },
}


def get_config(words: str = '') -> ConfigDict:
  """The config of a preset and a size, as `--config=configs/linear_regression.py:WORDS` names
  them.
  """
  return make_config(
    words,
    file='linear_regression',
    default='raventos',
    defaults=DEFAULTS,
    presets=PRESETS,
    paper=PAPER,
    paper_presets=PAPER_PRESETS,
  )
