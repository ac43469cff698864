"""The Python API: a catalog to ask from scripts and notebooks."""

from pathlib import Path

from catalog import config, snapshot
from lastcopy import settings


class Catalog:
    """The catalog of one folder at one snapshot. Only reads."""

    def __init__(self, root: Path, wanted: str | None = None) -> None:
        self.root = root
        self.snapshot = snapshot.find(root, wanted)

    def snapshots(self) -> list[snapshot.Snapshot]:
        """Every published snapshot, oldest first."""
        return snapshot.snapshots(self.root)


def open_catalog(path: str | Path, wanted: str | None = None) -> Catalog:
    """A catalog from its folder or from a configuration file. Raises ConfigError, NotFoundError."""
    given = Path(path)
    return Catalog(given if given.is_dir() else settings.root_of(config.load(given)), wanted)
