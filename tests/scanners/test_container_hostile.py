"""Hostile archives: each is a problem that names it, and never a wrong entry, a crash or a full disk."""

import bz2
import gzip
import hashlib
import lzma
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog import names
from scanners import _unpacking
from tests.scanners import archives
from tests.scanners.archives import declared_of, member, read, scanned, tar, zipped
from tests.scanners.contract import Item, entries, paths, problems, scan

HOSTILE = {
    "leads out": (b"../out", "leads out"),
    "leads out from within": (b"a/../../out", "leads out"),
    "absolute": (b"/etc/passwd", "absolute"),
    "too long": (b"x/" * 3000 + b"y", "longer"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_name_that_no_entry_can_have_is_a_problem_that_names_it(tmp_path: Path, case: str) -> None:
    name, why = HOSTILE[case]
    found, [(path, error)] = scanned(tmp_path, tar(member(b"good", b"1"), member(name, b"2")))
    assert list(found) == [b"good"]
    assert path == names.escape(name)[:4096]
    assert why in error


def test_a_nul_in_a_name_is_a_problem_that_shows_it(tmp_path: Path) -> None:
    packed = tar(member("good"), member("x", pax_headers={"path": "safe\0.exe"}), form=tarfile.PAX_FORMAT)
    found, [(path, error)] = scanned(tmp_path, packed)
    assert list(found) == [b"good"]
    assert (path, "NUL" in error) == (r"safe\x00.exe", True)
    content = zipped([("good", b"1"), ("safe_.exe", b"2")]).replace(b"safe_.exe", b"safe\0.exe")
    found, [(path, error)] = scanned(tmp_path / "catalog" / "..", content, "a.zip")
    assert list(found) == [b"good"]
    assert (path, "NUL" in error) == (r"safe\x00.exe", True)


def test_names_that_differ_only_in_case_are_two_entries(tmp_path: Path) -> None:
    found, wrong = scanned(tmp_path, tar(member("Readme", b"1"), member("README", b"22")))
    assert {name: row["size_bytes"] for name, row in found.items()} == {b"Readme": 1, b"README": 2}
    assert wrong == []


def test_of_several_members_of_one_name_tar_gives_the_last(tmp_path: Path) -> None:
    found, [(path, error)] = scanned(
        tmp_path, tar(member("x", b"old"), member("./x", b"newer"), member("d", kind=tarfile.DIRTYPE), member("d", kind=tarfile.DIRTYPE))
    )
    assert {name: row["size_bytes"] for name, row in found.items()} == {b"x": 5, b"d": 0}
    assert path == "x"
    assert "2 members" in error
    digests, _, _ = read(tmp_path, declared_of(tmp_path / "a.tar"))
    assert digests == {"x": hashlib.sha256(b"newer").hexdigest()}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_several_members_of_one_name_zip_gives_none(tmp_path: Path) -> None:
    found, [(path, error)] = scanned(tmp_path, zipped([("x", b"one"), ("x", b"two"), ("y", b"3")]), "a.zip")
    assert list(found) == [b"y"]
    assert (path, "depends on the program" in error) == ("x", True)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.REGTYPE])
def test_what_lies_below_a_link_or_a_file_of_the_archive_is_no_entry(tmp_path: Path, kind: bytes) -> None:
    packed = tar(member("a", kind=kind, link="/etc" if kind == tarfile.SYMTYPE else ""), member("a/passwd", b"evil"), member("a/b/c", b"2"), member("ab", b"3"))
    found, wrong = scanned(tmp_path, packed)
    assert list(found) == [b"ab"]
    assert [path for path, _ in wrong] == ["a", "a/passwd", "a/b/c"] or sorted(path for path, _ in wrong) == ["a", "a/b/c", "a/passwd"]


def test_a_hard_link_to_what_is_not_before_it_is_no_entry(tmp_path: Path) -> None:
    link = tarfile.LNKTYPE
    packed = tar(
        member("missing", kind=link, link="nowhere"), member("out", kind=link, link="/etc/passwd"), member("early", kind=link, link="x"),
        member("x", b"1"), member("good", kind=link, link="./x"), member("again", kind=link, link="good"), member("itself", kind=link, link="itself"),
    )  # fmt: skip
    found, wrong = scanned(tmp_path, packed)
    assert sorted(found) == [b"again", b"good", b"x"]
    assert {row["inode"] for row in found.values()} == {found[b"x"]["inode"]}
    assert found[b"x"]["link_count"] == 3
    assert sorted(path for path, _ in wrong) == ["early", "itself", "missing", "out"]


def test_a_member_of_an_unknown_type_is_a_problem(tmp_path: Path) -> None:
    found, [(path, error)] = scanned(tmp_path, tar(member("strange", b"", kind=b"Q"), member("node", kind=tarfile.CHRTYPE), member("x", b"1")))
    assert {name: row["type"] for name, row in found.items()} == {b"node": "special", b"x": "file"}
    assert (path, "type" in error) == ("strange", True)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_an_archive_that_is_cut_off_gives_what_is_whole_and_a_problem_that_hides_the_rest(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    noise = os.urandom(100_000)
    whole = pack(tar(member("a", noise), member("b", noise[::-1]), member("c", noise[1:])))
    archive = tmp_path / "a.tar"
    archive.write_bytes(whole[: len(whole) // 2])
    result = scan(tmp_path / "catalog", declared_of(archive))
    assert set(paths(tmp_path / "catalog", result)) <= {b"a"}
    [problem] = problems(tmp_path / "catalog", result)
    assert (problem["path"], problem["hides_below"], problem["stage"]) == ("", True, "list")
    archive.write_bytes(whole)
    result = scan(tmp_path / "catalog", declared_of(archive))
    assert paths(tmp_path / "catalog", result) == [b"a", b"b", b"c"]
    archive.write_bytes(whole[: len(whole) // 2])
    result = scan(tmp_path / "catalog", declared_of(archive))
    carried = [row["name"] for row in entries(tmp_path / "catalog", result) if row["carried_from"]]
    assert {"b", "c"} <= set(carried)  # what it held is not known now, not gone


def test_a_tar_without_its_end_mark_or_with_another_behind_it_is_a_problem(tmp_path: Path) -> None:
    one = tar(member("a", b"1" * 512))
    found, [(path, error)] = scanned(tmp_path, one[:1024])
    assert (list(found), path, "end mark" in error) == ([b"a"], "", True)
    found, [(path, error)] = scanned(tmp_path, one + tar(member("hidden", b"2")))
    assert (list(found), path, "follows its end mark" in error) == ([b"a"], "", True)


def test_a_damaged_header_ends_an_archive_with_a_problem(tmp_path: Path) -> None:
    whole = bytearray(tar(member("a", b"1"), member("b", b"2"), member("c", b"3")))
    whole[1024 + 10] ^= 1
    found, [(path, error)] = scanned(tmp_path, bytes(whole))
    assert (list(found), path, "damaged" in error) == ([b"a"], "", True)


def test_what_is_no_archive_is_a_problem(tmp_path: Path) -> None:
    for content in (b"hello", b"\0" * 10, os.urandom(5000), gzip.compress(b"not a tar"), b"7z\xbc\xaf\x27\x1c" + b"\0" * 50, b"PK\x03\x04" + b"\0" * 50):
        found, [(path, error)] = scanned(tmp_path, content)
        assert (found, path) == ({}, "")
        assert "archive" in error


def test_a_member_that_was_damaged_after_it_was_packed_is_not_known(tmp_path: Path) -> None:
    content = zipped([("good", b"1" * 1000), ("bad", b"2" * 1000)])
    at = content.index(b"2" * 1000)
    (tmp_path / "a.zip").write_bytes(content[: at + 5] + b"3" + content[at + 6 :])
    digests, [(path, error)], counts = read(tmp_path, declared_of(tmp_path / "a.zip"))
    assert digests == {"good": hashlib.sha256(b"1" * 1000).hexdigest()}
    assert (path, "damaged" in error, counts.problems) == ("bad", True, 1)


def test_a_size_that_lies_is_a_problem(tmp_path: Path) -> None:
    content = bytearray(zipped([("good", b"1"), ("liar", b"2" * 100)]))
    central = content.rindex(b"PK\x01\x02")
    struct.pack_into("<I", content, central + 24, 99)  # what it says to unpack to
    found, [(path, error)] = scanned(tmp_path, bytes(content), "a.zip")
    assert (list(found), path, "99 bytes" in error) == ([b"good"], "liar", True)
    packed = bytearray(zipped([("liar", b"2" * 100)], zipfile.ZIP_DEFLATED))
    struct.pack_into("<I", packed, packed.rindex(b"PK\x01\x02") + 24, 99)
    (tmp_path / "b.zip").write_bytes(packed)
    digests, [(path, _)], _ = read(tmp_path / "b", declared_of(tmp_path / "b.zip"))
    assert (digests, path) == ({}, "liar")


def test_a_zip_with_two_central_directories_is_a_problem_as_a_whole(tmp_path: Path) -> None:
    one, two = zipped([("x", b"one")]), zipped([("x", b"two!")])
    inner = one + two  # found by those who read from the end, and by those who read from the front
    commented = bytearray(one)
    struct.pack_into("<H", commented, len(one) - 2, len(two))
    for content in (inner, bytes(commented) + two):
        found, [(path, error)] = scanned(tmp_path, content, "a.zip")
        assert (found, path, "two central directories" in error) == ({}, "", True)


def test_a_zip_within_a_zip_is_a_member(tmp_path: Path) -> None:
    found, wrong = scanned(tmp_path, zipped([("a", b"1"), ("inner.zip", zipped([("../x", b"y")]))]), "a.zip")
    assert (sorted(found), wrong) == ([b"a", b"inner.zip"], [])


def test_members_of_a_zip_that_lie_in_one_another_are_problems(tmp_path: Path) -> None:
    content = bytearray(zipped([("a", b"1" * 100), ("b", b"2" * 100)]))
    first = content.index(b"PK\x01\x02")
    struct.pack_into("<I", content, content.index(b"PK\x01\x02", first + 4) + 42, 0)  # the second begins where the first does
    found, wrong = scanned(tmp_path, bytes(content), "a.zip")
    assert b"a" not in found or b"b" not in found
    assert wrong


def test_an_encrypted_member_is_listed_and_cannot_be_read(tmp_path: Path) -> None:
    archives.grow(tmp_path / "tree", [Item(b"secret", b"x" * 100)])
    archives.pack(tmp_path / "tree", tmp_path / "a.zip", "-P", "password")
    digests, [(path, error)], _ = read(tmp_path, declared_of(tmp_path / "a.zip"))
    assert (digests, path, error) == ({}, "secret", "it is encrypted")


def test_a_bomb_is_a_problem(tmp_path: Path) -> None:
    info, _ = member("zeros")
    info.size = 1200 * 2**20
    packer = pytest.importorskip("backports.zstd").ZstdCompressor()
    parts = [
        packer.compress(info.tobuf(tarfile.GNU_FORMAT)),
        *(packer.compress(bytes(2**20)) for _ in range(1200)),
        packer.compress(bytes(1024)),
        packer.flush(),
    ]
    found, [(path, error)] = scanned(tmp_path, b"".join(parts))
    assert (found, path, "unpacks to more" in error) == ({}, "", True)


def test_a_header_that_wants_all_memory_is_a_problem(tmp_path: Path) -> None:
    info, _ = member("././@PaxHeader", kind=tarfile.XHDTYPE)
    info.size = 2**40
    found, [(path, error)] = scanned(tmp_path, info.tobuf(tarfile.GNU_FORMAT) + b"x" * 5120)
    assert (found, path, "describes a member" in error) == ({}, "", True)


def test_a_process_that_dies_over_an_archive_is_a_problem_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\nkill -SEGV $$\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(_unpacking.sys, "executable", str(tmp_path / "python"))  # type: ignore[attr-defined]  # the module's own import
    found, [(path, error)] = scanned(tmp_path, tar(member("x", b"1")))
    assert (found, path, error) == ({}, "", "the archive: the process that read it was ended by signal 11")


def test_what_a_library_says_of_a_hostile_name_is_shown_without_its_effect(tmp_path: Path) -> None:
    content = bytearray(zipped([("good", b"1"), ("\x1b[2Jx", b"2")]))
    at = content.index(b"\x1b[2Jx")
    content[at : at + 5] = b"\x1b[2Jy"  # the name before the member's data is another
    (tmp_path / "a.zip").write_bytes(content)
    digests, [(path, error)], _ = read(tmp_path, declared_of(tmp_path / "a.zip"))
    assert (list(digests), path) == (["good"], r"\x1b[2Jx")
    assert "differ" in error
    assert error.isprintable()
