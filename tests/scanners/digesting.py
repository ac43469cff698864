"""Estates of real trees whose files are digested."""

import datetime
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catalog import config, snapshot, table
from scanners import crawl, digest
from scanners.digest import DigestCounts, Mode

KIB = 1024
LARGE = 200 * KIB


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclass
class Estate:
    """Volumes below one folder, and a catalog beside them."""

    folder: Path
    options: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def catalog(self) -> Path:
        return self.folder / "catalog"

    @property
    def config(self) -> config.Config:
        return config.parse({"volumes": {name: {"url": str(self.folder / name), **options} for name, options in self.options.items()}})

    def put(self, path: str, content: bytes) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        self.options.setdefault(path.partition("/")[0], {})
        return file

    def scan(self, *volumes: str) -> None:
        for volume in volumes or self.options:
            crawl.scan(self.catalog, self.config, volume, now=now, workers=1, accept_losses=True)

    def digest(
        self,
        mode: Mode | None = None,
        volumes: Sequence[str] | None = None,
        progress: Callable[[DigestCounts], None] | None = None,
        *,
        again: bool = False,
        budget: int | None = None,
    ) -> DigestCounts:
        return digest.digest(self.catalog, self.config, mode=mode, volumes=volumes, now=now, workers=2, again=again, budget=budget, progress=progress)

    def scan_and_digest(self, mode: Mode | None = None, progress: Callable[[DigestCounts], None] | None = None) -> DigestCounts:
        self.scan()
        return self.digest(mode, progress=progress)

    def rows(self) -> list[dict[str, Any]]:
        return table.read(self.catalog, "digests").to_pylist() if table.exists(self.catalog, "digests") else []

    def known(self, file: Path, column: str = "digest") -> bytes | None:
        """What is stored for a file as it is now, looked up by its fingerprint alone."""
        stat = file.stat()
        print_ = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        volume = file.relative_to(self.folder).parts[0]
        found = [row[column] for row in self.rows() if row["volume"] == volume and fingerprint(row) == print_ and row[column]]
        return found[-1] if found else None

    def problems(self, volume: str) -> list[tuple[str, str]]:
        scan = snapshot.newest_scans(self.catalog)[volume]
        rows = table.read(self.catalog, "problems", scan_id=[scan.scan_id], volume=[volume]).to_pylist()
        assert not any(row["hides_below"] for row in rows)
        return sorted((row["path"], row["stage"]) for row in rows)


def fingerprint(row: dict[str, Any]) -> tuple[int, int, int, int]:
    modified, changed = (
        (row[f"{name}_at"] - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1) * 1000 + row[f"{name}_ns"] for name in ("modified", "changed")
    )
    return row["inode"], row["size_bytes"], modified, changed


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
