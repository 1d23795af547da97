"""The step 'Compress and recover' of the dashboard."""
