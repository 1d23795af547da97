"""Runs, the store that keeps them, and sweeps."""
