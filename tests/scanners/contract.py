"""What every scanner must do: a suite that each kind passes with a small factory of its own.

A kind's test module has a subclass of `Contract` named `Test…` with a fixture `factory` that gives a `Factory`.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pyarrow.parquet as pq
import pytest

import scanners
from catalog import config, hashes, names, snapshot, table
from catalog.schema import ENTRIES
from scanners import crawl
from scanners.crawl import Budget, ScanResult
from scanners.progress import Progress

MANY_SHARDS = Budget(first_entries=20, first_seconds=60, entries=50, seconds=60, own_seconds=60)

BAD_NAMES = [
    b"plain.txt", b"\xff\xfe", b"\xed\xa0\x80", b"caf\xe9", b"new\nline", b"tab\tcr\r", b"\x1b[2Jesc", b"bell\x07", b"\xc2\x9bcsi", b"\x7f",
    "\u202egnp.exe".encode(), "\u2066a\u2069".encode(), "zero\u200bwidth".encode(), "\ufeffbom".encode(), "\u2028line".encode(),
    b"back\\slash", b"\\x41", b"\\", b"-rf", b" lead", b"trail ", b"dot.", b"CON", b"a:b", b"%s", b"$(x)", b"'; DROP TABLE x; --", b'"quoted"',
    b"=1+1", b"+1", b"@x", "é".encode(), "e\u0301".encode(), b"n" * 255, b"*", b"?", b"[a]", b"~", b"#", b"a.TAR.GZ", b".hidden",
    b"x." + b"y" * 40, "ü.JPEG".encode(), "x.ÄÖ".encode(),
]  # fmt: skip


@dataclass(frozen=True)
class Item:
    """A thing to be found: a path as raw bytes; None as content is a directory."""

    path: bytes
    content: bytes | None = b""


class Factory(Protocol):
    """Makes a volume that holds some items, as its kind stores them."""

    kind: str

    def make(self, items: Iterable[Item]) -> dict[str, Any]:
        """Fill a new volume; gives its table of the configuration. Parents of items are made too."""

    def takes(self, name: bytes) -> bool:
        """Whether this storage can hold such a name."""


def settings_of(volume: dict[str, Any]) -> config.Config:
    """A configuration with one volume `v`."""
    return config.parse({"volumes": {"v": volume}})


def clock() -> datetime:
    """The real time: a scan compares it with the times of files made by the test."""
    return datetime.now(UTC)


def scan(root: Path, declared: dict[str, Any], **options: Any) -> ScanResult:  # noqa: ANN401 - whatever crawl.scan takes
    """Scan the volume in many small shards, two processes."""
    return crawl.scan(root, settings_of(declared), "v", now=clock, **{"workers": 2, "budget": MANY_SHARDS, **options})


def entries(root: Path, result: ScanResult) -> list[dict[str, Any]]:
    """The rows that a scan published, in the order of their paths."""
    files = snapshot.entry_files(root, result.scan_id, "v")
    rows = [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]
    return sorted(rows, key=lambda row: (row["dir"], row["name"]))


def paths(root: Path, result: ScanResult) -> list[bytes]:
    """The raw paths that a scan published, sorted."""
    return sorted(names.unescape(row["dir"] + row["name"]) for row in entries(root, result))


def problems(root: Path, result: ScanResult) -> list[dict[str, Any]]:
    """The problems that a scan published."""
    found: list[dict[str, Any]] = table.read(root, "problems", scan_id=[result.scan_id]).to_pylist()
    return found


def expected(items: Iterable[Item], factory: Factory | None = None) -> list[bytes]:
    """The paths of items and, of a storage that has any, of all directories above them."""
    found = set()
    if not getattr(factory, "folders", True):
        return sorted(item.path for item in items)
    for item in items:
        parts = item.path.split(b"/")
        found |= {b"/".join(parts[:end]) for end in range(1, len(parts) + 1)}
    return sorted(found)


def many(count: int = 900) -> list[Item]:
    """A tree that needs many shards."""
    return [Item(b"d%02d/s%d/f%03d.txt" % (i % 61, i % 5, i), b"x" * (i % 7)) for i in range(count)]


class Interrupt:
    """A listener to progress that presses Ctrl-C when it has heard enough."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, _: Progress) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


class Contract:
    """The suite."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "catalog"

    def test_every_name_that_the_storage_takes_is_found_and_keeps_its_bytes(self, factory: Factory, root: Path) -> None:
        items = [Item(name, b"x") for name in BAD_NAMES if factory.takes(name)]
        items += [Item(b"in/" + name + b"/" + name, b"y") for name in BAD_NAMES if factory.takes(name)]
        result = scan(root, factory.make(items))
        assert paths(root, result) == expected(items, factory)
        for row in entries(root, result):
            assert row["name"].isprintable() or " " in row["name"]
            assert row["extension"] == names.extension(row["name"])
            assert row["path_hash"] == hashes.of_path(names.unescape(row["dir"] + row["name"]))

    def test_every_row_has_the_columns_that_the_kind_promises_and_no_other(self, factory: Factory, root: Path) -> None:
        result = scan(root, factory.make([Item(b"a/b.txt", b"xyz")]))
        files = snapshot.entry_files(root, result.scan_id, "v")
        assert pq.ParquetFile(files[0]).schema_arrow.names == ENTRIES.names
        able = scanners.load(factory.kind).CAPABILITIES
        for row in entries(root, result):
            assert {name for name, value in row.items() if value is not None} <= able.columns | {"entry_id", "carried_from"}

    def test_sizes_and_counts_are_those_of_the_items(self, factory: Factory, root: Path) -> None:
        items = many()
        result = scan(root, factory.make(items))
        sizes = {names.unescape(row["dir"] + row["name"]): row["size_bytes"] for row in entries(root, result) if row["type"] in ("file", "object")}
        assert sizes == {item.path: len(item.content or b"") for item in items}
        assert (result.files, result.bytes) == (len(items), sum(sizes.values()))
        assert result.entries == len(entries(root, result))
        assert result.state == "complete"

    def test_entry_ids_are_unique_and_rows_are_sorted_within_a_file(self, factory: Factory, root: Path) -> None:
        result = scan(root, factory.make(many()))
        ids = [row["entry_id"] for row in entries(root, result)]
        assert len(set(ids)) == len(ids)
        for file in snapshot.entry_files(root, result.scan_id, "v"):
            rows = [(row["dir"], row["name"]) for row in pq.ParquetFile(file).read(columns=["dir", "name"]).to_pylist()]
            assert rows == sorted(rows)

    def test_what_the_configuration_excludes_is_counted_and_not_entered(self, factory: Factory, root: Path) -> None:
        declared = factory.make([*many(30), Item(b"d01/.cache/deep/x", b"1"), Item(b"note.tmp", b"2")])
        result = scan(root, declared | {"exclude": [".cache/", "*.tmp"]})
        assert not [path for path in paths(root, result) if b".cache" in path or path.endswith(b".tmp")]
        assert result.excluded >= 2

    def test_an_interrupted_scan_leaves_the_catalog_as_it_was_and_is_gone_on_with(self, factory: Factory, root: Path) -> None:
        items = many()
        declared = factory.make(items)
        for after in (1, 2, 3):
            with pytest.raises(KeyboardInterrupt):
                scan(root, declared, progress=Interrupt(after), resume=True)
            assert snapshot.newest_scans(root) == {}
            assert table.files(root, "entries") == []
        result = scan(root, declared, resume=True)
        assert paths(root, result) == expected(items, factory)
        assert not list((root / ".scans").iterdir())

    def test_without_resume_the_leftovers_of_an_interrupted_scan_are_removed(self, factory: Factory, root: Path) -> None:
        items = many()
        declared = factory.make(items)
        with pytest.raises(KeyboardInterrupt):
            scan(root, declared, progress=Interrupt(2))
        result = scan(root, declared)
        assert paths(root, result) == expected(items, factory)
        written = {str(path) for path in (root / "entries").rglob("*.parquet")}
        assert written == set(table.files(root, "entries"))

    def test_a_file_is_opened_by_its_escaped_path(self, factory: Factory, root: Path) -> None:
        if not scanners.load(factory.kind).CAPABILITIES.local_files:
            pytest.skip("this kind has no files that can be opened in place")
        declared = factory.make([Item(b"a\n/\xff.txt", b"content")])
        scanner = scanners.connect(settings_of(declared), "v")
        descriptor = scanner.open_file(names.escape(b"a\n/"), names.escape(b"\xff.txt"))
        with os.fdopen(descriptor, "rb") as file:
            assert file.read() == b"content"
        scanner.close()

    def test_a_file_that_duckdb_reads_has_every_row(self, factory: Factory, root: Path) -> None:
        import duckdb

        result = scan(root, factory.make([Item(name, b"x") for name in BAD_NAMES if factory.takes(name)]))
        files = snapshot.entry_files(root, result.scan_id, "v")
        counted: Any = duckdb.execute("SELECT count(*) FROM read_parquet($files) WHERE dir || name IS NOT NULL", {"files": files}).fetchone()
        assert counted[0] == result.entries
