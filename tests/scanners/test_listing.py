"""Saved listings: tables, what rclone writes, indexes of tapes; and hostile ones."""

import csv
import hashlib
import io
import os
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import pytest

from catalog import snapshot
from catalog.errors import ConfigError, RefusedError, UnreachableError
from tests.scanners import archives
from tests.scanners.contract import Factory, Item, entries, problems, scan
from tests.scanners.test_manifest import Told

AT = datetime(2023, 11, 14, 22, 13, 20)
DAY = 1_700_000_000
COLUMNS = {"path": "Path", "size_bytes": "Size", "modified_at": "Changed", "sha256": "Hash"}
TAPE = "b2fd5b6a-0c4e-4c39-8d1e-2f1f4ad0f3a1"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    os.utime(path, (DAY, DAY))
    return path


def declared(listing: Path, **more: object) -> dict[str, Any]:
    return {"url": f"listing:{listing}", "role": "backup", **more}


def files(root: Path, result: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401 - a scan's result
    return {row["dir"] + row["name"]: row for row in entries(root, result) if row["type"] == "file"}


def table(rows: Iterable[tuple[object, ...]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([("Path", "Size", "Changed", "Hash"), *rows])
    return out.getvalue().encode("utf-8", "surrogateescape")


class Table:
    """Makes a table of items."""

    kind = "listing"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, items: Iterable[Item]) -> dict[str, Any]:
        rows = [
            (os.fsdecode(item.path), len(item.content or b""), "2020-01-02T03:04:05.678Z", hashlib.sha256(item.content or b"").hexdigest()) for item in items
        ]
        return declared(written(self.folder / "t.csv", table(rows)), columns=COLUMNS)

    def takes(self, name: bytes) -> bool:
        return bool(name)


class TestTable(Told):
    """The suite that every kind passes, on a table."""

    @pytest.fixture
    def factory(self, tmp_path: Path) -> Factory:
        return Table(tmp_path)


class Rclone:
    """Makes what rclone says of items."""

    kind = "listing"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, items: Iterable[Item]) -> dict[str, Any]:
        archives.grow(self.folder / "tree", items)
        done = subprocess.run(["rclone", "lsjson", "-R", "--hash", "--hash-type", "sha256", str(self.folder / "tree")], capture_output=True, check=True)
        return declared(written(self.folder / "l.json", done.stdout))

    def takes(self, name: bytes) -> bool:
        try:  # others are told with U+FFFD in them
            return name.decode().isprintable()
        except UnicodeDecodeError:
            return False


class TestRclone(Told):
    """The suite, on what rclone writes."""

    @pytest.fixture
    def factory(self, tmp_path: Path) -> Factory:
        return Rclone(tmp_path)


def ltfs(items: Iterable[Item], updated: str = "2024-05-06T07:08:09.000000000Z", more: str = "") -> bytes:
    """An index of LTFS 2.4 in the form of the reference implementation."""
    tree: dict[bytes, Any] = {}
    for item in items:
        *above, name = item.path.split(b"/")
        at = tree
        for part in above:
            at = at.setdefault(part, {})
        at[name] = item.content
    head = f'<?xml version="1.0" encoding="UTF-8"?><ltfsindex version="2.4.0"><creator>test</creator><volumeuuid>{TAPE}</volumeuuid>'
    head += f"<generationnumber>7</generationnumber><updatetime>{updated}</updatetime><location><partition>a</partition><startblock>6</startblock></location>"
    return f"{head}{_folder(b'tape', tree)}{more}</ltfsindex>".encode()


def _name(name: bytes) -> str:
    return f'<name percentencoded="true">{quote_from_bytes(name)}</name>'


def _folder(name: bytes, inside: dict[bytes, Any]) -> str:
    parts = [_folder(one, what) if isinstance(what, dict) else _file(one, what) for one, what in inside.items()]
    return f"<directory>{_name(name)}<modifytime>2020-01-01T00:00:00Z</modifytime><contents>{''.join(parts)}</contents></directory>"


def _file(name: bytes, content: bytes, more: str = "") -> str:
    times = "<modifytime>2020-01-02T03:04:05.123456789Z</modifytime><changetime>2020-01-02T03:04:05Z</changetime>"
    hashed = f"<xattr><key>ltfs.hash.sha256sum</key><value>{hashlib.sha256(content).hexdigest()}</value></xattr>"
    return f"<file>{_name(name)}<length>{len(content)}</length>{times}<extendedattributes>{hashed}</extendedattributes>{more}</file>"


class Tape:
    """Makes the index of a tape with items."""

    kind = "listing"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, items: Iterable[Item]) -> dict[str, Any]:
        return declared(written(self.folder / "LTO001.xml", ltfs(items)))

    def takes(self, name: bytes) -> bool:
        return bool(name)


class TestTape(Told):
    """The suite, on the index of a tape."""

    @pytest.fixture
    def factory(self, tmp_path: Path) -> Factory:
        return Tape(tmp_path)


def test_a_table_is_of_the_time_when_it_was_written_or_as_it_is_said(tmp_path: Path, root: Path) -> None:
    listing = written(tmp_path / "t.csv", table([("a", 1, "2020-01-02T04:04:05.123456789+01:00", ""), ("b", "", "", "A" * 64)]))
    result = scan(root, declared(listing, columns=COLUMNS))
    found = files(root, result)
    assert (found["a"]["modified_at"], found["a"]["modified_ns"], found["a"]["attested_level"]) == (datetime(2020, 1, 2, 3, 4, 5, 123456), 789, 0)
    assert (found["b"]["size_bytes"], found["b"]["digest"], found["b"]["attested_level"]) == (None, b"\xaa" * 32, 1)
    assert (found["a"]["attested_at"], snapshot.newest_scans(root)["v"].known_at) == (AT, AT)
    result = scan(root, declared(listing, columns=COLUMNS, told_at=datetime(2022, 1, 1, tzinfo=UTC), read_in_place=True))
    assert [(row["attested_at"], row["attested_level"]) for row in files(root, result).values()] == [(datetime(2022, 1, 1), 0), (datetime(2022, 1, 1), 2)]


@pytest.mark.parametrize(("unit", "text"), [("s", "1577934245.5"), ("ms", "1577934245500"), ("us", "1577934245500000"), ("ns", "1577934245500000000")])
def test_times_are_read_in_the_unit_that_the_configuration_names(tmp_path: Path, root: Path, unit: str, text: str) -> None:
    result = scan(root, declared(written(tmp_path / "t.csv", table([("a", 1, text, "")])), columns=COLUMNS, times=unit))
    assert files(root, result)["a"]["modified_at"] == datetime(2020, 1, 2, 3, 4, 5, 500_000)


@pytest.mark.parametrize(
    ("row", "why"),
    [(("../a", 1, "", ""), "leads out"), (("a", "-1", "", ""), "no size"), (("a", 1, "yesterday", ""), "no time"),
     (("a", 1, "2020-01-02T03:04:05", ""), "no time"),
     (("a", 1, "", "abc"), "no SHA-256"), (("a",), "1 fields"), (("a\0", 1, "", ""), "NUL"), (("a", "9" * 19, "", ""), "a size of")],
)  # fmt: skip
def test_a_row_that_says_nothing_is_a_problem_with_its_line(tmp_path: Path, root: Path, row: tuple[object, ...], why: str) -> None:
    result = scan(root, declared(written(tmp_path / "t.csv", table([("x\ny", 1, "", ""), row, ("z", 1, "", "")])), columns=COLUMNS))
    assert sorted(files(root, result)) == ["x\\x0ay", "z"]
    [problem] = problems(root, result)
    assert why in problem["error"]
    assert problem["error"].startswith("t.csv, line 4: ")


BROKEN = {
    "no column": ("t.csv", b"Name,Size\na,1\n", "it has no column 'Changed', 'Hash', 'Path'"),
    "a quote without end": ("t.csv", table([]) + b'"a,1,,\n', "line 2"),
    "a row of many lines": ("t.csv", table([]) + b'"a\n' + b'","a\n' * 3_000, "1000 lines"),
    "a huge line": ("t.csv", table([]) + b"x" * 70_000, "65536 bytes"),
    "json cut off": ("l.json", b'[\n{"Path":"a","Size":1,"IsDir":false},\n', "line 2: it was cut off"),
    "no rclone": ("l.json", b'{"a": [1]}\n', "line 1: not what 'rclone lsjson' writes"),
    "xml cut off": ("i.xml", ltfs([Item(b"a", b"x")])[:-20], "unclosed token"),
    "laughs": ("i.xml", b'<!DOCTYPE l [<!ENTITY a "ha">]><ltfsindex>&a;</ltfsindex>', "declares a document type"),
    "incremental": ("i.xml", b"<ltfsincrementalindex><volumeuuid>x</volumeuuid></ltfsincrementalindex>", "an incremental index"),
    "another xml": ("i.schema", b"<html/>", "no index of LTFS"),
    "no time": ("i.xml", ltfs([], updated="soon"), "does not say of which tape"),
    "the future": ("i.xml", ltfs([], updated="2999-01-01T00:00:00Z"), "of the future"),
    "a format that nobody knows": ("l.txt", b"a\n", r"known are \.csv"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_listing_that_is_not_whole_fails_and_what_was_known_stays(tmp_path: Path, root: Path, what: str) -> None:
    name, content, why = BROKEN[what]
    with pytest.raises(UnreachableError, match=rf"volume v: .*{name}: .*{why}"):
        scan(root, declared(written(tmp_path / name, content), columns=COLUMNS))
    assert snapshot.newest_scans(root) == {}


def test_an_index_tells_times_to_the_nanosecond_and_the_hash_that_the_tape_keeps(tmp_path: Path, root: Path) -> None:
    result = scan(root, Tape(tmp_path).make([Item(b"deep/a\xff", b"x")]))
    row = files(root, result)["deep/a\\xff"]
    assert (row["size_bytes"], row["modified_at"], row["modified_ns"]) == (1, datetime(2020, 1, 2, 3, 4, 5, 123456), 789)
    assert (row["digest"], row["attested_at"], row["attested_level"]) == (hashlib.sha256(b"x").digest(), datetime(2024, 5, 6, 7, 8, 9), 1)
    assert snapshot.newest_scans(root)["v"].root_fs_id == f"ltfs-{TAPE}"


def test_the_index_of_another_tape_is_refused(tmp_path: Path, root: Path) -> None:
    volume = Tape(tmp_path).make([Item(b"a", b"x")])
    scan(root, volume)
    written(tmp_path / "LTO001.xml", ltfs([Item(b"a", b"x")]).replace(TAPE.encode(), TAPE.replace("b2", "c3").encode()))
    with pytest.raises(RefusedError, match="is on file system ltfs-c3fd"):
        scan(root, volume)


def test_what_was_open_for_writing_protects_nothing_and_a_link_is_none_of_its_target(tmp_path: Path, root: Path) -> None:
    text = ltfs([Item(b"a", b"x"), Item(b"b", b"y"), Item(b"c", b"z")]).decode()
    text = text.replace(_file(b"a", b"x"), _file(b"a", b"x", "<openforwrite>true</openforwrite>")).replace(
        _file(b"b", b"y"), _file(b"b", b"", "<symlink>a</symlink>")
    )
    result = scan(root, declared(written(tmp_path / "i.xml", text.encode())))
    assert {row["name"]: row["type"] for row in entries(root, result)} == {"a": "file", "b": "symlink", "c": "file"}
    assert [(row["path"], row["stage"]) for row in problems(root, result)] == [("a", "read")]


def test_names_that_rclone_does_not_tell_are_told_of_and_left_out(tmp_path: Path, root: Path) -> None:
    result = scan(root, Rclone(tmp_path).make([Item(b"t/\xff", b"x"), Item(b"t/plain", b"y")]))
    assert sorted(files(root, result)) == ["t/plain"]
    assert {row["path"] for row in problems(root, result)} == {"t"}


@pytest.mark.parametrize("more", [{"columns": {"size_bytes": "Size"}}, {"columns": {"path": "p", "owner": "o"}}, {"told_at": datetime(2020, 1, 1)}])
def test_a_configuration_of_a_listing_that_nobody_understands_is_refused(tmp_path: Path, root: Path, more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"volumes\.v"):
        scan(root, declared(tmp_path / "t.csv", **more))


def test_what_was_written_in_another_zone_is_as_old_as_it_is(tmp_path: Path, root: Path) -> None:
    result = scan(root, declared(written(tmp_path / "i.xml", ltfs([Item(b"a", b"x")], updated="2024-05-06T07:08:09+02:00"))))
    assert files(root, result)["a"]["attested_at"] == datetime(2024, 5, 6, 7, 8, 9) - timedelta(hours=2)
