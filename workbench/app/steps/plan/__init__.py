"""The step 'Plan' of the dashboard."""
