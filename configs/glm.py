r"""Generalized linear models in context.

    python run.py --config=configs/glm.py                 # joint: Poisson or NB2? It is not told
    python run.py --config=configs/glm.py:poisson
    python run.py --config=configs/glm.py:joint,paper     # the published setting

Presets are the single families and `joint`; any subset is
`--config.task.families=poisson,exponential`.

The question is that of "Expanding the GLM Toolkit for Transformers as Statisticians": does a GPT-2
style transformer learn generalized linear models in context, and tell Poisson from negative
binomial by dispersion? `quick` keeps the question and the number of linear predictors near 1, and
reads one token per pair, which learns far faster: it closes .97 to .99 of the gap from the naive
mean to Bayes in 3,000 steps, some 200 seconds of one core (the README's tables, by
`benchmarks/results.py`).

The whole question, r by seeds, is one command (`docs/sweeps.md`):

    python run.py --config=configs/glm.py --jaxline_mode sweep

`paper` is the published size: 12 layers of width 256 over x and y tokens in turn, K = 40, D = 10,
scale .32, batch 256, Adam at 2.5e-4 for 12,000 steps of one family or 100,000 of both. Its
experiments, one command each:

    python run.py --config=configs/glm.py:poisson,paper
    python run.py --config=configs/glm.py:neg_binomial,paper
    python run.py --config=configs/glm.py:neg_binomial,paper --config.task.r=2.5 \
      --config.checkpoint_dir=runs/glm_nb_r2.5_paper
    python run.py --config=configs/glm.py:neg_binomial,paper --config.task.r=5.0 \
      --config.checkpoint_dir=runs/glm_nb_r5_paper
    python run.py --config=configs/glm.py:joint,paper
    python run.py --config=configs/glm.py:joint,paper --config.task.r=2.5 \
      --config.checkpoint_dir=runs/glm_r2.5_paper
    python run.py --config=configs/glm.py:joint,paper --config.task.r=5.0 \
      --config.checkpoint_dir=runs/glm_r5_paper
    python run.py --config=configs/glm.py:joint,paper --config.task.curriculum.interval=3000 \
      --config.checkpoint_dir=runs/glm_curriculum_paper
    python run.py --config=configs/glm.py:joint,paper --config.init_from=runs/glm_poisson_paper \
      --config.checkpoint_dir=runs/glm_warm_paper

With T = 2 K tokens their models have L (12 E^2 + 13 E) + E (2 K + D + 6) parameters and those of
the head, 9.5 million; a step takes 6 B T L (12 E^2 + 2 T E) operations, 1.2e12. It holds 16 bytes
for each parameter, and activations for the backward pass, some 4 B T L (18 E + 2 H T) bytes or 6
GB; `python -m benchmarks.paper`, one step and one evaluation of each, took 13 GB at most on a CPU.
"""

from ml_collections import ConfigDict, config_dict

from icljax.glm.checks import FAMILIES
from jaxline_lite.config_files import make_config

DEFAULTS = {
  'subject': 'glm',
  # What an episode's family is drawn from; user-defined ones as module:name.
  'task.families': 'poisson,neg_binomial',
  # module:name of a function that makes a user-defined task from the one described here.
  'task.own': '',
  'task.D': 4,  # dimensions of x
  'task.K': 20,  # pairs in an episode
  # Standard deviation of a coefficient; the linear predictor's is about 1.
  'task.scale': 0.5,
  'task.data_scale': 1.0,  # standard deviation of an input
  'task.clip': 4.0,  # bound of the linear predictor
  'task.noise': 0.5,  # standard deviation of `linear`
  'task.r': 1.2,  # size of `neg_binomial`: variance is mean + mean^2 / r
  'task.classes': 4,  # of `multinomial`
  # Size of the pool that an episode's weights are from; 0: fresh weights in every episode.
  'task.n_tasks': 0,
  'task.pool_seed': 0,  # from which the pool is drawn; one of M is the first M of every larger one
  # Steps between two growths; 0: no curriculum, all dimensions and pairs at once.
  'task.curriculum.interval': 0,
  'task.curriculum.dims_start': 2,
  'task.curriculum.dims_increment': 1,
  'task.curriculum.points_start': 8,
  'task.curriculum.points_increment': 4,
  'model.sequence': 'transformer',  # lstm, rnn, or module:name of a user-defined one
  'model.layers': 4,
  'model.width': 64,
  'model.heads': 4,
  'model.norm': 'pre',  # layer norm before attention and MLP, or after each sum: 'post'
  'model.mlp_width': 0,  # of the MLP's hidden layer; 0: 4 x width
  'model.gelu': 'tanh',  # GPT-2's approximation, or 'erf'
  # 'interleaved': x and y tokens in turn; 'pairs': one token for a query and the pair before it;
  # 'interleaved_plain': x and y in turn as [0, x] and [y, 0, ..., 0], read by one linear layer.
  'model.tokens': 'pairs',
  # 'eta': one linear predictor, and the loss is told the family; 'mixture': of all families;
  # 'known_noise': one Gaussian of any mean and of the task's noise, for `linear` alone.
  'model.head': 'mixture',
  # Whether what reads tokens of 'interleaved_plain', and the mean of 'known_noise' with them, have
  # biases. With other tokens both have.
  'model.end_bias': False,
  'model.components': 4,  # of the mixture, for each family
  # Of matrix products: highest, tf32, bfloat16; auto is highest on a CPU, else tf32.
  'model.precision': 'auto',
  'training.batch_size': 64,  # episodes
  'training_steps': 3_000,
  'optimizer.name': 'adam',  # adam, adamw or sgd
  'optimizer.learning_rate': 1e-3,
  # constant, triangle, warmup_cosine, one_cycle or inverse_sqrt
  'optimizer.schedule': 'warmup_cosine',
  'optimizer.warmup_steps': 200,  # of all schedules but constant
  'optimizer.clip_norm': 1.0,  # bound of the gradient's global norm
  'optimizer.weight_decay': 0.1,  # of adamw
  'optimizer.momentum': 0.9,  # of sgd
  # Steps without a better loss after which a run stops; 0: it never does.
  'early_stopping.patience': 0,
  # Whose loss: 'train', the mean over a window of the batches' own; of 64 held-out episodes at its
  # end, 'pretrain' of the training task, or 'latent' of new tasks instead of the pool's.
  'early_stopping.on': 'train',
  'early_stopping.min_delta': 0.0,  # nats by which it has to be lower to be better
  'early_stopping.window': 100,  # steps of a window
  'sweep': 'dispersion',  # one of icljax/glm/sweeps.py, or spelled out
  'eval_interval': 500,
  'best_model_eval_metric': 'eval/nats',
  'eval.episodes': 0,  # 10,000; of pools of over 65,536 tasks 2,048
  'eval.batch_size': 500,  # episodes at a time
  'eval.posterior_samples': 256,  # of the Bayes oracles, per episode and position
  'eval.metrics': '',  # module:name of user-defined metrics, separated by commas
  'eval.scale': config_dict.placeholder(float),  # another scale than in training
  'eval.r': config_dict.placeholder(float),  # another r than in training
}
PRESETS = {
  'joint': {},
  **{family: {'task.families': family, 'sweep': 'diversity'} for family in FAMILIES},
  'neg_binomial': {'task.families': 'neg_binomial'},
}
PAPER = {
  'task.D': 10,
  'task.K': 40,
  'task.scale': 0.32,
  'model.layers': 12,
  'model.width': 256,
  'model.heads': 8,
  'model.tokens': 'interleaved',
  'model.head': 'eta',
  'training.batch_size': 256,
  'training_steps': 12_000,
  'optimizer.learning_rate': 2.5e-4,
  'optimizer.schedule': 'constant',
  'optimizer.warmup_steps': 0,
  'eval_interval': 2_000,
}
PAPER_PRESETS = {'joint': {'training_steps': 100_000}}


def get_config(words: str = '') -> ConfigDict:
  """The config of a preset and a size, as `--config=configs/glm.py:WORDS` names them."""
  return make_config(
    words,
    file='glm',
    default='joint',
    defaults=DEFAULTS,
    presets=PRESETS,
    paper=PAPER,
    paper_presets=PAPER_PRESETS,
  )
