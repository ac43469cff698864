"""Repositories of restic: what their recovery points hold, one entry a path and version, as the program `restic` lists it. Nothing is written there."""

import importlib.util
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import scanners
from catalog.errors import UnreachableError
from catalog.schema import ENTRIES
from scanners import Capabilities, Facts, Settings, Shard, ShardRecord, Sink, _nodes, _place, _trees
from scanners._nodes import Findings
from scanners._patterns import left_out
from scanners._points import ID, Point, facts, held, of_the_volume, rows, texts
from scanners._program import RunError
from scanners._repository import Repository
from scanners._restic import Restic
from scanners._sealed import UnknownError, Vault
from scanners._trees import Holders
from scanners._versions import LACKING, Listings, lacking
from scanners.reading import Reply

if TYPE_CHECKING:
    from scanners._pieces import Contents

_TOLD = {
    "dir", "name", "path_hash", "extension", "type", "size_bytes", "modified_at", "modified_ns", "changed_at", "changed_ns", "time_flags", "uid", "gid", "mode",
    "fs_id", "inode", "is_latest", "digest", "restore_state", "first_recovery_point", "last_recovery_point",
}  # fmt: skip
CAPABILITIES = Capabilities(columns=frozenset(ENTRIES.names) & _TOLD, recovery_points=True, read_through=True, in_any_order=True)

_VERSIONS = (1, 2)  # of the format of repositories, whose meaning is known here
_NOT_EXACT = "restic tells names that are not UTF-8 with U+FFFD in them: those of this folder cannot be told apart, and are left out"


class Scanner:
    """Reads one repository, all of it at once: what recovery points have in common is found only when all are listed."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._restic = settings, Restic(settings)
        self._contents: Contents | None = None
        self._suspects: frozenset[str] = frozenset()

    def probe(self) -> Facts:
        """Ask the repository who it is. Raises UnreachableError."""
        vault = self._vault
        with self._reached():
            config = self._restic.whole("cat", "config") if vault is None else vault.config()
        if not isinstance(config, dict) or not ID.fullmatch(str(config.get("id"))):
            raise self._unreachable("it does not tell its id")
        if config.get("version") not in _VERSIONS:
            known = " and ".join(map(str, _VERSIONS))
            raise self._unreachable(f"a repository of version {str(config.get('version'))[:20]!r}; known are {known}")
        return facts(f"restic-{config['id']}", self._settings.location, readable=self._can_look_inside())

    def root_shard(self) -> Shard:
        """The repository."""
        return Shard(0, ("",))

    def suspect(self, packs: frozenset[str]) -> None:
        """Take packs for lost: files with a piece in one are listed as not whole. What cannot be looked into, or has none of these, is unreachable then."""
        self._suspects = packs

    def run_shard(self, shard: Shard, sink: Sink) -> ShardRecord:
        """List every recovery point that is there from the beginning to the end, then write what they hold. Raises UnreachableError if any listing fails."""
        del shard  # there is one
        before = self._ids()
        known, findings, holders = self._points(), Findings(), Holders()
        points = of_the_volume(self._settings, known, sink)
        roots: dict[str, int] = {}
        for place, point in enumerate(points):
            roots[point.content] = roots.get(point.content, 0) | 1 << place
        with Listings(sink.room() / "listings") as listings:
            looks_inside = self._vault is not None and self._read(self._vault, roots, holders, listings, findings)
            if self._suspects and not looks_inside:
                raise self._unreachable("it can only be listed from here, which does not tell what lies in which pack")
            for tree, held_by in () if looks_inside else roots.items():
                self._list([point for point in points if point.content == tree], holders.of(held_by), listings, findings)
            after = self._ids()
            if damaged := (before & after) - {point.id for point in known}:  # restic leaves them out, and ends with 0
                raise self._unreachable(f"the repository is damaged: recovery point {min(damaged)[:8]} cannot be read")
            kept = [point for point in points if point.id in after]  # others were forgotten meanwhile
            for columns, excluded in listings.versions(
                held(points, kept, holders.numbers.items()),
                [point.id for point in kept],
                self._settings.exclude,
                _place.of_repository("restic", self._settings.location),
            ):
                if columns:
                    sink.write(columns)
                    for path, number in lacking(columns) if looks_inside else ():
                        sink.problem(path, "read", LACKING, None, hides_below=False, inode=number)
                sink.exclude(excluded)
        if kept:
            sink.recovery_points(rows(kept))
        for path, why in findings.refused.items():
            sink.problem(path, "name", why, None, hides_below=False)
        for path in sorted(findings.lossy):
            sink.problem(path, "name", _NOT_EXACT, None, hides_below=False)
        pa.default_memory_pool().release_unused()  # what comes next needs it
        return sink.finish()

    def digests(self, rows: pa.RecordBatch) -> Reply:
        """Digests of versions, read from the packs of a repository on this host."""
        from scanners._pieces import Contents

        if self._contents is None:
            try:
                vault = self._vault or Vault(Path(self._settings.location), self._restic.master_key())
                self._contents = Contents(Repository(vault, pieces=True), {point.content for point in self._points()})
            except (RunError, UnreachableError) as error:
                count, now = rows.num_rows, time.monotonic_ns()
                return Reply(now, [now] * count, [None] * count, [None] * count, 0, [(row, "open", str(error), None) for row in range(count)])
        return self._contents.read(rows)

    def restored(self, point: str, path: bytes) -> AbstractContextManager[Iterator[bytes]]:
        """What restic itself gives back of a file of a recovery point. Raises UnreachableError, and while it is read RunError."""
        return self._restic.blocks("dump", "--", point, f"/{os.fsdecode(path)}")

    def close(self) -> None:
        """Nothing is held open."""

    def _can_look_inside(self) -> bool:
        """Whether the repository lies on this host, and what decrypts it is installed."""
        return os.path.isdir(self._settings.location) and _can_decrypt()

    @cached_property
    def _vault(self) -> Vault | None:
        """Its files, if it can be looked into; restic is asked only for the key to them. Raises UnreachableError."""
        if not self._can_look_inside():
            return None
        with self._reached():
            return Vault(Path(self._settings.location), self._restic.master_key())

    def _read(self, vault: Vault, roots: Mapping[str, int], holders: Holders, listings: Listings, findings: Findings) -> bool:
        """Keep what trees hold; whether they are of a form that is known here."""
        try:
            listings.take(_trees.read(Repository(vault, suspects=self._suspects), roots, holders, self._settings.started_us, findings))
        except UnknownError:
            return False
        except RunError as error:
            raise self._unreachable(str(error)) from error
        return True

    def _list(self, points: Sequence[Point], number: int, listings: Listings, findings: Findings) -> None:
        """Keep the listing of one tree, of the first of its recovery points that is still there."""
        for point in points:
            try:
                with self._restic.blocks("ls", "--json", point.id) as blocks:
                    listings.add(number, _nodes.read(blocks, point.id, self._settings.started_us, findings))
            except RunError as error:
                if point.id in self._ids():
                    raise self._unreachable(f"recovery point {point.id[:8]}: {error}") from error
            else:
                return

    def _ids(self) -> set[str]:
        """The ids of all recovery points, whether they can be read or not."""
        with self._reached():
            if self._vault is not None:
                return set(self._vault.names("snapshots"))
            with self._restic.blocks("list", "snapshots") as blocks:
                found = b"".join(blocks).decode("ascii", "replace").split()
        return {word for word in found if ID.fullmatch(word)}

    def _points(self) -> list[Point]:
        """The recovery points, oldest first."""
        with self._reached():
            found = self._restic.whole("snapshots", "--json") if self._vault is None else self._vault.snapshots()
        try:
            return sorted(map(_point, found or ()), key=lambda point: (point.at, point.id))
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            raise self._unreachable("restic snapshots: a recovery point that cannot be understood") from error

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except RunError as error:
            raise self._unreachable(str(error)) from error

    def _unreachable(self, why: str) -> UnreachableError:
        return UnreachableError(f"volume {self._settings.volume}: {why}")


def _can_decrypt() -> bool:
    """Whether what the extra `restic` installs is there."""
    packers = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    try:
        return all(importlib.util.find_spec(name) for name in ("cryptography", packers))
    except ModuleNotFoundError:  # not even the package that it is part of
        return False


def _point(found: dict[str, Any]) -> Point:
    """A recovery point of what restic says. Raises what a wrong shape raises."""
    if not ID.fullmatch(found["id"]) or not ID.fullmatch(found["tree"]):
        raise ValueError("no id")
    excludes = texts(found.get("excludes"))
    ended = (found.get("summary") or {}).get("backup_end")
    return Point(
        id=found["id"],
        content=found["tree"],
        at=scanners.utc(datetime.fromisoformat(found["time"])),
        ended_at=scanners.utc(datetime.fromisoformat(ended)) if ended else None,
        host=_nodes.escape(found.get("hostname") or ""),
        user=_nodes.escape(found.get("username") or ""),
        paths=texts(found.get("paths")),
        excludes=excludes,
        left_out=left_out(excludes),
        tags=texts(found.get("tags")),
    )
