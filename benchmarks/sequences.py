"""Image sequences per second, and training steps per second of the small induction model.

    python -m benchmarks.sequences             # both tables; needs PyTorch, as `train_step`
    python -m benchmarks.sequences --check     # that both sides of the second table do the same work

The first table draws bursty sequences of the preset `procedural` (9 items, 1,523 classes by a Zipf
law of exponent 1, drawings of 28 x 28 as numbers) and consumes them: icljax in one program that
sums their pixels, in batches of 32 on one core; beside it two generators in Python and numpy that
make one sequence after another, as the reference system's: one computes the law of the classes for
every sequence, as that does, the other once.

The second trains the preset `induction` (two attention-only layers of width 64 with 8 heads and
rotary positions, 512 fixed features, 2 pairs and a query, batch 32, Adam), drawing of sequences
included: icljax as in training, all steps of a repeat in one call; PyTorch eagerly, from the same
parameters, reading nothing back between steps. They take turns in one process.
"""

import argparse
import functools
import os
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.train_step import MOST, Eager, Ours, seconds
from configs import omniglot
from icljax.base import draw_batch, stream
from icljax.models.transformer import ROTARY_BASE
from icljax.subjects import subject_of

BATCH = 32


def zipf(config) -> np.ndarray:
  count = (
    config.data.generator_config.n_rare_classes + config.data.generator_config.n_common_classes
  )
  weights = np.array(
    [1 / (count - i) ** config.data.generator_config.zipf_exponent for i in range(count)]
  )
  return weights / weights.sum()


def python_sequences(config, images: np.ndarray, precomputed: bool):
  """Bursty sequences in Python: items `[9, side, side]` and labels `[9]`, one after another."""
  random, seq = np.random.default_rng(0), config.data.seq_config
  law = zipf(config)
  while True:
    law = law if precomputed else zipf(config)
    classes = random.choice(len(law), seq.ways, replace=False, p=law)
    rest = random.choice(len(law), seq.seq_len - 1 - seq.ways * seq.bursty_shots, p=law)
    context = random.permutation(np.concatenate([np.repeat(classes, seq.bursty_shots), rest]))
    labels = np.append(context, random.choice(classes))
    drawings = np.zeros(len(labels), int)
    for each in np.unique(labels):
      where = np.flatnonzero(labels == each)
      drawings[where] = random.choice(images.shape[1], len(where), replace=False)
    yield images[labels, drawings].astype(np.float32), labels


def sampling(repeats: int, length: float) -> None:
  """Prints the first table."""
  config = omniglot.get_config('procedural')
  config.data.generator_config.zipf_exponent = 1.0
  task, data = subject_of(config).task(config), subject_of(config).data(config).values
  data = jax.device_put(data)

  @jax.jit
  def consume(data, task, count):
    def body(t, total):
      episodes = draw_batch(task, stream(jnp.uint32(0), 'train'), t, jnp.arange(BATCH))
      return total + task.render(data, episodes.x).sum() + episodes.y.sum()

    return jax.lax.fori_loop(0, count, body, jnp.float32(0))

  images = np.asarray(jax.device_get(data.packed))
  images = np.unpackbits(images, axis=-1, count=data.side**2).reshape(
    *images.shape[:2], data.side, data.side
  )
  generators = {
    name: python_sequences(config, images, name == 'precomputed')
    for name in ('as the reference', 'precomputed')
  }

  def drain(name, count):
    return sum(
      items.sum() + labels.sum()
      for items, labels in (next(generators[name]) for _ in range(count * BATCH))
    )

  sides = {'icljax': lambda count: consume(data, task, jnp.int32(count)).block_until_ready()}
  sides |= {name: functools.partial(drain, name) for name in generators}
  for run in sides.values():  # compiles, and warms up
    run(1)
  counts = {
    name: max(1, round(3 * length / seconds(lambda run=run: run(3)))) for name, run in sides.items()
  }
  rates = {name: [] for name in sides}
  for _ in range(repeats):
    for name, run in sides.items():
      rates[name].append(
        counts[name] * BATCH / seconds(lambda run=run, name=name: run(counts[name]))
      )
  ours = np.array(rates['icljax'])
  print(
    f'\nsequences per second, median of {repeats} repeats; icljax over it, median (least to '
    'greatest)'
  )
  for name, values in rates.items():
    ratio = ours / np.array(values)
    print(
      f'{name:>18}{np.median(values):>10,.0f}{np.median(ratio):>8.1f} ({ratio.min():.1f} to '
      f'{ratio.max():.1f})',
      flush=True,
    )


class PyTorch(Eager):
  """The induction model and its training in PyTorch, from the library's parameters."""

  def __init__(self, config, params, features, task):
    self.config, self.features, self.weights = config, torch.tensor(features), {}
    self.classes = torch.tensor(np.asarray(task.pool.ids[: task.pool.rare]), dtype=torch.long)
    self.sets = torch.tensor(np.asarray(task.label_sets), dtype=torch.long)
    for path, value in jax.tree_util.tree_flatten_with_path(params)[0]:
      name = '_'.join(key.key for key in path)
      self.weights[name] = torch.tensor(
        value.T if name.endswith('kernel') else value, requires_grad=True
      )
    self.optimizer = torch.optim.Adam(
      self.weights.values(), config.optimizer.learning_rate, fused=True
    )
    half = config.model.width // config.model.heads // 2
    angles = torch.arange(5)[:, None] * ROTARY_BASE ** (-torch.arange(half) / half)
    self.cos, self.sin = angles.cos(), angles.sin()

  def rotated(self, x):
    first, second = x.chunk(2, -1)
    return torch.cat(
      [first * self.cos - second * self.sin, first * self.sin + second * self.cos], -1
    )

  def model(self, items, labels):
    """Logits of the query's label `[B, C]`."""
    w = self.weights
    dense = lambda name, x: F.linear(x, w[f'{name}_kernel'], w[f'{name}_bias'])
    norm = lambda name, x: F.layer_norm(
      x, x.shape[-1:], w[f'{name}_scale'], w[f'{name}_bias'], 1e-5
    )
    h = torch.stack(
      [dense('embedder_linear', items), F.embedding(labels, w['label_embedding'])], 2
    ).flatten(1, 2)[:, :-1]
    for block in (f'sequence_block_{layer}' for layer in range(self.config.model.layers)):
      qkv = dense(f'{block}_attention_qkv', norm(f'{block}_norm_attention', h))
      q, k, v = qkv.unflatten(-1, (3, self.config.model.heads, -1)).permute(2, 0, 3, 1, 4)
      mixed = (
        F.scaled_dot_product_attention(self.rotated(q), self.rotated(k), v, is_causal=True)
        .transpose(1, 2)
        .flatten(2)
      )
      h = h + dense(f'{block}_attention_out', mixed)
    return dense('head', norm('sequence_norm', h[:, -1]))

  def sample(self):
    """Items `[B, 3, F]` and labels `[B, 3]`: two classes, one of them again, labels of one of the
    sets in random order.
    """
    batch, count = BATCH, len(self.classes)
    first = torch.randint(count, (batch,))
    pair = torch.stack([first, (first + torch.randint(1, count, (batch,))) % count], 1)
    labels = self.sets[torch.randint(len(self.sets), (batch,))]
    labels = torch.where(torch.randint(2, (batch, 1)) == 0, labels, labels.flip(1))
    which = torch.randint(2, (batch, 1))
    classes = torch.cat([pair, pair.gather(1, which)], 1)
    return self.features[self.classes[classes], 0], torch.cat([labels, labels.gather(1, which)], 1)

  def loss(self, items, labels):
    """Nats per query."""
    return F.cross_entropy(self.model(items, labels), labels[:, -1])


def both():
  config = omniglot.get_config('induction')
  ours = Ours(config)
  return ours, PyTorch(config, ours.params, np.asarray(ours.data.values), ours.settings.task)


def check(steps: int = 20) -> None:
  """Same losses on the same sequences, update after update; and classes and labels drawn alike."""
  ours, theirs = both()
  task, data = ours.settings.task, ours.data
  draw = jax.jit(
    lambda t: draw_batch(task, stream(ours.settings.seed, 'train'), t, jnp.arange(BATCH))
  )
  losses = []
  for t in range(steps):
    drawn = draw(t)
    items, labels = np.array(task.render(data, drawn.x)), np.array(drawn.y)
    losses.append(theirs.step(torch.tensor(items), torch.tensor(labels, dtype=torch.long)))
  gap = np.abs(ours.run(steps) - np.stack(losses)).max()
  print(f'greatest difference of the loss in {steps} steps {gap:.1e}')
  assert gap < 1e-4, gap
  labels = (
    np.concatenate([theirs.sample()[1].numpy() for _ in range(300)]),
    np.concatenate([np.array(draw(t).y) for t in range(300)]),
  )
  shares = [np.bincount(each[:, 0].astype(int), minlength=5) / len(each) for each in labels]
  print(
    f'shares of the first label: {shares[0].round(3)} in PyTorch, {shares[1].round(3)} in icljax'
  )
  assert np.abs(shares[0] - shares[1]).max() < 0.03


def training(repeats: int, length: float) -> None:
  """Prints the second table."""
  ours, theirs = both()
  ours.run(1)
  ours.run(MOST // 10)
  count = min(MOST, max(3, round(length * 20 / seconds(lambda: theirs.run(20)))))
  rows = []
  for repeat in range(repeats):
    sides = (0, 1) if repeat % 2 == 0 else (1, 0)
    taken = {side: seconds(lambda side=side: (ours, theirs)[side].run(count)) for side in sides}
    rows.append([taken[0], taken[1]])
  rates = count / np.array(rows)
  ratio = rates[:, 0] / rates[:, 1]
  print(
    f'\ntraining steps per second of the induction model, batch {BATCH}, median of {repeats} '
    f'repeats of {count} steps'
  )
  print(
    f'icljax {np.median(rates[:, 0]):.0f}, PyTorch {np.median(rates[:, 1]):.0f}; ratio '
    f'{np.median(ratio):.2f} ({ratio.min():.2f} to {ratio.max():.2f})'
  )


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument(
    '--check',
    action='store_true',
    help='compare the two sides of the second table instead of timing',
  )
  parser.add_argument(
    '--sampling', action='store_true', help='the first table alone, in this process'
  )
  parser.add_argument('--repeats', type=int, default=7)
  parser.add_argument(
    '--seconds', type=float, default=3.0, help='length of a repeat on each side, about'
  )
  arguments = parser.parse_args()
  if arguments.sampling:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before JAX counts cores
    return sampling(arguments.repeats, arguments.seconds)
  torch.manual_seed(0)
  torch.set_num_threads(len(os.sched_getaffinity(0)))
  with jax.default_matmul_precision('highest'):
    if arguments.check:
      return check()
    print(
      f'jax {jax.__version__}, numpy {np.__version__}, torch {torch.__version__}, '
      f'{time.strftime("%F")}'
    )
    same = [f'--repeats={arguments.repeats}', f'--seconds={arguments.seconds}']
    subprocess.run([sys.executable, '-m', 'benchmarks.sequences', '--sampling', *same], check=True)
    training(arguments.repeats, arguments.seconds)


if __name__ == '__main__':
  main()
