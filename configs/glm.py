"""Generalized linear models in context.

    python run.py --config=configs/glm.py                    # joint: Poisson or NB2? The model is not told.
    python run.py --config=configs/glm.py:poisson
    python run.py --config=configs/glm.py:joint,paper        # the published setting, for an accelerator

Presets are the single families and `joint`; any subset is
`--config.task.families=poisson,exponential`.

The question is that of "Expanding the GLM Toolkit for Transformers as Statisticians": does a GPT-2
style transformer learn generalized linear models in context, and tell Poisson from negative
binomial by dispersion? `quick` keeps the question and the number of linear predictors near 1, and
reads one token per pair, which learns far faster: it closes .97 to .99 of the gap from the naive
mean to Bayes in 3,000 steps, some 200 seconds of one core (the README's tables, by
`benchmarks/results.py`).

`paper` is the published size: 12 layers of width 256 over x and y tokens in turn, K = 40, D = 10,
scale .32, batch 256, Adam at 2.5e-4 for 12,000 steps of one family or 100,000 of both. Its
experiments, one command each:

    python run.py --config=configs/glm.py:poisson,paper
    python run.py --config=configs/glm.py:neg_binomial,paper
    python run.py --config=configs/glm.py:neg_binomial,paper --config.task.r=2.5 --config.checkpoint_dir=runs/glm_nb_r2.5_paper
    python run.py --config=configs/glm.py:neg_binomial,paper --config.task.r=5.0 --config.checkpoint_dir=runs/glm_nb_r5_paper
    python run.py --config=configs/glm.py:joint,paper
    python run.py --config=configs/glm.py:joint,paper --config.task.r=2.5 --config.checkpoint_dir=runs/glm_r2.5_paper
    python run.py --config=configs/glm.py:joint,paper --config.task.r=5.0 --config.checkpoint_dir=runs/glm_r5_paper
    python run.py --config=configs/glm.py:joint,paper --config.task.curriculum.interval=3000 --config.checkpoint_dir=runs/glm_curriculum_paper
    python run.py --config=configs/glm.py:joint,paper --config.init_from=runs/glm_poisson_paper --config.checkpoint_dir=runs/glm_warm_paper

With T = 2 K tokens their models have L (12 E^2 + 13 E) + E (2 K + D + 6) parameters and those of
the head, 9.5 million; a step takes 6 B T L (12 E^2 + 2 T E) operations, 1.2e12. It holds 16 bytes
for each parameter, and activations for the backward pass, some 4 B T L (18 E + 2 H T) bytes or 6
GB; `python -m benchmarks.paper`, one step and one evaluation of each, took 13 GB at most on a CPU.
"""

from ml_collections import ConfigDict, config_dict

from jaxline_lite import base_config

FAMILIES = ('linear', 'logistic', 'poisson', 'neg_binomial', 'exponential', 'multinomial')
JOINT = 'poisson,neg_binomial'


def get_config(words: str = '') -> ConfigDict:
  preset, size = base_config.read_words(words, ('joint', *FAMILIES), default='joint')
  paper = size == 'paper'
  config = base_config.get_base_config()
  config.subject = 'glm'
  config.checkpoint_dir = base_config.run_folder('glm', preset, 'joint', size)

  config.task = ConfigDict()
  # Which an episode's is drawn from; one's own as module:name.
  config.task.families = JOINT if preset == 'joint' else preset
  # module:name of a function that makes a task of one's own from the one described here.
  config.task.own = ''
  config.task.D = 10 if paper else 4  # dimensions of x
  config.task.K = 40 if paper else 20  # pairs in an episode
  # Standard deviation of a coefficient; the linear predictor's is about 1.
  config.task.scale = 0.32 if paper else 0.5
  config.task.clip = 4.0  # bound of the linear predictor
  config.task.noise = 0.5  # standard deviation of `linear`
  config.task.r = 1.2  # size of `neg_binomial`: variance is mean + mean^2 / r
  config.task.classes = 4  # of `multinomial`
  config.task.curriculum = ConfigDict()
  # Steps between two growths; 0: no curriculum, all dimensions and pairs at once.
  config.task.curriculum.interval = 0
  config.task.curriculum.dims_start = 2
  config.task.curriculum.dims_increment = 1
  config.task.curriculum.points_start = 8
  config.task.curriculum.points_increment = 4

  config.model = ConfigDict()
  config.model.sequence = 'transformer'  # or module:name of one's own
  config.model.layers = 12 if paper else 4
  config.model.width = 256 if paper else 64
  config.model.heads = 8 if paper else 4
  # X and y tokens in turn, or one token for query and pair before.
  config.model.tokens = 'interleaved' if paper else 'pairs'
  # One linear predictor (the loss is told the family), or a mixture.
  config.model.head = 'eta' if paper else 'mixture'
  config.model.components = 4  # of the mixture, for each family
  # Of matrix products: highest, tf32, bfloat16; auto is highest on a CPU, else tf32.
  config.model.precision = 'auto'

  config.training = ConfigDict()
  config.training.batch_size = 256 if paper else 64  # episodes
  config.training_steps = (100_000 if preset == 'joint' else 12_000) if paper else 3_000

  config.optimizer = ConfigDict()
  config.optimizer.name = 'adam'  # adam, adamw or sgd
  config.optimizer.learning_rate = 2.5e-4 if paper else 1e-3
  # Or triangle, one_cycle, inverse_sqrt.
  config.optimizer.schedule = 'constant' if paper else 'warmup_cosine'
  config.optimizer.warmup_steps = 0 if paper else 200  # of all schedules but constant
  config.optimizer.clip_norm = 1.0  # bound of the gradient's global norm
  config.optimizer.weight_decay = 0.1  # of adamw
  config.optimizer.momentum = 0.9  # of sgd

  config.early_stopping = ConfigDict()
  # Steps without a better mean loss after which a run stops; 0: it never does.
  config.early_stopping.patience = 0
  config.early_stopping.min_delta = 0.0  # nats by which a mean has to be lower to be better
  config.early_stopping.window = 100  # steps whose mean loss is compared

  config.eval_interval = 2_000 if paper else 500
  config.best_model_eval_metric = 'eval/nats'
  config.eval.episodes = 10_000
  config.eval.batch_size = 500  # episodes at a time
  config.eval.posterior_samples = 256  # of the Bayes oracles, per episode and position
  config.eval.metrics = ''  # module:name of metrics of one's own, separated by commas
  config.eval.scale = config_dict.placeholder(float)  # another scale or r than in training
  config.eval.r = config_dict.placeholder(float)
  return config
