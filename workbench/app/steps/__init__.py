"""The steps of the dashboard: a model and a view each."""
