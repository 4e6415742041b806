"""Omniglot through TFDS: as TFDS would write and read it, and one line where that cannot be."""

import collections
import io
import json
import os
import shutil
import threading
import time
import types
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from icljax.omniglot.images import archives, omniglot, png, store
from tests.omniglot.images import archive

SMALL1 = archives.ARCHIVES['small1']


@pytest.fixture(scope='module')
def prepared(tmp_path_factory) -> Path:
  """A data_dir with small1, out of the real archive."""
  data_dir = tmp_path_factory.mktemp('tfds')
  omniglot.prepare(str(data_dir), str(archive(SMALL1).parent), ['small1'], say=lambda line: None)
  return data_dir


@pytest.fixture
def offline(monkeypatch):
  monkeypatch.setattr(archives, 'reachable', lambda url: False)


def test_tfds_reads_what_was_written(prepared, tmp_path):
  import tensorflow_datasets as tfds

  theirs = tfds.builder('omniglot', data_dir=tmp_path)  # of the code, with nothing prepared
  decoders = {'image': tfds.decode.SkipDecoding()}
  source = tfds.data_source('omniglot', split='small1', data_dir=prepared, decoders=decoders)
  features = source.dataset_info.features
  assert source.dataset_info.full_name == theirs.info.full_name == f'omniglot/{omniglot.VERSION}'
  assert repr(features) == repr(theirs.info.features)
  got = collections.Counter(
    (
      features['alphabet'].int2str(one['alphabet']),
      one['alphabet_char_id'],
      one['label'],
      one['image'],
    )
    for one in source
  )
  assert got == collections.Counter(
    (alphabet, n, label, data) for alphabet, n, label, _, data in archives.files(archive(SMALL1))
  )
  assert all(features['label'].int2str(label) == f'{alphabet}_{n}' for alphabet, n, label, _ in got)
  # Its own decoder gives the bit of white in each of three channels.
  one, same = source[7], tfds.data_source('omniglot', split='small1', data_dir=prepared)[7]
  np.testing.assert_array_equal(
    np.repeat(png.pixels(one['image'])[..., None], 3, -1), same['image']
  )


def test_walks_as_tfds_does(tmp_path, monkeypatch):
  from tensorflow_datasets.image_classification import omniglot as theirs

  with zipfile.ZipFile(archive(SMALL1)) as files:
    files.extractall(tmp_path)
  gfile = types.SimpleNamespace(listdir=os.listdir)
  monkeypatch.setattr(theirs, 'tf', types.SimpleNamespace(io=types.SimpleNamespace(gfile=gfile)))
  want = {
    image_id: (alphabet, n, label, Path(path).read_bytes())
    for alphabet, n, label, path, image_id in theirs._walk_omniglot_dir(tmp_path)
  }
  got = {
    f'{alphabet}_{n}_{name}': (alphabet, n, label, data)
    for alphabet, n, label, name, data in archives.files(archive(SMALL1))
  }
  assert len(want) == 136 * 20
  assert got == want


def test_images_are_the_archive(prepared, tmp_path, offline):
  images = store.load(
    'small1', data_dir=str(prepared), side=105, cache_dir=str(tmp_path), say=lambda line: None
  )
  labels = {
    f'{alphabet}_{n}': label for alphabet, n, label, _, _ in archives.files(archive(SMALL1))
  }
  assert images.source == 'omniglot small1'
  assert [labels[name] for name in images.names] == sorted(labels.values())
  want = collections.defaultdict(list)
  for alphabet, n, _, _, data in archives.files(archive(SMALL1)):
    want[f'{alphabet}_{n}'].append(
      (~np.asarray(Image.open(io.BytesIO(data)))).astype(np.uint8).tobytes()
    )
  for name, drawings in zip(images.names, images.unpack()):
    assert [drawing.tobytes() for drawing in drawings] == sorted(want[name])
  small = store.load(
    'small1', data_dir=str(prepared), cache_dir=str(tmp_path), say=lambda line: None
  )
  assert small.names == images.names
  np.testing.assert_array_equal(
    small.unpack()[5], store.resize(images.unpack()[5].astype(bool), 28)
  )


def flip(folder: Path) -> None:
  (path,) = folder.glob('*array_record*')
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)


def cut_off(folder: Path) -> None:
  (path,) = folder.glob('*array_record*')
  path.write_bytes(path.read_bytes()[:200_000])


def another_split(folder: Path) -> None:
  text = (folder / 'dataset_info.json').read_text()
  (folder / 'dataset_info.json').write_text(text.replace('small1', 'small2'))


DAMAGE = {
  'a bit': flip,
  'cut off': cut_off,
  'no record': lambda folder: next(folder.glob('*array_record*')).unlink(),
  'no info': lambda folder: (folder / 'dataset_info.json').unlink(),
  'half an info': lambda folder: (folder / 'dataset_info.json').write_text('{"name": "omni'),
  'another split': another_split,
}


@pytest.mark.parametrize('damage', DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_preparation_is_redone(prepared, tmp_path, offline, damage):
  shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
  folder = omniglot.folder(str(tmp_path))
  damage(folder)
  with pytest.raises(ValueError, match=f'no {SMALL1} in manual_dir') as error:
    omniglot.read('small1', str(tmp_path), say=lambda line: None)
  assert '\n' not in str(error.value)
  said: list[str] = []
  drawings = omniglot.read('small1', str(tmp_path), str(archive(SMALL1).parent), say=said.append)
  assert said[0].endswith('it is prepared anew')
  assert not any('\n' in line for line in said)
  assert {name: sorted(pngs) for name, pngs in drawings.items()} == {
    name: sorted(pngs) for name, pngs in omniglot.read('small1', str(prepared)).items()
  }
  assert folder.with_name('3.0.0.replaced').exists()  # nothing is deleted


def test_a_preparation_that_was_killed_does_not_count(prepared, tmp_path, offline):
  target = tmp_path / 'omniglot' / f'incomplete.ABCDEF_{omniglot.VERSION}'
  shutil.copytree(omniglot.folder(str(prepared)), target)
  assert (
    len(omniglot.read('small1', str(tmp_path), str(archive(SMALL1).parent), say=lambda line: None))
    == 136
  )


def test_another_format_is_left_alone(prepared, tmp_path, offline):
  shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
  path = omniglot.folder(str(tmp_path)) / 'dataset_info.json'
  info = json.loads(path.read_text()) | {'fileFormat': 'tfrecord'}
  path.write_text(json.dumps(info))
  with pytest.raises(ValueError, match=r'was prepared as tfrecord, .*; allowed is array_record'):
    omniglot.read('small1', str(tmp_path), str(archive(SMALL1).parent))
  assert json.loads(path.read_text()) == info


def test_a_damaged_archive_is_one_line(tmp_path):
  (tmp_path / SMALL1).write_bytes(b'PK and so on')
  with pytest.raises(ValueError, match=f'{SMALL1} is damaged') as error:
    omniglot.read('small1', str(tmp_path / 'data'), str(tmp_path))
  assert '\n' not in str(error.value)


def test_without_files_and_network_it_says_what_to_put_where(tmp_path, offline):
  (tmp_path / 'empty').mkdir()
  for manual_dir in (None, str(tmp_path / 'empty')):
    start = time.monotonic()
    with pytest.raises(
      ValueError, match=r'no images_background.zip and images_evaluation.zip in manual_dir'
    ) as error:
      store.load('all', str(tmp_path / 'data'), manual_dir, cache_dir=str(tmp_path / 'cache'))
    assert time.monotonic() - start < 5
    assert '\n' not in str(error.value)
    assert '--config.data.manual_dir' in str(error.value)
    assert ':procedural' in str(error.value)
  assert not (tmp_path / 'data').exists()


def test_asking_for_the_network_does_not_wait(monkeypatch):
  answer = threading.Event()
  monkeypatch.setattr(
    urllib.request, 'urlopen', lambda request, timeout: answer.wait(60) and io.BytesIO()
  )
  start = time.monotonic()
  assert not archives.reachable('https://example.org', seconds=0.1)
  assert time.monotonic() - start < 10
  answer.set()
  monkeypatch.setattr(
    urllib.request, 'urlopen', lambda request, timeout: (_ for _ in ()).throw(OSError('no route'))
  )
  assert not archives.reachable('https://example.org')
  monkeypatch.setattr(urllib.request, 'urlopen', lambda request, timeout: io.BytesIO())
  assert archives.reachable('https://example.org')


@pytest.fixture
def internet(tmp_path, monkeypatch) -> dict[str, int]:
  """Archives of a few classes behind TFDS's downloader, with checksums to match; counts the
  downloads.
  """
  from tensorflow_datasets.core.download import checksums, downloader

  (tmp_path / 'web').mkdir()
  rng = np.random.default_rng(0)
  labels = {'train': [0, 1, 2], 'test': [3, 4], 'small1': [0, 1], 'small2': [1, 2]}
  image = {label: [rng.random((105, 105)) < 0.9 for _ in range(20)] for label in range(5)}
  for split, name in archives.ARCHIVES.items():
    with zipfile.ZipFile(tmp_path / 'web' / name, 'w') as files:
      for label in labels[split]:
        for i, white in enumerate(image[label]):
          buffer = io.BytesIO()
          Image.fromarray(white).save(buffer, 'PNG')
          files.writestr(
            f'{name[:-4]}/Alphabet_{label % 2}/character{label + 1:02}/{label + 1:04}_{i + 1:02}.png',
            buffer.getvalue(),
          )
    url = archives.URL + name
    monkeypatch.setitem(
      omniglot._builder_class().url_infos, url, checksums.compute_url_info(tmp_path / 'web' / name)
    )
    monkeypatch.setitem(omniglot.CLASSES, split, len(labels[split]))
  downloads: dict[str, int] = collections.Counter()

  def download(self, url, destination_path, verify=True):
    name = url.removeprefix(archives.URL)
    downloads[name] += 1
    shutil.copy(tmp_path / 'web' / name, destination_path / name)
    return downloader.DownloadResult(
      destination_path / name, checksums.compute_url_info(destination_path / name)
    )

  monkeypatch.setattr(downloader._Downloader, '_sync_download', download)
  monkeypatch.setattr(archives, 'reachable', lambda url: True)
  return downloads


def test_downloads_all_where_there_is_a_network(tmp_path, internet, monkeypatch):
  import tensorflow_datasets as tfds

  data_dir = str(tmp_path / 'data')
  drawings = omniglot.read('all', data_dir, say=lambda line: None)
  assert list(drawings) == [
    'Alphabet_0_0',
    'Alphabet_1_1',
    'Alphabet_0_2',
    'Alphabet_1_3',
    'Alphabet_0_4',
  ]
  assert internet == dict.fromkeys(archives.ARCHIVES.values(), 1)
  assert set(tfds.builder('omniglot', data_dir=data_dir).info.splits) == set(archives.ARCHIVES)
  # Damaged, and the network gone: the downloads are still here. One of those damaged as well: it is
  # fetched again.
  monkeypatch.setattr(archives, 'reachable', lambda url: False)
  (omniglot.folder(data_dir) / 'dataset_info.json').write_text('{')
  assert omniglot.read('all', data_dir, say=lambda line: None).keys() == drawings.keys()
  monkeypatch.setattr(archives, 'reachable', lambda url: True)
  (omniglot.folder(data_dir) / 'dataset_info.json').write_text('{')
  contents = (tmp_path / 'web/images_evaluation.zip').read_bytes()
  next(
    path for path in (tmp_path / 'data/downloads').rglob('*.zip') if path.read_bytes() == contents
  ).write_bytes(b'PK')
  assert omniglot.read('all', data_dir, say=lambda line: None).keys() == drawings.keys()
  assert internet['images_evaluation.zip'] == 2
  assert internet['images_background.zip'] == 1


def test_a_download_that_fails_is_one_line(tmp_path, internet, monkeypatch):
  from tensorflow_datasets.core.download import downloader

  def fail(self, url, destination_path, verify=True):
    raise ConnectionError('reset\nby peer')

  monkeypatch.setattr(downloader._Downloader, '_sync_download', fail)
  with pytest.raises(ValueError, match='ConnectionError: reset by peer') as error:
    omniglot.read('all', str(tmp_path / 'data'), say=lambda line: None)
  assert '\n' not in str(error.value)
