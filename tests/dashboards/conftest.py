"""One estate for all tests of the pages: the demo with two snapshots, and what the command line says of it."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

import lastcopy
from tests.lastcopy.program import ask, run


class Shown:
    """A demo and answers of the command line about its newest snapshot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        run("demo", str(folder), folder=folder.parent)
        (folder / "estate" / "projects" / "inbox" / "<img src=x onerror=alert(2)>.txt").write_text("new")
        run("scan", "--quiet", folder=folder, obedient=True, code=4)

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.folder / "lastcopy.toml"

    def report(self, name: str, *options: str) -> list[dict[str, Any]]:
        """The rows of a report as `lastcopy report --format json` prints them."""
        found: list[dict[str, Any]] = json.loads(ask("report", name, *options, "--format", "json", folder=self.folder).out)["data"]
        return found

    def asked(self, name: str, where: str | None = None, **params: object) -> list[dict[str, Any]]:
        """The rows of a report, by the Python API."""
        found: list[dict[str, Any]] = self._catalog.report(name, where=where, **params).to_dicts()
        return found

    @cached_property
    def _catalog(self) -> Any:  # noqa: ANN401  # lastcopy.api.Catalog
        return lastcopy.open(str(self.folder / "catalog"))

    def simulate(self, *options: str) -> dict[str, Any]:
        """What `lastcopy simulate --format json` prints."""
        found: dict[str, Any] = json.loads(ask("simulate", *options, "--format", "json", folder=self.folder).out)["data"]
        return found


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """The demo, scanned twice, with a file that came in between and whose name is HTML."""
    return Shown(tmp_path_factory.mktemp("dashboard") / "demo")
