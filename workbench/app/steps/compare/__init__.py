"""The step 'Compare' of the dashboard."""
