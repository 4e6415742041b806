"""What evaluations report: closed forms on made-up numbers, tables, warnings and pictures."""

import dataclasses

import matplotlib
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from icljax.eval_modes import Drawing, Report
from icljax.figures import own_style
from icljax.glm.modes import pictures
from icljax.glm.modes.comparison import compare
from icljax.glm.modes.nats import draw_over_training
from icljax.glm.modes.scores import PairedScores
from icljax.glm.modes.summary import SummaryOptions, summarize
from icljax.glm.oracles import ORACLES
from icljax.paired import mean_and_error, share_of_gap
from icljax.tables import aligned, nats_table, shown_positions
from tests.configs import tiny
from tests.glms import glm

N, K = 400, 12


@pytest.fixture
def random():
  return np.random.default_rng(0)


def measured(random, task, excess=0.1, effective=200.0, **others):
  """Made-up scores in which the model is above `bayes` by `excess` nats and `bayes`
  above `bayes_family` by .3.
  """
  base = random.normal(1.0, 0.5, (N, K)).astype(np.float32)
  above = {
    'true': -0.2,
    'map': 0.5,
    'plugin': 0.45,
    'bayes_family': -0.3,
    'bayes': 0.0,
    'naive': 0.9,
  }
  family = random.integers(len(task.families), size=N)
  nats = {'model': base + excess, **{name: base + above[name] for name in ORACLES}} | others
  return PairedScores(
    nats=nats,
    family_probabilities={'bayes': np.stack([np.eye(len(task.families))[family]] * K, axis=1)},
    family=family,
    effective=np.full((N, K), effective, np.float32),
  )


def drawing_of(folder, suffix, records):
  """A drawing of several checkpoints."""
  titles, report = ('', 'a title'), Report({}, '', {})
  return Drawing(folder, suffix, titles, report, pd.DataFrame(records).drop(columns='settings'))


def shown(task, **settings):
  names = tuple(family.name for family in task.families)
  return SummaryOptions(names, samples=256, **settings)


def test_mean_and_error_are_numpys(random):
  values = random.normal(size=(N, 3)).astype(np.float32)
  mean, error = mean_and_error(values)
  np.testing.assert_allclose(mean, values.astype(np.float64).mean(0), rtol=1e-12)
  np.testing.assert_allclose(
    error, np.sqrt(np.cov(values.astype(np.float64), rowvar=False).diagonal() / N), rtol=1e-12
  )


def test_a_mean_with_inf_is_inf_and_has_no_error():
  mean, error = mean_and_error(np.array([[1.0, 2.0], [np.inf, 4.0]]))
  np.testing.assert_array_equal(mean, [np.inf, 3.0])
  np.testing.assert_array_equal(error, [np.nan, 1.0])


def test_the_share_of_the_gap_is_a_ratio_of_means(random):
  best = random.normal(size=(N, K))
  share, error = share_of_gap(best + 0.25, best, best + 1.0)
  assert share == pytest.approx(0.75, abs=1e-12)
  assert error == pytest.approx(0.0, abs=1e-9)
  naive = best + random.exponential(size=(N, K))
  assert share_of_gap(best, best, naive)[0] == 1.0
  assert share_of_gap(naive, best, naive)[0] == pytest.approx(0.0, abs=1e-12)
  worse = best + 2 * (naive - best)
  assert share_of_gap(worse, best, naive)[0] == pytest.approx(-1.0, abs=1e-12)


def test_the_error_of_the_share_is_that_of_the_delta_method(random):
  """For the ratio R = mean(a) / mean(b): variance of a - R b, over n mean(b)^2; episodes, not
  positions, are independent.
  """
  shared = random.normal(0, 0.3, (N, 1))
  best = random.normal(size=(N, K))
  a, b = (
    0.3 + shared + random.normal(0, 0.2, (N, K)),
    1.0 + 0.5 * shared + random.normal(0, 0.2, (N, K)),
  )
  share, error = share_of_gap(best + a, best, best + b)
  over_positions = a.mean(1), b.mean(1)
  ratio = a.mean() / b.mean()
  expected = (over_positions[0] - ratio * over_positions[1]).std(ddof=1) / np.sqrt(N) / b.mean()
  assert share == pytest.approx(1 - ratio, abs=1e-12)
  assert error == pytest.approx(expected, rel=0.1)  # a bootstrap of 1000 knows it to 2%


def test_no_share_of_an_infinite_gap(random):
  nats = random.normal(size=(N, K))
  naive = nats + 1
  naive[0, 0] = np.inf
  assert np.isnan(share_of_gap(nats, nats, naive)).all()


@pytest.mark.parametrize(
  ('points', 'shown'),
  [(1, [0]), (4, [0, 1, 2, 3]), (12, [0, 1, 2, 5, 10, 11]), (40, [0, 1, 2, 5, 10, 39])],
)
def test_positions_that_a_table_shows(points, shown):
  assert shown_positions(points) == shown


def test_a_table_has_a_row_per_predictor_and_its_numbers(random):
  """The excess is paired: its error is that of the difference, not of the two means."""
  best = random.normal(1, 0.5, (N, K))
  worse = best + random.normal(0.5, 0.1, (N, K))
  impossible = np.where(np.arange(N)[:, None] == 3, np.inf, best)
  title, head, *rows = nats_table(
    {'best': best, 'worse': worse, 'impossible': impossible}, reference='best'
  ).splitlines()
  assert title == f'nats per target after k pairs, {N} episodes ± standard error'
  assert [cell for cell in head.split() if cell.isdecimal()] == ['0', '1', '2', '5', '10', '11']
  assert head.endswith('above best')
  assert len({len(line) for line in (head, *rows)}) == 1  # aligned
  cells = [[cell for cell in row.split() if cell != '±'] for row in rows]
  for row, name, values in zip(cells, ('best', 'worse'), (best, worse)):
    columns = [*values[:, shown_positions(K)].T, values.mean(1), (values - best).mean(1)]
    expected = [
      f'{value:.3f}'
      for column in columns
      for value in (column.mean(), column.std(ddof=1) / np.sqrt(N))
    ]
    assert row == [name, *expected]
  assert cells[2] == ['impossible', *['inf', 'nan'] * 8]


def test_columns_are_aligned():
  assert aligned([['', 'a'], ['name', '1.5']]) == '        a\nname  1.5'


@pytest.mark.parametrize(
  ('told', 'reference', 'regret', 'share'),
  [(False, 'bayes', 0.1, 8 / 9), (True, 'bayes_family', 0.4, 8 / 12)],
)
def test_a_model_is_measured_against_who_knows_as_much(random, told, reference, regret, share):
  task = glm('poisson', 'neg_binomial')
  scores = measured(random, task)
  metrics, text = summarize(scores, shown(task, conditions_on_family=told))
  assert metrics['regret'] == pytest.approx(regret, abs=1e-6)
  assert metrics['share_of_gap'] == pytest.approx(share, abs=1e-6)
  assert metrics['nats'] == pytest.approx(scores.nats['model'].mean(), abs=1e-6)
  assert metrics['nats_map_se'] == pytest.approx(
    scores.nats['map'].mean(1).std(ddof=1) / np.sqrt(N), rel=1e-4
  )
  assert {f'nats_{name}' for name in ORACLES} < metrics.keys()
  assert f'above {reference}\n' in text
  assert f'from naive to {reference} closed by the model: {share:.3f} ± 0.000' in text


def test_the_table_tells_how_often_the_exact_posterior_knows_the_family(random):
  task = glm('poisson', 'neg_binomial')
  scores = measured(random, task)
  scores.family_probabilities['bayes'][:, 0] = [0.75, 0.25]  # before any pair it guesses the first
  _, text = summarize(scores, shown(task))
  _, title, head, row = text.split('closed by the model')[1].splitlines()[:4]
  assert 'poisson, neg_binomial' in title
  guessed = (scores.family == 0).mean()
  assert [cell for cell in row.split() if cell != '±'][:4] == [
    'bayes',
    f'{guessed:.3f}',
    f'{np.sqrt(guessed * (1 - guessed) / (N - 1)):.3f}',
    '1.000',
  ]
  assert head.split()[:3] == ['k', '=', '0']
  _, alone = summarize(measured(random, glm('poisson')), shown(glm('poisson')))
  assert 'named rightly' not in alone


def test_poor_posterior_samples_are_warned_of(random):
  task = glm('poisson')
  scores = measured(random, task)
  metrics, text = summarize(scores, shown(task))
  assert metrics['poor_samples'] == 0
  assert 'WARNING' not in text
  assert 'effective posterior samples of 256: median 200' in text
  scores.effective[: N // 20] = 25.0  # less than a tenth of 256, at 5% of positions
  metrics, text = summarize(scores, shown(task))
  assert metrics['poor_samples'] == pytest.approx(0.05)
  assert 'WARNING: bayes, bayes_family and plugin are rough: 5.0% of positions' in text
  assert '--config.eval.posterior_samples' in text


def test_a_model_that_calls_a_target_impossible_has_infinite_nats(random, tmp_path):
  """As a model of counts does on `eval_linear`: numbers, table and picture still come."""
  task = glm('linear')
  scores = measured(random, task, model=np.full((N, K), np.inf, np.float32))
  metrics, text = summarize(scores, shown(task))
  assert metrics['nats'] == metrics['regret'] == np.inf
  assert np.isnan(metrics['share_of_gap'])
  assert 'inf ± nan' in text
  pictures.curves(
    tmp_path / 'curves.png',
    scores.nats,
    'title',
  )
  assert (tmp_path / 'curves.png').exists()


@pytest.fixture
def drawn(monkeypatch):
  """The figures that were saved."""
  figures, save = [], Figure.savefig
  monkeypatch.setattr(
    Figure,
    'savefig',
    lambda self, *args, **kwargs: (figures.append(self), save(self, *args, **kwargs))[1],
  )
  return figures


def test_curves_are_drawn_with_their_axes_named(random, drawn, tmp_path):
  nats = {name: random.normal(1, 0.1, (N, K)) for name in ('model', 'bayes', 'own')}
  nats['naive'] = random.normal(50, 0.1, (N, K))
  pictures.curves(tmp_path / 'curves.png', nats, 'a title')
  (axes,) = drawn[0].axes
  assert (drawn[0].get_suptitle(), axes.get_xlabel(), axes.get_ylabel()) == (
    'a title',
    'pairs seen, k',
    'nats per target',
  )
  assert [text.get_text() for text in axes.get_legend().get_texts()] == list(nats)
  for line, values in zip(axes.lines, nats.values()):
    np.testing.assert_array_equal(line.get_xdata(), np.arange(K))
    np.testing.assert_allclose(line.get_ydata(), values.mean(0))
  assert len(axes.collections) == len(nats)  # the bands
  assert axes.get_ylim()[1] < 2  # naive does not squeeze the others
  assert np.ptp(matplotlib.image.imread(tmp_path / 'curves.png')) > 0.5


def test_training_is_drawn_with_a_running_mean(random, drawn, tmp_path):
  steps, loss = np.arange(100, 5_100, 100), random.normal(2, 0.1, 50)
  logged = pd.DataFrame({'step': steps, 'loss': loss})
  pictures.training(tmp_path / 'train.png', logged, pd.DataFrame(), 'a title')
  pictures.training(tmp_path / 'one.png', logged[:1], pd.DataFrame(), 'one step')
  (axes,), (one,) = (figure.axes for figure in drawn)
  assert (drawn[0].get_suptitle(), axes.get_xlabel(), axes.get_ylabel()) == (
    'a title',
    'step',
    'nats per target',
  )
  line, mean = axes.lines
  np.testing.assert_array_equal(line.get_xydata(), np.stack([steps, loss], axis=1))
  assert mean.get_xdata()[0] == steps[4]
  np.testing.assert_allclose(mean.get_ydata()[-1], loss[-5:].mean())
  assert len(one.lines) == 1
  assert np.ptp(matplotlib.image.imread(tmp_path / 'train.png')) > 0.5


def test_curves_over_training_have_a_line_for_every_reference(random, drawn, tmp_path):
  records = []
  for step in (10, 100, 1000):
    metrics, _ = summarize(measured(random, glm('poisson'), excess=1 / step), shown(glm('poisson')))
    records.append({'step': step, 'settings': {}, **metrics})
  draw_over_training(drawing_of(tmp_path, '', records))
  (figure,) = drawn
  average, regret = figure.axes
  assert (average.get_xlabel(), average.get_ylabel()) == ('step', 'nats per target')
  labels = [text.get_text() for text in average.get_legend().get_texts()]
  assert labels == ['model', *ORACLES]
  np.testing.assert_allclose(
    regret.lines[0].get_ydata(), [record['regret_k0'] for record in records]
  )
  np.testing.assert_allclose(regret.lines[0].get_ydata(), [0.1, 0.01, 0.001], atol=1e-5)
  frame = pd.read_csv(tmp_path / 'over_training.csv')
  assert list(frame.step) == [10, 100, 1000]
  assert list(frame.nats) == pytest.approx([record['nats'] for record in records])
  draw_over_training(drawing_of(tmp_path, '_one', records[:1]))  # one point is no curve
  assert not (tmp_path / 'over_training_one.png').exists()


def test_training_is_drawn_with_evaluations_and_references(random, drawn, tmp_path):
  metrics, _ = summarize(measured(random, glm('poisson')), shown(glm('poisson')))
  frame = pd.DataFrame([{'step': 50, **metrics}])
  logged = pd.DataFrame({'step': np.arange(100), 'loss': random.normal(1, 0.1, 100)})
  pictures.training(tmp_path / 'train.png', logged, frame, 'a title')
  labels = {text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()}
  assert labels >= {'training loss', 'evaluated, ± 2 s.e.', *ORACLES}


def test_a_comparison_is_paired_where_episodes_are_the_same(random, drawn, tmp_path):
  """B is .2 nats above A on the same episodes; C saw others, so that it has a reference of its own
  and no difference.
  """
  task = glm('poisson')
  a, c = measured(random, task, excess=0.1), measured(random, task, excess=0.4)
  above = a.nats['model'] + 0.2 + random.normal(0, 0.01, (N, K)).astype(np.float32)
  b = dataclasses.replace(a, nats=a.nats | {'model': above})
  reports = {title: Report({}, '', s.flatten()) for title, s in {'A': a, 'B': b, 'C': c}.items()}
  configs = {title: tiny(model__head='eta' if title == 'C' else 'mixture') for title in reports}
  table, draw = compare(tmp_path, 'title', reports, configs)
  assert len(pd.read_csv(tmp_path / 'comparison.csv')) == 3 * 7 * K
  assert drawn == []
  draw()
  _, head, *rows = table.splitlines()
  assert head.endswith('above A')
  assert [row.split()[0] for row in rows] == ['A', 'bayes', 'B', 'C', 'bayes_family']
  assert rows[2].split()[-3:] == ['0.200', '±', '0.000']
  assert rows[2].split()[-9:-6] == ['0.300', '±', '0.000']  # above bayes
  assert '0.700 ± 0.000' in rows[3]  # above bayes_family
  left, right = drawn[0].axes
  assert [text.get_text() for text in right.get_legend().get_texts()] == ['A', 'B', 'C']
  assert len(left.lines) == 5


def test_the_users_style_reaches_no_picture(random, tmp_path):
  """Not even where it asks for LaTeX, which may not be there."""
  with matplotlib.rc_context({'text.usetex': True, 'figure.facecolor': 'black'}):
    with own_style():
      pictures.curves(tmp_path / 'a.png', {'model': random.normal(1, 0.1, (N, K))}, 'k = 1, 50%')
    assert matplotlib.rcParams['text.usetex']
  assert matplotlib.image.imread(tmp_path / 'a.png').mean() > 0.8
