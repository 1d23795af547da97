"""The step 'Look' of the dashboard."""
