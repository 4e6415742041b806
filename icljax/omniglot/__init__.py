"""Sequences of drawings and labels: everything that only this subject uses."""
