"""Published sweeps of image sequences, by name (Chan et al. 2022, arXiv 2205.05055). No JAX."""

from collections.abc import Mapping

from ml_collections import ConfigDict

from icljax.omniglot.derived import VARIANTS

# The paper's curves are figures; of its exponents 0, about 1 and 3 are told of, and others were not
# found.
EXPONENTS = '0,0.5,1,1.5,2,3'
# Classes that are trained on, rare and common: 100, 1,600 and 12,800, the last by flips and
# rotations. The share of common ones at 100 and 1,600 was not found.
CLASSES = (
  'data.omniglot_config.augment_images,data.generator_config.preserve_ordering_every_n,'
  'data.generator_config.n_rare_classes,data.generator_config.n_common_classes,'
  'data.generator_config.n_holdout_classes='
  f'(False,0,90,10,10),(False,0,1590,10,10),(True,{VARIANTS},12700,100,80)'
)
# Symbols have no flips, but there can be any number of them.
CLASSES_OF_SYMBOLS = (
  'data.symbolic_config.dataset_size,data.generator_config.n_rare_classes,'
  'data.generator_config.n_common_classes,data.generator_config.n_holdout_classes='
  '(200,100,0,100),(1700,1600,0,100),(12900,12800,0,100)'
)


def sweeps(config: ConfigDict) -> Mapping[str, str]:
  """The published sweeps of a config, by name, as `config.sweep` would spell them out.

  `burstiness`, `zipf`, `classes` and `recurrent` (the transformer beside LSTM and RNN) are of runs
  that train on bursty sequences, which all of them are about; other runs have none. The models of
  `recurrent` have 2 layers, and where the config has more (12 as published) those too.
  """
  if config.data.train_seqs != 'bursty':
    return {}
  layers = f'; model.layers=2,{config.model.layers}' if config.model.layers > 2 else ''
  named = {
    'burstiness': 'data.seq_config.p_bursty=0,0.5,0.9,1',
    'zipf': f'data.generator_config.zipf_exponent={EXPONENTS}',
    'recurrent': f'model.sequence=transformer,lstm,rnn{layers}',
  }
  if config.data.example_type == 'symbolic':
    return named | {'classes': CLASSES_OF_SYMBOLS}
  return named | {'classes': CLASSES}
