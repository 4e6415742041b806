"""20,000 sequences of every kind against the exact law of what they are made of."""

import collections
import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from icljax.base import draw_batch, stream
from icljax.omniglot.classes import Table, ordered_classes, pool
from icljax.omniglot.kinds import GROUPS, KINDS
from icljax.omniglot.sequences import Sequences
from icljax.omniglot.settings import Burstiness

COUNT, RARE, COMMON, HOLDOUT = 20_000, 6, 4, 5
ORDER = ordered_classes(20, seed=3)


def sequences(
  kind: str,
  exponent=1.0,
  slices=False,
  fewshot=0.4,
  burst=(0.7, 0.2, 0.3),
  otherwise='zipfian',
  distinct=False,
  **settings,
):
  classes = pool(ORDER, exponent, RARE, COMMON, HOLDOUT, slices)
  burstiness = Burstiness(*map(jnp.float32, burst), otherwise=otherwise, distinct=distinct)
  sets = jnp.asarray(settings.pop('label_sets', [range(settings.get('ways', 2))]))
  return Sequences(
    classes,
    burstiness,
    jnp.float32(fewshot),
    jnp.float32(0.1),
    **{'label_sets': sets, 'kind': KINDS[kind]} | settings,
  )


@jax.jit
def draw_at(task, indices):
  return draw_batch(task, stream(jnp.uint32(0), 'test'), 0, indices)


@functools.cache
def draw(kind: str, **settings):
  """Episodes in numpy, and the classes of their items `[n, K]`."""
  episodes = jax.device_get(draw_at(sequences(kind, **settings), jnp.arange(COUNT)))
  return episodes, episodes.task.positions


def agrees(counts, probabilities) -> None:
  """Chi-square at 1 in 1,000; what cannot occur has not."""
  counts, probabilities = np.asarray(counts), np.asarray(probabilities)
  assert probabilities.sum() == pytest.approx(1)
  assert counts[probabilities == 0].sum() == 0
  likely = probabilities > 0
  if likely.sum() > 1:
    assert stats.chisquare(counts[likely], counts.sum() * probabilities[likely]).pvalue > 1e-3


def masses(kind: str, exponent=1.0, slices=False) -> np.ndarray:
  """Probabilities of the positions by kind, straight from the definition."""
  n, total = RARE + COMMON, RARE + COMMON + HOLDOUT
  zipf = np.array([1 / (n - i) ** exponent if i < n else 0 for i in range(total)])
  flat = zipf if slices else np.ones(total)
  of = {
    'rare': flat * (np.arange(total) < RARE),
    'common': flat * ((np.arange(total) >= RARE) & (np.arange(total) < n)),
    'zipfian': zipf,
    'holdout': (np.arange(total) >= n).astype(float),
  }[kind]
  return of / of.sum()


def counted(positions) -> np.ndarray:
  return np.bincount(np.ravel(positions), minlength=RARE + COMMON + HOLDOUT)


@pytest.mark.parametrize('kind', GROUPS)
@pytest.mark.parametrize(('exponent', 'slices'), [(0.0, False), (1.0, True), (3.0, False)])
def test_classes_are_drawn_by_their_masses(kind, exponent, slices):
  table = pool(ORDER, exponent, RARE, COMMON, HOLDOUT, slices).table()
  row, expected = jnp.int32(GROUPS.index(kind)), masses(kind, exponent, slices)
  agrees(counted(table.draw(jax.random.key(0), row, shape=(COUNT,))), expected)
  without = np.array([1, 7, 12])
  left = expected.copy()
  left[without] = 0
  for listed in ([12, 7, 1], [7, 12, 7, 1, 1]):
    agrees(
      counted(table.draw(jax.random.key(1), row, jnp.asarray(listed), shape=(COUNT,))),
      left / left.sum(),
    )


def test_distinct_classes_come_one_after_another_from_what_is_left():
  table = pool(ORDER, 1.0, RARE, COMMON, HOLDOUT).table()
  draw = jax.jit(
    jax.vmap(lambda key: table.draw_distinct(key, jnp.int32(GROUPS.index('zipfian')), 3))
  )
  drawn = np.asarray(draw(jax.random.split(jax.random.key(0), COUNT)))
  p = masses('zipfian')
  triples = list(itertools.permutations(range(10), 3))
  law = [p[a] * p[b] / (1 - p[a]) * p[c] / (1 - p[a] - p[b]) for a, b, c in triples]
  index = {triple: i for i, triple in enumerate(triples)}
  agrees(np.bincount([index[tuple(row)] for row in drawn.tolist()], minlength=len(triples)), law)


def test_a_large_pool_is_inverted_exactly():
  cumulative = jnp.cumsum(jnp.ones((1, 12_984)), axis=1)
  table = Table(cumulative)
  for position in (0, 1, 6_491, 12_982, 12_983):
    assert int(table._invert(jnp.int32(0), jnp.float32(position + 0.5))) == position


@pytest.mark.parametrize('kind', [f'fewshot_{group}' for group in GROUPS])
def test_few_shot_sequences(kind):
  """Two distinct classes, three times each, then one of them; labels 0 and 1 at random, one for
  each class.
  """
  episodes, positions = draw(kind)
  name = kind.removeprefix('fewshot_')
  assert positions.shape == (COUNT, 7)
  pairs = np.sort(positions[:, :6], axis=1)
  assert (pairs[:, :3] == pairs[:, :1]).all()
  assert (pairs[:, 3:] == pairs[:, 3:4]).all()
  assert (pairs[:, 0] != pairs[:, 3]).all()
  assert ((positions[:, -1:] == positions[:, :-1]).sum(1) == 3).all()
  p = masses(name)
  law = {
    (a, b): p[a] * p[b] / (1 - p[a]) + p[b] * p[a] / (1 - p[b])
    for a, b in itertools.combinations(np.flatnonzero(p), 2)
  }
  found = collections.Counter(map(tuple, pairs[:, [0, 3]].tolist()))
  assert found.keys() <= law.keys()
  agrees([found[pair] for pair in law], list(law.values()))
  agrees(np.bincount((positions[:, -1] == pairs[:, 0]).astype(int), minlength=2), [0.5, 0.5])
  assert set(np.unique(episodes.y)) == {0, 1}
  assert all(
    (episodes.y[:, i] == episodes.y[:, j])[positions[:, i] == positions[:, j]].all()
    for i in range(7)
    for j in range(i)
  )
  assert all(
    (episodes.y[:, i] != episodes.y[:, j])[positions[:, i] != positions[:, j]].all()
    for i in range(7)
    for j in range(i)
  )
  agrees(
    np.bincount((episodes.y[:, -1] == (positions[:, -1] == pairs[:, 0])).astype(int)), [0.5, 0.5]
  )
  where = (positions[:, :6] == pairs[:, :1]) @ (1 << np.arange(6))  # which of the 20 orders
  agrees(
    np.bincount(where, minlength=64)[[m for m in range(64) if bin(m).count('1') == 3]],
    np.full(20, 1 / 20),
  )


def test_grouped_contexts_have_every_class_in_each_block():
  _, positions = draw('fewshot_rare', grouped=True, ways=3, shots=2, points=9)
  for block in (positions[:, :3], positions[:, 3:6]):
    np.testing.assert_array_equal(np.sort(block, axis=1), np.sort(positions[:, :3], axis=1))
    assert (np.diff(np.sort(block, axis=1)) > 0).all()


def test_with_replacement_a_problem_may_have_one_class_twice():
  """A copier then is right in 1 - 1/(2n) of them: of the two labels of a single class it can only
  guess.
  """
  episodes, positions = draw('fewshot_holdout', replacement=True)
  single = (positions == positions[:, :1]).all(1)
  agrees(np.bincount(single.astype(int), minlength=2), [1 - 1 / HOLDOUT, 1 / HOLDOUT])
  votes = np.stack(
    [
      ((positions[:, :-1] == positions[:, -1:]) & (episodes.y[:, :-1] == label)).sum(1)
      for label in (0, 1)
    ]
  )
  right = np.where(votes[0] == votes[1], 0.5, votes.argmax(0) == episodes.y[:, -1]).mean()
  assert right == pytest.approx(1 - 1 / (2 * HOLDOUT), abs=4 * 0.5 / math.sqrt(COUNT))


@pytest.mark.parametrize('kind', [f'no_support_{group}' for group in GROUPS[:3]])
def test_no_support(kind):
  _, positions = draw(kind)
  p = masses(kind.removeprefix('no_support_'))
  assert positions.shape == (COUNT, 9)
  assert not (positions[:, :-1] == positions[:, -1:]).any()
  agrees(counted(positions[:, -1]), p)
  pairs = [(q, c) for q in np.flatnonzero(p) for c in np.flatnonzero(p) if q != c]
  for k in (0, 7):
    found = collections.Counter(map(tuple, positions[:, [8, k]].tolist()))
    agrees([found[pair] for pair in pairs], [p[q] * p[c] / (1 - p[q]) for q, c in pairs])


def test_random_and_mixed():
  _, positions = draw('random')
  for k in (0, 8):
    agrees(counted(positions[:, k]), masses('zipfian'))
  episodes, positions = draw('mixed')
  is_problem = positions[:, 0] < RARE
  agrees(np.bincount(is_problem.astype(int)), [0.6, 0.4])
  assert set(np.unique(episodes.y[is_problem])) == {0, 1}
  np.testing.assert_array_equal(episodes.y[~is_problem], positions[~is_problem])
  agrees(counted(positions[~is_problem][:, -1]), masses('common'))


@functools.cache
def pattern_law() -> dict[tuple[int, ...], float]:
  """How often the classes of a bursty context occur, sorted, by enumerating the two remaining
  items; rare among common.
  """
  law = collections.Counter()
  p = masses('zipfian')
  seen = np.flatnonzero(p)
  for a, b in itertools.permutations(seen, 2):
    for c, d in itertools.product(seen, repeat=2):
      probability = p[a] * p[b] / (1 - p[a]) * p[c] * p[d]
      law[tuple(sorted(collections.Counter([a] * 3 + [b] * 3 + [c, d]).values()))] += probability
  return law


def test_bursty_sequences_embed_a_problem():
  """All zipfian: the law of the pattern of counts by enumeration, and the query one of the two
  classes.
  """
  _, positions = draw('bursty', burst=(1.0, 1.0, 0.0))
  patterns = collections.Counter(
    tuple(sorted(collections.Counter(row).values())) for row in positions[:, :-1].tolist()
  )
  law = pattern_law()
  assert patterns.keys() <= law.keys()
  agrees([patterns[pattern] for pattern in law], list(law.values()))
  assert ((positions[:, :-1] == positions[:, -1:]).sum(1) >= 3).all()


def test_bursty_kinds_have_their_probabilities():
  """Where rare and common never meet in one problem, its classes tell which kind a sequence is."""
  _, positions = draw('bursty', burst=(1.0, 0.0, 0.3))
  common = positions[:, -1] >= RARE
  agrees(np.bincount(common.astype(int)), [0.7, 0.3])
  of_problem = (positions[:, :-1] >= RARE) == common[:, None]
  assert (of_problem.sum(1) == 6).all()
  agrees(counted(positions[~common][:, -1]), masses('rare'))
  rest = positions[:, :-1][~of_problem].reshape(COUNT, 2)
  agrees(counted(rest[~common]), masses('common'))
  # Where the two remaining items stand.
  place = np.argsort(of_problem, axis=1, kind='stable')[:, :2] @ [8, 1]
  pairs = [8 * a + b for a, b in itertools.combinations(range(8), 2)]
  agrees(np.bincount(place, minlength=64)[pairs], np.full(28, 1 / 28))


@pytest.mark.parametrize(
  ('otherwise', 'name'),
  [('zipfian', 'zipfian'), ('common_uniform', 'common'), ('common_no_support', 'common')],
)
def test_sequences_that_are_not_bursty(otherwise, name):
  _, positions = draw('bursty', burst=(0.0, 1.0, 0.0), otherwise=otherwise)
  agrees(counted(positions[:, -1]), masses(name))
  supported = (positions[:, :-1] == positions[:, -1:]).any(1).mean()
  p = masses(name)
  expected = 0 if otherwise == 'common_no_support' else (p * (1 - (1 - p) ** 8)).sum()
  assert supported == pytest.approx(expected, abs=4 * 0.5 / math.sqrt(COUNT))


def test_some_are_bursty_and_distinct_remainders_are_distinct():
  _, positions = draw('bursty', burst=(0.7, 0.0, 0.0), otherwise='common_no_support', distinct=True)
  bursty = (positions[:, :-1] == positions[:, -1:]).any(1)
  agrees(np.bincount(bursty.astype(int)), [0.3, 0.7])
  counts = {
    tuple(sorted(collections.Counter(row).values())) for row in positions[bursty][:, :-1].tolist()
  }
  assert counts == {(1, 1, 3, 3)}


@pytest.mark.parametrize('labels', [1, 3])
@pytest.mark.parametrize('kind', ['bursty', 'no_support_zipfian', 'random'])
def test_labels_are_those_of_the_classes(kind, labels):
  """In range, one per sequence and class, and with polysemy each of a rare class's labels as often
  as the others.
  """
  episodes, positions = draw(kind, labels=labels)
  rare, y = positions < RARE, episodes.y.astype(int)
  np.testing.assert_array_equal(y[rare] // labels, positions[rare])
  np.testing.assert_array_equal(y[~rare], positions[~rare] + (labels - 1) * RARE)
  assert y.max() < labels * RARE + COMMON
  assert all(
    (y[:, i] == y[:, j])[positions[:, i] == positions[:, j]].all()
    for i in range(9)
    for j in range(i)
  )
  agrees(np.bincount(y[:, 0][rare[:, 0]] % labels, minlength=labels), np.full(labels, 1 / labels))


@pytest.mark.parametrize('kind', ['bursty', 'fewshot_holdout', 'random'])
def test_no_drawing_comes_twice_and_all_come_equally_often(kind):
  episodes, positions = draw(kind)
  np.testing.assert_array_equal(
    episodes.x[..., 0], np.concatenate([ORDER[:10], ORDER[-5:]])[positions]
  )
  handles = episodes.x[..., 0] * 20 + episodes.x[..., 1]
  assert all(
    (handles[:, i] != handles[:, j]).all() for i in range(handles.shape[1]) for j in range(i)
  )
  for k in (0, -1):
    agrees(np.bincount(episodes.x[:, k, 1], minlength=20), np.full(20, 1 / 20))


def test_few_drawings_are_used_up_before_one_comes_again():
  episodes, positions = draw('fewshot_rare', drawings=2, shots=3, ways=2)
  for row in range(200):
    for position in set(positions[row]):
      drawn = episodes.x[row, positions[row] == position, 1]
      assert set(drawn[:2]) == {0, 1}
      np.testing.assert_array_equal(drawn[2:], drawn[:-2])


def test_held_out_classes_are_not_trained_on():
  for kind in ('bursty', 'random', 'mixed', 'no_support_zipfian', 'fewshot_zipfian'):
    assert draw(kind)[1].max() < RARE + COMMON
  assert draw('fewshot_holdout')[1].min() >= RARE + COMMON


def test_the_query_weighs_1_and_the_labels_before_it_what_is_set():
  episodes, _ = draw('bursty')
  np.testing.assert_allclose(
    episodes.weight, np.broadcast_to([0.1] * 8 + [1.0], (COUNT, 9)), rtol=1e-6
  )


def test_blocks_of_classes_stay_together_and_holdout_stays():
  order = ordered_classes(40, seed=1, block=8)
  np.testing.assert_array_equal(
    order.reshape(-1, 8) - order.reshape(-1, 8)[:, :1], np.tile(np.arange(8), (5, 1))
  )
  assert sorted(order) == list(range(40))
  few, many = pool(order, 1.0, 5, 2, 8), pool(order, 1.0, 20, 10, 8)
  np.testing.assert_array_equal(few.ids[-8:], many.ids[-8:])
  with pytest.raises(
    ValueError, match='preserve_ordering_every_n is 7, which does not divide the 40 classes'
  ):
    ordered_classes(40, seed=1, block=7)
  with pytest.raises(
    ValueError, match='asks for 30 rare, 5 common and 8 held-out classes; there are 40 in all'
  ):
    pool(order, 1.0, 30, 5, 8)


def test_devices_see_the_same_sequences():
  task, batches = sequences('bursty'), []
  for count in (1, 2, 4):
    share = lambda _, task: draw_batch(
      task, stream(jnp.uint32(0), 'train'), 3, jnp.arange(16), axis='i'
    )
    drawn = jax.pmap(share, 'i', in_axes=(0, None), devices=jax.devices()[:count])(
      jnp.arange(count), task
    )
    batches.append(jax.tree.map(lambda leaf: np.asarray(leaf).reshape(16, *leaf.shape[2:]), drawn))
  for other in batches[1:]:
    for ours, theirs in zip(jax.tree.leaves(batches[0]), jax.tree.leaves(other)):
      np.testing.assert_array_equal(ours, theirs)
