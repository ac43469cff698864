"""One demo for all tests that look at what it shows."""

from pathlib import Path
from typing import Any

import pytest

import lastcopy
from tests.lastcopy.program import Ended, run

Answer = list[dict[str, Any]]


class Demo:
    """A demo that has run: its folder, what it printed, and answers from its catalog."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ended: Ended = run("demo", str(folder), folder=folder.parent)

    def report(self, name: str, **params: Any) -> Answer:  # noqa: ANN401  a report's parameters are its own
        """The rows of a report."""
        with lastcopy.open(str(self.folder / "catalog")) as catalog:
            return catalog.report(name, **params).to_dicts()

    def sql(self, query: str) -> Answer:
        """The rows of a query."""
        with lastcopy.open(str(self.folder / "catalog")) as catalog:
            return catalog.sql(query).to_dicts()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo in a folder whose name has a space, as the command line builds it."""
    return Demo(tmp_path_factory.mktemp("a company") / "the demo")
