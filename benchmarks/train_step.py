"""Training steps per second, drawing of episodes included, beside the same work in plain PyTorch.

    python -m benchmarks.train_step            # the table
    python -m benchmarks.train_step --check    # that both sides do the same work

A step draws Poisson and NB2 episodes (the preset `joint` of configs/glm.py with 16 pairs), runs a
pre-norm transformer with a mixture head, and makes an Adam update of the mixture's log-likelihood
after clipping the gradient's global norm. icljax runs as in training: `pmap_steps` over
`build.train_step` on one CPU device, all steps of a repeat in one call. PyTorch runs eagerly with
its fused attention and Adam, and reads nothing back between steps. Both start from the same
parameters and take turns in one process, on all of its cores. Beside another busy process the ratio
says nothing.

    rate   episodes per second, median of the repeats
    ratio  rate of icljax over that of PyTorch, median (least to greatest) over the repeats, each of
           which times both
    share  operations per second over those of a float32 product of two 2048 x 2048 matrices, which
           every repeat times in both libraries (GFLOP/s), the faster one counting. A step's
           operations are those of its matrix products, backward counted as twice forward and
           attention in full: 3 * 2 B K (E (2D + 3) + layers (12 E^2 + 2 K E) + 2 E F J)
"""

import argparse
import os
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from configs import glm
from icljax import build
from icljax.base import READ_OUT, draw_batch, stream
from icljax.subjects import subject_of
from jaxline_lite import devices

try:
  import torch
  import torch.nn.functional as F
except ImportError:
  print(
    'this needs PyTorch: pip install torch --index-url https://download.pytorch.org/whl/cpu',
    file=sys.stderr,
  )
  sys.exit(2)

SIZES = ((2, 64, 64), (4, 64, 256), (8, 128, 256))  # layers, width, batch; 4 heads
FAMILIES = ('poisson', 'neg_binomial')
MOST = 10_000  # steps in one call


class Ours:
  """The library's own path; `run` gives the losses `[count]` of the next steps."""

  def __init__(self, config):
    self.settings, self.data = build.make_settings(config), subject_of(config).data(config).values
    self.params = jax.tree.map(np.asarray, build.init_state(config).params)
    self.devices = devices.Devices(jax.local_devices()[:1])
    self.state, self.t = self.devices.replicate(build.init_state(config)), 0
    self.arguments = self.devices.replicate(self.data), self.devices.replicate(self.settings)
    self.steps = self.devices.pmap_steps(build.train_step(config), MOST)

  def run(self, count: int) -> np.ndarray:
    self.state, metrics = self.steps(*self.arguments, self.state, self.t, count)
    self.t += count
    return metrics['loss']


class Eager:
  """Adam on `weights` in PyTorch; a subclass gives them, `optimizer`, `config`, `sample()` and
  `loss(*sample)`.
  """

  def step(self, *sample):
    self.optimizer.zero_grad()
    loss = self.loss(*sample)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(self.weights.values(), self.config.optimizer.clip_norm)
    self.optimizer.step()
    return loss.detach()

  def run(self, count: int) -> np.ndarray:
    return torch.stack([self.step(*self.sample()) for _ in range(count)]).numpy()


class PyTorch(Eager):
  """The same work in PyTorch, from the library's parameters."""

  def __init__(self, config, params):
    self.config, self.batch = config, config.training.batch_size
    self.r, self.weights = torch.tensor(config.task.r), {}
    for path, value in jax.tree_util.tree_flatten_with_path(params)[0]:
      if path[0].key == READ_OUT:  # trained beside the model: work that only icljax does
        continue
      name = '_'.join(key.key for key in path)
      self.weights[name] = torch.tensor(
        value.T if name.endswith('kernel') else value, requires_grad=True
      )
    self.optimizer = torch.optim.Adam(
      self.weights.values(), config.optimizer.learning_rate, fused=True
    )

  def model(self, x, y):
    """Log weights and etas `[B, K, F, J]`."""
    w = self.weights
    dense = lambda name, x: F.linear(x, w[f'{name}_kernel'], w[f'{name}_bias'])
    norm = lambda name, x: F.layer_norm(
      x, x.shape[-1:], w[f'{name}_scale'], w[f'{name}_bias'], 1e-5
    )
    targets = torch.stack([y, torch.log1p(y), torch.ones_like(y)], -1)
    before = F.pad(torch.cat([x, targets], -1), (0, 0, 1, 0))[:, :-1]
    h = dense('query', x) + dense('pair', before) + w['sequence_positions']
    for block in (f'sequence_block_{layer}' for layer in range(self.config.model.layers)):
      qkv = dense(f'{block}_attention_qkv', norm(f'{block}_norm_attention', h))
      q, k, v = qkv.unflatten(-1, (3, self.config.model.heads, -1)).permute(2, 0, 3, 1, 4)
      mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
      h = h + dense(f'{block}_attention_out', mixed)
      hidden = F.gelu(dense(f'{block}_mlp_in', norm(f'{block}_norm_mlp', h)), approximate='tanh')
      h = h + dense(f'{block}_mlp_out', hidden)
    h = norm('sequence_norm', h)
    logits, etas = torch.stack([dense(f'head_{family}', h) for family in FAMILIES], -2).chunk(2, -1)
    return logits.flatten(-2).log_softmax(-1).view(logits.shape), 10 * torch.tanh(etas / 10)

  def sample(self):
    """Inputs `[B, K, D]`, targets `[B, K]`."""
    task, batch = self.config.task, self.batch
    x, w = torch.randn(batch, task.K, task.D), torch.randn(batch, task.D, 1)
    mean = torch.exp((task.scale * (x @ w)[..., 0]).clamp(-task.clip, task.clip))
    gamma = torch._standard_gamma(self.r.expand(mean.shape)) / self.r
    return x, torch.poisson(torch.where(torch.randint(2, (batch, 1)) == 0, mean, mean * gamma))

  def loss(self, x, y):
    """Nats per target."""
    log_weights, etas = self.model(x, y)
    poisson, eta = etas.unbind(-2)
    y, r = y[..., None], self.r
    choose, log_sum = torch.lgamma(y + 1), torch.logaddexp(r.log(), eta)
    neg_binomial = (
      torch.lgamma(y + r) - torch.lgamma(r) - choose + r * (r.log() - log_sum) + y * (eta - log_sum)
    )
    parts = torch.stack([y * poisson - poisson.exp() - choose, neg_binomial], -2)
    return -torch.logsumexp(log_weights + parts, (-2, -1)).mean()


def both(layers: int, width: int, batch: int):
  """The config, both sides, and the number of their parameters."""
  config = glm.get_config('joint')
  sizes = {'task.K': 16, 'model.layers': layers, 'model.width': width, 'training.batch_size': batch}
  config.update_from_flattened_dict({**sizes, 'optimizer.schedule': 'constant'})
  ours = Ours(config)
  theirs = PyTorch(config, ours.params)
  beside = sum(leaf.size for leaf in jax.tree.leaves(ours.params[READ_OUT]))
  mine, other = (
    sum(p.size for p in jax.tree.leaves(ours.params)) - beside,
    sum(p.numel() for p in theirs.weights.values()),
  )
  assert mine == other, f'parameters: {mine} in icljax, {other} in PyTorch'
  return config, ours, theirs, mine


def check(steps: int = 10) -> None:
  """Same losses on the same episodes, update after update; and the same distribution of targets."""
  _, ours, theirs, parameters = both(*SIZES[0])
  draw = jax.jit(
    lambda t: draw_batch(
      ours.settings.task, stream(ours.settings.seed, 'train'), t, jnp.arange(theirs.batch)
    )
  )
  losses = [
    theirs.step(*(torch.tensor(np.array(leaf)) for leaf in (draw(t).x, draw(t).y)))
    for t in range(steps)
  ]
  gap = np.abs(ours.run(steps) - np.stack(losses)).max()
  print(
    f'{parameters:,} parameters on both sides; greatest difference of the loss in {steps} steps '
    f'{gap:.1e}'
  )
  assert gap < 1e-4, gap
  # [3, episodes].
  moments = lambda y: np.stack([np.log1p(y).mean(1), (np.log1p(y) ** 2).mean(1), (y == 0).mean(1)])
  a, b = (
    moments(np.concatenate([y(t) for t in range(200)]))
    for y in (lambda t: draw(t).y, lambda _: theirs.sample()[1])
  )
  z = (a.mean(1) - b.mean(1)) / np.sqrt((a.var(1) + b.var(1)) / a.shape[1])
  print(f'moments of the targets, icljax less PyTorch, in standard errors: {z.round(1)}')
  assert np.abs(z).max() < 4, z


def seconds(run) -> float:
  start = time.perf_counter()
  run()
  return time.perf_counter() - start


def measure(size, repeats: int, length: float) -> None:
  """Prints the line of one size."""
  (config, ours, theirs, parameters), count = both(*size), 3
  square, product, matrix = jnp.ones((2048, 2048)), jax.jit(jnp.matmul), torch.ones(2048, 2048)
  runs = (lambda: ours.run(count)), (lambda: theirs.run(count))
  products = (lambda: product(square, square).block_until_ready()), (lambda: matrix @ matrix)
  for run in (*runs, *products):  # compiles, and warms up
    run()
  count = min(MOST, max(3, round(length * 3 / seconds(runs[1]))))
  rows = []  # seconds: steps of icljax, of PyTorch, product of JAX, of PyTorch
  for repeat in range(repeats):
    taken = {side: seconds(runs[side]) for side in ((0, 1) if repeat % 2 == 0 else (1, 0))}
    rows.append([taken[0], taken[1], *(min(seconds(run) for _ in range(5)) for run in products)])
  steps, squares = np.split(np.array(rows), 2, axis=1)
  (layers, width, batch), pairs, dims, out = (
    size,
    config.task.K,
    config.task.D,
    2 * len(FAMILIES) * config.model.components,
  )
  operations = (
    6
    * batch
    * pairs
    * (width * (2 * dims + 3) + layers * (12 * width**2 + 2 * pairs * width) + width * out)
  )
  speed = 2 * 2048**3 / squares
  (rate, their_rate), ratio = batch * count / np.median(steps, 0), steps[:, 1] / steps[:, 0]
  share, their_share = np.median(operations * count / steps / speed.max(1, keepdims=True), 0)
  print(
    f'{layers:>6}{width:>6}{batch:>6}{parameters:>11,}{count:>6}{rate:>9,.0f}{their_rate:>9,.0f}'
    f'{np.median(ratio):>7.2f} ({ratio.min():.2f} to '
    f'{ratio.max():.2f}){share:>7.0%}{their_share:>7.0%}'
    f'{np.median(speed[:, 0]) / 1e9:>9.0f}{np.median(speed[:, 1]) / 1e9:>7.0f}',
    flush=True,
  )


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument(
    '--check', action='store_true', help='compare the two sides instead of timing them'
  )
  parser.add_argument('--repeats', type=int, default=7)
  parser.add_argument(
    '--seconds', type=float, default=4.0, help='length of a repeat on each side, about'
  )
  arguments, _ = parser.parse_args(), torch.manual_seed(0)
  torch.set_num_threads(len(os.sched_getaffinity(0)))
  with jax.default_matmul_precision('highest'):
    if arguments.check:
      return check()
    print(
      f'jax {jax.__version__}, torch {torch.__version__}, {torch.get_num_threads()} cores, '
      f'{arguments.repeats} repeats'
    )
    print(
      'layers width batch parameters steps     rate    torch  ratio                  share  torch  '
      'GFLOP/s  torch'
    )
    for size in SIZES:
      measure(size, arguments.repeats, arguments.seconds)


if __name__ == '__main__':
  main()
