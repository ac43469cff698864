"""The pages as a process of their own, as whoever one likes: `python -m tests.dashboards.serving CONFIG PORT ROLE`."""

import sys
from pathlib import Path

import uvicorn

from catalog import config
from dashboards import seam, serving


def main(configuration: str, port: str, role: seam.Role) -> None:
    """Serve until the process is ended."""
    loaded = config.load(Path(configuration).absolute())
    app = serving.application(seam.Served(configuration=lambda: loaded, viewer=lambda: seam.Viewer("ana", role)))
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning")


if __name__ == "__main__":
    _, given_configuration, given_port, given_role = sys.argv
    main(given_configuration, given_port, given_role)  # type: ignore[arg-type]  # argparse would be longer than this file
