"""Catalogs of Bacula, as its director writes them, and hostile ones."""

import base64
import hashlib
import os
import sqlite3
import stat
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from catalog import snapshot, table
from catalog.errors import RefusedError, UnreachableError
from tests.lastcopy.program import ask
from tests.scanners import baculas
from tests.scanners.baculas import Bacula
from tests.scanners.contract import Factory, Item, entries, problems, scan
from tests.scanners.test_manifest import Told

LONG_AGO = 1_600_000_000
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


def declared(listing: Path, **more: object) -> dict[str, Any]:
    return {"url": f"bacula:{listing}", "role": "backup", **more}


def number(value: int) -> str:
    digits = ""
    while value:
        value, place = divmod(value, 64)
        digits = _LETTERS[place] + digits
    return digits or "A"


def state(mode: int, size: int, *, modified: int = LONG_AGO, link: int = 0) -> str:
    return " ".join(map(number, [1, 2, mode, 1, 0, 0, 0, size, 4096, 8, modified, modified, modified, link, 0, 2]))


def digest(content: bytes) -> bytes:
    return base64.b64encode(hashlib.sha256(content).digest()).rstrip(b"=")


class Catalog:
    """Makes a catalog of items."""

    kind = "bacula"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, items: Iterable[Item]) -> dict[str, Any]:
        rows: dict[bytes, tuple[str, bytes]] = {}
        for item in items:
            parts = item.path.split(b"/")
            folders = range(1, len(parts) + (item.content is None))
            rows |= {b"/" + b"/".join(parts[:end]) + b"/": (state(stat.S_IFDIR | 0o755, 4096), b"0") for end in folders}
            if item.content is not None:
                rows[b"/" + item.path] = (state(stat.S_IFREG | 0o644, len(item.content)), digest(item.content))
        made = baculas.filled(self.folder / "made.db", [(path, told, digits, place) for place, (path, (told, digits)) in enumerate(rows.items(), 1)])
        os.utime(made, (1_700_000_000, 1_700_000_000))
        return declared(made)

    def takes(self, name: bytes) -> bool:
        return bool(name)


class TestCatalog(Told):
    """The suite that every kind passes."""

    @pytest.fixture
    def factory(self, tmp_path: Path) -> Factory:
        baculas.need()
        return Catalog(tmp_path)


def versions(root: Path, result: Any, below: Path) -> dict[str, list[dict[str, Any]]]:  # noqa: ANN401 - a scan's result
    """The files of a scan by their path below a folder."""
    found: dict[str, list[dict[str, Any]]] = {}
    prefix = str(below).lstrip("/") + "/"
    for row in entries(root, result):
        if row["type"] == "file":
            found.setdefault((row["dir"] + row["name"]).removeprefix(prefix), []).append(row)
    return found


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(LONG_AGO * 10**9, LONG_AGO * 10**9 + 123_456_789))


@pytest.mark.slow
def test_what_real_jobs_stored_is_told_as_versions_with_the_jobs_that_bring_them_back(tmp_path: Path, root: Path) -> None:
    baculas.need()
    with Bacula(tmp_path) as bacula:
        for name, content in (("kept", b"the report"), ("sub/changed", b"before"), ("empty", b"")):
            write(bacula.data / name, content)
        write(Path(os.fsdecode(os.fsencode(bacula.data) + b"/latin-\xe9\n")), b"no UTF-8")
        os.link(bacula.data / "kept", bacula.data / "linked")
        os.symlink("kept", bacula.data / "link")
        bacula.back_up()
        (bacula.data / "sub/changed").write_bytes(b"and after")
        bacula.back_up("Incremental")
        bacula.back_up("Full")
        bacula.kill("bacula-dir")
    before = bacula.catalog.read_bytes()
    result = scan(root, declared(bacula.catalog))
    points = table.read(root, "recovery_points", scan_id=[result.scan_id]).sort_by("started_at").to_pylist()
    first, second, third = (point["recovery_point"] for point in points)
    found = versions(root, result, bacula.data)
    held = {
        path: [(row["first_recovery_point"], row["last_recovery_point"]) for row in sorted(rows, key=lambda row: row["modified_at"])]
        for path, rows in found.items()
    }
    assert held == {
        "kept": [(first, third)],
        "linked": [(first, third)],
        "empty": [(first, third)],
        "latin-\\xe9\\x0a": [(first, third)],
        "sub/changed": [(first, first), (second, third)],
    }
    row = found["kept"][0]
    assert (row["size_bytes"], row["digest"], row["attested_level"]) == (10, hashlib.sha256(b"the report").digest(), 1)
    assert (row["modified_at"], row["modified_ns"], row["time_flags"]) == (datetime(2020, 9, 13, 12, 26, 40), 0, 64)
    assert abs((row["attested_at"] - points[2]["ended_at"]).total_seconds()) < 1, "by the job that stored it last"
    assert abs((points[0]["started_at"].replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()) < 120, "whatever the zone of the director"
    assert {point["host"] for point in points} == {"nas"}
    assert {point["paths"] for point in points} == {f'["{bacula.data}"]'}
    assert result.state == "complete"
    assert bacula.catalog.read_bytes() == before
    assert sorted(path.name for path in bacula.catalog.parent.glob("bacula.db*")) == ["bacula.db"]


@pytest.mark.slow
def test_jobs_that_failed_and_media_that_do_not_count_protect_nothing(tmp_path: Path, root: Path) -> None:
    baculas.need()
    with Bacula(tmp_path, accurate=True) as bacula:
        write(bacula.data / "kept", b"the report")
        write(bacula.data / "gone", b"for a day")
        bacula.back_up()
        (bacula.data / "gone").unlink()
        write(bacula.data / "new", b"of the second tape")
        bacula.back_up("Incremental")
        bacula.kill("bacula-fd")
        bacula.back_up("Full")
        jobs = [name for (name,) in bacula.rows("SELECT Job FROM Job ORDER BY JobId")]
        result = scan(root, declared(bacula.catalog))
        found = versions(root, result, bacula.data)
        assert {path: [(row["first_recovery_point"], row["last_recovery_point"]) for row in rows] for path, rows in found.items()} == {
            "kept": [(jobs[0], jobs[1])],
            "gone": [(jobs[0], jobs[0])],
            "new": [(jobs[1], jobs[1])],
        }
        [problem] = problems(root, result)
        assert problem["error"].startswith(f"job {jobs[2]} is left out: it is not done, or ended with status")
        (first,), (second,) = bacula.rows("SELECT VolumeName FROM Media JOIN JobMedia USING (MediaId) WHERE JobId < 3 GROUP BY JobId ORDER BY JobId")
        bacula.console(f"update volume={second} volstatus=Error", "", f"update volume={first} inchanger=yes slot=1")
        result = scan(root, declared(bacula.catalog))
        assert sorted(versions(root, result, bacula.data)) == ["gone", "kept"]
        assert f"job {jobs[1]}: 1 files are left out: medium {second} is Error" in [problem["error"] for problem in problems(root, result)]
        result = scan(tmp_path / "shelf", declared(bacula.catalog, access="offline"))
        assert versions(tmp_path / "shelf", result, bacula.data) == {}
        assert any(f"medium {first} is in the changer" in problem["error"] for problem in problems(tmp_path / "shelf", result))


DECLARED = """\
[classes.default]
waive = ["user_error"]

[volumes.data]
url = "data"
system = "nas-1"
site = "paris"
admin = "it"
device = "disk-1"

[volumes.tapes]
url = "bacula:work/bacula.db"
role = "backup"
of = ["data"]
path_map = { "DATA" = "data:" }
system = "library"
site = "lyon"
admin = "records"
device = "tapes"
media = "tape"
access = "offline"
"""


@pytest.mark.slow
@pytest.mark.parametrize(("signature", "reason"), [("SHA256", ""), ("MD5", "")])
def test_assets_are_covered_by_what_jobs_stored(tmp_path: Path, signature: str, reason: str) -> None:
    baculas.need()
    with Bacula(tmp_path, signature=signature) as bacula:
        for name in ("kept", "renamed", "changed"):
            write(bacula.data / name, name.encode())
        bacula.back_up()
    os.rename(bacula.data / "renamed", bacula.data / "another name")
    write(bacula.data / "changed", b"and after")
    (tmp_path / "lastcopy.toml").write_text(DECLARED.replace("DATA", str(bacula.data)))
    ask("scan", folder=tmp_path)
    rows = ask("report", "assets", "--format", "json", folder=tmp_path).data
    assert {row["path"]: (row["status"], row["reasons"], row["verification_level"]) for row in rows} == {
        "kept": ("protected", reason, 1),
        "another name": ("protected", "", 1) if signature == "SHA256" else ("unprotected", "never_copied", None),
        "changed": ("unprotected", "changed_since_copy", None),
    }
    [volume] = [row for row in ask("report", "volumes", "--format", "json", folder=tmp_path).data if row["volume"] == "tapes"]
    assert (volume["kind"], volume["state"]) == ("bacula", "complete")
    assert "nothing that it stores, or tells of, can be read here" in ask("fixity", "tapes", folder=tmp_path, code=5).err


def changed(path: Path, *statements: str) -> Path:
    """A catalog of one file, in which somebody changed something."""
    baculas.need()
    baculas.filled(path, [(b"/kept", state(stat.S_IFREG | 0o644, 4), digest(b"kept"), 1)])
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.executescript(statement)
    connection.close()
    return path


def test_names_within_the_table_of_files_are_read_too(tmp_path: Path, root: Path) -> None:
    """As since version 11."""
    columns = "FileId, FileIndex, JobId, PathId, Filename, DeltaSeq, MarkId, LStat, MD5"
    later = f"CREATE TABLE other AS SELECT {columns.replace('Filename', 'Name AS Filename')} FROM File JOIN Filename USING (FilenameId);"
    listing = changed(tmp_path / "b.db", later, "DROP TABLE File; DROP TABLE Filename; ALTER TABLE other RENAME TO File;")
    result = scan(root, declared(listing))
    assert [row["name"] for row in entries(root, result)] == ["kept"]


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE File SET LStat = 'P4A'", "cannot be understood"),
        ("UPDATE File SET LStat = replace(LStat, 'A', '!')", "a digit"),
        ("UPDATE File SET LStat = LStat || hex(zeroblob(6))", "a number of 13 digits"),
        ("UPDATE Job SET JobTDate = 9223372036854775807", "its jobs cannot be understood"),
        ("DROP TABLE Media", "it has no table Media"),
        ("DROP TABLE Job; CREATE VIEW Job AS SELECT 1", "it has no table Job"),
    ],
)
def test_a_catalog_that_cannot_be_understood_fails(tmp_path: Path, root: Path, statement: str, why: str) -> None:
    with pytest.raises(UnreachableError, match=why):
        scan(root, declared(changed(tmp_path / "b.db", statement)))
    assert snapshot.newest_scans(root) == {}


BROKEN: dict[str, Callable[[Path], object]] = {
    "no database": lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(5000)),
    "another file": lambda path: path.write_text("name,size\n"),
    "cut off": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a job is writing": lambda path: path.with_name("b.db-journal").write_bytes(b"x"),
    "of the future": lambda path: os.utime(path, (4_000_000_000, 4_000_000_000)),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_catalog_that_is_not_whole_fails(tmp_path: Path, root: Path, what: str) -> None:
    listing = changed(tmp_path / "b.db")
    BROKEN[what](listing)
    with pytest.raises(UnreachableError, match=r"volume v: .*b\.db: "):
        scan(root, declared(listing))
    assert snapshot.newest_scans(root) == {}


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE Path SET Path = '/../'", "leads out"),
        ("UPDATE Job SET PurgedFiles = 1", "its list of files was purged"),
        ("UPDATE Job SET JobStatus = 'R'", "it is not done"),
        ("UPDATE Job SET HasBase = 1", "base jobs"),
        ("UPDATE Media SET VolStatus = 'Recycle'", "medium Tape-1 is Recycle"),
        ("DELETE FROM Media", "that nobody knows is not in the catalog"),
        ("DELETE FROM JobMedia", "knows no medium"),
        ("UPDATE JobMedia SET FirstIndex = 2", "knows no medium"),
        ("UPDATE Job SET JobTDate = 4000000000", "in the future"),
    ],
)
def test_what_is_not_there_for_sure_is_left_out_and_told_of(tmp_path: Path, root: Path, statement: str, why: str) -> None:
    result = scan(root, declared(changed(tmp_path / "b.db", statement)))
    assert [row["name"] for row in entries(root, result) if row["type"] == "file"] == []
    [problem] = problems(root, result)
    assert why in problem["error"]


def test_files_of_an_incremental_job_end_with_the_differential_one_that_takes_its_place(tmp_path: Path, root: Path) -> None:
    copies = "INSERT INTO Job SELECT {n}, 'nightly.{n}', Name, Type, '{level}', ClientId, JobStatus, SchedTime, StartTime, EndTime, RealEndTime, JobTDate + {n}"
    copies += ", VolSessionId, VolSessionTime, JobFiles, JobBytes, ReadBytes, JobErrors, JobMissingFiles, PoolId, FileSetId, PriorJobId, PurgedFiles, HasBase"
    copies += (
        ", HasCache, Reviewed, Comment, FileTable FROM Job WHERE JobId = 1; INSERT INTO JobMedia (JobId, MediaId, FirstIndex, LastIndex) VALUES ({n}, 1, 1, 9);"
    )
    told = state(stat.S_IFREG | 0o644, 4)
    file = "INSERT INTO Filename VALUES ({n}, 'of {n}'); INSERT INTO File (FileId, FileIndex, JobId, PathId, FilenameId, LStat, MD5)"
    file += f" VALUES ({{n}}, 1, {{n}}, 1, {{n}}, '{told}', '0');"
    made = [text.format(n=n, level=level) for n, level in ((2, "I"), (3, "I"), (4, "D"), (5, "I"), (6, "F")) for text in (copies, file)]
    result = scan(root, declared(changed(tmp_path / "b.db", *made)))
    found = {row["name"]: (row["first_recovery_point"][-1], row["last_recovery_point"][-1], row["is_latest"]) for row in entries(root, result)}
    assert found == {
        "kept": ("1", "5", False),
        "of 2": ("2", "3", False),
        "of 3": ("3", "3", False),
        "of 4": ("4", "5", False),
        "of 5": ("5", "5", False),
        "of 6": ("6", "6", True),
    }


def test_a_catalog_holds_copies_of_the_machine_that_it_is_asked_for_and_no_originals(tmp_path: Path, root: Path) -> None:
    listing = changed(tmp_path / "b.db")
    with pytest.raises(RefusedError):
        scan(root, declared(listing, role="primary"))
    with pytest.raises(UnreachableError, match="none of its recovery points is of elsewhere"):
        scan(root, declared(listing, hosts=["elsewhere"]))
    assert scan(root, declared(listing, hosts=["nas"])).files == 1
