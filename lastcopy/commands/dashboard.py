"""`lastcopy dashboard`: the catalog as pages in a browser, for whoever sits at this machine."""

from typing import Annotated

import typer

from lastcopy import settings, talk


def dashboard(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where on this machine the pages are served.")] = 8501,
) -> None:
    """Serve the dashboard on this machine's loopback address until it is interrupted.

    Only reads; whoever can reach a port of this machine sees the whole catalog, and nobody can make or approve a plan. Needs the extra 'serve'.
    """
    chosen = settings.of(context)
    config = chosen.configuration()
    try:
        import uvicorn
        from starlette.middleware import Middleware
        from starlette.middleware.gzip import GZipMiddleware
        from streamlit import App
    except ImportError as error:
        from catalog.errors import ConfigError

        raise ConfigError(f"the dashboard needs {error.name}, which is not installed: pip install 'lastcopy[serve]'") from error
    from dashboards import address, options, seam

    options.apply()
    seam.use(seam.Served(configuration=lambda: config))
    app = App(options.SCRIPT, middleware=[Middleware(GZipMiddleware), Middleware(address.Rooted)])
    if not chosen.quiet:
        talk.say(f"the dashboard is at http://127.0.0.1:{port}/; Ctrl-C ends it")
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
