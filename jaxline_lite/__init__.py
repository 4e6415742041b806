"""A small experiment loop in the manner of jaxline: exact resume, verified checkpoints, evaluation
of any checkpoint.

It knows nothing of any particular experiment: see `experiment.AbstractExperiment`.
"""
