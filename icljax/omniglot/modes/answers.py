"""How well the last label of sequences is predicted, from the context and from the weights."""

import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import ConfigDict

from icljax.base import Episode, render
from icljax.eval_modes import Drawing, EvalContext, EvalMode, ModeRule, Report
from icljax.likelihoods import Categorical
from icljax.omniglot.copier import copied
from icljax.omniglot.from_config import make_sequences
from icljax.omniglot.kinds import SequenceKind
from icljax.omniglot.labels import allowed_labels, drawn_labels, own_labels, owned_labels
from icljax.omniglot.model import LabelPredictor
from icljax.omniglot.modes import pictures
from icljax.omniglot.modes.comparison import compare
from icljax.omniglot.modes.names import describe_data, store_names
from icljax.omniglot.sequences import Sequences
from icljax.paired import Indices, draw_episodes, mean_and_error
from icljax.tables import aligned, cell, write_csv

# Whether the open answer is among the labels of ...
SHARES = {
  'context': 'the context',
  'fewshot': 'few-shot problems',
  'common': 'common classes',
  'rare': 'rare classes, whose first ones few-shot problems use',
  'own': "the query's class, as the weights may know them",
}
# What a record calls arrays that it does not call by their own name.
METRICS = {
  'correct_open': 'accuracy_open',
  'correct_closed': 'accuracy_closed',
  'copier/correct_open': 'copier_accuracy_open',
  'copier/correct_closed': 'copier_accuracy_closed',
}


def maker(kind: SequenceKind) -> Callable[[ModeRule], EvalMode]:
  """What makes the eval mode of a kind of sequences."""
  return functools.partial(_make_mode, kind)


def _make_mode(kind: SequenceKind, rule: ModeRule) -> EvalMode:
  def task(config: ConfigDict) -> Sequences:
    return make_sequences(config, kind, held_out=config.eval.labels == 'holdout')

  return EvalMode(
    rule=rule,
    task=task,
    score=score_model,
    summarize=functools.partial(_summarize, note=kind.note),
    draw=_draw,
    compare=compare,
  )


def score_answers(predicted: Categorical, episodes: Episode, task: Sequences) -> dict[str, Array]:
  """What answers are, by name, `[B]` each.

  The open answer is the likeliest of all labels, the closed one the likeliest of those that
  `allowed_labels` names; of several that are equally likely each counts in part. `correct_open` and
  `correct_closed` say whether they are right, `share_<name>` whether the open one is among the
  labels that `SHARES` names, `chance` is that of the closed one; `nats` is -log p of the label.

  Args:
    predicted: of the last label, `[B]`.
  """
  outputs = predicted.eta.shape[-1]
  drawn, owned = drawn_labels(task, outputs), owned_labels(task, outputs)

  def score_one(eta: Array, episode: Episode) -> dict[str, Array]:
    labels = episode.y.astype(jnp.int32)
    target = jax.nn.one_hot(labels[-1], outputs)
    allowed = allowed_labels(task, labels[:-1], outputs)
    answer, closed = _likeliest(eta), _likeliest(jnp.where(allowed, eta, -jnp.inf))
    context = jnp.zeros(outputs, bool).at[labels[:-1]].set(True)
    members = {'context': context, 'fewshot': drawn, **owned}
    if len(owned) == len(task.labelings):
      own = own_labels(task, episode.task.positions[-1])
      members['own'] = jnp.zeros(outputs, bool).at[own].set(True, mode='drop')
    shares = {f'share_{name}': (answer * among).sum() for name, among in members.items()}
    correct = {'correct_open': (answer * target).sum(), 'correct_closed': (closed * target).sum()}
    return correct | {'chance': 1 / allowed.sum()} | shares

  scores = jax.vmap(score_one)(predicted.eta, episodes)
  return {'nats': -predicted.log_prob(episodes.y[:, -1])} | scores


def _likeliest(logits: Array) -> Array:
  """The share of each label in the answer, `[C]`."""
  best = logits == logits.max()
  return best / best.sum()


def score_model(
  task: Sequences, model: LabelPredictor, data: object, indices: Indices
) -> dict[str, Array]:
  """`score_answers` of a model, and `copier/correct_<...>` of a perfect copier, `[B]` each."""
  # Without the barrier XLA takes ten times as long to compile.
  episodes = jax.lax.optimization_barrier(draw_episodes(task, indices))
  predicted = model.at_query(render(task, data, episodes))
  outputs = predicted.eta.shape[-1]
  copies = Categorical(jax.vmap(lambda episode: copied(episode, outputs))(episodes))
  by_copier = score_answers(copies, episodes, task)
  names = ('correct_open', 'correct_closed')
  return score_answers(predicted, episodes, task) | {
    f'copier/{name}': by_copier[name] for name in names
  }


def _summarize(
  context: EvalContext,
  model: dict[str, np.ndarray],
  references: dict[str, np.ndarray],
  note: str,
) -> Report:
  del references
  metrics, table = summarize(model)
  ending = f'\n{note}' if note else ''
  table = f'{describe_data(context.config)}: {table}{ending}'
  return Report(metrics, table, store_names(model))


def summarize(scores: Mapping[str, np.ndarray]) -> tuple[dict[str, float], str]:
  """The numbers of a record and the table, from what `score_model` gives of n sequences."""
  metrics = {}
  for name, values in scores.items():
    key = METRICS.get(name, name)
    metrics[key], metrics[f'{key}_se'] = map(float, mean_and_error(values))

  def cell_of(key: str) -> str:
    return cell(metrics[key], metrics[f'{key}_se'])

  rows = [['', 'open', 'closed', 'nats']]
  rows.append(['model', cell_of('accuracy_open'), cell_of('accuracy_closed'), cell_of('nats')])
  copier = [cell_of('copier_accuracy_open'), cell_of('copier_accuracy_closed')]
  rows.append(['copier of the context', *copier, ''])
  shares = [
    [f'answers among labels of {what}', cell_of(f'share_{name}')]
    for name, what in SHARES.items()
    if f'share_{name}' in metrics
  ]
  count = len(next(iter(scores.values())))
  title = (
    f'share of {count} queries labelled rightly, of all labels (open) and of those possible here '
    f'(closed; chance {metrics["chance"]:.3g})'
  )
  return metrics, f'{title}\n{aligned(rows)}\n{aligned(shares)}'


def _draw(context: EvalContext, drawing: Drawing) -> None:
  """Writes `answers.png`, and of several checkpoints `over_training` as PNG and CSV."""
  del context
  here, over_training = drawing.titles
  path = drawing.folder / f'answers{drawing.suffix}.png'
  pictures.answers(path, drawing.report.metrics, here)
  if len(drawing.records) > 1:
    path = drawing.folder / f'over_training{drawing.suffix}.png'
    pictures.over_training(path, drawing.records, over_training)
    write_csv(path.with_suffix('.csv'), drawing.records)
