"""The evaluations of generalized linear models."""
