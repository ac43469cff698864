"""Digests on real trees: what is read, what is not, and that whatever is stored was true."""

import datetime
import hashlib
import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog import stubs, table
from catalog.errors import CatalogError
from scanners import candidates, reading
from scanners.digest import DigestCounts
from tests.scanners.digesting import KIB, LARGE, Estate, sha256


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    return Estate(tmp_path)


def files(folder: Path) -> list[Path]:
    return [Path(os.fsdecode(os.path.join(at, name))) for at, _, names in os.walk(os.fsencode(folder)) for name in names]


def test_every_digest_is_that_of_hashlib_whatever_the_name_the_size_and_the_depth(estate: Estate) -> None:
    odd = [b"plain", b"\xff\xfe", b"new\nline", b"back\\slash", b"\\x41", "bidi\u202egpj".encode(), "\u00e9".encode(), b" ", b"-rf", b"a" * 255]
    sizes = [1, 4095, 4096, 4097, 8192, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 70 * KIB, KIB * KIB, 3 * KIB * KIB + 1]
    for number, size in enumerate(sizes):
        name = os.fsdecode(odd[number % len(odd)])
        estate.put(f"a/{name}/{number}/{name}", bytes([number]) * size)
    estate.put("a/" + "deep/" * 80 + "file", b"deep")
    estate.put("a/" + "deep/" * 80 + "other", b"deep too")
    estate.put("a/" + "deep/" * 79 + "file", b"less deep")
    counts = estate.scan_and_digest(mode="all")
    found = files(estate.folder / "a")
    assert counts.read == counts.wanted == counts.files == len(found) == len(sizes) + 3
    assert counts.bytes_read == counts.wanted_bytes == sum(file.stat().st_size for file in found)
    for file in found:
        assert estate.known(file) == sha256(file.read_bytes())


def test_only_files_whose_size_another_file_has_are_read(estate: Estate) -> None:
    twin, copy, alone = estate.put("a/twin", b"same"), estate.put("b/other-name", b"same"), estate.put("a/alone", b"nobody has this size")
    counts = estate.scan_and_digest()
    assert (counts.read, counts.bytes_read) == (2, 8)
    assert estate.known(twin) == estate.known(copy) == sha256(b"same")
    assert estate.known(alone) is None


@pytest.mark.parametrize("size", [9, LARGE])
def test_what_a_stub_stands_for_is_read_though_no_other_file_has_its_size(estate: Estate, size: int) -> None:
    archived, alone = estate.put("vault/old/it", b"x" * size), estate.put("vault/old/other", b"x" * (size + 1))
    for name, path, told in (("it", "old/it", size), ("other", "old/other", size), ("gone", "gone", size)):
        stub = estate.put(f"a/{name}", stubs.write(stubs.Stub("vault", path, sha256(archived.read_bytes()), told)))
        stub.chmod(0o444)
        os.utime(stub, (1, 1))
    estate.scan_and_digest()
    assert estate.known(archived) == sha256(archived.read_bytes())
    assert estate.known(alone) is None


def test_a_second_run_reads_nothing(estate: Estate) -> None:
    estate.put("a/1", b"same")
    estate.put("a/2", b"same")
    for name, head in (("3", b"x"), ("4", b"x"), ("5", b"y")):
        estate.put(f"a/{name}", head * LARGE)
    first = estate.scan_and_digest()
    assert first.read == 3 + 2 + 2  # samples, small files, and the two that their samples do not part
    again = estate.scan_and_digest()
    assert (again.files, again.carried, again.wanted, again.read, again.bytes_read) == (5, 5, 0, 0, 0)


def test_what_is_known_is_read_once_more_where_that_is_asked_for_and_shows_what_rotted(estate: Estate) -> None:
    whole = estate.put("a/same", b"x" * 100)
    rotten = estate.put("b/same", b"x" * 100)
    large = [estate.put(f"{volume}/large", b"y" * LARGE) for volume in "ab"]
    assert estate.scan_and_digest().read == 6  # of large files first a sample
    before = os.stat(rotten)
    rotten.write_bytes(b"x" * 99 + b"!")
    os.utime(rotten, ns=(before.st_atime_ns, before.st_mtime_ns))
    estate.scan("b")
    assert estate.digest(again=True).read == 4, "whole at once"
    assert estate.known(rotten) == sha256(b"x" * 99 + b"!")
    assert estate.known(whole) == sha256(b"x" * 100)
    assert estate.digest().read == 0
    times = {
        file: [row["digested_at"] for row in estate.rows() if row["volume"] == "a" and row["name"] == file and row["digest"]] for file in ("same", "large")
    }
    assert all(len(set(found)) == 2 for found in times.values()), times
    assert {estate.known(file) for file in large} == {sha256(b"y" * LARGE)}


def test_empty_files_are_never_read(estate: Estate) -> None:
    estate.put("a/empty", b"")
    estate.put("b/empty", b"")
    assert estate.scan_and_digest(mode="all") == DigestCounts()
    assert estate.rows() == []


def test_links_and_special_files_are_never_read(estate: Estate) -> None:
    target = estate.put("a/target", b"12345")
    (estate.folder / "a/link").symlink_to(target)  # its size differs; its target's does not matter
    os.mkfifo(estate.folder / "a/fifo")
    estate.put("a/other", b"54321")
    assert estate.scan_and_digest(mode="all").read == 2


def test_a_hard_linked_file_is_read_once(estate: Estate) -> None:
    first = estate.put("a/first", b"linked")
    for name in ("second", "third"):
        os.link(first, estate.folder / "a" / name)
    estate.put("a/copy", b"linked")
    counts = estate.scan_and_digest()
    assert (counts.files, counts.wanted, counts.read, counts.bytes_read) == (4, 2, 2, 12)
    assert estate.known(estate.folder / "a/third") == sha256(b"linked")


def test_names_of_one_file_alone_are_no_reason_to_read_it(estate: Estate) -> None:
    first = estate.put("a/first", b"linked")
    os.link(first, estate.folder / "a/second")
    assert estate.scan_and_digest().read == 0


def test_a_file_that_was_found_elsewhere_is_not_read_again(estate: Estate) -> None:
    estate.put("a/folder/1", b"same")
    estate.put("a/folder/2", b"same")
    first = estate.folder / "a/folder/1"
    os.link(first, estate.folder / "a/third")
    estate.scan_and_digest()
    (estate.folder / "a/folder").rename(estate.folder / "a/renamed")
    counts = estate.scan_and_digest()
    assert (counts.carried, counts.read) == (3, 0)
    assert estate.known(estate.folder / "a/renamed/2") == sha256(b"same")


def test_changed_content_is_read_again(estate: Estate) -> None:
    file = estate.put("a/1", b"before")
    estate.put("a/2", b"before")
    estate.scan_and_digest()
    file.write_bytes(b"after!")
    assert estate.scan_and_digest().read == 1
    assert estate.known(file) == sha256(b"after!")


def test_a_change_of_the_changed_time_alone_is_read_again(estate: Estate) -> None:
    file = estate.put("a/1", b"before")
    estate.put("a/2", b"before")
    estate.scan_and_digest()
    old = file.stat()
    file.write_bytes(b"forged")
    os.utime(file, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert estate.scan_and_digest().read == 1
    assert estate.known(file) == sha256(b"forged")


def test_large_files_of_one_size_with_another_head_keep_only_their_sample(estate: Estate) -> None:
    one, two = estate.put("a/1", b"1" * LARGE), estate.put("b/1", b"2" * LARGE)
    counts = estate.scan_and_digest()
    assert (counts.read, counts.bytes_read) == (2, 4 * 4096)
    for file in (one, two):
        assert estate.known(file) is None
        content = file.read_bytes()
        assert estate.known(file, "sample") == sha256(content[:4096] + content[-4096:])


def test_large_files_that_differ_only_in_the_middle_are_read_whole(estate: Estate) -> None:
    contents = [b"a" * LARGE, b"a" * (LARGE // 2) + b"b" + b"a" * (LARGE // 2 - 1), b"a" * LARGE]
    found = [estate.put(f"a/{number}", content) for number, content in enumerate(contents)]
    estate.scan_and_digest()
    assert [estate.known(file) for file in found] == [sha256(content) for content in contents]
    assert len({estate.known(file, "sample") for file in found}) == 1


def test_a_large_file_that_comes_later_meets_the_sample_of_an_earlier_one(estate: Estate) -> None:
    early = estate.put("a/early", b"x" * LARGE)
    estate.put("a/unlike", b"y" * LARGE)
    estate.scan_and_digest()
    assert estate.known(early) is None
    late = estate.put("b/late", b"x" * LARGE)
    estate.scan("b")
    counts = estate.digest(volumes=["b"])
    assert counts.read == 1 + 2
    assert estate.known(early) == estate.known(late) == sha256(b"x" * LARGE)


def test_a_whole_read_of_a_large_file_keeps_its_sample_too(estate: Estate) -> None:
    file = estate.put("a/1", os.urandom(3 * KIB * KIB + 5))
    estate.scan_and_digest(mode="all")
    content = file.read_bytes()
    assert (estate.known(file), estate.known(file, "sample")) == (sha256(content), sha256(content[:4096] + content[-4096:]))


def test_off_reads_nothing(estate: Estate) -> None:
    estate.put("a/1", b"same")
    estate.put("a/2", b"same")
    assert estate.scan_and_digest(mode="off") == DigestCounts()
    estate.options["a"]["digest"] = "off"
    assert estate.digest() == DigestCounts()
    assert estate.rows() == []


def test_the_mode_of_a_run_holds_for_the_volumes_that_were_just_scanned(estate: Estate) -> None:
    estate.put("a/alone", b"1")
    estate.put("b/alone", b"22")
    estate.scan()
    assert estate.digest(mode="all", volumes=["a"]).read == 1
    assert [row["volume"] for row in estate.rows()] == ["a"]


def test_an_offline_medium_is_read_whole(estate: Estate) -> None:
    estate.put("a/alone", b"1")
    shelved = estate.put("shelf/alone", b"22")
    estate.options["shelf"]["access"] = "offline"
    assert estate.scan_and_digest().read == 1
    assert estate.known(shelved) == sha256(b"22")


def test_a_volume_scanned_earlier_is_asked_for_what_a_new_scan_shows_to_matter(estate: Estate) -> None:
    early = estate.put("a/file", b"same")
    estate.scan_and_digest()
    assert estate.known(early) is None
    estate.put("b/file", b"same")
    estate.scan("b")
    assert estate.digest(volumes=["b"]).read == 2
    assert estate.known(early) == sha256(b"same")


def test_a_volume_that_is_not_there_now_stays_unknown_without_a_problem(estate: Estate) -> None:
    estate.put("a/file", b"same")
    estate.scan()
    (estate.folder / "a").rename(estate.folder / "unmounted")
    estate.put("b/file", b"same")
    estate.scan("b")
    assert estate.digest(volumes=["b"]).read == 1
    assert estate.problems("a") == []


def test_a_file_that_is_gone_or_was_changed_is_a_problem_of_a_scan_of_today_and_of_an_old_one(estate: Estate) -> None:
    for volume in "ab":
        for name in "123":
            estate.put(f"{volume}/{name}", b"same")
    estate.scan()
    for volume in "ab":
        (estate.folder / volume / "1").unlink()
        estate.put(f"{volume}/2", b"more")
    counts = estate.digest(volumes=["b"])
    assert (counts.read, counts.problems) == (2, 4)
    assert estate.problems("a") == estate.problems("b") == [("1", "open"), ("2", "changed")]


def test_what_failed_is_not_tried_again_before_the_next_scan(estate: Estate) -> None:
    gone = estate.put("a/gone\u202e", b"same")
    estate.put("a/kept", b"same")
    estate.scan()
    gone.unlink()
    assert estate.digest().problems == 1
    assert estate.digest() == DigestCounts(files=2, carried=1)
    assert estate.problems("a") == [(r"gone\xe2\x80\xae", "open")]
    gone.write_bytes(b"same")
    assert estate.scan_and_digest().read == 1


def test_another_name_is_read_if_the_first_of_a_file_is_gone(estate: Estate) -> None:
    first = estate.put("a/1", b"same")
    os.link(first, estate.folder / "a/2")
    estate.put("a/3", b"same")
    estate.scan()
    (estate.folder / "a/1").rename(estate.folder / "a/9")
    changed = estate.digest()  # the rename changed the time of the file itself too
    assert (changed.read, changed.problems) == (1, 1)
    again = estate.digest()
    assert (again.wanted, again.problems) == (1, 1)
    assert estate.problems("a") == [("1", "open"), ("2", "changed")]


@pytest.mark.parametrize("size", [20 * KIB, 3 * KIB * KIB], ids=["small", "large"])
@pytest.mark.parametrize("harm", ["append", "truncate", "overwrite"])
def test_a_file_that_changes_while_it_is_read_gets_a_problem_and_no_digest(estate: Estate, monkeypatch: pytest.MonkeyPatch, size: int, harm: str) -> None:
    victim, bystander = estate.put("a/victim", b"v" * size), estate.put("a/bystander", b"b" * 10)
    real = os.read
    done: list[bool] = []

    def read(descriptor: int, length: int) -> bytes:
        data = real(descriptor, length)
        if data.startswith(b"v") and not done:
            done.append(True)
            change(victim, harm)
        return data

    def change(file: Path, how: str) -> None:
        with file.open("r+b") as handle:
            if how == "truncate":
                handle.truncate(size // 2)
            else:
                handle.seek(0, os.SEEK_END if how == "append" else os.SEEK_SET)
                handle.write(b"changed")

    estate.scan()
    time.sleep(0.02)  # beyond the tick of the kernel's clock
    monkeypatch.setattr(reading, "_read", read)
    counts = estate.digest(mode="all")
    assert done
    assert (counts.read, counts.problems) == (1, 1)
    assert estate.problems("a") == [("victim", "changed")]
    assert [row["name"] for row in estate.rows()] == ["bystander"]
    assert estate.known(bystander) == sha256(b"b" * 10)


@pytest.mark.parametrize("number", [5, 13])
def test_a_file_that_cannot_be_read_is_a_problem_with_its_errno(estate: Estate, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    estate.put("a/bad", b"bad!")
    estate.put("a/good", b"good")

    def read(descriptor: int, length: int) -> bytes:
        data = os.pread(descriptor, length, 0)
        if data == b"bad!":
            raise OSError(number, os.strerror(number))
        return data

    estate.scan()
    monkeypatch.setattr(reading, "_read", read)
    assert (estate.digest().read, estate.problems("a")) == (1, [("bad", "read")])
    rows = table.read(estate.catalog, "problems").to_pylist()
    assert [(row["errno"], row["error"]) for row in rows] == [(number, os.strerror(number))]


@pytest.mark.parametrize("what", ["directory", "file"])
def test_a_link_put_in_place_of_what_was_scanned_is_not_followed(estate: Estate, what: str) -> None:
    estate.put("a/dir/file", b"same")
    estate.put("a/other", b"same")
    estate.scan()
    place = estate.folder / "a" / ("dir" if what == "directory" else "dir/file")
    elsewhere = estate.folder / "elsewhere"
    place.rename(elsewhere)
    place.symlink_to(elsewhere)
    assert estate.digest().problems == 1
    assert estate.problems("a") == [("dir/file", "open")]
    assert [row["name"] for row in estate.rows()] == ["other"]


def test_a_fifo_put_in_place_of_a_file_does_not_hold_up_the_run(estate: Estate) -> None:
    file = estate.put("a/file", b"same")
    estate.put("a/other", b"same")
    estate.scan()
    file.unlink()
    os.mkfifo(file)
    assert estate.digest().problems == 1
    assert estate.problems("a") == [("file", "changed")]


def test_times_beyond_64_bits_of_nanoseconds_are_compared_too(estate: Estate) -> None:
    future = 10_400_000_000 * 10**9 + 123_456_789  # the year 2299
    for name in "12":
        os.utime(estate.put(f"a/{name}", b"same"), ns=(future, future))
    assert estate.scan_and_digest().read == 2
    os.utime(estate.folder / "a/1", ns=(future, future + 1))
    assert estate.digest().carried == 2
    assert estate.scan_and_digest().read == 1


def test_reading_leaves_the_access_time_of_our_own_files_alone(estate: Estate) -> None:
    file = estate.put("a/1", b"same")
    estate.put("a/2", b"same")
    os.utime(file, (1_000_000_000, 1_600_000_000))
    assert estate.scan_and_digest().read == 2
    assert file.stat().st_atime == 1_000_000_000


@pytest.mark.parametrize("tick_ns", [2_000_000_000, 10_000_000])
def test_a_file_is_read_when_a_further_write_would_show_in_its_times(estate: Estate, monkeypatch: pytest.MonkeyPatch, tick_ns: int) -> None:
    real = os.fstat

    def coarse(descriptor: int) -> Any:  # noqa: ANN401 - what fstat gives, by a clock that ticks seldom
        found = real(descriptor)
        times = {name: getattr(found, name) // tick_ns * tick_ns for name in ("st_mtime_ns", "st_ctime_ns")}
        return SimpleNamespace(**times, **{name: getattr(found, name) for name in ("st_mode", "st_ino", "st_size")})

    file = estate.put("a/x", b"first")
    monkeypatch.setattr(os, "fstat", coarse)
    with file.open("rb") as opened:
        status = coarse(opened.fileno())
    before = [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    request = reading.Request(bytes(file.parent), [b""], [1], np.array([0, 1], np.int32).tobytes(), b"x", np.array(before, np.int64).tobytes(), b"\1")
    read = reading.read_files(request)
    file.write_bytes(b"other")
    with file.open("rb") as opened:
        after = coarse(opened.fileno())
    assert read.digests == [hashlib.sha256(b"first").digest()]
    assert [after.st_ino, after.st_size, after.st_mtime_ns, after.st_ctime_ns] != before


def test_sparse_files_beyond_what_is_read_of_such_in_a_run_are_problems(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(candidates.HOLLOW, "least_bytes", LARGE)
    monkeypatch.setitem(candidates.HOLLOW, "most_bytes", 3 * LARGE)
    for name, size in (("little", LARGE), ("more", 2 * LARGE), ("vast", 2**43), ("full", LARGE)):
        for volume in "ab":
            file = estate.put(f"{volume}/{name}", b"" if name != "full" else bytes(LARGE - 1) + b"x")
            os.truncate(file, size)
    counts = estate.scan_and_digest()
    assert (counts.problems, estate.problems("a"), estate.problems("b")) == (4, [("more", "read"), ("vast", "read")], [("more", "read"), ("vast", "read")])
    assert [estate.known(estate.folder / "a" / name) for name in ("little", "full")] == [sha256(bytes(LARGE)), sha256(bytes(LARGE - 1) + b"x")]
    assert estate.known(estate.folder / "a/vast") is None
    assert estate.digest().problems == 0  # before the next scan they are not tried again


def test_what_a_program_writes_through_a_mapping_after_the_read_shows_at_the_next_scan(estate: Estate) -> None:
    for volume in "ab":
        estate.put(f"{volume}/table", b"A" * 8192)
    with (estate.folder / "a/table").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0:1] = b"B"  # the page waits for its write-back, the times are of now
        (estate.folder / "b/table").write_bytes(mapped[:])
        estate.scan_and_digest()
        time.sleep(0.02)  # beyond the tick of the kernel's clock
        mapped[1:5] = b"LOST"
        assert estate.scan_and_digest().read == 1
    assert estate.known(estate.folder / "a/table") == sha256(b"BLOST".ljust(8192, b"A"))


def test_an_access_time_that_our_reading_changed_lies_within_it(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    file = estate.put("a/1", b"same")
    estate.put("a/2", b"same")
    os.utime(file, (1_000_000_000, 1_600_000_000))
    monkeypatch.setattr(reading, "_NOATIME", 0)
    estate.scan_and_digest()
    accessed = datetime.datetime.fromtimestamp(file.stat().st_atime, datetime.UTC).replace(tzinfo=None)
    if accessed.year == 2001:
        pytest.skip("this file system keeps no access times")
    row = next(row for row in estate.rows() if row["name"] == "1")
    assert row["accessed_at"] == datetime.datetime(2001, 9, 9, 1, 46, 40)
    assert row["read_started_at"] <= accessed <= row["digested_at"]


def many(estate: Estate, count: int) -> list[Path]:
    return [estate.put(f"a/{number % 7}/{number}", b"%06d" % (number // 2)) for number in range(count)]


def test_processes_read_the_same_as_this_one(estate: Estate) -> None:
    found = many(estate, 3000)
    seen: list[DigestCounts] = []
    counts = estate.scan_and_digest(progress=seen.append)
    assert (counts.read, counts.bytes_read, seen[-1]) == (3000, 18000, counts)
    assert len(seen) >= 3
    stored = {row["dir"] + row["name"]: row["digest"] for row in estate.rows()}
    assert stored == {str(file.relative_to(estate.folder / "a")): sha256(file.read_bytes()) for file in found}


_DRIVER = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tests.scanners.digesting import Estate
from scanners import candidates, digest
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run in the background
candidates.CHUNK_FILES, digest.GROUP_FILES, seen = 50, 500, []
def progress(counts):
    seen.append(counts)
    if len(seen) == {after}:
        pids = Path(f"/proc/self/task/{{os.getpid()}}/children").read_text()
        print(pids, flush=True)
        os.kill(os.getpid(), signal.{signal})
Estate(Path({folder!r}), {{"a": {{}}}}).digest(progress=progress)
"""


def interrupted(estate: Estate, after: int, number: str) -> tuple[int, list[int]]:
    """The exit code of a run that is sent a signal after so many chunks, and its reading processes."""
    program = _DRIVER.format(tests=str(Path(__file__).parents[2]), folder=str(estate.folder), after=after, signal=number)
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return done.returncode, [int(pid) for pid in done.stdout.split()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow_but_first
@pytest.mark.parametrize("after", [1, 15, 40])
def test_a_killed_run_leaves_no_process_and_the_next_goes_on_where_it_stopped(estate: Estate, after: int) -> None:
    found = many(estate, 3000)
    estate.scan()
    code, readers = interrupted(estate, after, "SIGKILL")
    assert code == -signal.SIGKILL
    assert len(readers) == 2
    wait_until(lambda: not any(is_running(pid) for pid in readers))
    kept = len(estate.rows())
    assert kept >= max(0, after * 50 - 1000)
    counts = estate.digest()
    assert (counts.carried, counts.read) == (kept, 3000 - kept)
    assert {row["inode"]: row["digest"] for row in estate.rows()} == {file.stat().st_ino: sha256(file.read_bytes()) for file in found}


def test_an_interrupted_run_keeps_all_that_it_read(estate: Estate) -> None:
    many(estate, 3000)
    estate.scan()
    code, readers = interrupted(estate, 15, "SIGINT")
    assert code == -signal.SIGINT
    assert not any(is_running(pid) for pid in readers)
    assert len(estate.rows()) == 15 * 50


def test_a_reading_process_that_dies_is_said_and_what_was_read_is_kept(estate: Estate) -> None:
    many(estate, 3000)
    estate.scan()

    def progress(counts: DigestCounts) -> None:
        if counts.read < 1100:
            for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
                if b"reading.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(int(pid), signal.SIGKILL)

    with pytest.raises(CatalogError, match="ended with code -9"):
        estate.digest(progress=progress)
    assert 0 < len(estate.rows()) < 3000
    estate.digest()
    assert len(estate.rows()) == 3000


CONTENTS = st.tuples(st.sampled_from([0, 1, 5, 64 * KIB, 64 * KIB + 1, LARGE]), st.sampled_from([b"x", b"y"]), st.sampled_from([b"", b"m"]))


def content(kind: tuple[int, bytes, bytes]) -> bytes:
    size, head, middle = kind
    half = head * (size // 2)
    return (half + middle + head * size)[:size]


@pytest.mark.slow
@given(trees=st.lists(st.dictionaries(st.sampled_from("abcdef"), CONTENTS, max_size=6), min_size=2, max_size=2))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_exactly_the_files_that_could_have_a_copy_get_a_digest(
    trees: list[dict[str, tuple[int, bytes, bytes]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    estate = Estate(tmp_path_factory.mktemp("estate"))
    contents = {estate.put(f"{volume}/{name}", content(kind)): content(kind) for volume, tree in zip("vw", trees, strict=True) for name, kind in tree.items()}
    for volume in "vw":
        estate.put(f"{volume}/.keep", b"")
    estate.scan_and_digest()
    for file, bytes_ in contents.items():
        others = [other for path, other in contents.items() if path != file and len(other) == len(bytes_)]
        sample = bytes_[:4096] + bytes_[-4096:]
        alike = others if len(bytes_) <= 64 * KIB else [other for other in others if other[:4096] + other[-4096:] == sample]
        expected = sha256(bytes_) if bytes_ and alike else None
        assert estate.known(file) == expected
        assert estate.known(file, "sample") == (sha256(sample) if others and len(bytes_) > 64 * KIB else None)
