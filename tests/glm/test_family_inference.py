"""What is known of an episode's family: accuracy, calibration, confusion, against scikit-learn and
closed forms.
"""

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss

from icljax.eval_modes import Drawing, Report
from icljax.glm.modes import families
from icljax.glm.modes.nats import draw_families
from icljax.glm.modes.scores import PairedScores
from icljax.glm.modes.summary import SummaryOptions

N, K, F = 20_000, 4, 3


@pytest.fixture(scope='module')
def known():
  """Probabilities of families that are right, as far as they go: the family is drawn from those of
  the last pair.
  """
  random = np.random.default_rng(0)
  probabilities = random.dirichlet(np.ones(F), (N, 1)).repeat(K, axis=1)
  true = (probabilities[:, -1].cumsum(1) < random.random((N, 1))).sum(1)
  return probabilities, true


def test_accuracy_and_nats_are_scikit_learns(known):
  probabilities, true = known
  metrics = families.metrics({'who': probabilities}, true)
  guess = probabilities[:, -1].argmax(1)
  assert metrics['family_accuracy_who'] == pytest.approx(accuracy_score(true, guess))
  assert metrics['family_accuracy_last_who'] == pytest.approx(accuracy_score(true, guess))
  assert metrics['family_nats_who'] == pytest.approx(log_loss(true, probabilities[:, -1]))
  error = (probabilities[:, -1].argmax(1) == true).std(ddof=1) / np.sqrt(N)
  assert metrics['family_accuracy_who_se'] == pytest.approx(error)


def test_confusion_is_scikit_learns(known):
  probabilities, true = known
  theirs = confusion_matrix(true, probabilities[:, -1].argmax(1), normalize='true')
  np.testing.assert_allclose(families.confusion(probabilities, true), theirs)
  text = families.confusion_table(
    {'bayes': probabilities, 'read_out': probabilities}, true, ('a', 'b', 'c')
  )
  assert 'bayes: a' in text
  assert text.splitlines()[3].split()[1:4] == [f'{share:.3f}' for share in theirs[1]]


def test_calibration_is_scikit_learns_and_small_where_probabilities_are_right(known):
  probabilities, true = known
  said, are, count = families.reliability(probabilities, true)
  their_share, their_mean = calibration_curve(
    true == 0, probabilities[:, -1, 0], n_bins=families.BINS
  )
  np.testing.assert_allclose(said[count > 0], their_mean)
  np.testing.assert_allclose(are[count > 0], their_share)
  assert families.calibration_error(probabilities, true) < 0.02
  sure = np.eye(F)[probabilities.argmax(-1)]
  expected = abs(
    sure[:, -1, 0].mean() - (true == 0)[sure[:, -1, 0] == 1].mean() * sure[:, -1, 0].mean()
  )
  assert families.calibration_error(sure, true) > expected / 2 > 0.05


def test_one_family_alone_is_not_called_calibrated(known):
  probabilities, _ = known
  true = np.zeros(N, int)
  assert 'family_calibration_error_who' not in families.metrics(
    {'who': probabilities}, true, any_family=False
  )
  assert 'calibration' not in families.accuracy_table(
    {'who': probabilities}, true, ('a', 'b', 'c'), any_family=False
  )


def test_the_picture_and_its_numbers_are_written(known, tmp_path):
  probabilities, true = known
  both = {'bayes': probabilities, 'read_out': probabilities}
  scores = PairedScores(nats={}, family_probabilities=both, family=true)

  def draw(suffix, *names):
    report = Report({}, '', scores.flatten())
    drawing = Drawing(tmp_path, suffix, ('title', ''), report, pd.DataFrame())
    draw_families(scores, SummaryOptions(names, 1), drawing)

  draw('', 'a', 'b', 'c')
  assert (tmp_path / 'families.png').stat().st_size > 5_000
  head, *rows = (tmp_path / 'families.csv').read_text().splitlines()
  assert head == 'predictor,k,accuracy,standard_error'
  assert [row.split(',')[:2] for row in rows] == [[name, str(k)] for name in both for k in range(K)]
  draw('_alone', 'a')
  assert not (tmp_path / 'families_alone.png').exists()
