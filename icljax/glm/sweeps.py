"""Published sweeps of generalized linear models, by name. Imports no JAX.

Those of Raventos et al. 2023 (arXiv 2306.15063) are of linear regression: a config of the published
length gets the published numbers, a shorter one a sweep of the same question for two cores.
"""

from collections.abc import Mapping

from ml_collections import ConfigDict

from icljax.glm.checks import family_names

PUBLISHED_STEPS = 100_000  # from this length on, the number of steps is a published one
# Sizes of pools, 0 for fresh tasks. Those of the paper's figures on D, batches and decay were not
# found: these lie around the thresholds that it gives, 2^14 to 2^16 for its base model and 2^11 to
# 2^12 for its small one. The quick ones lie around the crossing, which was seen at 20 to 22.
ALL_POOLS, QUICK_POOLS = '2^1..2^20,0', '2^1..2^7,0'
POOLS_OF_BASE, POOLS_OF_SMALL, POOLS_OF_QUICK = '2^12..2^17,0', '2^8..2^14,0', '2^3..2^6,0'
# Of (layers, width): both published models; then depth and width about the small one, one at a
# time. Which ones the paper took was not found.
MODELS, QUICK_MODELS = '(8,128),(4,64)', '(2,64),(2,32)'
SIZES = '(2,64),(4,32),(4,64),(4,128),(8,64)'
QUICK_SIZES = '(1,64),(2,32),(2,64),(2,128),(4,64)'
# Of (D, K, noise): K = 2 D, and a variance of the noise of D / 32, which keeps the ratio of signal
# to noise. In quick ones it is D / 16, the .25 of D = 4.
OF_DIMS = 'task.D,task.K,task.noise='
DIMS = (
  f'{OF_DIMS}(8,16,0.5),(16,32,0.70710678),(32,64,1.0); '
  'model.layers=12; model.width=256; model.heads=4'
)
QUICK_DIMS = f'{OF_DIMS}(2,4,0.35355339),(4,8,0.5),(8,16,0.70710678)'
# The sizes of the published threshold, and by how much the second run of each is longer: the paper
# doubles; 16,000 steps after 6,000 are what tells pools of 8 and 16 apart at the quick size.
THRESHOLD_POOLS, LONGER = '2^10..2^17', (2, 1)
QUICK_THRESHOLD_POOLS, QUICK_LONGER = '2^2..2^5', (8, 3)
# The paper's own decays were not found.
DECAYS = '0,0.01,0.1,1'


def sweeps(config: ConfigDict) -> Mapping[str, str]:
  """The published sweeps of a config, by name, as `config.sweep` would spell them out.

  `diversity` sweeps the pool, with two seeds; `dispersion`, where there is a negative binomial, its
  size. Linear regression of known noise has further `raventos` (also of the small model),
  `threshold` (each pool at two lengths, each with a schedule of its own), `dims`, `batch`, `decay`
  and `size`. All but `dispersion` are of the published size where `training_steps` is
  `PUBLISHED_STEPS` or more, else quick.
  """
  if config.task.own:  # nobody knows which of the fields its task reads
    return {}
  is_published = config.training_steps >= PUBLISHED_STEPS
  pools = ALL_POOLS if is_published else QUICK_POOLS
  named = {'diversity': f'task.n_tasks={pools}; random_seed=0..1'}
  if 'neg_binomial' in family_names(config):
    named['dispersion'] = 'task.r=1.2,2.5,5; random_seed=0..2'
  if config.model.head == 'known_noise':
    named |= _of_linear_regression(config, is_published)
  return named


def _of_linear_regression(config: ConfigDict, is_published: bool) -> dict[str, str]:
  """The sweeps of Raventos et al."""

  def choose(published: str, quick: str) -> str:
    return published if is_published else quick

  near = f'task.n_tasks={choose(POOLS_OF_BASE, POOLS_OF_QUICK)}'
  near_of_small = f'task.n_tasks={choose(POOLS_OF_SMALL, POOLS_OF_QUICK)}'
  # A model whose MLP is not four times as wide as the stream is that of another paper.
  models = (
    '' if config.model.mlp_width else f'; model.layers,model.width={choose(MODELS, QUICK_MODELS)}'
  )
  return {
    'raventos': f'task.n_tasks={ALL_POOLS}{models}',
    'threshold': _threshold(config, is_published),
    'dims': f'{near}; {choose(DIMS, QUICK_DIMS)}',
    'batch': f'{near}; training.batch_size={choose("256,512,1024", "64,128,256")}',
    'decay': f'{near_of_small}; optimizer.name=adamw; optimizer.weight_decay={DECAYS}',
    'size': f'{near_of_small}; model.layers,model.width={choose(SIZES, QUICK_SIZES)}',
  }


def _threshold(config: ConfigDict, is_published: bool) -> str:
  """Pools at two lengths; the peak of each one's schedule keeps its place in the run."""
  pools = THRESHOLD_POOLS if is_published else QUICK_THRESHOLD_POOLS
  times, over = LONGER if is_published else QUICK_LONGER
  short = config.training_steps, config.optimizer.warmup_steps
  longer = tuple(steps * times // over for steps in short)
  lengths = ','.join(f'({steps},{warmup})' for steps, warmup in (short, longer))
  return f'task.n_tasks={pools}; training_steps,optimizer.warmup_steps={lengths}'
