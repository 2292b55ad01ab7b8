"""Tracking: a run's events as an MLflow run. `records` translates, `client` talks to MLflow, `mlflow` is the sink.

Only this package imports MLflow, and only in the sink's own thread: a tracker that is slow or broken costs a run
nothing but its tracking.
"""
