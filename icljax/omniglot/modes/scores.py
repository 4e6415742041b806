"""How well the last label of sequences is predicted, from the context and from the weights."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from icljax.base import Episode
from icljax.likelihoods import Categorical
from icljax.omniglot.copier import copied
from icljax.omniglot.model import LabelPredictor
from icljax.omniglot.sequences import Sequences
from icljax.paired import aligned, episodes, mean_and_error

# What is known of an answer, each 0 or 1: `correct_open` of all labels, `correct_closed` of those
# that are possible in a sequence of this kind, and whether the open answer is among the labels of
# ...
SHARES = {
  'context': 'the context',
  'fewshot': 'few-shot problems',
  'common': 'common classes',
  'rare': 'rare classes, whose first ones few-shot problems use',
  'own': "the query's class, as the weights may know them",
}


def scores(predicted: Categorical, drawn: Episode, task: Sequences) -> dict[str, Array]:
  """Of predictions of the last label `[B]`, `nats` and whatever answers can be, by name, `[B]`.

  The open answer is the likeliest of all labels, the closed one the likeliest of those that
  `task.allowed` names; of several that are equally likely each counts in part.
  """
  outputs = predicted.eta.shape[-1]
  fewshot, owned = task.drawn(outputs), task.owned(outputs)

  def of_one(eta: Array, episode: Episode) -> dict[str, Array]:
    labels, target = (
      episode.y.astype(jnp.int32),
      jax.nn.one_hot(episode.y[-1].astype(jnp.int32), outputs),
    )
    # The share of each label in the answer.
    best = lambda logits: (logits == logits.max()) / (logits == logits.max()).sum()
    allowed = task.allowed(labels[:-1], outputs)
    answer, closed = best(eta), best(jnp.where(allowed, eta, -jnp.inf))
    context = jnp.zeros(outputs, bool).at[labels[:-1]].set(True)
    among = {'context': context, 'fewshot': fewshot, **owned}
    if len(owned) == len(task.labelings):
      among['own'] = (
        jnp.zeros(outputs, bool)
        .at[task.own_labels(episode.task.positions[-1])]
        .set(True, mode='drop')
      )
    shares = {f'share_{name}': (answer * members).sum() for name, members in among.items()}
    right = {'correct_open': (answer * target).sum(), 'correct_closed': (closed * target).sum()}
    return right | {'chance': 1 / allowed.sum()} | shares

  return {'nats': -predicted.log_prob(drawn.y[:, -1])} | jax.vmap(of_one)(predicted.eta, drawn)


def model_scores(
  predictor: LabelPredictor, task: Sequences, seed: Array, indices: Array, axis: str | None = None
) -> dict[str, Array]:
  """`scores` of a model on (this device's share of) evaluation sequences, `[B]`, and
  `copier/correct_<...>` of a perfect copier.
  """
  # Else XLA takes ten times as long to compile.
  drawn = jax.lax.optimization_barrier(episodes(task, seed, indices, axis))
  predicted = predictor.at_query(drawn)
  outputs = predicted.eta.shape[-1]
  copier = scores(
    Categorical(jax.vmap(lambda episode: copied(episode, outputs))(drawn)), drawn, task
  )
  copier = {
    f'copier/{name}': values for name, values in copier.items() if name.startswith('correct')
  }
  return scores(predicted, drawn, task) | copier


def attention_scores(
  predictor: LabelPredictor, task: Sequences, seed: Array, indices: Array, axis: str | None = None
) -> dict[str, Array]:
  """How much the heads of every block `l` do of what learning in context takes, 0 to 1 (Singh et
  al. 2024).

  `previous/l` `[B, H]`: attention of the context's labels to the item that each belongs to, on
  average. `induction/l` `[B, H]`: attention of the query to the labels of the items of its class,
  together.
  """
  drawn = jax.lax.optimization_barrier(episodes(task, seed, indices, axis))
  inside = predictor.activations(task.render(predictor.data, drawn.x), drawn.y)
  found, block = {}, 0
  while (weights := inside.get(f'sequence/block_{block}/attention/weights')) is not None:
    found |= {
      f'{name}/{block}': value for name, value in strengths(weights, drawn.task.positions).items()
    }
    block += 1
  return found


def strengths(weights: Array, positions: Array) -> dict[str, Array]:
  """`previous` and `induction` `[B, H]` of attention weights `[B, H, T, T]` (query, key) over
  tokens x_0 y_0 ... x_{K-1}.
  """
  items = positions.shape[1]
  labels = 2 * jnp.arange(items - 1) + 1
  same = (positions[:, :-1] == positions[:, -1:])[:, None]  # [B, 1, K - 1]
  return {
    'previous': weights[:, :, labels, labels - 1].mean(-1),
    'induction': (weights[:, :, 2 * items - 2, labels] * same).sum(-1),
  }


def summarize(measured: Mapping[str, np.ndarray]) -> tuple[dict[str, float], str]:
  """The numbers of a record and the table, of the arrays `[n]` of `scores`, and the copier's as
  `copier/correct_open`.
  """
  metrics, named = {}, {'correct_open': 'accuracy_open', 'correct_closed': 'accuracy_closed'}
  for name, values in measured.items():
    key = named.get(name, name.replace('copier/correct', 'copier_accuracy'))
    metrics[key], metrics[f'{key}_se'] = map(float, mean_and_error(values))
  cell = lambda key: f'{metrics[key]:.3f} ± {metrics[f"{key}_se"]:.3f}'
  head = ['', 'open', 'closed', 'nats']
  rows = [head, ['model', cell('accuracy_open'), cell('accuracy_closed'), cell('nats')]]
  rows.append(
    ['copier of the context', cell('copier_accuracy_open'), cell('copier_accuracy_closed'), '']
  )
  shares = [
    [f'answers among labels of {what}', cell(f'share_{name}')]
    for name, what in SHARES.items()
    if f'share_{name}' in metrics
  ]
  count = len(next(iter(measured.values())))
  text = f'share of {count} queries labelled rightly, of all labels (open) and of those possible here (closed; chance {metrics["chance"]:.3g})'
  return metrics, f'{text}\n{aligned(rows)}\n{aligned(shares)}'


def summarize_attention(measured: Mapping[str, np.ndarray]) -> tuple[dict[str, float], str]:
  """The numbers of a record and the table, of the arrays `[n, H]` of `attention_scores`."""
  metrics, rows = {}, []
  for name, values in measured.items():
    kind, block = name.split('/')
    means, errors = mean_and_error(values)
    for head, (mean, error) in enumerate(zip(means, errors)):
      metrics |= {f'{kind}/{block}/{head}': float(mean), f'{kind}/{block}/{head}_se': float(error)}
    rows.append([f'{kind}, block {block}', *(f'{mean:.3f}' for mean in means)])
  heads = len(rows[0]) - 1
  text = 'attention of labels to the item before (previous), and of the query to the labels of its class (induction), by head'
  return metrics, f'{text}\n{aligned([["", *map(str, range(heads))], *rows])}'
