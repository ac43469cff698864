"""`lastcopy dashboard`: the catalog as pages in a browser, for whoever sits at this machine."""

import socket
from typing import Annotated

import typer

from lastcopy import settings, talk

_HOST = "127.0.0.1"


def dashboard(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where on this machine the pages are served.")] = 8501,
) -> None:
    """Serve the dashboard on this machine alone, until it is interrupted.

    Only reads; whoever can reach a port of this machine sees the whole catalog, and nobody can make or approve a plan. Needs the extra 'serve'.
    """
    from catalog.errors import ConfigError, UnreachableError
    from dashboards import seam, serving

    chosen = settings.of(context)
    config = chosen.configuration()
    try:
        import uvicorn

        app = serving.application(seam.Served(configuration=lambda: config))
    except ImportError as error:
        raise ConfigError(f"the dashboard needs {error.name}, which is not installed: pip install 'lastcopy[serve]'") from error
    try:
        listening = socket.create_server((_HOST, port))
    except OSError as error:
        raise UnreachableError(f"port {port} of this machine cannot be served: {error.strerror}; choose another with --port") from error
    if not chosen.quiet:
        talk.say(f"the dashboard is at http://{_HOST}:{port}/; Ctrl-C ends it")
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])
