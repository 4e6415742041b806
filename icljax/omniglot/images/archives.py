"""The archives of Omniglot: where they lie, whether they can be had, and what is in them."""

import contextlib
import hashlib
import http.client
import os
import threading
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

URL = 'https://github.com/brendenlake/omniglot/raw/master/python/'
ARCHIVES = {
  'train': 'images_background.zip',
  'test': 'images_evaluation.zip',
  'small1': 'images_background_small1.zip',
  'small2': 'images_background_small2.zip',
}


def find(split: str, checksum: str, manual_dir: str | None, downloads: Path) -> Path | None:
  """The archive of a split if it is here, intact: the user's own, or of TFDS's downloads, where a
  damaged one is deleted.

  Raises:
    ValueError: if the user's own is damaged.
  """
  from tensorflow_datasets.core.download import resource

  intact = lambda path: hashlib.sha256(path.read_bytes()).hexdigest() == checksum
  if manual_dir and (manual := Path(manual_dir).expanduser() / ARCHIVES[split]).exists():
    if not intact(manual):
      raise ValueError(
        f'omniglot: {manual} is damaged (its SHA-256 is not {checksum}): get it from {URL}'
      )
    return manual
  for path in downloads.rglob(resource.get_dl_fname(URL + ARCHIVES[split], checksum)):
    if intact(path):
      return path
    path.unlink()
  return None


def reachable(url: str, seconds: float = 8.0) -> bool:
  """Whether there is something at an address; asked first because TFDS tries for minutes."""
  answers = []

  def ask() -> None:
    request = urllib.request.Request(url, method='HEAD')
    with (
      contextlib.suppress(OSError, http.client.HTTPException),
      urllib.request.urlopen(request, timeout=seconds),
    ):
      answers.append(url)

  thread = threading.Thread(target=ask, daemon=True)  # for looking up a name has no timeout
  thread.start()
  thread.join(seconds)
  return bool(answers)


def files(archive: str | os.PathLike) -> Iterator[tuple[str, int, int, str, bytes]]:
  """Alphabet, number within it, label, file name and contents of each drawing in an archive, as
  TFDS numbers them.
  """
  with zipfile.ZipFile(archive) as opened:
    for path in sorted(opened.namelist()):
      if path.endswith('.png'):
        _, alphabet, character, name = path.split('/')
        yield (
          alphabet,
          int(character.removeprefix('character')) - 1,
          int(name.split('_')[0]) - 1,
          name,
          opened.read(path),
        )
