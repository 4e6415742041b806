"""What the oracles cost and how exact they are, at D = 10, K = 40, coefficients N(0, .32^2).

    python -m benchmarks.oracles               # all tables; wants a quiet machine
    python -m benchmarks.oracles linear        # one of them

Modes: the maximum a posteriori coefficients after each of 0..39 pairs of 1,000 episodes.

    Newton        `glm.laplace.mode` over prefixes and episodes, chunks of episodes as in `Oracles`,
                  compiled
    statsmodels   GLM.fit_regularized with L1_wt=0, which is this objective (ridge by BFGS), one fit
                  at a time in one process; timed on a sample of (episode, length) with length 1..39
                  and multiplied
    Adam          in JAX, compiled, all episodes at once, zero start, rate .05, at one length, and
                  multiplied by 40

Gap: objective (minus log likelihood, clip left out, plus |beta|^2 / (2 * .32^2)) less that of
Newton on the same contexts, in nats, computed in float64.

Samples: the smaller of the effective numbers of samples of two neighbouring evidences, of 256, over
1,000 episodes and 40 positions; and the time of `glm.oracles.prefixes` for them.

Linear: CPU seconds of all threads, so that other programs hardly matter, for 512 episodes of linear
regression as it was published (D = 8, K = 16, noise variance 1/4).

    dMMSE    `glm.discrete.PoolPosterior`, means and log-probabilities, beside a loop over prefixes
             in PyTorch, one thread, means; at 2^20 tasks the compiled program's memory
    ridge    `glm.ridge.Ridge`, the same, beside batched solves per prefix in PyTorch, means
"""

import argparse
import math
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import statsmodels.api as sm
from scipy.special import gammaln

from configs import glm
from icljax.ambient import fixed_arithmetic
from icljax.base import Episode, draw_batch, stream
from icljax.glm import laplace as posterior
from icljax.glm.discrete import PoolPosterior
from icljax.glm.laplace import sobol_normals
from icljax.glm.oracles import CHUNK, prefixes
from icljax.glm.ridge import Ridge
from icljax.glm.task import GLM
from icljax.subjects import subject_of

ADAM_LENGTH, ADAM_RATE = 20, 0.05
NOISE = 0.5


def problem(family: str, count: int) -> tuple[GLM, Episode]:
  """The published task of one family, and episodes."""
  config = glm.get_config(f'{family},paper')
  task = subject_of(config).task(config)
  return task, jax.jit(
    lambda: draw_batch(task, stream(jnp.uint32(0), 'benchmark'), 0, jnp.arange(count))
  )()


def timed(run, repeats: int) -> tuple[np.ndarray, float]:
  """What a compiled function gives, and the median seconds that it takes."""
  result, taken = jax.block_until_ready(run()), []
  for _ in range(repeats):
    start = time.perf_counter()
    jax.block_until_ready(run())
    taken.append(time.perf_counter() - start)
  return jax.tree.map(np.asarray, result), float(np.median(taken))


def objective(task: GLM, beta: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
  """Minus log posterior of coefficients `[D]` after pairs `[k, D]`, `[k]`, up to its constant."""
  beta, x, y = (np.asarray(values, np.float64) for values in (beta, x, y))
  eta = x @ beta
  log_prob = y * eta - np.exp(eta) - gammaln(y + 1)
  if task.families[0].name == 'neg_binomial':
    r = float(task.dispersion.r)
    log_sum = np.logaddexp(np.log(r), eta)
    log_prob = (
      gammaln(y + r) - gammaln(r) - gammaln(y + 1) + r * (np.log(r) - log_sum) + y * (eta - log_sum)
    )
  return (beta**2).sum() / (2 * float(task.scale) ** 2) - log_prob.sum()


def newton(task: GLM, episodes: Episode, repeats: int) -> tuple[np.ndarray, float]:
  """Modes `[B, K, D]`."""
  points = task.points

  def along(episode):
    x, y = episode
    seen = jnp.arange(points)[None] < jnp.arange(points)[:, None]
    return jax.vmap(lambda mask: posterior.mode(task.families[0], task, x, y, mask)[0][0])(seen)

  run = jax.jit(lambda x, y: jax.lax.map(along, (x, y), batch_size=CHUNK))
  return timed(lambda: run(episodes.x, episodes.y), repeats)


def adam(
  task: GLM, episodes: Episode, length: int, steps: int, repeats: int
) -> tuple[np.ndarray, float]:
  """Coefficients `[B, D]` after `length` pairs."""
  x, y, optimizer = episodes.x[:, :length], episodes.y[:, :length], optax.adam(ADAM_RATE)

  def loss(beta, x, y):
    log_prob = (
      task.families[0]
      .likelihood(jnp.einsum('bkd,bd->bk', x, beta)[..., None], task.dispersion)
      .log_prob(y)
    )
    return (beta**2).sum() / (2 * task.scale**2) - log_prob.sum()

  @jax.jit
  def run(x, y):
    def step(_, carry):
      beta, state = carry
      updates, state = optimizer.update(jax.grad(loss)(beta, x, y), state)
      return beta + updates, state

    zero = jnp.zeros((x.shape[0], task.dims))
    return jax.lax.fori_loop(0, steps, step, (zero, optimizer.init(zero)))[0]

  return timed(lambda: run(x, y), repeats)


def ridge(task: GLM, x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """Coefficients `[D]` by statsmodels; its penalty belongs to the mean over pairs."""
  x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
  dispersed = task.families[0].name == 'neg_binomial'
  family = (
    sm.families.NegativeBinomial(alpha=1 / float(task.dispersion.r))
    if dispersed
    else sm.families.Poisson()
  )
  return np.asarray(
    sm.GLM(y, x, family=family)
    .fit_regularized(alpha=1 / (len(y) * float(task.scale) ** 2), L1_wt=0.0)
    .params
  )


def modes(family: str, count: int, fits: int, repeats: int) -> None:
  """Prints the lines of one family: seconds for all contexts, ratio to Newton, and the gap."""
  task, episodes = problem(family, count)
  x, y = np.asarray(episodes.x), np.asarray(episodes.y)
  ours, ours_seconds = newton(task, episodes, repeats)

  def line(name, seconds, contexts, betas):
    gap = np.array([
      objective(task, beta, x[i, :k], y[i, :k]) - objective(task, ours[i, k], x[i, :k], y[i, :k])
      for (i, k), beta in zip(contexts, betas)
    ])  # fmt: skip
    print(
      f'{family:<14}{name:<32}{seconds:>9.2f}{seconds / ours_seconds:>9.1f}'
      f'{gap.mean():>12.1e}{gap.max():>10.1e}{gap.min():>10.1e}',
      flush=True,
    )

  print(
    f'{family:<14}{f"Newton, {posterior.NEWTON_STEPS} steps":<32}{ours_seconds:>9.2f}{1:>9.1f}',
    flush=True,
  )
  for steps in (300, 1_000):
    betas, seconds = adam(task, episodes, ADAM_LENGTH, steps, repeats)
    name = f'Adam, {steps} steps: k = {ADAM_LENGTH} x {task.points}'
    line(name, seconds * task.points, [(i, ADAM_LENGTH) for i in range(count)], betas)
  random = np.random.default_rng(0)
  contexts = list(
    zip(random.integers(count, size=fits), random.integers(1, task.points, size=fits))
  )
  start = time.perf_counter()
  betas = [ridge(task, x[i, :k], y[i, :k]) for i, k in contexts]
  seconds = (time.perf_counter() - start) / fits * count * (task.points - 1)
  line(f'statsmodels: {fits} fits x {count * (task.points - 1) / fits:g}', seconds, contexts, betas)


def samples(family: str, count: int, repeats: int) -> None:
  """Prints the line of one family."""
  config = glm.get_config(f'{family},paper')
  task, episodes = problem(family, count)
  draws = jnp.asarray(sobol_normals(config.eval.posterior_samples, task.predictors * task.dims))
  along = lambda episode: prefixes(task.families[0], task, *episode, draws).effective
  run = jax.jit(lambda x, y: jax.lax.map(along, (x, y), batch_size=CHUNK))
  effective, seconds = timed(lambda: run(episodes.x, episodes.y), repeats)
  least = np.minimum(effective[:, :-1], effective[:, 1:])
  print(
    f'{family:<14}{least.min():>9.1f}{np.quantile(least, 0.01):>9.1f}{np.median(least):>9.1f}{seconds:>11.2f}',
    flush=True,
  )


def cpu_seconds(run, repeats: int) -> float:
  """The median CPU seconds of all threads that a function takes, after a first call."""
  run()
  taken = []
  for _ in range(repeats):
    start = time.process_time()
    run()
    taken.append(time.process_time() - start)
  return float(np.median(taken))


def torch_dmmse(x, y, w):
  """dMMSE `[B, K]` of pairs `[B, K, D]`, `[B, K]` and a pool `[M, D]`, prefix by prefix."""
  import torch

  predictions = []
  for k in range(x.shape[1]):
    residuals = y[:, :k, None] - x[:, :k] @ w.T  # [B, k, M]
    weights = torch.softmax(-(residuals**2).sum(1) / (2 * NOISE**2), dim=1)
    predictions.append(((weights @ w) * x[:, k]).sum(1))
  return torch.stack(predictions, dim=1)


def torch_ridge(x, y):
  """Ridge `[B, K]` of pairs `[B, K, D]`, `[B, K]`, prefix by prefix."""
  import torch

  penalty, predictions = NOISE**2 * torch.eye(x.shape[-1]), []
  for k in range(x.shape[1]):
    seen = x[:, :k]
    w = torch.linalg.solve(seen.mT @ seen + penalty, (seen.mT @ y[:, :k, None])[..., 0])
    predictions.append((w * x[:, k]).sum(1))
  return torch.stack(predictions, dim=1)


def linear(repeats: int) -> None:
  """Prints the table of linear regression, and how far the two kinds of answer are apart."""
  import torch

  config = glm.get_config('linear')
  config.update_from_flattened_dict({
    'task.D': 8, 'task.K': 16, 'task.scale': 1.0, 'task.noise': NOISE, 'task.clip': math.inf,
  })  # fmt: skip
  task = subject_of(config).task(config)

  torch.set_num_threads(1)
  draw = jax.jit(draw_batch, static_argnums=2)
  program = jax.jit(lambda predictor, episodes: predictor.scores_and_means(episodes))
  episodes = draw(task, stream(jnp.uint32(0), 'benchmark'), 0, jnp.arange(512))
  x, y = torch.tensor(np.asarray(episodes.x)), torch.tensor(np.asarray(episodes.y))

  def pooled(size: int) -> GLM:
    return task.replace(prior=task.prior.replace(size=jnp.int32(size)))

  def line(name, predictor, theirs=None):
    seconds = cpu_seconds(lambda: jax.block_until_ready(program(predictor, episodes)), repeats)
    print(f'{name:<16}{seconds:>10.4f}', end='' if theirs else '\n', flush=True)
    if theirs:
      torch_seconds, means = cpu_seconds(theirs, repeats), program(predictor, episodes)[1]
      gap = np.abs(np.asarray(means) - theirs().numpy()).max()
      print(f'{torch_seconds:>10.4f}{torch_seconds / seconds:>8.1f}{gap:>14.1e}', flush=True)

  print('\nlinear regression: CPU seconds for 512 episodes')
  print('                      ours   PyTorch   ratio  largest gap')
  w = torch.tensor(np.asarray(pooled(2**10).pool(2**10)))[:, 0]
  line('dMMSE, M=2^10', PoolPosterior(pooled(2**10)), lambda: torch_dmmse(x, y, w))
  line('dMMSE, M=2^15', PoolPosterior(pooled(2**15)))
  line('ridge', Ridge(task.scale, task.dispersion.noise), lambda: torch_ridge(x, y))
  largest = program.lower(PoolPosterior(pooled(2**20)), episodes).compile()
  memory = largest.memory_analysis().temp_size_in_bytes
  print(f'dMMSE, M=2^20: {memory / 1e6:.1f} MB of temporary memory')


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('tables', nargs='*', help='some of modes, samples and linear; all if none')
  parser.add_argument('--episodes', type=int, default=1_000)
  parser.add_argument('--fits', type=int, default=200, help='fits of statsmodels in the sample')
  parser.add_argument('--repeats', type=int, default=5)
  arguments = parser.parse_args()
  tables = arguments.tables or ['modes', 'samples', 'linear']
  with fixed_arithmetic():
    if 'modes' in tables:
      print(f'modes of {arguments.episodes} episodes x 40 lengths')
      print(
        'family        method                            seconds    ratio    mean gap  greatest     '
        'least'
      )
      for family in ('poisson', 'neg_binomial'):
        modes(family, arguments.episodes, arguments.fits, arguments.repeats)
    if 'samples' in tables:
      print(f'\neffective number of samples, {arguments.episodes} episodes x 40 positions')
      print('family           lowest       1%   median    seconds')
      for family in ('poisson', 'neg_binomial', 'exponential', 'logistic'):
        samples(family, arguments.episodes, arguments.repeats)
    if 'linear' in tables:
      linear(arguments.repeats)


if __name__ == '__main__':
  main()
