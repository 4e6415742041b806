"""Task diversity over a sweep of the pool's size M: numbers, sentences, a table and a picture.

`summarize` is pure; `write` and `draw` put its result into files.
"""

from icljax.glm.modes.pool_sweep.runs import PoolRun
from icljax.glm.modes.pool_sweep.summary import Summary, draw, summarize, write

__all__ = ['PoolRun', 'Summary', 'draw', 'summarize', 'write']
