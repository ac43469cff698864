"""What one `scan` command does: each volume is crawled, what could have a copy is digested, and the answers are derived."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from catalog.config import Config
from catalog.errors import ConfigError, LastcopyError, NotFoundError
from catalog.snapshot import ScanRow, Snapshot
from lastcopy import diagnosis, exits

Mode = Literal["off", "match", "all"]


@dataclass(frozen=True)
class Wish:
    """What the command line asks for."""

    volumes: Sequence[str] = ()  # empty: all
    digest: Mode | None = None  # None: as the configuration says
    resume: bool = False
    accept_losses: bool = False
    workers: int | None = None
    quiet: bool = False


@dataclass
class Outcome:
    """What came of it, by volume, and of the whole."""

    scans: dict[str, ScanRow] = field(default_factory=dict)
    errors: dict[str, LastcopyError] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    bytes_read: int = 0
    snapshot: Snapshot | None = None
    before: Snapshot | None = None

    @property
    def code(self) -> exits.Exit:
        """The exit code: the greatest harm of all volumes."""
        partly = [exits.Exit.PARTLY for scan in self.scans.values() if scan.state != "complete"]
        return exits.worst([*partly, *(exits.code_of(error) for error in self.errors.values())])


def now() -> datetime.datetime:
    """The clock, naive UTC as everywhere in the catalog."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def chosen_volumes(config: Config, wanted: Sequence[str]) -> tuple[list[str], list[str]]:
    """The volumes to scan, and those that are left out because they are offline and not there. Raises ConfigError, NotFoundError."""
    if not config.volumes:
        raise ConfigError(f"{config.path}: no volume to scan; add a table [volumes.NAME] with its url")
    for name in wanted:
        if name not in config.volumes:
            raise NotFoundError(f"there is no volume {name!r}; volumes are {', '.join(config.volumes)}")
    if wanted:
        return list(dict.fromkeys(wanted)), []
    away = [name for name, volume in config.volumes.items() if volume.access == "offline" and not _is_there(config, name)]
    return [name for name in config.volumes if name not in away], away


def _is_there(config: Config, name: str) -> bool:
    place = diagnosis.folder(config, config.volumes[name])
    return place is None or place.is_dir()
