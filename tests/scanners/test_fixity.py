"""Reading again: what is known is read once more, from the storage, and what cannot be read is not forgotten."""

import mmap
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.errors import UnreachableError
from scanners import _stored
from tests.scanners.digesting import LARGE, Estate, sha256
from tests.scanners.spoiled import spoiled


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    return Estate(tmp_path)


@pytest.fixture
def estate_in_memory() -> Iterator[Estate]:
    """On a tmpfs, where a write through a mapping changes no time: what a storage does when it damages a file."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:  # a new folder, for us alone
        yield Estate(Path(folder))


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> set[bytes]:
    return spoiled(monkeypatch)


@pytest.mark.slow
def test_what_could_not_be_read_again_is_tried_at_each_scan_until_it_was_read(estate: Estate, spoil: set[bytes]) -> None:
    estate.put("a/file", b"same")
    estate.put("b/file", b"same")
    assert estate.scan_and_digest().read == 2
    spoil.add(b"same")
    estate.scan("b")
    assert estate.digest(volumes=["b"], again=True).problems == 1
    for _ in range(2):
        estate.scan()
        counts = estate.digest()
        assert (counts.read, counts.problems, estate.problems("b")) == (0, 1, [("file", "read")])
    (estate.folder / "a").rename(estate.folder / "unmounted")
    assert estate.digest(volumes=["b"]).problems == 0, "before its next scan it is not tried"
    (estate.folder / "unmounted").rename(estate.folder / "a")
    spoil.clear()
    assert estate.scan_and_digest().read == 1
    assert (estate.problems("a"), estate.problems("b")) == ([], [])
    assert estate.scan_and_digest().read == 0


@pytest.mark.slow
def test_what_could_not_be_read_stays_a_problem_where_nothing_is_read(estate: Estate, spoil: set[bytes]) -> None:
    estate.put("a/file", b"same")
    bad = estate.put("b/file", b"same")
    spoil.add(b"same")
    assert estate.scan_and_digest().problems == 2
    spoil.clear()
    for _ in range(2):
        assert estate.scan_and_digest(mode="off").problems == 2
        assert estate.digest(mode="off").problems == 0, "it is told once"
        assert estate.problems("b") == [("file", "read")]
    bad.chmod(0o600)  # another changed time mends nothing
    assert estate.scan_and_digest(mode="off").problems == 2
    assert estate.digest().read == 2


@pytest.mark.slow
def test_a_file_that_nobody_shares_its_size_with_any_more_is_tried_too(estate: Estate, spoil: set[bytes]) -> None:
    twin, bad = estate.put("a/file", b"x" * LARGE), estate.put("b/file", b"x" * LARGE)
    estate.scan_and_digest()
    spoil.add(b"x" * LARGE)
    estate.scan()
    assert estate.digest(again=True).problems == 2
    twin.unlink()
    estate.put("a/.keep", b"1")
    estate.scan()
    assert (estate.digest().problems, estate.problems("b")) == (1, [("file", "read")])
    spoil.clear()
    assert estate.scan_and_digest().read == 1
    assert estate.known(bad) == sha256(b"x" * LARGE)


@pytest.mark.slow
def test_within_a_budget_what_was_read_longest_ago_is_read_again_first(estate: Estate) -> None:
    for name, size in (("old", 300), ("middle", 200), ("young", 100)):
        estate.put(f"a/{name}", os.urandom(size))
        estate.scan_and_digest("all")
    estate.scan()

    def again(budget: int) -> list[str]:
        count = len(estate.rows())
        estate.digest("all", again=True, budget=budget)
        rows = sorted(estate.rows(), key=lambda row: row["digested_at"])
        return sorted(row["name"] for row in rows[count:])

    assert again(0) == []
    assert again(1) == ["old"], "one at least"
    assert again(250) == ["middle", "young"]
    assert again(300) == ["old"], "of the other two nobody knows which was read first"
    assert again(10_000) == ["middle", "old", "young"]


def test_what_could_not_be_read_takes_nothing_of_a_budget(estate: Estate, spoil: set[bytes]) -> None:
    estate.put("a/large", b"l" * 5000)
    estate.scan_and_digest("all")
    estate.put("a/small", b"s" * 100)
    estate.scan_and_digest("all")
    spoil.add(b"l" * 5000)
    for _ in range(2):
        estate.scan()
        counts = estate.digest("all", again=True, budget=50)
        failed = counts.problems
    assert (failed, counts.read) == (1, 1), "what can be read is read, though what cannot was read longest ago"


def test_what_was_never_read_is_read_whatever_the_budget(estate: Estate) -> None:
    estate.put("a/file", b"new")
    estate.scan()
    assert estate.digest("all", again=True, budget=0).read == 1


@pytest.mark.slow
def test_content_that_is_another_under_the_same_size_and_times_is_a_problem(estate_in_memory: Estate) -> None:
    estate = estate_in_memory
    good, bad = estate.put("a/good", b"good" * 2000), estate.put("a/bad", b"right" * 2000)
    estate.put("b/bad", b"right" * 2000)
    os.link(good, estate.folder / "a/linked")
    with bad.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0:5] = b"right"
        estate.scan_and_digest("all")
        before = bad.stat()
        mapped[0:5] = b"wrong"  # in memory no time tells of a second write
    assert (bad.stat().st_mtime_ns, bad.stat().st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)
    estate.scan()
    assert estate.digest("all").problems == 0, "what is known is not read"
    counts = estate.digest("all", again=True)
    assert (counts.read, counts.problems) == (3, 1)
    assert estate.problems("a") == [("bad", "damaged")]
    newest = max((row for row in estate.rows() if (row["volume"], row["name"]) == ("a", "bad")), key=lambda row: row["digested_at"])
    assert newest["digest"] == sha256(bad.read_bytes())
    assert estate.digest("all", again=True).problems == 0, "it is what it was at the last look"
    for mode in ("match", "off", "all"):
        estate.scan()
        assert estate.digest(mode).problems == 1
        assert estate.problems("a") == [("bad", "damaged")], "it is damaged until it is mended"
    with bad.open("r+b") as file:
        file.write(b"right")
    assert estate.scan_and_digest().problems == 0
    assert estate.problems("a") == []


def test_damage_is_told_after_scans_that_failed(estate_in_memory: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    estate = estate_in_memory
    file = estate.put("a/file", b"right")
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:
        mapped[:] = b"right"
        estate.scan_and_digest("all")
        mapped[:] = b"wrong"
        assert estate.digest("all", again=True).problems == 1
    monkeypatch.setattr("scanners.digest._EARLIER_SCANS", 1)
    (estate.folder / "a").rename(estate.folder / "away")
    for _ in range(2):
        with pytest.raises(UnreachableError):
            estate.scan()
    (estate.folder / "away").rename(estate.folder / "a")
    assert estate.scan_and_digest("off").problems == 1
    assert estate.problems("a") == [("file", "damaged")]


def test_damage_that_a_later_reading_does_not_find_is_none(estate_in_memory: Estate) -> None:
    estate = estate_in_memory
    file = estate.put("a/file", b"right")
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:
        mapped[:] = b"right"
        estate.scan_and_digest("all")
        for content in (b"wrong", b"right"):
            mapped[:] = content
            assert estate.digest("all", again=True).problems == 1
        assert estate.scan_and_digest("all").problems == 0


def test_what_one_volume_cannot_read_the_other_that_shows_the_file_reads_once_more(estate: Estate, spoil: set[bytes]) -> None:
    estate.put("b/in/file", b"same")
    estate.options |= {"a": {}, "c": {"url": str(estate.folder / "b/in")}}
    estate.put("a/file", b"same")
    assert estate.scan_and_digest().read == 3
    spoil.add(b"same")
    assert estate.digest(volumes=["c"], again=True).problems == 1
    spoil.clear()
    (estate.folder / "a").rename(estate.folder / "unmounted")
    estate.scan("b")
    assert estate.digest("off", volumes=["b"]).problems == 1, "it is told where it is not read"
    assert estate.problems("b") == [("in/file", "read")]
    estate.scan("b", "c")
    assert estate.digest(volumes=["b", "c"]).read == 2
    assert estate.digest().read == 0


def test_other_content_that_one_volume_found_is_looked_for_by_the_other(estate_in_memory: Estate) -> None:
    estate = estate_in_memory
    bad = estate.put("b/in/file", b"same")
    estate.options |= {"a": {}, "c": {"url": str(estate.folder / "b/in")}}
    estate.put("a/file", b"same")
    with bad.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[:] = b"same"
        assert estate.scan_and_digest().read == 3
        mapped[:] = b"rott"  # in memory no time tells of a second write
    assert estate.digest(volumes=["c"], again=True).problems == 1
    assert estate.digest().read == 1
    assert [row["volume"] for row in estate.rows() if row["digest"] == sha256(b"rott")] in (["b", "c"], ["c", "b"])
    assert estate.digest().read == 0


def test_only_the_volumes_that_are_given_are_read_again(estate: Estate) -> None:
    for volume in "ab":
        estate.put(f"{volume}/small", b"same")
        estate.put(f"{volume}/large", b"x" * LARGE)
    assert estate.scan_and_digest().read == 6, "of the large ones first a sample"
    estate.scan("b")
    counts = estate.digest(volumes=["b"], again=True)
    assert (counts.read, counts.bytes_read) == (2, LARGE + len(b"same"))
    assert {row["volume"] for row in sorted(estate.rows(), key=lambda row: row["digested_at"])[6:]} == {"b"}


def test_what_is_known_is_read_again_though_nobody_shares_its_size_any_more(estate: Estate) -> None:
    twins = [estate.put(f"a/{name}", content) for name, content in (("small", b"same"), ("large", b"x" * LARGE))]
    kept = [estate.put(f"b/{name}", content) for name, content in (("small", b"same"), ("large", b"x" * LARGE), ("never read", b"alone"))]
    estate.scan_and_digest()
    for twin in twins:
        twin.unlink()
    estate.put("a/.keep", b"1")
    estate.scan()
    assert estate.digest().read == 0
    counts = estate.digest(volumes=["b"], again=True)
    assert (counts.read, counts.bytes_read) == (2, LARGE + len(b"same"))
    assert [estate.known(file) is not None for file in kept] == [True, True, False]


@pytest.mark.parametrize("size", [4, LARGE, 3 * 1024 * 1024])
def test_what_is_read_again_comes_from_the_storage(estate: Estate, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    one, two = (estate.put(f"{volume}/file", os.urandom(1) * size) for volume in "ab")
    two.write_bytes(one.read_bytes())
    os.sync()
    read, real = list[int](), _stored.blocks

    def blocks(descriptor: int) -> Iterator[memoryview]:
        for block in real(descriptor):
            read.append(len(block))
            yield block

    monkeypatch.setattr(_stored, "blocks", blocks)
    estate.scan_and_digest()
    assert read == []
    before = from_disk()
    assert estate.digest(again=True).problems == 0
    assert sum(read) >= 2 * size
    assert estate.known(one) == estate.known(two) == sha256(one.read_bytes())
    if on_a_disk(estate.folder):
        assert from_disk() - before >= 2 * size


def from_disk() -> int:
    """The bytes that this process has had a disk read."""
    return int(dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())["read_bytes"])


def on_a_disk(folder: Path) -> bool:
    return subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, check=True, text=True).stdout.strip() in ("ext2/ext3", "xfs", "btrfs")
