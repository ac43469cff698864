"""A configuration and an empty catalog for a benchmark, the command lines over them, and the proof that nothing was skipped."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks import built
from benchmarks.measure import Command, run
from catalog import table

DONE = (0, 4)  # a live tree may hold what nobody may read: the scan says so and is still measured
_ALWAYS = (
    "entry_id", "dir", "name", "path_hash", "type", "size_bytes", "allocated_bytes", "modified_at", "accessed_at", "changed_at", "created_at",
    "modified_ns", "changed_ns", "time_flags", "uid", "gid", "mode", "fs_id", "inode", "link_count",
)  # fmt: skip
_SOMETIMES = ("owner", "group", "extension", "link_target")  # an id without a name, a name without a dot


class VoidError(Exception):
    """The run left something out, so its figure is void."""


@dataclass(frozen=True)
class Estate:
    """A folder with `lastcopy.toml` and a catalog that the first scan makes."""

    folder: Path

    @property
    def root(self) -> Path:
        """The catalog's folder."""
        return self.folder / "catalog"

    def lastcopy(self, *arguments: str, output: Path | None = None, accepted: tuple[int, ...] = (0,), env: Mapping[str, str] | None = None) -> Command:
        """A command line of Lastcopy over this estate."""
        argv = (sys.executable, "-m", "lastcopy", *arguments, "--config", str(self.folder / "lastcopy.toml"), "--no-input", "--quiet")
        return Command(argv, output, accepted, env or {})

    def scan(self, digest: str, env: Mapping[str, str] | None = None) -> Command:
        """Scan every volume and publish."""
        return self.lastcopy("scan", "--digest", digest, accepted=DONE, env=env)

    def reading(self) -> Command:
        """A second process that reads what was published."""
        return self.lastcopy("report", "volumes", "--format", "json", output=self.folder / "volumes.json")


def make(folder: Path, volumes: Mapping[str, Path]) -> Estate:
    """A new estate of those primary volumes, in place of what the folder held."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lines = ["[catalog]", 'path = "catalog"']
    for name, root in volumes.items():
        lines += [f"[volumes.{name}]", f"url = {json.dumps(str(root))}", 'role = "primary"']
    (folder / "lastcopy.toml").write_text("\n".join(lines) + "\n", "utf-8")
    return Estate(folder)


def check_published(estate: Estate) -> None:
    """Raises VoidError unless the newest scan has every column of a POSIX file system filled and a snapshot that rests on it."""
    scans = table.read(estate.root, "scans").sort_by("started_at").to_pylist()
    snapshots = table.read(estate.root, "snapshots").sort_by("as_of").to_pylist()
    if not scans or not snapshots:
        raise VoidError(f"{estate.root}: {len(scans)} scans and {len(snapshots)} snapshots are published")
    newest = scans[-1]
    if json.loads(snapshots[-1]["scans"]).get(newest["volume"]) != newest["scan_id"]:
        raise VoidError(f"{estate.root}: no snapshot rests on scan {newest['scan_id']}")
    rows = table.read(estate.root, "entries", [*_ALWAYS, *_SOMETIMES], scan_id=[newest["scan_id"]])
    if rows.num_rows != newest["entries"] + (newest["carried_entries"] or 0):
        raise VoidError(f"{estate.root}: {rows.num_rows} entries are stored, the scan saw {newest['entries']}")
    for column in _ALWAYS:
        if rows[column].null_count > rows.num_rows // 1000:
            raise VoidError(f"{estate.root}: {rows[column].null_count} of {rows.num_rows} entries have no {column}")
    links = pc.sum(pc.equal(rows["type"].cast("string"), "symlink")).as_py() or 0
    if rows["owner"].null_count == rows.num_rows or rows["link_target"].null_count > rows.num_rows - links:
        raise VoidError(f"{estate.root}: owners or link targets were skipped")


def check_synced(scratch: Path, tree: Path, digest: str) -> None:
    """Raises VoidError unless a scan syncs every file that its tables name, and their logs. Scans the tree, untimed."""
    estate = make(scratch / "synced", {"tree": tree})
    log = estate.folder / "synced.txt"
    run(estate.scan(digest, {"LD_PRELOAD": str(built.fsync_log()), "FSYNC_LOG": str(log)}))
    synced = {os.path.realpath(line) for line in log.read_text("utf-8", "surrogateescape").splitlines()} if log.exists() else set()
    for name in ("entries", "scans", "files", "snapshots"):
        logged = estate.root / name / "_delta_log" / f"{table.version(estate.root, name):020d}.json"
        missing = {os.path.realpath(path) for path in [*table.files(estate.root, name), str(logged)]} - synced
        if missing:
            raise VoidError(f"{name}: published, yet never synced: {', '.join(sorted(missing)[:3])}")


def entry_bytes(estate: Estate) -> tuple[int, int]:
    """Bytes of the published files of `entries`, and the entries in them."""
    paths = table.files(estate.root, "entries")
    return sum(os.stat(path).st_size for path in paths), sum(pq.ParquetFile(path).metadata.num_rows for path in paths)
