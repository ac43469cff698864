"""What was read of a copy after a plan was made: it decides whether the floor may rest on the copy, at the plan and at the job."""

import datetime
import hashlib
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from catalog import table
from catalog.schema import DIGESTS
from lifecycle.manifest import Copy
from lifecycle.readings import Readings
from tests.lifecycle import estate
from tests.lifecycle.estate import Estate
from tests.lifecycle.grounds import Grounds, details, paths, refusals
from tests.scanners.spoiled import spoiled

CONTENT = b"what two volumes hold"


@pytest.fixture
def grounds(tmp_path: Path) -> Grounds:
    made = Grounds(tmp_path)
    for volume in ("data", "far"):
        made.write(volume, "f", CONTENT)
        made.write(volume, "g", b"of no concern")
    return made.scanned().prepared("data", "vault")


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> set[bytes]:
    return spoiled(monkeypatch)


def tried_again(grounds: Grounds, spoil: set[bytes]) -> None:
    """Read the copies again while their content is spoiled."""
    spoil.add(CONTENT)
    assert "1 could not be read" in grounds.ask("fixity", "far", code=4).err
    spoil.clear()


@pytest.mark.slow
def test_no_plan_rests_on_a_copy_that_could_not_be_read_since(grounds: Grounds, spoil: set[bytes]) -> None:
    wanted: dict[str, Any] = {"to": "vault", "min_copies": 2, "where": "path IN ('f', 'g')"}
    assert paths(grounds.plan("archive", **wanted)) == [b"f", b"g"]
    tried_again(grounds, spoil)
    made = grounds.plan("archive", **wanted)
    assert (paths(made), refusals(made)) == ([b"g"], {"f": "floor_not_reachable"}), list(details(made))
    grounds.ask("fixity", "far")
    assert paths(grounds.plan("archive", **wanted)) == [b"f", b"g"]


@pytest.mark.slow
def test_no_job_rests_on_a_copy_that_could_not_be_read_since_its_plan(grounds: Grounds, spoil: set[bytes]) -> None:
    made = grounds.plan("archive", to="vault", min_copies=2, where="path IN ('f', 'g')")
    grounds.ask("plan", "approve", made.id)
    tried_again(grounds, spoil)
    job = grounds.ask("job", "run", made.id, "--format", "json", code=4).data
    assert job["counts"] == {"QUARANTINED": 1, "REFUSED": 1}
    assert "far:f: it could not be read when that was tried last" in grounds.ask("job", "show", job["id"]).out.decode()
    assert os.path.exists(grounds.at("data", "f"))


@pytest.fixture
def small(tmp_path: Path) -> Estate:
    made = estate.made(tmp_path)
    for volume in ("prod", "a"):
        made.write(volume, "f", CONTENT)
    return made


def read(small: Estate, copy: Copy, after_us: int, content: bytes | None, **more: Any) -> None:  # noqa: ANN401  columns of `digests`
    """Have the catalog know a reading of a copy, that long after its evidence."""
    assert copy.verified_us is not None
    found, epoch = copy.fingerprint, datetime.datetime(1970, 1, 1)
    folder, _, name = copy.path.decode().rpartition("/")
    row = {
        "volume": copy.volume,
        "dir": f"{folder}/" if folder else "",
        "name": name,
        "fs_id": found.fs_id,
        "inode": found.inode,
        "size_bytes": found.size_bytes,
        "modified_at": epoch + datetime.timedelta(microseconds=found.modified_ns // 1000),
        "modified_ns": found.modified_ns % 1000,
        "digest": None if content is None else hashlib.sha256(content).digest(),
        "digested_at": epoch + datetime.timedelta(microseconds=copy.verified_us + after_us),
        **more,
    }
    table.append(small.root, "digests", pa.Table.from_pylist([row], DIGESTS), f"test {after_us} {content!r} {more}")


def deleted(small: Estate, copy: Copy) -> tuple[list[str], str]:
    """What came of a job that takes the file of `prod` away, where one copy must stay."""
    made = small.job([small.step(1, "f", "delete", evidence=[copy])], "delete")
    small.carry_out(made)
    return small.states(made), small.reasons(made)


@pytest.mark.parametrize(
    ("readings", "state", "reason"),
    [
        ([(1, b"other content")], "REFUSED", "its content differs"),
        ([(1, None)], "REFUSED", "it could not be read when that was tried last"),
        ([(1, CONTENT), (2, None)], "REFUSED", "it could not be read when that was tried last"),
        ([(1, None), (2, CONTENT)], "QUARANTINED", ""),
        ([(1, b"other content"), (2, CONTENT)], "QUARANTINED", ""),
        ([(0, None)], "QUARANTINED", ""),
        ([(-1, b"other content")], "QUARANTINED", ""),
    ],
)
def test_the_newest_reading_decides(small: Estate, readings: list[tuple[int, bytes | None]], state: str, reason: str) -> None:
    copy = small.copy("a", "f")
    for after_us, content in readings:
        read(small, copy, after_us, content)
    states, told = deleted(small, copy)
    assert states == [state]
    assert reason in told
    assert small.there("prod", "f") == (state == "REFUSED")


def test_a_sample_is_no_reading(small: Estate) -> None:
    copy = small.copy("a", "f")
    read(small, copy, 1, None, sample=b"s" * 32)
    assert deleted(small, copy)[0] == ["QUARANTINED"]


@pytest.mark.parametrize(
    "other", [{"inode": 1}, {"size_bytes": 1}, {"fs_id": "another"}, {"modified_at": datetime.datetime(2020, 1, 1)}, {"modified_ns": 1000}]
)
def test_what_was_read_of_another_file_says_nothing_of_a_copy(small: Estate, other: dict[str, Any]) -> None:
    copy = small.copy("a", "f")
    read(small, copy, 1, b"other content", **other)
    assert deleted(small, copy)[0] == ["QUARANTINED"]


@pytest.mark.parametrize("content", [b"other content", None])
def test_what_another_volume_read_of_the_very_file_counts_too(small: Estate, content: bytes | None) -> None:
    copy = small.copy("a", "f")
    read(small, copy, 1, content, volume="b")
    read(small, copy, 2, CONTENT)
    assert deleted(small, copy)[0] == ["REFUSED"]


def test_where_a_storage_numbers_no_files_their_paths_tell_them_apart(small: Estate) -> None:
    known = small.copy("a", "f")
    one, two = (Copy("a", path, known.fingerprint._replace(inode=None), known.verified_us) for path in (b"d/one", b"two"))
    read(small, one, 1, b"other content")
    assert Readings(small.root, -1).of([one, two]) == {one: {hashlib.sha256(b"other content").digest()}}


def test_only_readings_since_a_version_are_looked_through(small: Estate) -> None:
    copy = small.copy("a", "f")
    read(small, copy, 1, None)
    known = table.version(small.root, "digests")
    assert Readings(small.root, known).of([copy]) == {}
    since = Readings(small.root, known)
    assert since.of([copy]) == {}
    read(small, copy, 2, b"other content")
    assert since.of([copy, copy]) == {copy: {hashlib.sha256(b"other content").digest()}}
    assert Readings(small.root, 99).of([copy]) == since.of([copy]), "a version that nobody has any more hides nothing"
