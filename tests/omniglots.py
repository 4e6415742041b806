"""Configs of image sequences so small that a test can run them, and data for them."""

from ml_collections import ConfigDict

from configs import omniglot
from tests.configs import cache_dir

TINY = {
  'data.procedural_classes': 24, 'data.side': 14, 'task.pool_seed': 1,
  'data.generator_config.n_rare_classes': 12, 'data.generator_config.n_common_classes': 4, 'data.generator_config.n_holdout_classes': 8,
  'model.layers': 1, 'model.width': 16, 'model.heads': 2,
  'training.batch_size': 16, 'training_steps': 20, 'optimizer.warmup_steps': 4, 'optimizer.learning_rate': 3e-3,
  'log_train_data_interval': 10, 'save_checkpoint_interval': '10', 'keep_checkpoints': 'log:2', 'compilation_cache': False,
  'eval.episodes': 32, 'eval.batch_size': 16, 'eval_interval': 10,
}  # fmt: skip


def tiny(folder='', words: str = 'procedural', **fields) -> ConfigDict:
  """A run of seconds; `fields` are overrides with `__` for the dots."""
  config = omniglot.get_config(words)
  config.update_from_flattened_dict(
    TINY | {name.replace('__', '.'): value for name, value in fields.items()}
  )
  config.checkpoint_dir = str(folder)
  config.data.cache_dir = cache_dir()
  return config
