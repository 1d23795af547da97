"""The step *Take home* of the dashboard."""
