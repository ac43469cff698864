"""The pages as a process of their own, as whoever one likes: `python -m tests.dashboards.serving CONFIG PORT ROLE`."""

import sys
from pathlib import Path

import uvicorn
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from catalog import config
from dashboards import address, options, seam


def main(configuration: str, port: str, role: seam.Role) -> None:
    """Serve until the process is ended."""
    options.apply()
    import streamlit as st

    loaded = config.load(Path(configuration).absolute())
    seam.use(seam.Served(configuration=lambda: loaded, viewer=lambda: seam.Viewer("ana", role)))
    app = st.App(options.SCRIPT, middleware=[Middleware(GZipMiddleware), Middleware(address.Rooted)])
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning")


if __name__ == "__main__":
    _, given_configuration, given_port, given_role = sys.argv
    main(given_configuration, given_port, given_role)  # type: ignore[arg-type]  # argparse would be longer than this file
