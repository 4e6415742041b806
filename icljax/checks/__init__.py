"""What a config must satisfy. Imports no JAX, so that a wrong one fails at once; a test holds the names against the code."""

from icljax.checks.config import check, eval_modes, resumable

__all__ = ['check', 'eval_modes', 'resumable']
