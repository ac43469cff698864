"""Whether an audit pack is what its evidence gives: it is made again from the evidence that it encloses, by the queries of this program, and compared.

What a pack encloses may be an enemy's: its queries are compared, never run; its configuration and evidence pass the checks that a user's own do.
"""

import datetime
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog import config, evidence, foreign, table
from catalog.errors import CatalogError, LastcopyError
from catalog.evidence import Subject
from catalog.snapshot import Snapshot
from reports import pack, sums
from reports.sums import Finding

_MOST_BYTES = 64 << 20  # of the manifest and of the configuration
_CHUNK_BYTES = 1 << 20
_NEEDED = (pack.MANIFEST, pack.CONFIGURATION, *(f"evidence/{name}.parquet" for name in evidence.KINDS))
_SHOWN = 80  # characters of a value
_LEAST_MEMORY_BYTES = 256 << 20
_MOST_DIFFERENCES = 20  # of the manifest


@dataclass(frozen=True)
class Proof:
    """What was found. `digest` is the SHA-256 of the list of sums and stands for the whole pack; None where there is none."""

    digest: str | None
    findings: tuple[Finding, ...]
    snapshot_id: str | None = None  # this and what follows: None or 0 where nothing could be computed again
    as_of: str | None = None
    made_by: str | None = None  # version of Lastcopy
    files: int = 0
    reports: int = 0


def verify(folder: Path, version: str) -> Proof:
    """Hold a pack against its sums, and where these hold against what its own evidence gives. Writes to a temporary folder only."""
    table.check_place(Path(tempfile.gettempdir()))
    digest = sums.total(folder)
    if found := sums.check(folder):
        return Proof(digest, tuple(found))
    there = sums.files(folder)
    if missing := [Finding(name, "is missing") for name in _NEEDED if name not in there]:
        return Proof(digest, tuple(missing))
    try:
        manifest = _manifest(folder)
        differences = tuple(_computed_again(folder, manifest, version))
        told = manifest["snapshot"]
        counts = len(there), len(manifest["reports"])
        return Proof(digest, differences, str(told["snapshot_id"]), str(told["as_of"]), str(manifest.get("lastcopy")), *counts)
    except _foreseen() as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of this machine: pyarrow tells what is wrong with a file without a number
        return Proof(digest, (Finding("", f"cannot be computed again: {_short(error)}"),))


def _computed_again(folder: Path, manifest: Mapping[str, Any], version: str) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory(prefix="lastcopy-verify-") as scratch:
        again = Path(scratch) / "pack"
        again.mkdir()
        pack.write(again, _restored(folder, manifest, Path(scratch) / "catalog"), version)
        yield from _differences(folder, again)


def _foreseen() -> tuple[type[Exception], ...]:
    """The errors that what is enclosed can cause."""
    import duckdb

    return (LastcopyError, duckdb.Error, pa.ArrowException, OSError, ValueError, OverflowError, KeyError, TypeError, AttributeError, RecursionError)


def _manifest(folder: Path) -> dict[str, Any]:
    found = json.loads(_text(folder, pack.MANIFEST))
    if not isinstance(found, dict) or found.get("schema") != pack.SCHEMA:
        raise CatalogError(f"{pack.MANIFEST}: is not of the form {pack.SCHEMA}")
    return found


def _text(folder: Path, name: str) -> str:
    path = folder / name
    if path.stat().st_size > _MOST_BYTES:
        raise CatalogError(f"{name}: is larger than {_MOST_BYTES} bytes")
    return path.read_text("utf-8")


def _restored(folder: Path, manifest: Mapping[str, Any], root: Path) -> Subject:
    """The snapshot that a pack tells of, derived anew from its evidence, in a catalog of its own. Raises CatalogError, and whatever wrong JSON causes."""
    text, told = _text(folder, pack.CONFIGURATION), manifest["snapshot"]
    if hashlib.sha256(text.encode()).hexdigest() != told["config_hash"]:
        raise CatalogError(f"{pack.CONFIGURATION}: is not the configuration of the snapshot: its SHA-256 is not the config_hash of {pack.MANIFEST}")
    if strange := evidence.unknown_keys(text):
        raise CatalogError(f"{pack.CONFIGURATION}: has {', '.join(strange)}, which no snapshot keeps")
    held = config.restore(text)
    here = held.catalog.model_copy(update=_limits(held.catalog))
    wanted = Snapshot(
        snapshot_id=str(told["snapshot_id"]),
        as_of=datetime.datetime.fromisoformat(told["as_of"]).replace(tzinfo=None),
        previous_id=told["previous_snapshot_id"],
        complete=bool(told["complete"]),
        scans={str(volume): str(scan) for volume, scan in told["scans"].items()},
        versions={},
        config=held.model_copy(update={"catalog": here}),
        config_hash=told["config_hash"],
        label_tables={int(place): str(digest) for place, digest in told["label_tables"].items()},
        lastcopy_version=str(told["lastcopy"]),
    )
    found = evidence.restore(folder / "evidence", root, wanted)
    if found.complete != evidence.is_complete(root, found):
        raise CatalogError(f"{pack.MANIFEST}: says that the snapshot is {'' if found.complete else 'not '}complete; its scans and problems say otherwise")
    return Subject(root, found, text)


def _limits(told: config.Catalog) -> dict[str, int | None]:
    """The limits that the pack's maker set himself, as far as they do no harm here."""
    return {
        "memory_limit": told.memory_limit and max(told.memory_limit, _LEAST_MEMORY_BYTES),
        "threads": told.threads and min(told.threads, os.cpu_count() or 1),
    }


def _differences(given: Path, again: Path) -> Iterator[Finding]:
    """What a pack has that is not as it was computed again."""
    theirs, ours = sums.files(given), sums.files(again)
    for name in sorted({*theirs, *ours}):
        if name not in ours:
            yield Finding(name, "this program makes no such file: it was not computed again")
        elif name not in theirs:
            yield Finding(name, "is missing: this program makes it of the evidence")
        else:
            compare: Callable[[Path, Path], Iterator[str]] = _comparisons.get(theirs[name].suffix, _lines)
            for wrong in compare(theirs[name], ours[name]) if name != pack.MANIFEST else _told_otherwise(theirs[name], ours[name]):
                yield Finding(name, wrong)


def _told_otherwise(given: Path, again: Path) -> Iterator[str]:
    theirs, ours = (json.loads(path.read_text("utf-8")) for path in (given, again))
    found = [one for key in sorted({*theirs, *ours}) if key not in pack.TOOLS for one in _values(key, theirs.get(key), ours.get(key))]
    yield from found[:_MOST_DIFFERENCES]
    if not isinstance(theirs.get("lastcopy"), str) or theirs["lastcopy"] != ours["lastcopy"]:
        yield f"was made by Lastcopy {theirs.get('lastcopy')!s:.40}, and this is {ours['lastcopy']}: that version makes it again as it was"


def _values(place: str, theirs: object, ours: object) -> Iterator[str]:
    """Where two JSON values differ."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted({*theirs, *ours}):
            yield from _values(f"{place}.{key}", theirs.get(key), ours.get(key))
    elif isinstance(theirs, list) and isinstance(ours, list):
        for number, (one, other) in enumerate(zip_longest(theirs, ours)):
            yield from _values(f"{place}[{number}]", one, other)
    elif theirs != ours or type(theirs) is not type(ours):
        yield f"{place} is {_short(theirs)}; computed again: {_short(ours)}"


def _lines(given: Path, again: Path) -> Iterator[str]:
    """Where two files of text differ first."""
    line = 1
    with given.open("rb") as one, again.open("rb") as other:
        while True:
            theirs, ours = one.read(_CHUNK_BYTES), other.read(_CHUNK_BYTES)
            if theirs != ours:
                same = next((place for place, (a, b) in enumerate(zip(theirs, ours, strict=False)) if a != b), min(len(theirs), len(ours)))
                line += theirs.count(b"\n", 0, same)
                yield f"differs from line {line} on"
                return
            if not theirs:
                return
            line += theirs.count(b"\n")


def _rows(given: Path, again: Path) -> Iterator[str]:
    """Where two Parquet files differ first: in their columns, what is said beside them, or their rows."""
    import pyarrow.parquet as pq

    theirs, ours = pq.read_schema(given), pq.read_schema(again)
    if not theirs.equals(ours, check_metadata=True):
        yield "has other columns" if not theirs.equals(ours) else "says something else beside its rows: snapshot, as of, or what is unknown"
        return
    with foreign.opened(given, given.name) as one, foreign.opened(again, again.name) as other:
        if one.metadata.num_rows != other.metadata.num_rows:
            yield f"has {one.metadata.num_rows} rows; computed again: {other.metadata.num_rows}"
            return
        seen = 0
        for left, right in _side_by_side(foreign.batches(one, theirs), foreign.batches(other, ours)):
            if not left.equals(right):
                yield _first_difference(left, right, seen)
                return
            seen += left.num_rows


def _side_by_side(one: Iterator[pa.RecordBatch], other: Iterator[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """The rows of two streams, as many of each."""
    left, right = next(one, None), next(other, None)
    while left is not None and right is not None:
        rows = min(left.num_rows, right.num_rows)
        yield left.slice(0, rows), right.slice(0, rows)
        left = left.slice(rows) if rows < left.num_rows else next(one, None)
        right = right.slice(rows) if rows < right.num_rows else next(other, None)


def _first_difference(left: pa.RecordBatch, right: pa.RecordBatch, before: int) -> str:
    for number in range(left.num_rows):
        if not left.slice(number, 1).equals(right.slice(number, 1)):
            [theirs], [ours] = (batch.slice(number, 1).to_pylist() for batch in (left, right))
            name = next((name for name in theirs if theirs[name] != ours[name]), left.schema.names[0])
            return f"row {before + number + 1}: {name} is {_short(theirs[name])}; computed again: {_short(ours[name])}"
    return f"differs within the rows from {before + 1} on"


def _short(value: object) -> str:
    text = str(value) if isinstance(value, Exception) else value.hex() if isinstance(value, bytes) else json.dumps(value, default=str)
    text = " ".join(text.split()) or type(value).__name__
    most = _SHOWN * 4 if isinstance(value, Exception) else _SHOWN
    return text if len(text) <= most else f"{text[: most - 1]}…"


_comparisons: dict[str, Callable[[Path, Path], Iterator[str]]] = {".parquet": _rows}
