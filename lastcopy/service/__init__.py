"""The one process that serves: HTTP API, metrics, dashboard, schedule and notifications."""
