"""What training costs, from a config alone: operations, and hours of a core or an accelerator.

Counted are the products of a training step, two operations for each multiply-add: those of the
forward pass, and for each the same again for the gradient of its kernel, and of what it multiplies
where that depends on parameters. Norms, softmax, sampling, the optimizer and evaluations are left
out; so are steps that early stopping saves. A test counts the products of the steps themselves.
"""

import math
import os
from collections.abc import Iterable

from ml_collections import ConfigDict

from icljax import plugins
from icljax.subjects import Product, ends_of

# Operations a second of one core in a training step, on EPYC Zen 4 with jax 0.10, November 2026.
# Products of these shapes alone reach .085 to .111e12, of which a step keeps about half: .034 to
# .053e12 were seen at widths 64 and 128, .023e12 at width 32, and .020e12 of two layers of
# attention alone (`python -m benchmarks.sweep_costs --rates`).
CORE = 0.045e12
# Operations a second at the peak, dense, by precision of products: NVIDIA's data sheets of H100 SXM
# and H200 SXM, which agree (the tensor cores' numbers there are of sparse matrices, twice these).
# 'auto' is TF32 on an accelerator, and 'highest' float32 outside of the tensor cores.
PEAK = {'highest': 67e12, 'tf32': 494.7e12, 'bfloat16': 989.4e12, 'auto': 494.7e12}
ACCELERATORS = {'H100': PEAK, 'H200': PEAK}
# The share of the peak that is assumed; models of width 64 to 128 reach less of it, for their steps
# wait for memory and for the start of kernels.
SHARE_OF_PEAK = 0.4
CELLS = {'lstm': 8, 'rnn': 2}  # multiply-adds of a recurrent layer, in squares of its width


def step_operations(config: ConfigDict) -> float:
  """Operations of one training step; NaN for a user-defined sequence model, which nobody knows."""
  if plugins.is_user_defined(config.model.sequence):
    return math.nan
  tokens, products = ends_of(config)
  passes = sum(
    product.multiply_adds * (3 if product.reads_parameters else 2)
    for product in (*products, _sequence_model(config, tokens))
  )
  return 2.0 * config.training.batch_size * passes


def _sequence_model(config: ConfigDict, tokens: int) -> Product:
  """What a sequence model multiplies of one episode's tokens."""
  model = config.model
  if model.sequence in CELLS:
    return Product(model.layers * tokens * CELLS[model.sequence] * model.width**2)
  attention = 4 * model.width**2 + 2 * tokens * model.width
  has_mlp = model.get('mlp', True)
  mlp = 2 * model.width * (model.mlp_width or 4 * model.width) if has_mlp else 0
  return Product(model.layers * tokens * (attention + mlp))


def run_operations(config: ConfigDict) -> float:
  """Operations of a whole training, evaluations left out."""
  return config.training_steps * step_operations(config)


def core_hours(configs: Iterable[ConfigDict]) -> float:
  """Hours that the trainings keep one core of a CPU busy."""
  return sum(map(run_operations, configs)) / CORE / 3600


def accelerator_hours(configs: Iterable[ConfigDict], device: str) -> float:
  """Hours that the trainings take on one of `ACCELERATORS` at `SHARE_OF_PEAK`."""
  peak = ACCELERATORS[device]
  return sum(
    run_operations(config) / (SHARE_OF_PEAK * peak[config.model.precision]) / 3600
    for config in configs
  )


def describe(configs: Iterable[ConfigDict]) -> str:
  """What a sweep costs, in a line: its points, operations, and hours on this machine's cores."""
  configs = list(configs)
  points = f'{len(configs)} point{"" if len(configs) == 1 else "s"}'
  operations = sum(map(run_operations, configs))
  if math.isnan(operations):
    return f'{points}; what a user-defined model costs is not known'
  cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
  of_cores = '1 core' if cores == 1 else f'{cores} cores'
  hours = core_hours(configs) / cores
  duration = f'{text_of_hours(hours)} h' if hours >= 1 else f'{max(1, round(60 * hours))} min'
  work = f'{points}, {text_of_operations(operations)} operations'
  return f'{work}: training alone takes about {duration} on {of_cores}'


def text_of_operations(operations: float) -> str:
  """Two digits and a power of ten, such as 5.9e13."""
  return f'{operations:.1e}'.replace('e+', 'e')


def text_of_hours(hours: float) -> str:
  """Two digits, or whole hours where there are many; '< 0.01' where there are hardly any."""
  if hours < 0.01:
    return '< 0.01'
  return f'{hours:.2g}' if hours < 100 else f'{hours:,.0f}'
