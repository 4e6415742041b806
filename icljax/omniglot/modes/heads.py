"""How much the heads of a transformer do of what learning in context takes (Singh et al. 2024)."""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import ConfigDict

from icljax.base import render
from icljax.eval_modes import Drawing, EvalContext, EvalMode, ModeRule, Report
from icljax.omniglot.from_config import make_sequences
from icljax.omniglot.kinds import KINDS
from icljax.omniglot.model import LabelPredictor
from icljax.omniglot.modes import pictures
from icljax.omniglot.modes.comparison import compare_numbers
from icljax.omniglot.modes.names import describe_data, store_names
from icljax.omniglot.sequences import Sequences
from icljax.paired import Indices, draw_episodes, mean_and_error
from icljax.tables import aligned, write_csv

LOOKED_AT = KINDS['fewshot_holdout']  # classes never seen: what heads do there is done in context


def make_mode(rule: ModeRule) -> EvalMode:
  """The evaluation of attention on few-shot problems of held-out classes."""
  return EvalMode(
    rule=rule,
    task=_make_task,
    score=score_attention,
    summarize=_summarize,
    draw=_draw,
    compare=compare_numbers,
  )


def _make_task(config: ConfigDict) -> Sequences:
  return make_sequences(config, LOOKED_AT, held_out=config.eval.labels == 'holdout')


def score_attention(
  task: Sequences, model: LabelPredictor, data: object, indices: Indices
) -> dict[str, Array]:
  """The strengths of the heads of every block `l`, 0 to 1.

  `previous/l` `[B, H]`: attention of the context's labels to the item that each belongs to, on
  average. `induction/l` `[B, H]`: attention of the query to the labels of the items of its class,
  together.
  """
  episodes = jax.lax.optimization_barrier(draw_episodes(task, indices))
  activations = model.activations(render(task, data, episodes).x, episodes.y)
  scores, block = {}, 0
  while (weights := activations.get(f'sequence/block_{block}/attention/weights')) is not None:
    of_block = strengths(weights, episodes.task.positions)
    scores |= {f'{name}/{block}': values for name, values in of_block.items()}
    block += 1
  return scores


def strengths(weights: Array, positions: Array) -> dict[str, Array]:
  """`previous` and `induction` `[B, H]` of one block.

  Args:
    weights: of attention, `[B, H, T, T]` (query, key), over tokens x_0 y_0 ... x_{K-1}.
    positions: of the items' classes in the pool, `[B, K]`.
  """
  items = positions.shape[1]
  labels = 2 * jnp.arange(items - 1) + 1
  same = (positions[:, :-1] == positions[:, -1:])[:, None]  # [B, 1, K - 1]
  return {
    'previous': weights[:, :, labels, labels - 1].mean(-1),
    'induction': (weights[:, :, 2 * items - 2, labels] * same).sum(-1),
  }


def _summarize(
  context: EvalContext, model: dict[str, np.ndarray], references: dict[str, np.ndarray]
) -> Report:
  del references
  metrics, table = summarize(model)
  return Report(metrics, f'{describe_data(context.config)}: {table}', store_names(model))


def summarize(scores: Mapping[str, np.ndarray]) -> tuple[dict[str, float], str]:
  """The numbers of a record and the table, from what `score_attention` gives, `[n, H]` each.

  `previous` and `induction` themselves are those of the head that does most of it.
  """
  metrics, rows = {}, []
  for name, values in scores.items():
    strength, _, block = name.partition('/')
    means, errors = mean_and_error(values)
    for head, (mean, error) in enumerate(zip(means, errors)):
      key = f'{strength}/{block}/{head}'
      metrics |= {key: float(mean), f'{key}_se': float(error)}
      if float(mean) > metrics.get(strength, -math.inf):
        metrics |= {strength: float(mean), f'{strength}_se': float(error)}
    rows.append([f'{strength}, block {block}', *(f'{mean:.3f}' for mean in means)])
  heads = len(rows[0]) - 1
  title = (
    'attention of labels to the item before (previous), and of the query to the labels of its '
    'class (induction), by head'
  )
  return metrics, f'{title}\n{aligned([["", *map(str, range(heads))], *rows])}'


def _draw(context: EvalContext, drawing: Drawing) -> None:
  """Writes `heads.png`, and of several checkpoints `over_training.csv`."""
  del context
  _, over_training = drawing.titles
  pictures.heads(drawing.folder / f'heads{drawing.suffix}.png', drawing.records, over_training)
  if len(drawing.records) > 1:
    path = drawing.folder / f'over_training{drawing.suffix}.csv'
    write_csv(path, drawing.records)
