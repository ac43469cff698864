"""`lastcopy version`: what is installed."""

import typer

import lastcopy
from lastcopy import settings


def version(context: typer.Context) -> None:
    """Print the version."""
    if settings.of(context).chosen_format == "json":
        import json
        import platform

        typer.echo(json.dumps({"schema": "version/1", "data": {"version": lastcopy.version(), "python": platform.python_version()}}))
    else:
        typer.echo(f"lastcopy {lastcopy.version()}")
