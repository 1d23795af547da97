"""The step 'Speed' of the dashboard."""
