"""Small estates for tests of jobs: real folders as prepared volumes, and jobs made of hand-written steps."""

import hashlib
import itertools
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from catalog import config as configuration
from catalog.config import Config
from lifecycle import crew, stores
from lifecycle.crew import Came, Errand
from lifecycle.journal import Journal
from lifecycle.manifest import Copy, Step
from lifecycle.records import Job, Kind, PreparedVolume, Record
from lifecycle.stores import Fingerprint

_numbers = itertools.count(1)


def now_us() -> int:
    return time.time_ns() // 1000


@dataclass
class Clock:
    """A clock that a test moves."""

    ahead_us: int = 0

    def __call__(self) -> int:
        return now_us() + self.ahead_us


@dataclass
class Estate:
    """Volumes prod (what is worked on), vault (where it goes), and copies a and b on other systems."""

    folder: Path
    config: Config
    clock: Clock = field(default_factory=Clock)

    @property
    def root(self) -> Path:
        return self.folder / "catalog"

    def at(self, volume: str, path: str | bytes = b"") -> bytes:
        return os.path.join(os.fsencode(self.folder), volume.encode(), path if isinstance(path, bytes) else path.encode())

    def write(self, volume: str, path: str | bytes, content: bytes) -> bytes:
        where = self.at(volume, path)
        os.makedirs(os.path.dirname(where), exist_ok=True)
        with open(where, "wb") as file:
            file.write(content)
        return where

    def read(self, volume: str, path: str | bytes) -> bytes:
        with open(self.at(volume, path), "rb") as file:
            return file.read()

    def there(self, volume: str, path: str | bytes) -> bool:
        return os.path.lexists(self.at(volume, path))

    def journal(self) -> Journal:
        return Journal.open(self.config, self.root, create=True)

    def prepare(self, *volumes: str) -> None:
        with self.journal() as journal:
            for volume in volumes:
                store = stores.connect(self.config, volume)
                marker = f"marker-of-{volume}"
                found = store.prepare(marker, at_us=self.clock())
                journal.remember_volume(PreparedVolume(volume, marker, store.identify().fs_id, found, self.clock()), "test")
                store.close()

    def look(self, volume: str, path: str | bytes) -> Fingerprint:
        store = stores.connect(self.config, volume)
        try:
            found = store.look(path if isinstance(path, bytes) else path.encode())
        finally:
            store.close()
        assert found is not None
        return found

    def copy(self, volume: str, path: str | bytes) -> Copy:
        """A copy as the catalog's evidence would know it, verified now."""
        return Copy(volume, path if isinstance(path, bytes) else path.encode(), self.look(volume, path), self.clock())

    def step(self, number: int, path: str | bytes, action: str = "archive", *, digest: bool = True, evidence: Iterable[Copy] = (), **more: Any) -> Step:  # noqa: ANN401  any field of a step
        raw = path if isinstance(path, bytes) else path.encode()
        found = self.look("prod", raw)
        known = hashlib.sha256(self.read("prod", raw)).digest() if digest and found.type == "file" else None
        target = None if action in ("delete", "dedupe") else "vault"
        made = Step(
            step=number, chunk=1, action=action, volume="prod", path=raw, fingerprint=found, sha256=known, target_volume=target,
            target_path=raw if target else None, link_group=None, kept_path=None, of_job=None, of_step=None, reason="test", evidence=tuple(evidence),
        )  # fmt: skip
        return replace(made, **more)

    def job(self, steps: Iterable[Step], action: str = "archive", kind: Kind = "plan", **policy: object) -> str:
        """A job of steps; the policy asks for one copy besides, unless it says otherwise."""
        number = next(_numbers)
        text = json.dumps({"action": action, "data_class": "default", "quiet": 0, **policy})
        with self.journal() as journal:
            return journal.create_job(Job(f"jt{number}", kind, "", f"plan {number}", action, text, self.clock(), "test", None), steps)

    def carry_out(self, job_id: str, engines: int = 1, heard: Callable[[int, int], None] = lambda _steps, _bytes: None) -> Came:
        return crew.work(Errand(self.root, self.config, job_id, "test", self.clock, None, engines), heard)

    def records(self, job_id: str) -> list[Record]:
        with self.journal() as journal:
            return list(journal.records(job_id))

    def states(self, job_id: str) -> list[str]:
        return [record.state for record in self.records(job_id)]

    def reasons(self, job_id: str) -> str:
        return "; ".join(record.reason or "" for record in self.records(job_id))

    def trail_is_whole(self) -> bool:
        with self.journal() as journal:
            return journal.verify().bad_seq is None

    def strays(self, volume: str) -> list[str]:
        """Everything under our own names on a volume, but for the marker and the clock."""
        found = []
        for folder, _, names in os.walk(self.at(volume)):
            here = os.path.relpath(folder, self.at(volume))
            found += [os.fsdecode(os.path.join(here, name)) for name in names if b".lastcopy" in name or here.startswith(b".lastcopy")]
        return sorted(name for name in found if name not in (".lastcopy/volume.json", ".lastcopy/clock"))


def made(folder: Path, **lifecycle: object) -> Estate:
    """An estate of four volumes on four systems, prepared; the floor is one copy unless it is said otherwise."""
    volumes = {
        "prod": {"role": "primary", "system": "s-prod", "device": "d-prod"},
        "vault": {"role": "archive", "system": "s-vault", "device": "d-vault"},
        "a": {"role": "archive", "system": "s-a", "device": "d-a"},
        "b": {"role": "archive", "system": "s-b", "device": "d-b"},
    }
    for name, declared in volumes.items():
        (folder / name).mkdir()
        declared["url"] = str(folder / name)
    found = configuration.parse(
        {"catalog": {"path": str(folder / "catalog")}, "volumes": volumes, "lifecycle": {"min_copies": 1, **lifecycle}}, folder / "lastcopy.toml"
    )
    estate = Estate(folder, found)
    estate.root.mkdir()
    estate.prepare("prod", "vault", "a", "b")
    return estate


def tree(folder: bytes) -> Iterator[tuple[bytes, os.stat_result, bytes]]:
    """Every file and link below a folder but ours: path, status, content or text."""
    for above, directories, files in os.walk(folder):
        directories[:] = sorted(name for name in directories if name != b".lastcopy")
        for name in sorted(files):
            path = os.path.join(above, name)
            status = os.lstat(path)
            yield os.path.relpath(path, folder), status, os.readlink(path) if os.path.islink(path) else Path(os.fsdecode(path)).read_bytes()
