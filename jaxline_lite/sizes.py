"""What a run will leave on the disk."""

from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxline_lite.checkpoint import LATEST
from jaxline_lite.experiment import AbstractExperiment
from jaxline_lite.plan import Plan


def describe_size(experiment: AbstractExperiment, config: ConfigDict, plan: Plan) -> str:
  """What the run will leave on the disk, as a line for the head of the log.

  Records and pictures are left out: they are small beside arrays.
  """
  state = experiment.state
  whole, light = tree_size(state), tree_size(experiment.lighten(state))
  count = LATEST + bool(config.best_model_eval_metric)
  kept = len(plan.kept - {plan.end})  # the last one stays whole
  parts = [f'{count} whole checkpoints of {megabytes(whole)}']
  parts += [f'{kept} with parameters alone of {megabytes(light)}'] if kept else []
  total, times = count * whole + kept * light, plan.evaluations(config.final_eval)
  outlines = [experiment.outline(mode) for mode in config.eval_modes if times]
  for mode, outline in zip(config.eval_modes, outlines):
    if outline is not None:
      total += times * outline.size
      parts.append(f'{times} time(s) the arrays of {mode}, {megabytes(outline.size)}')
  return f'will leave about {megabytes(total)}: {", ".join(parts)}'


def tree_size(tree: Any) -> int:
  """Bytes of all arrays of a pytree."""
  return sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(tree))


def megabytes(size: int) -> str:
  """Bytes as text, such as '2.4 MB'."""
  return f'{size / 1e6:.1f} MB'
