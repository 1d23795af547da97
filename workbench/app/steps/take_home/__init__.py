"""The step 'Take it home' of the dashboard."""
