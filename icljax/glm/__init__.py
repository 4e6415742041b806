"""Generalized linear models in context: everything that only this subject uses."""
