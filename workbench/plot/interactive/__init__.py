"""Plotly figures for the dashboard."""
