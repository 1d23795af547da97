"""The step 'Choose' of the dashboard."""
