"""Generalized linear models in context.

    python run.py --config=configs/glm.py                    # joint: Poisson or NB2? The model is not told.
    python run.py --config=configs/glm.py:poisson
    python run.py --config=configs/glm.py:joint,paper        # the published setting, for an accelerator

Presets are the single families and `joint`; any subset is `--config.task.families=poisson,exponential`.

The question is that of "Expanding the GLM Toolkit for Transformers as Statisticians": does a GPT-2 style transformer learn
generalized linear models in context, and tell Poisson from negative binomial by dispersion? `paper` is its size: 12 layers of
width 256 over x and y tokens in turn, K = 40, D = 10, scale .32, Adam at 2.5e-4 for 12,000 steps of one family or 100,000 of
both; without its curriculum on dimensions and points. `quick` keeps the question and the number of linear predictors near 1,
and reads one token per pair, which learns far faster: it closes .97 to .99 of the gap from the naive mean to Bayes in 3,000
steps, two to four minutes on two cores (the README's table, by `benchmarks/results.py`).
"""

from ml_collections import ConfigDict, config_dict

from jaxline_lite import base_config

FAMILIES = ('linear', 'logistic', 'poisson', 'neg_binomial', 'exponential', 'multinomial')
JOINT = 'poisson,neg_binomial'


def get_config(words: str = '') -> ConfigDict:
  preset, size = base_config.read_words(words, ('joint', *FAMILIES), default='joint')
  paper = size == 'paper'
  config = base_config.get_base_config()
  config.checkpoint_dir = base_config.run_folder('glm', preset, 'joint', size)

  config.task = ConfigDict()
  config.task.families = JOINT if preset == 'joint' else preset  # which an episode's family is drawn from
  config.task.D = 10 if paper else 4  # dimensions of x
  config.task.K = 40 if paper else 20  # pairs in an episode
  config.task.scale = 0.32 if paper else 0.5  # standard deviation of a coefficient; the linear predictor's is about 1
  config.task.clip = 4.0  # bound of the linear predictor
  config.task.noise = 0.5  # standard deviation of `linear`
  config.task.r = 1.2  # size of `neg_binomial`: variance is mean + mean^2 / r
  config.task.classes = 4  # of `multinomial`

  config.model = ConfigDict()
  config.model.layers = 12 if paper else 4
  config.model.width = 256 if paper else 64
  config.model.heads = 8 if paper else 4
  config.model.tokens = 'interleaved' if paper else 'pairs'  # x and y tokens in turn, or one token for query and pair before
  config.model.head = 'eta' if paper else 'mixture'  # one linear predictor (the loss is told the family), or a mixture
  config.model.components = 4  # of the mixture, for each family
  config.model.precision = 'auto'  # of matrix products: highest, tf32; auto is highest on a CPU, else tf32

  config.training = ConfigDict()
  config.training.batch_size = 256 if paper else 64  # episodes
  config.training_steps = (100_000 if preset == 'joint' else 12_000) if paper else 3_000

  config.optimizer = ConfigDict()
  config.optimizer.learning_rate = 2.5e-4 if paper else 1e-3
  config.optimizer.schedule = 'constant' if paper else 'warmup_cosine'
  config.optimizer.warmup_steps = 0 if paper else 200
  config.optimizer.clip_norm = 1.0  # bound of the gradient's global norm

  config.eval_interval = 2_000 if paper else 500
  config.best_model_eval_metric = 'eval/nats'
  config.eval.episodes = 10_000
  config.eval.batch_size = 500  # episodes at a time
  config.eval.posterior_samples = 256  # of the Bayes oracles, per episode and position
  config.eval.scale = config_dict.placeholder(float)  # another scale or r than in training
  config.eval.r = config_dict.placeholder(float)
  return config
