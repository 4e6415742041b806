"""Configs so small that a test can run them."""

import os

from ml_collections import ConfigDict

from configs import glm

TINY = {
  'task.families': 'linear', 'task.D': 2, 'task.K': 6, 'task.scale': 0.7,
  'model.layers': 1, 'model.width': 16, 'model.heads': 2, 'model.components': 2,
  'training.batch_size': 16, 'training_steps': 40, 'optimizer.warmup_steps': 4,
  'log_train_data_interval': 10, 'save_checkpoint_interval': '10', 'keep_checkpoints': 'log:2', 'compilation_cache': False,
  'eval.episodes': 32, 'eval.batch_size': 16, 'eval.posterior_samples': 32, 'eval_interval': 20,
}  # fmt: skip


def tiny(folder='', words: str = '', **fields) -> ConfigDict:
  """A run of seconds; `fields` are overrides with `__` for the dots."""
  config = glm.get_config(words)
  overrides = TINY | {name.replace('__', '.'): value for name, value in fields.items()}
  config.update_from_flattened_dict(overrides)
  config.checkpoint_dir = str(folder)
  return config


def cache_dir() -> str:
  """Where drawings are kept for as long as the tests run."""
  return os.path.join(os.environ['JAX_COMPILATION_CACHE_DIR'], 'drawings')
