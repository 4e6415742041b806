"""Image sequences that start from the parameters of another run."""

import numpy as np
import pytest

from icljax import build, checks
from icljax.experiment import Experiment
from jaxline_lite.checkpoint import Checkpoints
from jaxline_lite.errors import BadInput
from jaxline_lite.run_folder import record_config
from tests.omniglots import tiny

OTHER_MEANING = [
  ('task.pool_seed', 2), ('data.example_type', 'omniglot'), ('data.side', 13),
  ('data.components', 8), ('data.procedural_classes', 25),
  ('data.omniglot_config.omniglot_split', 'small1'), ('data.omniglot_config.exemplars', 'single'),
  ('data.omniglot_config.augment_images', True), ('data.symbolic_config.dataset_size', 25),
  ('data.generator_config.n_rare_classes', 11), ('data.generator_config.n_common_classes', 3),
  ('data.generator_config.n_holdout_classes', 7),
  ('data.generator_config.preserve_ordering_every_n', 4),
  ('data.seq_config.labeling_rare', 'unfixed'), ('data.seq_config.labeling_common', 'unfixed'),
  ('data.seq_config.fs_labels', 5), ('data.seq_config.fs_holdout_sets', 2),
  ('model.sequence', 'rnn'), ('model.layers', 2), ('model.width', 8), ('model.heads', 4),
  ('model.embedder', 'resnet'), ('model.positions', 'learned'), ('model.mlp', False),
]  # fmt: skip
SAME_MEANING = [
  ('data.train_seqs', 'random'), ('data.generator_config.zipf_exponent', 1.0),
  ('data.seq_config.p_bursty', 0.5), ('data.seq_config.seq_len', 11), ('model.init', 'fan_in'),
  ('data.manual_dir', '/elsewhere'), ('data.cache_dir', '/elsewhere'), ('random_seed', 1),
]  # fmt: skip


def replaced(config, field, value):
  config = config.copy_and_resolve_references()
  config.update_from_flattened_dict({field: value})
  return config


@pytest.mark.parametrize(('field', 'value'), OTHER_MEANING)
def test_a_source_whose_parameters_mean_something_else_is_refused(field, value):
  source = tiny()
  config = replaced(source, field, value)
  for ours, theirs in ((config, source), (source, config)):
    with pytest.raises(ValueError, match=f'^its {field} is .*, here it is .*; set the same$'):
      build.warm_start_of(ours, theirs)


@pytest.mark.parametrize(('field', 'value'), SAME_MEANING)
def test_what_parameters_mean_does_not_depend_on_the_rest(field, value):
  assert build.warm_start_of(replaced(tiny(), field, value), tiny()).fresh == ()


def test_other_data_are_refused_where_both_runs_tell():
  config, source = tiny(data__digest='a' * 64), tiny(data__digest='b' * 64)
  with pytest.raises(ValueError, match=r'its data\.digest is'):
    build.warm_start_of(config, source)
  assert build.warm_start_of(config, tiny()).fresh == ()


def test_a_source_of_other_drawings_is_refused_by_their_digest(tmp_path):
  """A new run has the digest of the file that it reads, the source that of when it began."""
  fields = {'data__example_type': 'features', 'data__features': str(tmp_path / 'features.npz')}
  values = np.random.default_rng(0).normal(size=(24, 20, 6))
  np.savez(tmp_path / 'features.npz', values)
  source = tiny(tmp_path / 'one', **fields)
  source = Experiment(source).with_origins(source)
  (tmp_path / 'one').mkdir()
  record_config(tmp_path / 'one', source, checks)
  Checkpoints(tmp_path / 'one' / 'checkpoints', print).save(1, build.init_state(source), {})
  config = tiny(tmp_path / 'two', init_from=str(tmp_path / 'one'), **fields)
  Experiment(config).begin()
  values[3, 4, 5] += 1
  np.savez(tmp_path / 'features.npz', values)
  with pytest.raises(BadInput, match=r'init_from is .*: its data\.digest is'):
    Experiment(config).begin()
