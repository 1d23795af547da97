"""Matplotlib figures for notebooks and print."""
