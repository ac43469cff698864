"""`lastcopy serve`: dashboard, API, metrics, schedule and notifications in one process."""

from typing import Annotated

import typer

from lastcopy import extras, settings


def serve(
    context: typer.Context,
    *,
    listen: Annotated[str | None, typer.Option("--listen", metavar="HOST:PORT", help="Where; else [dashboard] listen. Port 0 takes a free one.")] = None,
    pages: Annotated[bool, typer.Option("--pages/--no-pages", help="With the dashboard, or only API and metrics.")] = True,
    schedule: Annotated[bool, typer.Option("--schedule/--no-schedule", help="Run [schedule] and send what [notify] asks for, or only answer.")] = True,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log lines are JSON, one object a line.")] = False,
) -> None:
    """Serve the dashboard, the API at /api, /metrics and /healthz, and run the schedule, until SIGTERM or Ctrl-C.

    Without tokens, a provider to sign in at, or the header of a proxy in the configuration it listens on loopback only.
    A scan that runs when it ends can be gone on with.
    """
    extras.need("serve", "uvicorn", "fastapi", "streamlit", "apscheduler", "apprise", "structlog", "prometheus_client", "authlib", "httpx2", "joserfc")
    from lastcopy.service import server

    server.serve(settings.of(context), listen, pages=pages, scheduled=schedule, json_lines=log_json)
