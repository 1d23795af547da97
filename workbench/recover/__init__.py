"""Decomposition, and the recovery of accuracy after it."""
