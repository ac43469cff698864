"""Holds what lies in a catalog against what its logs, scans and snapshots say. Reads only, and never mends."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from catalog import former, inventory, log, mirror, names, printable, snapshot, table
from catalog.errors import CatalogError, LastcopyError
from catalog.schema import DERIVED, READ_NOW, TABLES

_BATCH_ROWS = 50_000
_UNREADABLE = (OSError, pa.ArrowException, ValueError, KeyError, TypeError, AttributeError)  # what damaged files and logs make of their readers
_BACKUP = "restore it from a backup of the catalog"
_DERIVE_AGAIN = "lastcopy report overview --snapshot {}"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it is told to be (error), or that somebody may want to know of (note)."""

    table: str
    file: str  # relative to the catalog, escaped; '' = the table as a whole
    state: Literal["error", "note"]
    check: str  # log | missing | size | unreadable | schema | rows | entries | scans | configuration | derived | others
    text: str
    mend: str


@dataclass(frozen=True)
class Looked:
    """How much was looked at."""

    tables: int
    files: int
    bytes: int


def verify(root: Path, *, contents: bool = False) -> tuple[list[Finding], Looked]:
    """Look at every file that a table consists of, now or at a version that a snapshot reads; `contents` decodes every row, too.

    Safe beside scans: what they commit after a table was looked at is not looked at. Raises OSError where a folder cannot be read.
    """
    findings: list[Finding] = []
    pinned, unread = _pinned(root)
    tables = files = size_bytes = 0
    for name in TABLES:
        if not table.exists(root, name):
            findings += _never_made(root, name, pinned)
            continue
        tables += 1
        needed, known = _needed(root, name, pinned.get(name, {}), findings)
        lying = inventory.lying(root, name)
        for path, file in needed.items():
            found = list(_wrong(root, name, path, file, lying.get(path), contents=contents))
            findings += found
            files, size_bytes = files + 1, size_bytes + file.size_bytes
        findings += _others(name, {path: one for path, one in lying.items() if path not in needed and path not in known})
    damaged = {finding.table for finding in findings if finding.state == "error"}
    if unread and "snapshots" not in damaged:
        findings.append(_error("snapshots", "", "unreadable", f"the snapshots cannot be read: {unread}", _BACKUP))
    elif damaged.isdisjoint(("scans", "snapshots", *READ_NOW[1:])) and not any(finding.check == "log" for finding in findings):
        findings += _published(root)
    return findings, Looked(tables, files, size_bytes)


def _pinned(root: Path) -> tuple[dict[str, dict[int, str]], str]:
    """The versions that snapshots read each table at, with one of the snapshots; and why they cannot be read."""
    pinned: dict[str, dict[int, str]] = defaultdict(dict)
    try:
        for one in snapshot.snapshots(root):
            for name, version in one.versions.items():
                if name not in READ_NOW:
                    pinned[name].setdefault(version, one.snapshot_id)
    except (*_UNREADABLE, LastcopyError) as error:
        return {}, _told(error)
    return pinned, ""


def _never_made(root: Path, name: str, pinned: Mapping[str, Mapping[int, str]]) -> Iterator[Finding]:
    """Something wrong with a table that has no log: snapshots read it, or files lie there."""
    wanted = [one for version, one in pinned.get(name, {}).items() if version >= 0]
    if wanted:
        yield _error(name, "", "log", f"the table is gone, and snapshot {wanted[0]} reads it", _BACKUP)
    yield from _others(name, inventory.lying(root, name))


def _needed(root: Path, name: str, pinned: Mapping[int, str], findings: list[Finding]) -> tuple[dict[str, log.Logged], set[str]]:
    """The files of a table now and at versions that snapshots read; and all that its log ever named."""
    try:
        now = table.state(root, name)
        since, lives = log.lives(root / name)
        findings += [_error(name, _shown(name, f"{log.FOLDER}/{part}"), "log", why, _BACKUP) for part, why in mirror.log_differences(root, name)]
    except (*_UNREADABLE, LastcopyError) as error:
        findings.append(_error(name, "", "log", _told(error), f"{_BACKUP}, or begin a new catalog in another folder"))
        return {}, set()
    for version, snapshot_id in sorted(pinned.items()):
        if 0 <= version < since or version > now.version:
            text = f"snapshot {snapshot_id} reads it at version {version}, of which the log knows nothing: it has {since} to {now.version}"
            findings.append(_error(name, "", "log", text, _BACKUP))
    needed = {path: life.file for path, found in lives.items() for life in found if any(life.holds(version) for version in (now.version, *pinned))}
    return {**needed, **now.files}, set(lives)


def _wrong(root: Path, name: str, path: str, file: log.Logged, found: inventory.Lying | None, *, contents: bool) -> Iterator[Finding]:
    """What is wrong with one file that a table needs."""
    mend = _mend(name, file)
    shown = _shown(name, path)
    if found is None:
        yield _error(name, shown, "missing", "the file is not there", mend)
        return
    if found.size_bytes != file.size_bytes:
        yield _error(name, shown, "size", f"it has {found.size_bytes} bytes; {file.size_bytes} were written", mend)
        return
    try:
        with mirror.as_stored(root, name, path) as stored:
            rows, schema = _looked_into(stored, contents=contents)
    except (*_UNREADABLE, CatalogError) as error:
        yield _error(name, shown, "unreadable", f"it cannot be read: {_told(error)}", mend)
        return
    if file.rows is not None and rows != file.rows:
        yield _error(name, shown, "rows", f"it has {rows} rows; {file.rows} were written", mend)
    if difference := _difference(name, schema):
        yield _error(name, shown, "schema", f"its columns are not those of the table: {difference}", mend)


def _looked_into(file: Path, *, contents: bool) -> tuple[int, pa.Schema]:
    """The rows that a file has (`contents`: that could be decoded), and its columns."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as opened:
        rows = int(opened.metadata.num_rows)
        if contents:
            rows = sum(batch.num_rows for batch in opened.iter_batches(_BATCH_ROWS, use_threads=False))
        return rows, opened.schema_arrow


def _difference(name: str, found: pa.Schema) -> str:
    wanted = {field.name: field.type for field in table.file_schema(name)}
    given = {field.name: field.type for field in found}
    changed = [f"{column} is {given[column]}, not {kind}" for column, kind in wanted.items() if column in given and given[column] != kind]
    return ", ".join([*(f"{column} is missing" for column in wanted if column not in given), *changed])


def _mend(name: str, file: log.Logged) -> str:
    """What brings a file back."""
    if name in DERIVED:
        return f"{_BACKUP}; the next 'lastcopy scan' makes a snapshot that does not need it"
    if name in ("entries", "problems", "recovery_points"):
        return f"{_BACKUP}; 'lastcopy scan {file.partition['volume']}' makes the newest state known anew, this scan ({file.partition['scan_id']}) stays damaged"
    return _BACKUP


def _others(name: str, found: Mapping[str, inventory.Lying]) -> Iterator[Finding]:
    """A note of files that no version of a table names: of a run that was killed, or that is writing now."""
    if found:
        size = sum(one.size_bytes for one in found.values())
        text = f"{len(found)} files ({size} bytes) that its log does not name: of runs that were killed, or of one that is writing now"
        yield Finding(name, _shown(name, min(found)), "note", "others", text, "nothing: they are never read")


def _published(root: Path) -> Iterator[Finding]:
    """What scans and snapshots say of themselves and the tables do not hold."""
    scans = snapshot.scans(root)  # before their entries, which are there when a scan is published
    whole = _entry_rows(root)  # before the others: a scan that is whole no more by then is in both
    entries = {**former.all_counts(root), **whole}
    for scan in scans:
        told, found = scan.entries + scan.carried_entries, entries.get((scan.scan_id, scan.volume), 0)
        if scan.state != "failed" and found is not None and told != found:
            text = f"scan {scan.scan_id} published {told} entries, and the table has {found} of it"
            yield _error("entries", "", "entries", text, f"{_BACKUP}; 'lastcopy scan {scan.volume}' makes the newest state known anew")
    known = {scan.scan_id for scan in scans}
    for row in table.read(root, "snapshots", ["snapshot_id", "config", "config_hash"]).to_pylist():
        if row["config_hash"] and hashlib.sha256(row["config"].encode()).hexdigest() != row["config_hash"]:
            yield _error("snapshots", "", "configuration", f"snapshot {row['snapshot_id']}: its configuration is not what its hash was made from", _BACKUP)
    stored = {row["snapshot_id"]: row["derived_stored"] for row in inventory.snapshots(root)}
    for one in snapshot.snapshots(root):
        if lost := [scan_id for scan_id in one.scans.values() if scan_id not in known]:
            yield _error("scans", "", "scans", f"snapshot {one.snapshot_id} rests on scan {lost[0]}, which is not there", _BACKUP)
    if missing := [key for key, whole in stored.items() if not whole]:
        text = f"of {len(missing)} snapshots what is derived is not stored, {missing[-1]} among them"
        yield Finding("files", "", "note", "derived", text, f"nothing: it is derived again when it is asked for, as by '{_DERIVE_AGAIN.format(missing[-1])}'")


def _entry_rows(root: Path) -> dict[tuple[str | None, str | None], int | None]:
    """The rows of entries of each scan and volume; None where the log does not tell all of them."""
    found: dict[tuple[str | None, str | None], int | None] = {}
    files: Iterable[log.Logged] = table.state(root, "entries").files.values() if table.exists(root, "entries") else ()
    for file in files:
        key = file.partition["scan_id"], file.partition["volume"]
        before = found.get(key, 0)
        found[key] = None if before is None or file.rows is None else before + file.rows
    return found


def _error(name: str, file: str, check: str, text: str, mend: str) -> Finding:
    return Finding(name, file, "error", check, text, mend)


def _shown(name: str, path: str) -> str:
    return names.escape(f"{name}/{path}".encode("utf-8", "surrogateescape"))


def _told(error: BaseException) -> str:
    return printable.clean(" ".join(str(error).split()))
