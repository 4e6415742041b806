"""Drawings of characters, as classes of a few bit maps each. Imports no JAX.

`store.load` is the way in: Omniglot (`omniglot`, through TFDS without TensorFlow) or `procedural`
characters, cached.
"""
