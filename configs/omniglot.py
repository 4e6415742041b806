"""Image sequences: emergent in-context learning (Chan et al. 2022, "Data Distributional Properties
Drive Emergent In-Context Learning").

    python run.py --config=configs/omniglot.py:procedural                    # no files needed
    python run.py --config=configs/omniglot.py --config.data.manual_dir=DIR  # Omniglot by TFDS
    python run.py --config=configs/omniglot.py:procedural --jaxline_mode train_eval
    python run.py --config=configs/omniglot.py:procedural --jaxline_mode eval_flip
    python run.py --config=configs/omniglot.py:induction --jaxline_mode train_eval  # and heads

Sequences are drawings and labels in turn, and a last drawing whose label is asked for. In `bursty`
ones its class is in the context, so that the label can be copied, and classes keep their labels, so
that it can also be learned by heart. What a model does is told by `eval_fewshot_holdout` (classes
never trained on, two labels anew in each sequence: learning in context) and by
`eval_no_support_*` (the class is not in the context: learning in weights). Closed accuracy chooses
among the labels that are possible there, open accuracy among all. `eval_flip` gives each class of
the context the other's label; `eval_iwl_context` asks for a class beside a few-shot problem of two
others; `eval_induction` measures what the heads attend to.

Sweeps that have names, each one command (`docs/sweeps.md`): `burstiness` (the default), `zipf`,
`classes` and `recurrent`.

    python run.py --config=configs/omniglot.py:procedural --jaxline_mode sweep --config.sweep=zipf

Presets: `all_exemplars` (1603 rare, 10 common, 10 held-out classes of 20 drawings), `augmented`
(flips and rotations make eight classes of each; a character's variants stay together), `identical`
(one drawing per class: the first in the order of our cache), `symbolic` (an item is a number),
`procedural` (characters drawn by this library, not Omniglot; 1513 / 10 / 100), and `induction`
(Singh et al. 2024: two attention-only layers with rotary positions on fixed features, one drawing
of each of 50 classes, two pairs and a query, labels anew in each sequence out of 5, of whose 10
pairs 2 are held out: `--config.eval.labels=holdout`). Its features are ours, for want of a
ResNet18: the leading 512 principal components of the 28 x 28 procedural characters.

`paper` is the published size (of `induction` it changes only how kernels and labels start, the
clipping and the learning rate): drawings of 105 x 105 (ink is 1 here, 0 there) through a ResNet
with batch norm, 12 layers of width 64 with sinusoidal positions, p_bursty .9, batch 32, Adam at
3e-4 after 4,000 steps of warm-up, then as 1/sqrt(step), for 500,000 steps. `quick` reads 28 x 28
pixels through one linear layer into 2 layers with rotary positions, labels embedded at scale 1,
always bursty, 6,000 steps of Adam at 1e-3: in some four minutes few-shot accuracy on classes never
seen is .86 to .88, where sequences are uniform it stays at chance (the README's table). Few-shot
problems have four shots, in bursty sequences three, as in the reference's code; classes of a
problem are distinct unless `fewshot_replacement`. Left out of the reference's options:
`randomly_generate_rare`, `flatten_superpixels`, `concatenate_labels`.

Parameters, embedder and head included:

    all_exemplars  quick    359,703   linear, 1,623 labels
    all_exemplars  paper    831,479   resnet, 1,623 labels
    augmented      quick  1,811,856   linear, 12,880 labels
    augmented      paper  2,283,632   resnet, 12,880 labels
    identical      quick    359,703   linear, 1,623 labels
    identical      paper    831,479   resnet, 1,623 labels
    symbolic       quick    410,368   table, 1,600 labels
    symbolic       paper    910,208   table, 1,600 labels
    procedural     quick    359,703   linear, 1,623 labels
    procedural     paper    831,479   resnet, 1,623 labels
    induction      quick     67,141   linear, 5 labels
    induction      paper     67,141   linear, 5 labels

Real drawings: Omniglot's small1 (136 characters), of which flips and rotations make 1,088 classes;
100 characters (800 classes) to train on, 36 (288) held out, the split of `task.pool_seed` 0. With
so few classes a quick model learns them by heart and is at chance on held-out ones (closed .494 ±
.005 of 100 characters without variants); three labels for every class keep it from that:

    python run.py --config=configs/omniglot.py --jaxline_mode train_eval
      --config.data.manual_dir=DIR
      --config.data.omniglot_config.omniglot_split=small1
      --config.data.omniglot_config.augment_images=True
      --config.data.generator_config.preserve_ordering_every_n=8
      --config.data.generator_config.n_rare_classes=800
      --config.data.generator_config.n_common_classes=0
      --config.data.generator_config.n_holdout_classes=288
      --config.data.seq_config.labeling_rare=ordered_polysemy3 --config.random_seed=0

On held-out classes, closed / open: .777 / .410, .704 / .068 and .730 / .151 with random_seed 0, 1,
2 (± .005), in 160 to 365 seconds of which a core was busy for 220; without support .02 to .03 open,
where one label in three can be right at best. LSTM and RNN at the transformer's budget, on
procedural characters: .491 and .484 closed where transformers have .861 to .876. The induction
model on unseen classes: .856 with pairs of labels that it was trained on (`python -m
benchmarks.image_results`), closed .848 with the two that were held out (`--jaxline_mode
eval_fewshot_holdout --config.eval.labels=holdout`).
"""

from ml_collections import ConfigDict

from jaxline_lite.config_files import make_config

DEFAULTS = {
  'subject': 'omniglot',
  'task.pool_seed': 0,  # the split of the classes, the same for all runs
  # What sequences are made of; names are those of the reference system.
  'data.example_type': 'omniglot',  # procedural, symbolic or features
  'data.train_seqs': 'bursty',  # or no_support_*, fewshot_*, mixed, random
  'data.side': 28,  # pixels of a drawing's height and width
  # Leading principal components that are read instead of pixels; 0: pixels.
  'data.components': 0,
  'data.features': '',  # example_type 'features': a .npz file with an array [C, J, F]
  'data.procedural_classes': 1_623,
  'data.manual_dir': '',  # a folder with Omniglot's archives, where they are not to be downloaded
  'data.data_dir': '',  # where TFDS prepares; '' is its own default
  'data.cache_dir': '~/.cache/icljax',
  # SHA-256 of the data that a run began with, as config.json keeps it; 'auto' is that of those that
  # are read.
  'data.digest': 'auto',
  # 'all' is train and test; or one of train, test, small1, small2.
  'data.omniglot_config.omniglot_split': 'all',
  # Drawings of a class, procedural ones too; or 'single', or 'separated', a class for each.
  'data.omniglot_config.exemplars': 'all',
  'data.omniglot_config.augment_images': False,  # flips and rotations make 8 classes of each
  'data.symbolic_config.dataset_size': 1_623,  # symbols
  'data.generator_config.n_rare_classes': 1_603,
  'data.generator_config.n_common_classes': 10,
  'data.generator_config.n_holdout_classes': 10,
  'data.generator_config.zipf_exponent': 0.0,  # of rare and common classes together; 0: uniform
  # Whether draws among common or among rare classes are by that law too.
  'data.generator_config.use_zipf_for_common_rare': False,
  'data.generator_config.noise_scale': 0.0,  # standard deviation on every pixel or feature
  # Ids that stay together in the split; 0: none do.
  'data.generator_config.preserve_ordering_every_n': 0,
  'data.seq_config.seq_len': 9,  # items, the query included
  'data.seq_config.fs_shots': 4,  # items of each class in a few-shot problem, and
  'data.seq_config.bursty_shots': 3,  # in one that is part of a bursty sequence
  'data.seq_config.ways': 2,  # classes of a few-shot problem
  # That a bursty sequence is bursty; and that classes of problem and remainder are
  'data.seq_config.p_bursty': 1.0,
  'data.seq_config.p_bursty_common': 0.0,  # common and rare,
  'data.seq_config.p_bursty_zipfian': 1.0,  # both zipfian; else rare and common
  'data.seq_config.non_bursty_type': 'zipfian',  # or common_uniform, common_no_support
  'data.seq_config.p_fewshot': 0.5,  # that a mixed sequence is a few-shot problem
  'data.seq_config.labeling_rare': 'ordered',  # original, unfixed, or ordered_polysemyN
  'data.seq_config.labeling_common': 'ordered',  # original or unfixed
  # Labels of which few-shot problems use `ways`; 0: just so many.
  'data.seq_config.fs_labels': 0,
  'data.seq_config.fs_holdout_sets': 0,  # sets of `ways` labels that are not trained on
  'data.seq_config.grouped': False,  # whether each shot of a few-shot context has every class
  # Whether a problem's classes may be one twice, as published.
  'data.seq_config.fewshot_replacement': False,
  # Whether the other items of a bursty sequence are all of other classes.
  'data.seq_config.distinct_remainder': False,
  'model.embedder': 'linear',  # resnet, or table for symbols
  'model.sequence': 'transformer',  # lstm, rnn, or module:name of a user-defined one
  'model.layers': 2,
  'model.width': 64,
  'model.heads': 8,
  'model.mlp': True,  # whether blocks of the transformer have one
  'model.norm': 'pre',  # layer norm before attention and MLP, or after each sum: 'post'
  'model.mlp_width': 0,  # of the MLP's hidden layer; 0: 4 x width
  'model.gelu': 'tanh',  # GPT-2's approximation, or 'erf'
  'model.positions': 'rotary',  # sinusoidal or learned
  'model.init': 'gpt2',  # or fan_in: how kernels of the transformer start
  'model.label_scale': 1.0,  # standard deviation of the embeddings of labels at the start
  # Of matrix products: highest, tf32, bfloat16; auto is highest on a CPU, else tf32.
  'model.precision': 'auto',
  'training.batch_size': 32,  # sequences
  'training.w_interim': 0.0,  # loss weight of the labels before the query's
  'training_steps': 6_000,
  'optimizer.name': 'adam',  # adam, adamw or sgd
  'optimizer.learning_rate': 1e-3,
  # constant, triangle, warmup_cosine, one_cycle or inverse_sqrt
  'optimizer.schedule': 'warmup_cosine',
  'optimizer.warmup_steps': 500,  # of all schedules but constant
  'optimizer.clip_norm': 1.0,  # bound of the gradient's global norm
  'optimizer.weight_decay': 0.1,  # of adamw
  'optimizer.momentum': 0.9,  # of sgd
  # Steps without a better loss after which a run stops; 0: it never does.
  'early_stopping.patience': 0,
  # Whose loss: 'train', the mean over a window of the batches' own; 'pretrain', that of 64 held-out
  # sequences at its end.
  'early_stopping.on': 'train',
  'early_stopping.min_delta': 0.0,  # nats by which it has to be lower to be better
  'early_stopping.window': 100,  # steps of a window
  'eval_modes': ('eval_fewshot_holdout', 'eval_no_support_zipfian', 'eval_bursty'),
  'sweep': 'burstiness',  # one of icljax/omniglot/sweeps.py, or spelled out
  'eval_interval': 1_000,
  'best_model_eval_metric': 'eval_fewshot_holdout/accuracy_closed',
  'best_model_eval_metric_higher_is_better': True,
  'eval.episodes': 10_000,
  'eval.batch_size': 500,  # sequences at a time
  # Of few-shot problems: the sets of labels that are trained on, or those of 'holdout'.
  'eval.labels': 'trained',
}
PRESETS = {
  'all_exemplars': {},
  'augmented': {
    'data.omniglot_config.augment_images': True,
    'data.generator_config.n_rare_classes': 12_700,
    'data.generator_config.n_common_classes': 100,
    'data.generator_config.n_holdout_classes': 80,
    'data.generator_config.preserve_ordering_every_n': 8,
  },
  'identical': {'data.omniglot_config.exemplars': 'single'},
  'symbolic': {
    'data.example_type': 'symbolic',
    'data.generator_config.n_rare_classes': 1_500,
    'data.generator_config.n_common_classes': 0,
    'data.generator_config.n_holdout_classes': 100,
    'model.embedder': 'table',
  },
  'procedural': {
    'data.example_type': 'procedural',
    'data.generator_config.n_rare_classes': 1_513,
    'data.generator_config.n_common_classes': 10,
    'data.generator_config.n_holdout_classes': 100,
  },
  'induction': {
    'data.example_type': 'procedural',
    'data.train_seqs': 'fewshot_rare',
    'data.side': 28,  # also in the published size, as the next ones that are quick's own
    'data.components': 512,
    'data.omniglot_config.exemplars': 'single',
    'data.generator_config.n_rare_classes': 50,
    'data.generator_config.n_common_classes': 0,
    'data.generator_config.n_holdout_classes': 1_573,
    'data.seq_config.seq_len': 3,
    'data.seq_config.fs_shots': 1,
    'data.seq_config.bursty_shots': 1,  # so that bursty sequences fit into three items too
    'data.seq_config.labeling_rare': 'unfixed',
    'data.seq_config.labeling_common': 'unfixed',  # so that the model has five labels, and no more
    'data.seq_config.fs_labels': 5,
    'data.seq_config.fs_holdout_sets': 2,
    'model.embedder': 'linear',
    'model.layers': 2,
    'model.mlp': False,
    'model.positions': 'rotary',
    'training_steps': 31_250,
    'optimizer.learning_rate': 1e-4,
    'optimizer.schedule': 'constant',
    'optimizer.warmup_steps': 0,
    'eval_modes': ('eval_fewshot_holdout', 'eval_fewshot_rare', 'eval_induction'),
    'sweep': '',  # it has none that was published
    'eval_interval': 625,
  },
}
PAPER = {
  'data.side': 105,
  'data.seq_config.p_bursty': 0.9,
  'model.embedder': 'resnet',
  'model.layers': 12,
  'model.positions': 'sinusoidal',
  'model.init': 'fan_in',
  'model.label_scale': 0.02,
  'training_steps': 500_000,
  'optimizer.learning_rate': 3e-4,
  'optimizer.schedule': 'inverse_sqrt',
  'optimizer.warmup_steps': 4_000,
  'optimizer.clip_norm': float('inf'),
  'eval_interval': 10_000,
}
PAPER_PRESETS = {'induction': {'optimizer.learning_rate': 1e-5}}


def get_config(words: str = '') -> ConfigDict:
  """The config of a preset and a size, as `--config=configs/omniglot.py:WORDS` names them."""
  return make_config(
    words,
    file='omniglot',
    default='all_exemplars',
    defaults=DEFAULTS,
    presets=PRESETS,
    paper=PAPER,
    paper_presets=PAPER_PRESETS,
  )
