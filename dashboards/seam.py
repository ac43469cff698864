"""What the pages are told by whoever serves them: which catalog, who looks, and how a viewer's limits are applied to a connection."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from catalog import config, connect, place
from catalog.config import Config
from catalog.services import Role
from dashboards.options import OPTIONS
from dashboards.rights import Right

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from catalog.snapshot import Snapshot

__all__ = ["OPTIONS", "Role", "Served", "Viewer", "current", "use"]


@dataclass(frozen=True)
class Viewer:
    """Who looks. `limits` is equal for those who see the same rows, '' for those who see all of them; it is a key of caches."""

    name: str
    role: Role
    limits: str = ""

    def may(self, right: Right) -> bool:
        """Whether he has a right."""
        return right.held(self.role, limited=bool(self.limits))


Opener = Callable[[Path, "Snapshot", "Snapshot | None", Viewer], "DuckDBPyConnection"]


def _configuration() -> Config:
    return config.load(config.find(None))


def _anybody() -> Viewer:
    return Viewer("", "auditor")


def _opened(root: Path, wanted: "Snapshot", earlier: "Snapshot | None", _viewer: Viewer) -> "DuckDBPyConnection":
    limits = wanted.config.catalog
    memory = f"{limits.memory_limit}B" if limits.memory_limit else None
    return connect.connect(root, wanted, earlier, memory_limit=memory, threads=limits.threads, derives=False)


@dataclass(frozen=True)
class Served:
    """What serves the pages. Without one: the configuration that the command line would find, and auditors, who see all and do nothing."""

    configuration: Callable[[], Config] = _configuration
    viewer: Callable[[], Viewer] = _anybody
    opened: Opener = _opened  # a locked connection on which the viewer's limits hold
    leave: Callable[[], str] = str  # the address at which who looks signs out, '' where nobody signed in here

    def root(self) -> Path:
        """The folder of the catalog. Raises ConfigError."""
        return place.root_of(self.configuration())


_served = Served()


def use(served: Served) -> None:
    """Say what serves the pages of this process, before the first of them is drawn. Changes this module."""
    global _served  # noqa: PLW0603  # Streamlit runs the pages as scripts: a module is all that they share with who serves them
    _served = served


def current() -> Served:
    """What serves the pages."""
    return _served
