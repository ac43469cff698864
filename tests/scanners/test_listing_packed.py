"""Saved listings that are tables of Parquet, or packed; and hostile ones."""

import gzip
import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import names, snapshot
from catalog.errors import UnreachableError
from tests.scanners.contract import Factory, Item, problems, scan
from tests.scanners.test_listing import COLUMNS, declared, files, table, written
from tests.scanners.test_manifest import Told

NS = 1_577_934_245_123_456_789


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


def parquet(path: Path, **columns: pa.Array) -> Path:
    pq.write_table(pa.table(columns), path)
    return written(path, path.read_bytes())


class Parquet:
    """Makes a table of Parquet of items."""

    kind = "listing"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, items: Iterable[Item]) -> dict[str, Any]:
        found = list(items)
        paths = pa.array([item.path for item in found], pa.binary())
        sizes = pa.array([len(item.content or b"") for item in found], pa.int64())
        digests = pa.array([hashlib.sha256(item.content or b"").digest() for item in found], pa.binary(32))
        return declared(parquet(self.folder / "t.parquet", Path=paths, Size=sizes, Hash=digests), columns=dict(COLUMNS.items() - {("modified_at", "Changed")}))

    def takes(self, name: bytes) -> bool:
        return bool(name)


class TestParquet(Told):
    """The suite that every kind passes, on a table of Parquet."""

    @pytest.fixture
    def factory(self, tmp_path: Path) -> Factory:
        return Parquet(tmp_path)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_and_digests_of_parquet_are_those_of_a_table_of_text(tmp_path: Path, root: Path, unit: str) -> None:
    factor = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[unit]
    listing = parquet(
        tmp_path / "t.parquet",
        Path=pa.array(["a", "b", "c", None, "../d"]).dictionary_encode(),
        Size=pa.array([1, 2, None, 4, 5], pa.int32()),
        Changed=pa.array([NS // factor, None, -1, 0, 0], pa.timestamp(unit, "UTC")),
        Hash=pa.array(["aa" * 32, None, "", None, None], pa.large_string()),
    )
    result = scan(root, declared(listing, columns=COLUMNS))
    found = {path: (row["size_bytes"], row["digest"], row["attested_level"]) for path, row in files(root, result).items()}
    assert found == {"a": (1, b"\xaa" * 32, 1), "b": (2, None, 0), "c": (None, None, 0)}
    row = files(root, result)["a"]
    told = int(row["modified_at"].replace(tzinfo=UTC).timestamp()) * 10**9 + row["modified_at"].microsecond * 1000 + row["modified_ns"]
    assert told == NS // factor * factor
    assert sorted(row["error"].partition(": ")[0] for row in problems(root, result)) == ["t.parquet, row 4", "t.parquet, row 5"]


def test_numbers_of_parquet_are_times_in_the_unit_that_the_configuration_names(tmp_path: Path, root: Path) -> None:
    listing = parquet(tmp_path / "t.parquet", Path=pa.array(["a"]), Changed=pa.array([1_577_934_245_500], pa.int64()))
    result = scan(root, declared(listing, columns={"path": "Path", "modified_at": "Changed"}, times="ms"))
    assert files(root, result)["a"]["modified_at"] == datetime(2020, 1, 2, 3, 4, 5, 500_000)


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_a_packed_table_is_read_as_its_text(tmp_path: Path, root: Path, ending: str) -> None:
    (tmp_path / "t.csv").write_bytes(table([(f"folder/{number}", number, "", "") for number in range(5000)]))
    subprocess.run(["gzip" if ending == "gz" else "zstd", "-q", tmp_path / "t.csv"], check=True)
    result = scan(root, declared(written(tmp_path / f"t.csv.{ending}", (tmp_path / f"t.csv.{ending}").read_bytes()), columns=COLUMNS))
    assert {path: row["size_bytes"] for path, row in files(root, result).items()} == {f"folder/{number}": number for number in range(5000)}


def zstd(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=content, capture_output=True, check=True).stdout


def columns(path: Path, **found: pa.Array) -> bytes:
    return parquet(path.with_name("made"), **found).read_bytes()


BROKEN: dict[str, tuple[str, Callable[[Path], bytes], str]] = {
    "gzip cut off": ("t.csv.gz", lambda _: gzip.compress(table([("a", 1, "", "")] * 9000))[:-20], "cannot be unpacked"),
    "zstd cut off": ("t.csv.zst", lambda _: zstd(table([("a", n, "", "") for n in range(9000)]))[:-20], "cannot be unpacked"),
    "no gzip": ("t.csv.gz", lambda _: table([]), "cannot be unpacked"),
    "no zstd": ("t.csv.zst", lambda _: table([]), "cannot be unpacked"),
    "a bomb": ("t.csv.zst", lambda _: zstd(table([]) + (b"a" * 1000 + b",1,,\n") * 140_000), "unpacks to more than 67108864 bytes"),
    "no parquet": ("t.parquet", lambda _: b"PAR1" + bytes(50) + b"PAR1", "no table of Parquet"),
    "parquet cut off": ("t.parquet", lambda path: columns(path, Path=pa.array(["a"]))[:-20], "no table of Parquet"),
    "no column": ("t.parquet", lambda path: columns(path, Name=pa.array(["a"])), "it has no column 'Changed', 'Hash', 'Path', 'Size'; it has 'Name'"),
    "a time of no zone": ("t.parquet", lambda path: columns(path, **_all(pa.array([0], pa.timestamp("us")))), "do not say their zone"),
    "a column of no such thing": ("t.parquet", lambda path: columns(path, **_all(pa.array([1.5]))), "'Changed' is of type double: no modified_at"),
    "a column twice": ("t.parquet", lambda path: named(path, "Path", "Size", "Changed", "Hash", "Path"), "it has more than one column 'Path'"),
    "a column of no name": ("t.parquet", lambda path: named(path, "Path", "ZZZZ").replace(b"ZZZZ", b"\xff\xfeZZ"), "its columns is not UTF-8"),
    "rows without end": ("t.parquet", lambda path: columns(path, **_all(pa.array([0]), rows=2_000_000)), "more than 1048576 rows"),
}  # fmt: skip


def named(path: Path, *names: str) -> bytes:
    pq.write_table(pa.Table.from_arrays([pa.array(["a"])] * len(names), names), path.with_name("made"), store_schema=False)
    return path.with_name("made").read_bytes()


def _all(changed: pa.Array, rows: int = 1) -> dict[str, pa.Array]:
    found = {"Path": pa.array(["a"]), "Size": pa.array([1]), "Changed": changed, "Hash": pa.array([""])}
    return {name: values.take(pa.array([0] * rows)) for name, values in found.items()}


@pytest.mark.parametrize("what", BROKEN)
def test_a_listing_that_is_not_whole_fails(tmp_path: Path, root: Path, what: str) -> None:
    name, content, why = BROKEN[what]
    with pytest.raises(UnreachableError, match=rf"volume v: .*{name}: .*{why}"):
        scan(root, declared(written(tmp_path / name, content(tmp_path / name)), columns=COLUMNS))
    assert snapshot.newest_scans(root) == {}


def test_texts_of_parquet_that_are_not_utf_8_are_names_as_in_a_table_of_text(tmp_path: Path, root: Path) -> None:
    told = pa.array([b"caf\xe9.txt", b"caf\xc3\xa9.txt"], pa.binary())
    paths = pa.StringArray.from_buffers(2, told.buffers()[1], told.buffers()[2])
    result = scan(root, declared(parquet(tmp_path / "t.parquet", Path=paths), columns={"path": "Path"}))
    assert (set(files(root, result)), problems(root, result)) == ({names.escape(b"caf\xe9.txt"), "caf\N{LATIN SMALL LETTER E WITH ACUTE}.txt"}, [])


def test_times_of_parquet_may_be_a_dictionary(tmp_path: Path, root: Path) -> None:
    changed = pa.array([1_577_934_245, None, 1_577_934_245], pa.timestamp("s", "UTC")).dictionary_encode()
    listing = parquet(tmp_path / "t.parquet", Path=pa.array(["a", "b", "c"]), Changed=changed)
    result = scan(root, declared(listing, columns={"path": "Path", "modified_at": "Changed"}))
    assert {path: row["modified_at"] for path, row in files(root, result).items()} == dict.fromkeys("ac", datetime(2020, 1, 2, 3, 4, 5)) | {"b": None}


ENCODINGS = ["dictionary", "PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"]


def encoded(path: Path, encoding: str, paths: list[str]) -> Path:
    own = {} if encoding == "dictionary" else {"use_dictionary": False, "column_encoding": {"Path": encoding}}
    pq.write_table(pa.table({"Path": paths}), path, store_schema=False, **own)
    return written(path, path.read_bytes())


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_of_parquet_is_read(tmp_path: Path, root: Path, encoding: str) -> None:
    paths = [f"folder/{number % 7}/{number}" for number in range(70_000)]
    result = scan(root, declared(encoded(tmp_path / "t.parquet", encoding, paths), columns={"path": "Path"}))
    assert set(files(root, result)) == set(paths)


BOUNDED = """
import pathlib, resource, sys
from tests.scanners.contract import paths, problems, scan
from tests.scanners.test_listing import declared
used = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (3 << 29), resource.RLIM_INFINITY))
root = pathlib.Path(sys.argv[2])
result = scan(root, declared(pathlib.Path(sys.argv[1]), columns={"path": "Path"}), workers=1)
found = problems(root, result)
print(paths(root, result), len(found), found[0]["error"])
"""


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["dictionary", "DELTA_BYTE_ARRAY"])
def test_a_small_file_that_has_one_long_text_in_every_row_does_not_fill_the_memory(tmp_path: Path, encoding: str) -> None:
    """In processes that have 1.5 GB more than it begins with: a text for each row takes 2 GB."""
    listing = encoded(tmp_path / "t.parquet", encoding, ["x" * 60_000] * 32_768 + ["good"])
    assert listing.stat().st_size < 20_000
    ran = subprocess.run([sys.executable, "-c", BOUNDED, str(listing), str(tmp_path / "catalog")], capture_output=True, check=False, text=True)
    assert (ran.returncode, ran.stdout) == (0, "[b'good'] 1000 t.parquet, row 1: a value of more than 4096 bytes\n"), ran.stderr
