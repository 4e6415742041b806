"""The evaluations of image sequences."""
