"""Errors that are no bugs: what they say of the machine that the command runs on."""

from jaxline_lite.errors import BadInput
from jaxline_lite.files import is_full


def is_out_of_memory(error: Exception) -> bool:
  """Whether something did not fit into memory, of the host or of an accelerator."""
  text = str(error)
  return isinstance(error, MemoryError) or 'RESOURCE_EXHAUSTED' in text or 'Out of memory' in text


def from_outside(error: Exception) -> BadInput | None:
  """What an error says of the machine that the command runs on, if it is no bug."""
  if is_full(error):
    where = getattr(error, 'filename', None) or 'the disk'
    return BadInput(
      f'{where} is full: nothing that was saved is lost; make room, and the same command goes on'
    )
  if is_out_of_memory(error):
    return BadInput(
      'it does not fit into memory: lower --config.training.batch_size in training, or '
      f'--config.eval.batch_size in evaluation ({" ".join(str(error).split())[:200]})'
    )
  return None
