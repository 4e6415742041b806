r"""Linear regression in context, as it was published: a model that reads pairs (x, y) of one task
and predicts the next y, beside the exact Bayes answer.

    python run.py --config=configs/linear_regression.py              # raventos, quick
    python run.py --config=configs/linear_regression.py:small
    python run.py --config=configs/linear_regression.py:wide,paper   # for an accelerator
    python run.py --config=configs/linear_regression.py --jaxline_mode eval --config.eval.scale=2.0

w ~ N(0, task.scale^2 I), x ~ N(0, task.data_scale^2 I), y = w.x + task.noise N(0, 1): `task.noise`
is a standard deviation, where papers give a variance. It is `glm` with the one family `linear`, no
clip and known noise: the model gives a mean, the loss is its nats. With s = task.noise these are

    nats = (mean - y)^2 / (2 s^2) + log(s) + log(2 pi) / 2

so that a bound c on the gradient of the papers' mean squared error is a bound c / (2 s^2) on ours
(2 c at s^2 = .25, 4 c at .125), and Adam without one takes the same steps up to rounding.
`metrics.jsonl` has the loss and `error`, (mean - y)^2 / D against the noisy y.

The question of Raventos et al. 2023 (arXiv 2306.15063): trained on a pool of tasks, does a model
learn the pool by heart, or linear regression? The pool's size is a field of the task, and 0, a
fresh task for every episode, is the default:

    python run.py --config=configs/linear_regression.py --config.task.n_tasks=64 \
      --config.checkpoint_dir=runs/linear_regression_64
    python run.py --config=configs/linear_regression.py:raventos,paper --config.task.n_tasks=16384 \
      --config.checkpoint_dir=runs/linear_regression_16384_paper

    python run.py --config=configs/linear_regression.py --jaxline_mode sweep
    python run.py --config=configs/linear_regression.py:paper --jaxline_mode sweep \
      --config.sweep=threshold

The sweeps that have names, `docs/sweeps.md` says what they cost: `diversity` (quick's default),
`raventos` (that of the published size), `threshold`, `dims`, `batch`, `decay`, `size`.

Its evaluations: `eval_pretrain` (the run's pool; where there is one) and `eval_latent` (new tasks),
which a training ends with; `eval_interpolation` (tasks between two of the pool), `eval_mixed_tasks`
(contexts of two tasks), and `eval`, nats alone, from Python or where `eval_modes` names it.
`docs/diversity.md` has numbers.

Presets, at the size `paper` (D = 8, K = 16, 500,000 steps of Adam at 1e-3, up in a triangle and
down to 0; tokens [0, x] and [y, 0, ..., 0] read by one linear layer, learned positions, kernels of
standard deviation .02):

* `raventos`: GPT-2 blocks normed before, 8 layers of width 128, 2 heads; no bias in what reads
  tokens and in the read-out; s^2 = .25, batch 256, the peak in the middle, no clip.
* `small`: the same of 4 layers and width 64. Their threshold is 2^11 to 2^12 tasks, that of
  `raventos` 2^14 to 2^15.
* `wide`: width and MLP 512, 4 heads, 3 layers normed after each sum (a `use_prenorm` of False; with
  True it is `--config.model.norm=pre`), the exact gelu, biases everywhere, s^2 = .125, batch
  2048, a clip of 1.0 of their loss (1 / (2 s^2) = 4 here), the peak at step 50,000, a checkpoint
  every 50,000. The later version:
  `--config.model.layers=8 --config.task.noise=0.5 --config.optimizer.clip_norm=2.0`.
  How its kernels start was not found; here they start as GPT-2's.

Weight decay on the kernels of blocks alone: `--config.optimizer.name=adamw
--config.optimizer.weight_decay=0.01`. Inputs of another scale: `--config.task.data_scale=2.0`.

`quick` keeps the question (D = 4, K = 8, 6,000 steps of batch 128, 2 layers of width 64, 4 heads)
and reads one token per pair, which learns faster. Its `small` has half the width, its `wide` an MLP
of the stream's width, norms after the sums, the exact gelu, noise, clip and an early peak, at a
tenth of the steps.

What the quick size reaches is in `docs/diversity.md`. One Gaussian of known noise cannot say how
sure it is of its mean, which `ridge` and `bayes` can: so the nats of such a model stay above theirs
(`plugin`, the posterior mean with known noise, is the best that it can be), and its `error` is to
be held against theirs.

With T tokens (K of `pairs`, 2 K of `interleaved_plain`) and M the MLP's width (4 E but for `wide`)
blocks have L (4 E^2 + 2 E M + 9 E + M) parameters, positions T E, the last norm 2 E (none where
blocks are normed after), what reads plain tokens (D + 1) E, pairs (2 D + 5) E, and the read-out E,
with the biases of `wide` E and 1 more. A step takes some 6 B T L (4 E^2 + 2 E M + 2 T E)
operations. It holds 16 bytes for each parameter, and activations for the backward pass, some
4 B T L (16 E + 3 M + 3 H T) bytes:

    preset    size   parameters  operations  bytes of activations
    raventos  quick     101,505     6.17e+08              1.55e+07
    raventos  paper   1,591,808     8.05e+10              9.90e+08
    small     quick      26,177     1.57e+08              8.13e+06
    small     paper     202,752     1.05e+10              2.60e+08
    wide      quick      51,841     3.15e+08              1.07e+07
    wide      paper   4,755,969     1.89e+12              7.95e+09
"""

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
  'model.heads': 4,
  'model.tokens': 'pairs',
  'model.head': 'known_noise',
  'training.batch_size': 128,
  'training_steps': 6_000,
  'optimizer.learning_rate': 1e-3,
  'optimizer.schedule': 'triangle',
  'optimizer.warmup_steps': 3_000,  # the peak in the middle
  'optimizer.clip_norm': math.inf,
  'sweep': 'diversity',  # one of icljax/glm/sweeps.py, or spelled out
  'eval_interval': 1_000,
  # auto: eval_latent, and where there is a pool eval_pretrain
  'eval_modes': ('auto',),
  'best_model_eval_metric': 'eval_latent/error',
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
  'model.heads': 2,
  'model.tokens': 'interleaved_plain',
  'training.batch_size': 256,
  'training_steps': 500_000,
  'optimizer.warmup_steps': 250_000,
  'sweep': 'raventos',
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
