"""Manifests: those that sha256sum, b2sum and bagit write, and hostile ones: what is told of a volume, of which time, and never more."""

import errno
import hashlib
import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bagit
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog import names, snapshot, table
from catalog.errors import RefusedError, UnreachableError
from scanners import _told
from tests.scanners import archives
from tests.scanners.contract import Contract, Factory, Interrupt, Item, entries, expected, many, paths, problems, scan

DAY = 1_700_000_000
AT = datetime(2023, 11, 14, 22, 13, 20)


def sums(tree: Path, manifest: Path, program: str = "sha256sum", *options: str) -> Path:
    """What a program of coreutils writes of all files of a tree."""
    names = sorted(os.path.relpath(os.path.join(where, name), os.fsencode(tree)) for where, _, some in os.walk(os.fsencode(tree)) for name in some)
    listed = b"".join(b"./%s\0" % name if name.startswith(b"-") else name + b"\0" for name in names)
    with manifest.open("wb") as out:
        subprocess.run(["xargs", "-0", "-r", program, *options, "--"], cwd=tree, input=listed, stdout=out, check=True)
    os.utime(manifest, (DAY, DAY))
    return manifest


class Summed:
    """Makes the manifest of some items."""

    kind = "manifest"

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.options = folder, options

    def make(self, items: Iterable[Item]) -> dict[str, Any]:
        archives.grow(self.folder / "tree", items)
        return declared(sums(self.folder / "tree", self.folder / "tree.sha256", "sha256sum", *self.options))

    def takes(self, name: bytes) -> bool:
        return bool(name)


def declared(manifest: Path, **more: object) -> dict[str, Any]:
    return {"url": f"manifest:{manifest}", "role": "backup", **more}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


class Told(Contract):
    """The suite, but for what takes several shards: what is told of a volume is put together at once."""

    def test_an_interrupted_scan_leaves_the_catalog_as_it_was_and_is_gone_on_with(self, factory: Factory, root: Path) -> None:
        items = many(60)
        volume = factory.make(items)
        with pytest.raises(KeyboardInterrupt):
            scan(root, volume, progress=Interrupt(1), resume=True)
        assert snapshot.newest_scans(root) == {}
        assert table.files(root, "entries") == []
        assert paths(root, scan(root, volume, resume=True)) == expected(items, factory)

    def test_without_resume_the_leftovers_of_an_interrupted_scan_are_removed(self, factory: Factory, root: Path) -> None:
        items = many(60)
        volume = factory.make(items)
        with pytest.raises(KeyboardInterrupt):
            scan(root, volume, progress=Interrupt(1))
        assert paths(root, scan(root, volume)) == expected(items, factory)
        assert {str(path) for path in (root / "entries").rglob("*.parquet")} == set(table.files(root, "entries"))
        assert not list((root / ".scans").iterdir())


class TestSums(Told):
    """The suite that every kind passes."""

    @pytest.fixture
    def factory(self, tmp_path: Path) -> Factory:
        return Summed(tmp_path)

    def test_sizes_and_counts_are_those_of_the_items(self, factory: Factory, root: Path) -> None:
        """Checksums tell no sizes, but of what is empty."""
        items = many()
        result = scan(root, factory.make(items))
        rows = {names.unescape(row["dir"] + row["name"]): row for row in entries(root, result) if row["type"] == "file"}
        assert {path: row["size_bytes"] for path, row in rows.items()} == {item.path: None if item.content else 0 for item in items}
        assert {path: row["digest"] for path, row in rows.items()} == {item.path: hashlib.sha256(item.content or b"").digest() for item in items}
        assert (result.files, result.bytes, result.state, result.entries) == (len(items), 0, "complete", len(entries(root, result)))


class TestTagged(TestSums):
    """The suite, in the form of BSD."""

    @pytest.fixture
    def factory(self, tmp_path: Path) -> Factory:
        return Summed(tmp_path, "--tag")


def files(root: Path, result: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401 - a scan's result
    return {row["dir"] + row["name"]: row for row in entries(root, result) if row["type"] == "file"}


def written(folder: Path, text: bytes, name: str = "SHA256SUMS") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(text)
    os.utime(folder / name, (DAY, DAY))
    return folder / name


def digits(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def test_what_is_told_is_of_the_time_of_the_manifest_and_worth_a_digest_that_was_attested(tmp_path: Path, root: Path) -> None:
    result = scan(root, Summed(tmp_path).make([Item(b"a", b"x")]))
    [row] = files(root, result).values()
    assert (row["attested_at"], row["attested_level"]) == (AT, 1)
    assert snapshot.newest_scans(root)["v"].known_at == AT


def test_where_it_is_said_that_it_was_read_in_place_it_is_worth_a_reading(tmp_path: Path, root: Path) -> None:
    result = scan(root, Summed(tmp_path).make([Item(b"a", b"x")]) | {"read_in_place": True})
    assert [row["attested_level"] for row in files(root, result).values()] == [2]


@pytest.mark.parametrize(
    ("program", "options"), [("b2sum", ()), ("b2sum", ("--length=256",)), ("md5sum", ()), ("sha512sum", ("--tag",)), ("b2sum", ("-l256", "--tag"))]
)
def test_no_other_checksum_is_taken_for_a_sha256(tmp_path: Path, root: Path, program: str, options: tuple[str, ...]) -> None:
    archives.grow(tmp_path / "tree", [Item(b"a", b"x"), Item(b"e", b"")])
    result = scan(root, declared(sums(tmp_path / "tree", tmp_path / "CHECKSUMS", program, *options)))
    assert {path: row["digest"] for path, row in files(root, result).items()} == {"a": None, "e": None}
    unclear = program == "b2sum" and options == ("--length=256",)
    assert [("do not say of which algorithm" in row["error"], row["path"]) for row in problems(root, result)] == [(True, "CHECKSUMS")] * unclear


def test_the_algorithm_of_a_tag_is_believed_whatever_the_file_is_called(tmp_path: Path, root: Path) -> None:
    archives.grow(tmp_path / "tree", [Item(b"a) = x", b"x")])
    result = scan(root, declared(sums(tmp_path / "tree", tmp_path / "CHECKSUMS", "sha256sum", "--tag")))
    assert {path: row["digest"] for path, row in files(root, result).items()} == {"a) = x": hashlib.sha256(b"x").digest()}
    assert problems(root, result) == []


def test_every_manifest_of_a_folder_is_of_the_folder_that_it_lies_in(tmp_path: Path, root: Path) -> None:
    archives.grow(tmp_path / "disk", [Item(b"one/a", b"1"), Item(b"two/deep/b", b"2"), Item(b"film.mov", b"3")])
    sums(tmp_path / "disk/one", tmp_path / "one.md5", "md5sum").rename(tmp_path / "disk/one/one.md5")
    sums(tmp_path / "disk/two", tmp_path / "SHA256SUMS").rename(tmp_path / "disk/two/SHA256SUMS")
    written(tmp_path / "disk", digits(b"3") + b"  film.mov\n", "film.mov.sha256")
    os.utime(tmp_path / "disk/two/SHA256SUMS", (DAY - 60, DAY - 60))
    os.symlink("/etc", tmp_path / "disk/elsewhere")
    result = scan(root, declared(tmp_path / "disk"))
    assert {path: (row["digest"] is not None, row["attested_at"]) for path, row in files(root, result).items()} == {
        "one/a": (False, AT), "two/deep/b": (True, AT - timedelta(minutes=1)), "film.mov": (True, AT),
    }  # fmt: skip
    assert snapshot.newest_scans(root)["v"].evidence_at == AT - timedelta(minutes=1)
    assert result.state == "complete"


HOSTILE = [
    (b"../up", "leads out"), (b"a/../../up", "leads out"), (b"a/", "names no file"), (b"a/.", "names no file"), (b"nul\0nul", "NUL"),
    (b"x" * 5000, "4096 bytes"), (b"d/" * 300 + b"x", "256 folders"), (b"y" * 70_000, "does not end"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "why"), HOSTILE, ids=[why for _, why in HOSTILE])
def test_a_path_that_no_file_can_have_is_a_problem_with_its_line(tmp_path: Path, root: Path, path: bytes, why: str) -> None:
    manifest = written(tmp_path / "m", b"# sums\n%s  good\n%s  %s\n%s  also\n" % (digits(b"1"), digits(b"2"), path, digits(b"3")))
    result = scan(root, declared(manifest))
    assert sorted(files(root, result)) == ["also", "good"]
    [problem] = problems(root, result)
    assert why in problem["error"]
    assert problem["error"].startswith("SHA256SUMS, line 3: ")
    assert (problem["path"], problem["hides_below"], result.state) == ("", False, "incomplete")


@pytest.mark.parametrize(
    "line", [b"rubbish\n", b"xyz  a\n", b"SHA256 (a) = 12\n", b"MD5 (a) = " + b"0" * 64 + b"\n", b"\\" + b"0" * 64 + b"  bad\\x\n", b"\xff\n"]
)
def test_a_line_that_is_none_is_a_problem(tmp_path: Path, root: Path, line: bytes) -> None:
    result = scan(root, declared(written(tmp_path / "m", line + digits(b"1") + b"  good\n")))
    assert sorted(files(root, result)) == ["good"]
    assert [row["error"] for row in problems(root, result)] == ["SHA256SUMS, line 1: no line of checksums"]


def test_a_manifest_that_was_cut_off_tells_of_no_file_by_half_a_name(tmp_path: Path, root: Path) -> None:
    result = scan(root, declared(written(tmp_path / "m", digits(b"1") + b"  good\n" + digits(b"2") + b"  half a na")))
    assert sorted(files(root, result)) == ["good"]
    assert "cut off" in problems(root, result)[0]["error"]


def test_an_absolute_path_is_one_below_the_root_as_in_a_backup(tmp_path: Path, root: Path) -> None:
    result = scan(root, declared(written(tmp_path / "m", digits(b"1") + b"  /srv//data/./a\n")))
    assert sorted(files(root, result)) == ["srv/data/a"]


def test_a_manifest_of_windows_has_names_without_the_end_of_its_lines(tmp_path: Path, root: Path) -> None:
    result = scan(root, declared(written(tmp_path / "m", digits(b"1") + b" *a\r\n" + digits(b"2") + b" *b\r\n")))
    assert sorted(files(root, result)) == ["a", "b"]


def test_of_very_many_bad_lines_not_all_are_told(tmp_path: Path, root: Path) -> None:
    result = scan(root, declared(written(tmp_path / "m", b"rubbish\n" * 3_000 + digits(b"1") + b"  good\n")))
    found = problems(root, result)
    assert len(found) == 1_000
    assert found[-1]["error"].endswith("there are more such lines, which are not told of")


def test_two_digests_of_one_time_make_a_copy_that_nobody_can_speak_for(tmp_path: Path, root: Path) -> None:
    result = scan(root, declared(written(tmp_path / "m", b"%s  a\n%s  a\n%s  b\n%s  b\n" % (digits(b"1"), digits(b"2"), digits(b"3"), digits(b"3")))))
    assert sorted(files(root, result)) == ["a", "b"]
    assert [(row["path"], row["stage"]) for row in problems(root, result)] == [("a", "read")]


def test_of_two_manifests_the_younger_holds(tmp_path: Path, root: Path) -> None:
    written(tmp_path / "m", digits(b"old") + b"  a\n", "z-old.sha256")
    written(tmp_path / "m", digits(b"new") + b"  a\n", "a-new.sha256")
    os.utime(tmp_path / "m/z-old.sha256", (DAY - 86_400, DAY - 86_400))
    [row] = files(root, scan(root, declared(tmp_path / "m"))).values()
    assert (row["digest"], row["attested_at"]) == (hashlib.sha256(b"new").digest(), AT)


def test_a_later_manifest_of_another_algorithm_ends_what_it_contradicts_and_no_more(tmp_path: Path, root: Path) -> None:
    def md5(content: bytes) -> bytes:
        return hashlib.md5(content, usedforsecurity=False).hexdigest().encode()

    written(tmp_path / "m", digits(b"1") + b"  changed\n" + digits(b"1") + b"  same\n", "SHA256SUMS")
    written(tmp_path / "m", md5(b"1") + b"  changed\n" + md5(b"1") + b"  same\n", "MD5SUMS")
    later = written(tmp_path / "m", b"MD5 (changed) = " + md5(b"2") + b"\nMD5 (same) = " + md5(b"1") + b"\n", "later.md5")
    os.utime(later, (DAY + 60, DAY + 60))
    result = scan(root, declared(tmp_path / "m"))
    found = files(root, result)
    assert (found["changed"]["digest"], found["changed"]["attested_at"]) == (None, AT + timedelta(minutes=1))
    assert (found["same"]["digest"], found["same"]["attested_at"]) == (hashlib.sha256(b"1").digest(), AT)
    later.write_bytes(md5(b"2") + b"  changed\n")
    os.utime(later, (DAY, DAY))
    result = scan(root, declared(tmp_path / "m"))
    assert [(row["path"], row["stage"]) for row in problems(root, result)] == [("changed", "read")]


def test_a_file_that_is_empty_by_a_later_manifest_has_no_earlier_digest(tmp_path: Path, root: Path) -> None:
    written(tmp_path / "m", digits(b"1") + b"  a\n", "SHA256SUMS")
    later = written(tmp_path / "m", b"d41d8cd98f00b204e9800998ecf8427e  a\n", "later.md5")
    os.utime(later, (DAY + 60, DAY + 60))
    [row] = files(root, scan(root, declared(tmp_path / "m"))).values()
    assert (row["size_bytes"], row["digest"]) == (0, None)


def test_a_manifest_of_the_future_tells_nothing_and_is_told_of(tmp_path: Path, root: Path) -> None:
    manifest = written(tmp_path / "m", digits(b"1") + b"  a\n")
    ahead = datetime.now(UTC).timestamp() + 86_400
    os.utime(manifest, (ahead, ahead))
    result = scan(root, declared(tmp_path / "m"))
    assert files(root, result) == {}
    assert [(row["hides_below"], "in the future" in row["error"]) for row in problems(root, result)] == [(True, True)]


def test_a_folder_that_fails_while_it_is_listed_hides_what_is_below_it_and_no_more(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bad", "good"):
        (tmp_path / "m" / name).mkdir(parents=True)
        written(tmp_path / "m" / name, digits(b"1") + b"  a\n")
    before = scan(root, declared(tmp_path / "m"))
    bad, listing = (tmp_path / "m/bad").stat().st_ino, os.scandir

    @contextmanager
    def failing(place: int) -> Iterator[Iterator[os.DirEntry[str]]]:
        def some() -> Iterator[os.DirEntry[str]]:
            yield from found
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        with listing(place) as found:
            if isinstance(place, int) and os.fstat(place).st_ino == bad:
                yield some()
            else:
                yield found

    monkeypatch.setattr(os, "scandir", failing)
    result = scan(root, declared(tmp_path / "m"))
    monkeypatch.undo()
    assert [(row["path"], row["errno"], row["hides_below"]) for row in problems(root, result)] == [("bad", errno.EIO, True)]
    assert (before.entries, result.entries, result.carried_entries) == (4, 2, 2)  # the folder and its file are known from before


def test_a_volume_that_is_not_there_or_empty_fails_as_a_whole(tmp_path: Path, root: Path) -> None:
    with pytest.raises(UnreachableError, match=r"volume v: .*/nowhere"):
        scan(root, declared(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(RefusedError, match="empty"):
        scan(root, declared(tmp_path / "empty"))


def bag(folder: Path, items: Iterable[Item], **info: str) -> Path:
    """A bag that the program bagit makes."""
    archives.grow(folder, items)
    bagit.make_bag(str(folder), info, checksums=["md5", "sha256"])
    return folder


def test_a_bag_tells_of_its_payload_at_the_day_when_it_was_made(tmp_path: Path, root: Path) -> None:
    made = bag(tmp_path / "bags/one", [Item(b"a.txt", b"1"), Item(b"deep/b\n\r.txt", b"2"), Item(b"100%25", b"3")], **{"Bagging-Date": "2024-05-06"})
    assert bagit.Bag(str(made)).is_valid()
    result = scan(root, declared(tmp_path / "bags"))
    found = files(root, result)
    assert {path: row["digest"] for path, row in found.items()} == {
        "one/data/a.txt": hashlib.sha256(b"1").digest(),
        "one/data/deep/b\\x0a\\x0d.txt": hashlib.sha256(b"2").digest(),
        "one/data/100%25": hashlib.sha256(b"3").digest(),
    }
    assert {row["attested_at"] for row in found.values()} == {datetime(2024, 5, 6)}
    assert (result.state, snapshot.newest_scans(root)["v"].known_at) == ("complete", datetime(2024, 5, 6))


def test_a_bag_that_is_said_to_hold_more_or_lacks_what_is_to_be_fetched_is_told_of(tmp_path: Path, root: Path) -> None:
    made = bag(tmp_path / "bag", [Item(b"a", b"1"), Item(b"b", b"2")])
    info = (made / "bag-info.txt").read_text()
    (made / "bag-info.txt").write_text(info.replace("Payload-Oxum: 2.2", "Payload-Oxum: 3.3"))
    (made / "fetch.txt").write_text("https://example.org/b 1 data/b\nrubbish\n")
    result = scan(root, declared(made))
    assert sorted((row["path"], row["stage"], row["error"]) for row in problems(root, result)) == [
        ("", "name", "fetch.txt, line 2: no line of what is to be fetched"),
        ("", "name", "manifest-md5.txt, as a whole: it has 2 files, and Payload-Oxum says 3"),
        ("", "name", "manifest-sha256.txt, as a whole: it has 2 files, and Payload-Oxum says 3"),
        ("data/b", "read", "fetch.txt says that it is to be fetched from elsewhere: nobody can say whether it is in the bag"),
    ]


def test_a_bag_in_an_encoding_that_is_not_read_hides_what_it_held(tmp_path: Path, root: Path) -> None:
    made = bag(tmp_path / "bags/one", [Item(b"a", b"1")])
    before = scan(root, declared(tmp_path / "bags"))
    (made / "bagit.txt").write_text("BagIt-Version: 0.97\nTag-File-Character-Encoding: UTF-16\n")
    result = scan(root, declared(tmp_path / "bags"))
    assert [(row["path"], row["hides_below"], "only UTF-8 is read" in row["error"]) for row in problems(root, result)] == [("one", True, True)]
    assert result.carried_entries == before.entries > 0


_LINES = st.dictionaries(
    st.binary(min_size=1, max_size=40).filter(lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..", b"-")), st.binary(max_size=3)
)


@pytest.mark.slow
@given(wanted=_LINES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_sha256sum_writes_comes_back_to_the_byte(tmp_path_factory: pytest.TempPathFactory, wanted: dict[bytes, bytes]) -> None:
    folder = tmp_path_factory.mktemp("names")
    volume = Summed(folder).make([Item(name, content) for name, content in {**wanted, b"one": b""}.items()])
    found = {names.unescape(path): row["digest"] for path, row in files(folder / "catalog", scan(folder / "catalog", volume)).items()}
    assert found == {name: hashlib.sha256(content).digest() for name, content in {**wanted, b"one": b""}.items()}


def test_more_than_a_batch_is_put_together_across_its_ends(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_told, "_BATCH_ROWS", 7)
    text = b"".join(b"%s  d%d/f%d\n" % (digits(b"%d" % number), number % 3, number) for number in range(50))
    written(tmp_path / "m", text, "one.sha256")
    written(tmp_path / "m", text, "two.sha256")
    written(tmp_path / "m", b"", "none.sha256")
    result = scan(root, declared(tmp_path / "m"))
    assert paths(root, result) == sorted([b"d0", b"d1", b"d2", *(b"d%d/f%d" % (number % 3, number) for number in range(50))])
