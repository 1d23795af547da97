"""The step 'Speed and energy' of the dashboard."""
