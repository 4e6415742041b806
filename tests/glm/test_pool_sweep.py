"""What a sweep over the pool's size shows, on arrays whose crossing, threshold and t* are known."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from icljax.glm.baselines import baselines
from icljax.glm.modes import diversity
from icljax.glm.modes.diversity_tables import Predictions, unflatten
from icljax.glm.modes.pool_sweep import PoolRun, crossing, draw, pictures, summarize, write
from icljax.glm.modes.pool_sweep.crossing import estimate_crossing
from icljax.glm.modes.pool_sweep.regimes import describe_memorisation, find_regime
from icljax.glm.modes.pool_sweep.runs import (
  find_baselines,
  make_groups,
  mean_over_seeds,
  sign_of,
)
from icljax.glm.modes.pool_sweep.threshold import estimate_thresholds
from icljax.glm.modes.pool_sweep.valley import estimate_valley
from icljax.glm.modes.scores import OF_POOL
from icljax.paired import Indices
from tests.configs import tiny
from tests.glm.test_diversity import pool_task

EPISODES, POINTS = 200, 3
SWEEPS = 200
UNIT = 'squared difference / D'
# Of one run each of the quick model at 6,000 steps: deltas to ridge and to dMMSE on new tasks.
QUICK = {4: (0.552, 0.118), 8: (0.415, 0.241), 16: (0.239, 0.192), 32: (0.119, 0.183)}
FEW = Indices(jnp.uint32(0), jnp.arange(64))
NO_NOISE = np.ones(EPISODES)


def spread(values) -> np.ndarray:
  """The same at every position, `[n, K]`."""
  return np.broadcast_to(np.asarray(values, np.float64)[:, None], (EPISODES, POINTS))


def point(
  tasks: int,
  ridge,
  dmmse=None,
  seed: int = 0,
  steps: int = 6_000,
  others=(),
  valley=None,
  errors=(0.5, 0.4, 0.9),
  pool_errors=(0.11, 0.3, 0.1),
  pool_deltas=(0.2, 0.01),
) -> PoolRun:
  """A run with these distances on new tasks, numbers or `[n]`.

  Args:
    errors, pool_errors: of the model, of ridge and of dMMSE, on new tasks and on the pool's.
    pool_deltas: to ridge and to dMMSE on the pool's tasks.
  """
  names = ('ridge', 'dmmse') if tasks else ('ridge',)
  by_name = lambda names, values: {
    name: spread(NO_NOISE * value) for name, value in zip(names, values)
  }
  means = by_name(('model', *names), errors)
  latent = Predictions(means, means, by_name(names, (ridge, dmmse)), 'ridge', UNIT)
  scores = {'eval_latent': latent}
  if tasks:
    means = by_name(('model', *names), pool_errors)
    deltas = by_name(names, pool_deltas)
    scores['eval_pretrain'] = Predictions(means, means, deltas, 'dmmse', UNIT)
  name = f'n_tasks={tasks},seed={seed},steps={steps}'
  return PoolRun(name, tasks, seed, steps, others, scores, valley or {})


def crossing_of(*runs: PoolRun):
  (group,) = make_groups(runs)
  return estimate_crossing(group, find_baselines(runs))


def power_laws(size: float, where: float) -> tuple[float, float]:
  """Distances whose log ratio is linear in log2 M and 0 where M is `where`."""
  return 0.2 * (size / where) ** -0.7, 0.2 * (size / where) ** 0.1


def quick_runs(**options) -> list[PoolRun]:
  return [point(size, *values, **options) for size, values in QUICK.items()]


# The crossing.


def test_the_crossing_of_power_laws_is_exact():
  fitted = crossing_of(*(point(size, *power_laws(size, 11.3)) for size in (2, 4, 8, 16, 32)))
  np.testing.assert_allclose([fitted.size, fitted.low, fitted.high], 11.3, rtol=1e-9)
  assert 'delta_ridge = delta_dmmse on new tasks at M = 11.3; 95% interval 11.3 to 11.3' in (
    fitted.sentence
  )


def test_the_crossing_of_the_quick_model():
  log_ratio = lambda size: np.log(QUICK[size][0] / QUICK[size][1])
  share = log_ratio(16) / (log_ratio(16) - log_ratio(32))
  fitted = crossing_of(*quick_runs())
  np.testing.assert_allclose(fitted.size, 2 ** (4 + share))
  np.testing.assert_allclose(fitted.size, 20.2, atol=0.05)


def test_an_infinite_pool_and_the_order_of_runs_do_not_move_the_crossing():
  runs = quick_runs()
  assert crossing_of(*runs[::-1], point(0, 0.03)) == crossing_of(*runs)


@pytest.mark.parametrize(
  ('distances', 'sentence'),
  [
    ({8: (0.4, 0.2)}, 'no crossing can be fitted to one M, 8'),
    ({0: (0.4, None)}, 'no crossing: every M is infinite'),
    ({4: (4, 1), 8: (1, 2), 16: (2, 1)}, '2 crossings, none of them fitted: between 4 and 8; betw'),
    (
      {4: (1, 2), 8: (2, 1)},
      'between 4 and 8 the model goes from nearer to ridge to nearer to dmm',
    ),
    ({4: (4, 1), 32: (1, 2)}, 'between M = 4 and 32, more than 4 times apart: it is not interpol'),
    ({4: (4, 1), 8: (np.nan, 1), 16: (1, 2)}, 'not all deltas are finite at M = 8'),
    ({4: (4, 1), 8: (3, 1)}, 'delta_ridge is greater than delta_dmmse at every M from 4 to 8, so'),
    (
      {4: (1, 4), 8: (1, 5)},
      'is smaller than delta_dmmse at every M from 4 to 8, so that it would',
    ),
  ],
)
def test_what_does_not_cross_once_is_not_fitted(distances, sentence):
  fitted = crossing_of(*(point(size, *values) for size, values in distances.items()))
  assert sentence in fitted.sentence
  assert fitted[:4] == (None, None, None, '')


def test_neighbours_four_times_apart_are_interpolated():
  fitted = crossing_of(*(point(size, *power_laws(size, 11.3)) for size in (2, 8, 32)))
  np.testing.assert_allclose(fitted.size, 11.3)


def noisy_runs(seed: int, where: float, shape: float = 4) -> list[PoolRun]:
  """Runs whose crossing is at `where` in expectation, with noise of mean 1 that is shared by all
  and noise of their own, of variance 1 / shape.
  """
  draws = np.random.default_rng(seed)
  common = draws.gamma(1, 1, EPISODES)
  runs = []
  for size in (4, 8, 16, 32):
    own = draws.gamma(shape, 1 / shape, (2, EPISODES))
    runs.append(point(size, *(np.asarray(power_laws(size, where))[:, None] * common * own)))
  return runs


def test_the_interval_covers_the_crossing_as_often_as_it_says():
  intervals = [crossing_of(*noisy_runs(seed, 11.3)) for seed in range(100)]
  covered = sum(each.low <= 11.3 <= each.high for each in intervals)
  # 95 ± 2.2 of 100: four standard deviations below, and not all.
  assert 87 <= covered <= 99


def test_the_interval_has_the_width_of_the_delta_method():
  """Half of it is 1.96 standard errors of the crossing. The method is of first order, which is
  enough where noise is small.
  """
  halves, errors = [], []
  for seed in range(30):
    runs = noisy_runs(seed, 11.3, shape=40)
    ridge, dmmse = (
      np.stack([run.scores['eval_latent'].deltas[name].mean(1) for run in runs[1:3]])
      for name in ('ridge', 'dmmse')
    )
    below, above = np.log(ridge.mean(1) / dmmse.mean(1))
    of_log_ratios = ridge / ridge.mean(1)[:, None] - dmmse / dmmse.mean(1)[:, None]
    # d below / (below - above), by the two log ratios.
    influence = (below * of_log_ratios[1] - above * of_log_ratios[0]) / (below - above) ** 2
    fitted = crossing_of(*runs)
    halves.append(np.log2(fitted.high / fitted.low) / 2)
    errors.append(influence.std() / np.sqrt(EPISODES))
  # A quantile of 1,000 resamples has an error of 4.5% of half the width; here are 60 of them.
  np.testing.assert_allclose(np.mean(halves), 1.96 * np.mean(errors), rtol=0.04)


def test_all_runs_get_the_same_resampled_episodes():
  """What episodes have in common cancels: factors that go from .001 to 8 leave no interval."""
  common = np.random.default_rng(0).gamma(0.5, 2, EPISODES)
  runs = [
    point(size, *(value * common for value in power_laws(size, 11.3))) for size in (4, 8, 16, 32)
  ]
  fitted = crossing_of(*runs)
  np.testing.assert_allclose([fitted.low, fitted.high], 11.3, rtol=1e-9)


def test_resamples_repeat_themselves():
  assert crossing_of(*noisy_runs(3, 11.3)) == crossing_of(*noisy_runs(3, 11.3))


@pytest.mark.parametrize('seeds', [2, 3, 6])
def test_resampled_seeds_have_the_variance_of_a_mean_of_seeds(seeds):
  """s_^2 / s with an unbiased s^2, where episodes do not differ."""
  levels = np.random.default_rng(seeds).uniform(1, 2, (2, seeds))
  replicates = crossing._resample([np.repeat(levels[..., None], EPISODES, axis=2)], has_seeds=True)
  expected = levels.var(1, ddof=1) / seeds
  # The standard error of a variance of 1,000 draws is 4.5%, for a normal law; of two points less.
  np.testing.assert_allclose(replicates[:, 0].var(0), expected, rtol=0.2)
  np.testing.assert_allclose(replicates[:, 0].mean(0), levels.mean(1), rtol=0.02)


@pytest.mark.parametrize('seeds', crossing.COVERAGE_OF_SEEDS)
def test_intervals_of_few_seeds_cover_as_much_as_is_said(seeds):
  """Where seeds differ by 10% and episodes by nothing."""
  share = crossing.COVERAGE_OF_SEEDS[seeds] / 100
  draws, covered, where = np.random.default_rng(seeds), 0, np.arange(2.0, 6.0)
  levels = np.transpose([power_laws(2**k, 11.3) for k in where])  # [2, sizes]
  for _ in range(SWEEPS):
    distances = [
      levels[:, i, None, None] * np.exp(draws.normal(0, 0.1, (2, seeds, 1)))
      for i in range(len(where))
    ]
    replicates = crossing._resample(distances, has_seeds=True)
    crossings = crossing._crossings(where, crossing._log_ratios(replicates))
    low, high = np.quantile(crossings, [0.025, 0.975], method='inverted_cdf')
    covered += low <= np.log2(11.3) <= high
  error = np.sqrt(share * (1 - share) / SWEEPS)
  assert abs(covered / SWEEPS - share) < 3 * error, covered / SWEEPS


def test_two_seeds_are_resampled_where_every_m_has_two():
  levels = {4: (0.3, 0.2), 8: (0.26, 0.2), 16: (0.17, 0.2), 32: (0.12, 0.2)}
  runs = [
    point(size, ridge * factor, dmmse, seed=seed)
    for size, (ridge, dmmse) in levels.items()
    for seed, factor in enumerate((0.9, 1.1))
  ]
  fitted = crossing_of(*runs)
  assert fitted.low < 0.95 * fitted.size < 1.05 * fitted.size < fitted.high
  assert 'paired episodes and seeds, 2 or more at every M (where seeds' in fitted.sentence
  fitted = crossing_of(*runs[:-1])
  np.testing.assert_allclose([fitted.low, fitted.high], fitted.size)
  assert 'paired episodes alone, for not every M has two seeds' in fitted.sentence


@pytest.mark.parametrize(
  ('where', 'is_fitted', 'words'),
  [(4.05, True, 'below 4 to '), (31, True, ' to above 32'), (33, False, ' to above 32')],
)
def test_ends_of_an_interval_may_lie_outside(where, is_fitted, words):
  """The estimate may, too: then the interval says how far inside the crossing could be."""
  draws = np.random.default_rng(0)
  runs = []
  for size in (4, 8, 16, 32):
    noise = draws.gamma(1, 1, (2, EPISODES))
    noise /= noise.mean(1, keepdims=True)  # so that means are those of the power laws
    runs.append(point(size, *(np.asarray(power_laws(size, where))[:, None] * noise)))
  fitted = crossing_of(*runs)
  assert (fitted.size is not None) == is_fitted
  assert words in fitted.interval
  assert fitted.interval in fitted.sentence
  assert (fitted.low is None) == words.startswith('below')
  assert (fitted.high is None) == words.endswith('above 32')


def test_several_crossings_of_a_replicate_are_one_between_them():
  where = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
  ratios = np.array([[2.0, 1, -1, 1, -1], [1, 1, 1, 1, -1], [1] * 5, [-1] * 5])
  # Positive from 1 to 2.5 and from 3.5 to 4.5.
  np.testing.assert_allclose(crossing._crossings(where, ratios), [3.5, 4.5, np.inf, -np.inf])


# Means over seeds.


def test_the_error_of_a_mean_over_seeds_has_that_of_episodes_and_that_of_seeds():
  draws = np.random.default_rng(0)
  one, other = draws.normal(0, 1, 400), draws.normal(0, 1, 400)
  pairs = (one + other) / 2
  of_episodes = pairs.std(ddof=1) / 20
  of_seeds = abs(one.mean() - other.mean() - 0.5) / 2
  expected = (pairs.mean() + 0.25, np.hypot(of_episodes, of_seeds))
  np.testing.assert_allclose(mean_over_seeds([one, other + 0.5]), expected)
  np.testing.assert_allclose(mean_over_seeds([one], minus=[one - 1]), (1, 0), atol=1e-12)


def test_a_sign_within_two_errors_is_undetermined():
  assert [sign_of(mean, 0.1) for mean in (0.21, -0.21, 0.19, -0.19)] == [1, -1, 0, 0]


# t*.

STEPS = (0, 100, 200, 400, 800, 1_600, 3_200)


def valley_of(means, error: float = 0.001) -> dict[int, np.ndarray]:
  """Distances by step with these means, whose paired differences have the standard error."""
  draws = np.random.default_rng(0)
  common = draws.gamma(2, 1, 2_000)  # larger than all differences
  curve = {}
  for step, mean in zip(STEPS, means):
    noise = draws.normal(0, 1, 2_000)
    noise = (noise - noise.mean()) / noise.std() * error * np.sqrt(2_000 / 2)
    curve[step] = mean + common + noise
  return curve


def test_a_minimum_inside_the_run_has_a_step_and_a_valley():
  sharp = estimate_valley(valley_of((0.9, 0.8, 0.6, 0.5, 0.41, 0.43, 0.45)))
  assert sharp == (800, 800, 800, 'step 800')
  broad = estimate_valley(valley_of((0.9, 0.8, 0.6, 0.411, 0.41, 0.411, 0.45)))
  assert broad == (800, 400, 1_600, 'step 800, a valley from 400 to 1,600')


@pytest.mark.parametrize(
  ('means', 'sentence'),
  [
    ((0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.43), 'no minimum inside the run: the last kept step, 3,200'),
    ((0.9, 0.8, 0.7, 0.6, 0.5, 0.4299, 0.43), 'no minimum inside the run: the last kept step, 3,2'),
    ((0.4, 0.5, 0.5, 0.6, 0.7, 0.8, 0.9), 'no minimum inside the run: the first kept step, 0, is'),
    ((0.4,) * 7, 'no minimum inside the run'),
    ((0.9, 0.8), '2 kept checkpoints were evaluated, and a minimum needs three'),
    ((0.9, np.nan, 0.9), 'not all deltas are finite'),
  ],
)
def test_a_minimum_at_an_end_is_none(means, sentence):
  valley = estimate_valley(valley_of(means))
  assert valley[:3] == (None, None, None)
  assert valley.sentence.startswith(sentence)


# The threshold.


def thresholds_of(before: dict, after: dict, error: float = 0.001, longer: int = 16_000):
  """Of runs of 6,000 and of more steps, by M, whose differences have the standard error."""
  noise = np.random.default_rng(0).normal(0, 1, EPISODES)
  noise = (noise - noise.mean()) / noise.std(ddof=1) * error * np.sqrt(EPISODES)
  common = np.random.default_rng(1).gamma(2, 1, EPISODES)  # larger than all differences
  runs = [point(size, ridge + common, 0.2) for size, ridge in before.items()]
  runs += [point(size, ridge + common + noise, 0.2, steps=longer) for size, ridge in after.items()]
  return estimate_thresholds(make_groups(runs), find_baselines(runs))


BEFORE = {4: 0.552, 8: 0.415, 16: 0.239, 32: 0.119}


@pytest.mark.parametrize(
  ('after', 'bounds', 'sentence'),
  [
    ((0.6, 0.45, 0.212, 0.1), (8, 16), 'between M = 8, where delta_ridge grows, and 16, from'),
    ((0.6, 0.416, 0.212, 0.1), (4, 16), '16, from where on it shrinks; undetermined within two'),
    ((0.5, 0.45, 0.212, 0.1), (8, 16), 'between M = 8, where delta_ridge grows, and 16, from'),
    ((0.5, 0.4, 0.212, 0.1), (None, 4), 'at or below M = 4, for delta_ridge grows at no swept M'),
    ((0.6, 0.45, 0.25, 0.13), (32, None), 'above M = 32, the largest at which delta_ridge grows'),
    ((0.6, 0.45, 0.212, 0.119), (8, None), 'above M = 8, the largest at which delta_ridge grows'),
    ((0.5, 0.4, 0.212, 0.119), (None, None), 'not determined, for delta_ridge neither grows nor'),
  ],
)
def test_the_threshold_is_a_bracket(after, bounds, sentence):
  (threshold,) = thresholds_of(BEFORE, dict(zip(BEFORE, after)))
  assert (threshold.above, threshold.at_most) == bounds
  assert sentence in threshold.sentence
  assert '6,000 and 16,000 steps' in threshold.sentence
  np.testing.assert_allclose(threshold.differences[8], (after[1] - 0.415, 0.001), atol=1e-9)


def test_an_undetermined_m_is_named():
  (threshold,) = thresholds_of(BEFORE, {4: 0.6, 8: 0.4165, 16: 0.212, 32: 0.1})
  assert 'undetermined within two standard errors at M = 8; these' in threshold.sentence


def test_a_threshold_of_one_seed_says_that_its_errors_lack_the_spread_of_seeds():
  words = 'these errors are of episodes alone, for not every M has two seeds'
  (threshold,) = thresholds_of(BEFORE, BEFORE)
  assert words in threshold.sentence
  runs = [
    point(size, 0.2 + 0.1 * seed + 0.05 * (steps > 6_000), 0.2, seed=seed, steps=steps)
    for size in (4, 8) for steps in (6_000, 16_000) for seed in (0, 1)
  ]  # fmt: skip
  (threshold,) = estimate_thresholds(make_groups(runs), find_baselines(runs))
  assert words not in threshold.sentence
  # Two means of two seeds that differ by .1, each with an error of .05.
  np.testing.assert_allclose(threshold.differences[4], (0.05, 0.05 * np.sqrt(2)))
  assert (threshold.above, threshold.at_most) == (None, None)


def test_a_threshold_needs_twice_the_steps_and_the_same_m():
  assert not thresholds_of(BEFORE, BEFORE, longer=11_999)
  (threshold,) = thresholds_of({4: 0.5}, {8: 0.4}, longer=12_000)
  assert threshold.sentence.endswith('not determined, for they have no finite M in common')


def test_each_length_is_compared_with_the_next_that_is_twice_as_long():
  runs = [
    point(size, 0.2, 0.2, steps=steps) for size in (4, 8) for steps in (1_000, 1_500, 2_000, 5_000)
  ]
  thresholds = estimate_thresholds(make_groups(runs), find_baselines(runs))
  lengths = [(each.shorter, each.longer) for each in thresholds]
  assert lengths == [(1_000, 2_000), (1_500, 5_000), (2_000, 5_000)]


# What a model knows of its pool.


def test_memorisation_is_the_error_over_that_of_dmmse():
  runs = [
    point(2, 0.7, 0.05, pool_errors=(0.103, 0.3, 0.1)),
    point(64, 0.1, 0.2, pool_errors=(0.126, 0.3, 0.1), pool_deltas=(0.02, 0.08)),
  ]
  (group,) = make_groups(runs)
  memorisation = describe_memorisation(group, find_baselines(runs))
  assert memorisation.error_ratios == pytest.approx({2: 1.03, 64: 1.26})
  assert memorisation.nearer_to_pool == [2]
  assert '1.03 at M = 2 and 1.26 at M = 64; it is nearer to dmmse' in memorisation.sentence
  assert memorisation.sentence.endswith('standard errors, at M = 2')
  (group,) = make_groups([*runs, point(4, 0.7, 0.05)])
  memorisation = describe_memorisation(group, find_baselines(runs))
  assert memorisation.sentence.endswith('standard errors, at every M up to 4')


@pytest.mark.parametrize(
  ('errors', 'start', 'sentence'),
  [
    ({4: 1.0, 16: 0.8, 32: 0.8}, 32, 'non-Bayesian regime: from M = 32 on the model is on new'),
    ({4: 1.0, 16: 0.8, 32: 1.0}, None, 'no non-Bayesian regime: at the largest M, 32, the model'),
  ],
)
def test_the_regime_wants_nearness_and_a_smaller_error(errors, start, sentence):
  """QUICK is nearer to ridge at 32 alone; dMMSE's error is .9."""
  runs = [point(size, *QUICK[size], errors=(error, 0.4, 0.9)) for size, error in errors.items()]
  (group,) = make_groups(runs)
  regime = find_regime(group, find_baselines(runs))
  assert regime.start == start
  assert regime.sentence.startswith(sentence)
  assert 'undetermined' not in regime.sentence


def test_an_undetermined_regime_is_named():
  noise = np.random.default_rng(0).normal(0, 1, EPISODES)
  runs = [
    point(16, 0.2, 0.2 + noise - noise.mean()),
    point(32, 0.1, 0.2),
  ]
  (group,) = make_groups(runs)
  regime = find_regime(group, find_baselines(runs))
  assert regime.start == 32
  assert regime.sentence.endswith('undetermined at M = 16')


# The whole.


def whole_sweep() -> list[PoolRun]:
  curve = valley_of((0.9, 0.8, 0.6, 0.5, 0.41, 0.43, 0.45))
  runs = [
    point(size, ridge * factor, dmmse, seed=seed, valley=curve if size == 8 else None)
    for size, (ridge, dmmse) in QUICK.items()
    for seed, factor in enumerate((0.9, 1.1))
  ]
  return [*runs, point(0, 0.03)]


def test_the_frame_has_a_row_per_run_and_kind_of_tasks(tmp_path):
  runs = whole_sweep()
  summary = summarize(runs)
  write(tmp_path, summary)
  draw(tmp_path, 'title', summary, runs)
  read = pd.read_csv(tmp_path / 'diversity.csv')
  assert len(read) == 2 * 8 + 1
  row = read[(read.M == 8) & (read.seed == 1) & (read['mode'] == 'eval_latent')].iloc[0]
  np.testing.assert_allclose(row.delta_ridge, 0.415 * 1.1)
  assert row.delta_ridge_se == pytest.approx(0, abs=1e-12)
  assert (row.error, row.training_steps) == (0.5, 6_000)
  assert np.isinf(read.M).sum() == 1
  assert sorted(path.name for path in tmp_path.iterdir()) == [
    'diversity.csv', 'diversity.json', 'diversity.png'
  ]  # fmt: skip


def test_findings_are_json_and_every_sentence_is_in_the_table(tmp_path):
  runs = whole_sweep()
  summary = summarize(runs)
  write(tmp_path, summary)
  draw(tmp_path, 'title', summary, runs)
  findings = json.loads((tmp_path / 'diversity.json').read_text())
  assert findings == summary.findings
  (group,) = findings['groups']
  assert group['seeds'] == {'4': 2, '8': 2, '16': 2, '32': 2, 'inf': 1}
  np.testing.assert_allclose(group['crossing']['size'], 20.2, atol=0.05)
  assert [each['step'] for each in group['t_star']] == [800, 800]
  for name in ('memorisation', 'crossing', 'regime'):
    assert group[name]['sentence'] in summary.table
  assert 't* of M = 8 (seed 0), M = 8 (seed 1): step 800' in summary.table
  assert '0.415 ± 0.042' in summary.table  # .9 and 1.1 of .415: the spread of two seeds


def test_groups_differ_in_steps_and_other_fields():
  wide, long = (('model.width', 64),), {'steps': 16_000}
  runs = [*quick_runs(), *quick_runs(others=wide), *quick_runs(**long)]
  findings = summarize(runs).findings
  of_groups = [(group['training_steps'], group['others']) for group in findings['groups']]
  assert of_groups == [(6_000, {}), (16_000, {}), (6_000, {'model.width': '64'})]
  (threshold,) = findings['thresholds']
  assert (threshold['shorter'], threshold['longer'], threshold['others']) == (6_000, 16_000, {})


def test_lengths_that_are_too_close_are_named():
  runs = [*quick_runs(), *quick_runs(steps=7_000)]
  summary = summarize(runs)
  assert 'no length of training is at least twice as long as another' in summary.table


def test_every_m_infinite_is_said(tmp_path):
  runs = [point(0, 0.03), point(0, 0.04, seed=1)]
  summary = summarize(runs)
  write(tmp_path, summary)
  draw(tmp_path, 'title', summary, runs)
  for words in ('no crossing: every M is infinite', 'no memorisation:', 'no non-Bayesian regime'):
    assert words in summary.table


def test_of_classes_there_are_nats_alone(tmp_path):
  nats = {'model': spread(NO_NOISE), 'bayes': spread(NO_NOISE), 'bayes_pool': spread(NO_NOISE * 2)}
  scores = {
    'eval_latent': Predictions(nats, {}, {}, 'bayes', 'squared difference'),
    'eval_pretrain': Predictions(nats, {}, {}, 'bayes_pool', 'squared difference'),
  }
  runs = [PoolRun(f'M={size}', size, 0, 100, (), scores, {}) for size in (2, 4)]
  summary = summarize(runs)
  write(tmp_path, summary)
  draw(tmp_path, 'title', summary, runs)
  assert 'targets are classes, which have no means' in summary.table
  assert 'nats per target' in summary.table
  assert '2.000 ± 0.000' in summary.table
  assert list(summary.frame.nats_bayes_pool) == [2.0] * 4
  assert (tmp_path / 'diversity.png').exists()


def test_runs_that_are_not_paired_are_refused():
  short = point(8, 0.4, 0.2)
  scores = {
    mode: Predictions({'model': spread(NO_NOISE)[:100]}, {}, {}, 'ridge', UNIT)
    for mode in short.scores
  }
  with pytest.raises(ValueError, match=r'numbers of episodes differ: 200 of .*, 100 of cut'):
    summarize([point(4, 0.5, 0.1), short._replace(name='cut', scores=scores)])
  with pytest.raises(ValueError, match='no run of the sweep was evaluated'):
    summarize([])


def test_runs_with_other_exact_answers_are_refused():
  other = point(8, 0.4, 0.2)
  latent = dataclasses.replace(other.scores['eval_latent'], exact='bayes')
  other = other._replace(name='other', scores=other.scores | {'eval_latent': latent})
  with pytest.raises(ValueError, match=r'exact answers differ: ridge of .*, bayes of other; ev'):
    summarize([point(4, 0.5, 0.1), other])


@pytest.mark.parametrize(
  ('family', 'names'), [('linear', ('ridge', 'dmmse')), ('poisson', ('bayes', 'bayes_pool'))]
)
def test_a_mixture_of_the_exact_answers_crosses_where_both_weigh_the_same(family, names):
  """Of a mean of weights w and 1 - w the deltas are as (1 - w)^2 to w^2, in every episode."""
  runs, score = [], jax.jit(diversity.score_baselines)
  for size in (2, 4, 8):
    logit = 0.7 * (np.log2(size) - np.log2(5.5))  # of the weight of what is exact for new tasks
    weight = 1 / (1 + np.exp(-logit))
    task = pool_task(family, size)
    scores = {}
    for mode, evaluated in (('eval_pretrain', task), ('eval_latent', task.with_fresh_weights())):
      predictors = baselines(task, evaluated, samples=16)
      arrays = dict(score(evaluated, predictors, None, FEW))
      new, pool = (np.float64(arrays[f'mean/{name}']) for name in names)
      model = {'mean/model': weight * new + (1 - weight) * pool, 'nats/model': arrays['nats/true']}
      exact = OF_POOL if mode == 'eval_pretrain' else diversity.OF_NEW
      scores[mode] = unflatten(tiny(task__families=family), model | arrays, exact)
    runs.append(PoolRun(f'n_tasks={size}', size, 0, 100, (), scores, {}))
  summary = summarize(runs)
  (group,) = summary.findings['groups']
  ends = [group['crossing'][name] for name in ('size', 'low', 'high')]
  np.testing.assert_allclose(ends, 5.5, rtol=1e-6)
  assert f'delta_{names[0]} = delta_{names[1]}' in summary.table


# The picture.


def axes_of(monkeypatch, tmp_path, runs) -> list:
  """The axes of the picture, which is not written."""
  drawings = []
  monkeypatch.setattr(pictures, 'save', lambda drawing, path: drawings.append(drawing))
  draw(tmp_path, 'title', summarize(runs), runs)
  (drawing,) = drawings
  return drawing.axes


def line(axes, label: str) -> np.ndarray:
  """x and y of a line, `[points, 2]`."""
  (match,) = [each for each in axes.lines if each.get_label() == label]
  return np.transpose([match.get_xdata(), match.get_ydata()])


def test_lines_go_through_means_and_infinity_is_the_last_tick(monkeypatch, tmp_path):
  new, pool, deltas, valley = axes_of(monkeypatch, tmp_path, whole_sweep())
  np.testing.assert_allclose(line(new, 'model'), [(k, 0.5) for k in (2, 3, 4, 5)])
  np.testing.assert_allclose(line(new, 'ridge'), [(k, 0.4) for k in (2, 3, 4, 5, 6)])
  np.testing.assert_allclose(line(pool, 'dmmse'), [(k, 0.1) for k in (2, 3, 4, 5)])
  np.testing.assert_allclose(
    line(deltas, 'delta to ridge'), [(np.log2(size), QUICK[size][0]) for size in QUICK]
  )
  ticks = [tick.get_text() for tick in new.get_xticklabels()]
  assert ticks == ['4', '8', '16', '32', '∞']
  assert list(new.get_xticks()) == [2, 3, 4, 5, 6]
  assert deltas.get_yscale() == 'log'
  curve = whole_sweep()[2].valley
  expected = [(step, values.mean()) for step, values in curve.items()]
  assert [each.get_label() for each in valley.lines] == ['M = 8', 't*'] * 2
  np.testing.assert_allclose(valley.lines[0].get_xydata(), expected)
  np.testing.assert_allclose(valley.lines[1].get_xydata(), [(800, curve[800].mean())])
  assert all(axes.get_xlabel() and axes.get_ylabel() for axes in (new, pool, deltas, valley))


def test_ticks_of_many_m_stay_readable(monkeypatch, tmp_path):
  runs = [point(2**k, *power_laws(2**k, 100)) for k in range(1, 21)]
  new = axes_of(monkeypatch, tmp_path, runs)[0]
  ticks = [tick.get_text() for tick in new.get_xticklabels()]
  assert ticks[:4] == ['', '4', '', '16']
  assert ticks[-4:] == ['', '$2^{18}$', '', '$2^{20}$']


def test_the_crossing_and_its_interval_are_marked(monkeypatch, tmp_path):
  runs = whole_sweep()
  fitted = summarize(runs).findings['groups'][0]['crossing']
  deltas = axes_of(monkeypatch, tmp_path, runs)[2]
  assert [np.log2(fitted['size'])] * 2 in [list(each.get_xdata()) for each in deltas.lines]
  (band,) = [each for each in deltas.patches if each.get_label().startswith('crossing')]
  extent = band.get_extents().transformed(deltas.transData.inverted())
  np.testing.assert_allclose([extent.x0, extent.x1], np.log2([fitted['low'], fitted['high']]))


def test_groups_share_the_lines_of_baselines_that_agree(monkeypatch, tmp_path):
  runs = [*quick_runs(), *quick_runs(steps=16_000), point(64, 0.1, 0.2, steps=16_000)]
  new = axes_of(monkeypatch, tmp_path, runs)[0]
  assert len(line(new, 'model, 16,000 steps')) == 5
  assert len(line(new, 'model, 6,000 steps')) == 4
  assert len(line(new, 'dmmse')) == 5
  other = quick_runs(others=(('task.D', 8),), errors=(0.5, 0.4, 0.7))
  new = axes_of(monkeypatch, tmp_path, [*quick_runs(), *other])[0]
  np.testing.assert_allclose(line(new, 'dmmse, 6,000 steps')[:, 1], 0.9)
  np.testing.assert_allclose(line(new, 'dmmse, 6,000 steps, task.D=8')[:, 1], 0.7)
