"""The front end: command line, configuration loading, exit codes, and the Python API."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from lastcopy.api import Catalog


def version() -> str:
    """The installed version."""
    from importlib import metadata

    return metadata.version("lastcopy")


def open(path: "str | Path" = "lastcopy.toml", snapshot: str | None = None) -> "Catalog":
    """A catalog to ask, from its folder or from a configuration file. Raises ConfigError, NotFoundError."""
    from lastcopy import api

    return api.open_catalog(path, snapshot)
