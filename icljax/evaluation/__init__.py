"""Predictors measured on episodes that all of them see: `paired` for any task, and a file per task."""
