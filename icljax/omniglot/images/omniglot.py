"""Omniglot through TFDS, without TensorFlow.

TFDS's own class needs TensorFlow to unzip and to walk folders; here it is the same class but for
these two. What it writes is what `tfds.data_source('omniglot', data_dir=...)` reads, and a folder
that TFDS itself prepared in array_record is read as well.
"""

import contextlib
import functools
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from icljax.omniglot.images import archives
from icljax.omniglot.images.archives import ARCHIVES, URL

CLASSES = {'train': 964, 'test': 659, 'small1': 136, 'small2': 156}
DRAWINGS = 20
# Of TFDS, by our name.
SPLITS = {'all': ('train', 'test'), **{split: (split,) for split in ARCHIVES}}
VERSION = '3.0.0'
PROCEDURAL = 'or take characters that need no files: --config=configs/omniglot.py:procedural'


class Damaged(Exception):
  """A prepared folder that lacks something, or holds what cannot be read."""


def read(
  name: str, data_dir: str | None = None, manual_dir: str | None = None, say: Callable = print
) -> dict[str, list[bytes]]:
  """The drawings of each class as PNGs, by the class's name and in the order of TFDS's labels;
  prepares them where need be.

  Args:
    name: of `SPLITS`.
    data_dir: TFDS's folder; by default its own default.
    manual_dir: where archives may lie; without them they are downloaded.
    say: takes a line on what is being done.

  Raises:
    ValueError: if there is no way to the drawings; the message says what to do.
  """
  if name not in SPLITS:
    raise ValueError(f'there is no {name!r} of Omniglot; allowed are {", ".join(SPLITS)}')
  if folder(data_dir).exists():
    try:
      return _read(name, data_dir)
    except Damaged as error:
      say(f'omniglot: {folder(data_dir)} {error}; it is prepared anew')
  prepare(data_dir, manual_dir, SPLITS[name], say)
  try:
    return _read(name, data_dir)
  except Damaged as error:
    raise ValueError(
      f'omniglot: {folder(data_dir)} {error} although it was just prepared; is the disk full or '
      'damaged?'
    ) from error


def folder(data_dir: str | None) -> Path:
  """Where TFDS keeps what it prepared.

  Raises:
    ValueError: if that is in the home of a user who has none.
  """
  given = data_dir or os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets'
  try:
    return Path(given).expanduser() / 'omniglot' / VERSION
  except RuntimeError as error:
    raise ValueError(
      f'omniglot: TFDS prepares in {given}, and this user has no home folder: give another with '
      f'--config.data.data_dir, {PROCEDURAL}'
    ) from error


def _read(name: str, data_dir: str | None) -> dict[str, list[bytes]]:
  try:
    builder = _builder(data_dir)
    formats = {form.value for form in builder.info.available_file_formats()}
    records = {
      split: list(_records(builder, split)) for split in SPLITS[name] if 'array_record' in formats
    }
  # TFDS, array_record and protobuf raise a class of their own for every way to be damaged.
  except Exception as error:
    raise Damaged(f'cannot be read ({" ".join(str(error).split())[:200]})') from error
  if not records and (folder(data_dir) / 'dataset_info.json').exists():
    raise ValueError(
      f'omniglot: {folder(data_dir)} was prepared as {", ".join(sorted(formats))}, which only '
      'TensorFlow reads; '
      f'allowed is array_record: give another folder with data_dir, {PROCEDURAL}'
    )
  names = builder.info.features['label'].names
  found: dict[str, list[bytes]] = {}
  for split in SPLITS[name]:
    classes: dict[int, list[bytes]] = {}
    for label, image in records.get(split, []):
      classes.setdefault(label, []).append(image)
    if len(classes) != CLASSES[split] or any(
      len(drawings) != DRAWINGS for drawings in classes.values()
    ):
      raise Damaged(f'has not all drawings of {split} ({CLASSES[split]} classes of {DRAWINGS})')
    found |= {names[label]: classes[label] for label in sorted(classes)}
  return found


def _records(builder: Any, split: str) -> Iterator[tuple[int, bytes]]:
  """Label and PNG of each drawing; none if the split was not prepared."""
  import tensorflow_datasets as tfds

  if split in builder.info.splits:
    for record in builder.as_data_source(split, decoders={'image': tfds.decode.SkipDecoding()}):
      yield record['label'], record['image']


def prepare(
  data_dir: str | None, manual_dir: str | None, splits: Iterable[str], say: Callable = print
) -> None:
  """Writes TFDS's folder, with these splits of TFDS and all others whose archives are at hand.

  A folder that is there is renamed to `<version>.replaced`, once all archives are here.

  Raises:
    ValueError: if archives are missing and cannot be downloaded, or are damaged.
  """
  import tensorflow_datasets as tfds

  target = folder(data_dir)
  manual_dir = str(Path(manual_dir).expanduser()) if manual_dir else None
  tfds.display_progress_bar(sys.stderr.isatty())
  infos = _builder_class().url_infos
  find = lambda split: archives.find(
    split, infos[URL + ARCHIVES[split]].checksum, manual_dir, _downloads(data_dir)
  )
  here = [split for split in ARCHIVES if find(split)]
  missing = [ARCHIVES[split] for split in splits if split not in here]
  if missing and not archives.reachable(URL + missing[0]):
    raise ValueError(
      f'omniglot: no {" and ".join(missing)} in manual_dir ({manual_dir or "not given"}), nothing '
      f'to read in {target}, and '
      f'{URL} cannot be reached: put {"it" if len(missing) == 1 else "them"} into a folder and '
      'give it with '
      f'--config.data.manual_dir, {PROCEDURAL}'
    )
  wanted = list(ARCHIVES) if missing else here
  say(
    f'omniglot: preparing {", ".join(wanted)} in '
    f'{target}{", with downloads from " + URL if missing else ""}'
  )
  config = tfds.download.DownloadConfig(
    manual_dir=manual_dir, try_download_gcs=False, force_checksums_validation=True
  )
  try:
    with contextlib.redirect_stdout(io.StringIO()):
      manager = tfds.download.DownloadManager(
        download_dir=_downloads(data_dir),
        manual_dir=manual_dir,
        url_infos=infos,
        dataset_name='omniglot',
        force_checksums_validation=True,
      )
      manager.download({split: URL + ARCHIVES[split] for split in wanted})
      _set_aside(target)
      builder = _builder(data_dir)
      builder.wanted = wanted
      builder.download_and_prepare(download_config=config, file_format='array_record')
  except Exception as error:  # of requests, zipfile, TFDS and the disk
    reason = f'{type(error).__name__}: {" ".join(str(error).split())[:300]}'
    raise ValueError(
      f'omniglot: could not be prepared in {target} ({reason}): run the same command again, '
      f'{PROCEDURAL}'
    ) from error


def _downloads(data_dir: str | None) -> Path:
  return folder(data_dir).parents[1] / 'downloads'


def _set_aside(target: Path) -> None:
  if target.exists():
    replaced = target.with_name(f'{target.name}.replaced')
    shutil.rmtree(replaced, ignore_errors=True)
    target.rename(replaced)


def _builder(data_dir: str | None) -> Any:
  return _builder_class()(data_dir=folder(data_dir).parents[1])


@functools.cache
def _builder_class() -> Any:
  """TFDS's class of Omniglot, but for unzip and walk, and that it may prepare some of the splits
  only.
  """
  from tensorflow_datasets.image_classification import omniglot

  class Omniglot(omniglot.Omniglot, skip_registration=True):
    wanted = tuple(ARCHIVES)
    # Sizes and checksums, which TFDS looks up by a class's own place.
    url_infos = omniglot.Omniglot.url_infos

    def _split_generators(self, dl_manager):
      paths = dl_manager.download({split: URL + ARCHIVES[split] for split in self.wanted})
      found = [
        (alphabet, f'{alphabet}_{n}', label)
        for path in paths.values()
        for alphabet, n, label, _, _ in archives.files(path)
      ]
      # Without train and test not all names are known; the number stands for those that are not.
      alphabets = dict(enumerate(sorted({alphabet for alphabet, _, _ in found})))
      labels = {label: name for _, name, label in found}
      features: Any = self.info.features
      for feature, names in (('alphabet', alphabets), ('label', labels)):
        features[feature].names = [
          names.get(i, str(i)) for i in range(features[feature].num_classes)
        ]
      return {split: self._generate_examples(path) for split, path in paths.items()}

    def _generate_examples(self, directory):
      for alphabet, n, label, name, data in archives.files(directory):
        yield (
          f'{alphabet}_{n}_{name}',
          {'image': data, 'alphabet': alphabet, 'alphabet_char_id': n, 'label': label},
        )

  return Omniglot
