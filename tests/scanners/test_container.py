"""Archives: real ones of every format, and hostile ones, each of which is a problem that names it and never a wrong entry."""

import gzip
import hashlib
import os
import struct
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog import config, snapshot, table
from lifecycle import stores
from scanners import crawl, digest
from tests.scanners import archives, contract
from tests.scanners.archives import declared_of, member, read, scanned, tar, zipped
from tests.scanners.contract import Contract, Factory, Interrupt, Item, entries, expected, many, paths, problems, scan


class Packed:
    """Makes one archive of some items."""

    kind = "container"

    def __init__(self, folder: Path, ending: str) -> None:
        self.folder, self.ending = folder, ending

    def make(self, items: Iterable[Item]) -> dict[str, Any]:
        archives.grow(self.folder / "tree", items)
        archive = archives.pack(self.folder / "tree", self.folder / f"archive{self.ending}")
        return {"url": f"container:{archive}"}

    def takes(self, name: bytes) -> bool:
        if self.ending.startswith(".tar"):
            return True
        try:  # zip and 7z keep text, and their programs change what is none
            return name.decode().isprintable() and b"\\" not in name
        except UnicodeDecodeError:
            return False


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


def in_parts(folder: Path) -> tuple[dict[str, Any], list[bytes]]:
    """A folder of archives, and what is to be found in it."""
    found = []
    for number in range(5):
        items = many(150 + number)
        archives.grow(folder / f"tree{number}", items)
        (folder / "archives").mkdir(exist_ok=True)
        archives.pack(folder / f"tree{number}", folder / "archives" / f"{number}.tar")
        found += [b"%d.tar" % number, *(b"%d.tar/%s" % (number, path) for path in expected(items))]
    return {"url": f"container:{folder / 'archives'}"}, sorted(found)


class OneArchive(Contract):
    """The suite, but for what takes several shards: an archive is one."""

    def test_an_interrupted_scan_leaves_the_catalog_as_it_was_and_is_gone_on_with(self, factory: Factory, root: Path) -> None:
        declared, wanted = in_parts(root.parent)
        for after in (1, 2, 3):
            with pytest.raises(KeyboardInterrupt):
                scan(root, declared, progress=Interrupt(after), resume=True)
            assert snapshot.newest_scans(root) == {}
            assert table.files(root, "entries") == []
        assert paths(root, scan(root, declared, resume=True)) == wanted

    def test_without_resume_the_leftovers_of_an_interrupted_scan_are_removed(self, factory: Factory, root: Path) -> None:
        declared, wanted = in_parts(root.parent)
        with pytest.raises(KeyboardInterrupt):
            scan(root, declared, progress=Interrupt(2))
        assert paths(root, scan(root, declared)) == wanted
        written = {str(path) for path in (root / "entries").rglob("*.parquet")}
        assert written == set(table.files(root, "entries"))


class TestTar(OneArchive):
    """The suite that every kind passes, on tar."""

    @pytest.fixture
    def factory(self, tmp_path: Path) -> Factory:
        return Packed(tmp_path, ".tar")


class TestZip(OneArchive):
    """The suite that every kind passes, on zip."""

    @pytest.fixture
    def factory(self, tmp_path: Path) -> Factory:
        return Packed(tmp_path, ".zip")


class TestSevenZip(OneArchive):
    """The suite that every kind passes, on 7z."""

    @pytest.fixture
    def factory(self, tmp_path: Path) -> Factory:
        return Packed(tmp_path, ".7z")


@pytest.mark.parametrize("ending", archives.KINDS)
def test_an_archive_of_every_format_has_the_entries_and_digests_of_its_tree(tmp_path: Path, ending: str) -> None:
    items = [*many(60), Item(b"large.bin", os.urandom(300_000)), Item(b"empty", b""), Item("ünï/ç.txt".encode(), b"accents")]
    archives.grow(tmp_path / "tree", items)
    at = 1_600_000_000_123_456_700
    for item in items:
        os.utime(tmp_path / "tree" / os.fsdecode(item.path), ns=(at, at))
    archives.pack(tmp_path / "tree", tmp_path / f"a{ending}")
    found, wrong, _ = read(tmp_path, declared_of(tmp_path / f"a{ending}"))
    assert wrong == []
    assert found == {item.path.decode(): hashlib.sha256(item.content or b"").hexdigest() for item in items if item.content}
    result = snapshot.newest_scans(tmp_path / "catalog")["v"]
    rows = {row["dir"] + row["name"]: row for row in entries(tmp_path / "catalog", result)}  # type: ignore[arg-type]  # has the same id
    large = rows["large.bin"]
    status = os.stat(tmp_path / "tree" / "large.bin")
    second = datetime(2020, 9, 13, 12, 26, 40)
    assert (large["type"], large["size_bytes"], large["mode"]) == ("file", 300_000, status.st_mode)
    exact = ending == ".7z"
    assert (large["modified_at"], large["time_flags"]) == ((second + timedelta(microseconds=123_456), 0) if exact else (second, 64))
    if ending != ".7z":
        assert (large["uid"], large["gid"]) == (status.st_uid, status.st_gid)


def test_a_time_of_pax_is_exact_to_the_nanosecond(tmp_path: Path) -> None:
    archives.grow(tmp_path / "tree", [Item(b"x", b"1")])
    os.utime(tmp_path / "tree" / "x", ns=(0, 1_600_000_000_123_456_789))
    archives.pack(tmp_path / "tree", tmp_path / "a.tar", "--format=posix")
    scan(tmp_path / "catalog", declared_of(tmp_path / "a.tar"))
    [row] = entries(tmp_path / "catalog", snapshot.newest_scans(tmp_path / "catalog")["v"])  # type: ignore[arg-type]  # has the same id
    assert (row["modified_at"], row["modified_ns"], row["time_flags"]) == (datetime(2020, 9, 13, 12, 26, 40, 123_456), 789, 0)


def test_links_and_special_files_are_what_they_are_and_lead_nowhere(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    archives.grow(tree, [Item(b"d/one", b"content")])
    os.link(tree / "d" / "one", tree / "two")
    os.symlink("/etc/passwd", tree / "out")
    os.mkfifo(tree / "fifo")
    found, wrong = scanned(tmp_path, archives.pack(tree, tmp_path / "real.tar").read_bytes())
    assert wrong == []
    one, two = found[b"d/one"], found[b"two"]
    assert (one["size_bytes"], one["link_count"]) == (two["size_bytes"], two["link_count"]) == (7, 2)
    assert (one["fs_id"], one["inode"]) == (two["fs_id"], two["inode"])
    assert (found[b"out"]["type"], found[b"out"]["link_target"]) == ("symlink", "/etc/passwd")
    assert found[b"fifo"]["type"] == "special"
    digests, _, counts = read(tmp_path, declared_of(tmp_path / "a.tar"))
    assert set(digests.values()) == {hashlib.sha256(b"content").hexdigest()}
    assert counts.read == 1


def test_an_archive_that_is_changed_is_read_again_and_one_that_is_not_is_not(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(gzip.compress(tar(member("x", b"one"))))
    assert read(tmp_path, declared_of(archive))[2].read == 1
    assert read(tmp_path, declared_of(archive))[2].bytes_read == 0
    status = archive.stat()
    archive.write_bytes(gzip.compress(tar(member("x", b"two"))))
    os.utime(archive, ns=(status.st_atime_ns, status.st_mtime_ns))
    digests, _, counts = read(tmp_path, declared_of(archive))
    assert (digests["x"], counts.read) == (hashlib.sha256(b"two").hexdigest(), 1)


def test_an_archive_that_changed_since_its_scan_gives_no_digest(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(tar(member("x", b"one"), member("y", b"1")))
    given = config.parse({"volumes": {"v": declared_of(archive)}})
    result = crawl.scan(tmp_path / "catalog", given, "v", now=contract.clock, workers=1)
    archive.write_bytes(tar(member("x", b"two"), member("y", b"1")))
    digest.digest(tmp_path / "catalog", given, mode="all", volumes=["v"], now=contract.clock, workers=1)
    assert table.read(tmp_path / "catalog", "digests").num_rows == 0
    assert [(row["path"], row["stage"]) for row in problems(tmp_path / "catalog", result)] == [("x", "changed"), ("y", "changed")]


def test_off_reads_no_member_and_again_reads_all_once_more(tmp_path: Path) -> None:
    archives.grow(tmp_path / "tree", many(20))
    declared = declared_of(archives.pack(tmp_path / "tree", tmp_path / "a.tar"))
    assert read(tmp_path, declared, "off")[2].read == 0
    first = read(tmp_path, declared)[2]
    assert first.read > 0
    again = read(tmp_path, declared, again=True)[2]
    assert (again.read, again.problems) == (first.read, 0)


def test_an_archive_file_is_read_without_a_change_of_its_access_time(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(tar(member("x", b"one")))
    os.utime(archive, (0, 1_600_000_000))
    read(tmp_path, declared_of(archive))
    assert archive.stat().st_atime == 0


def test_a_folder_gives_every_archive_in_it_and_counts_what_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "archives"
    (folder / "2024").mkdir(parents=True)
    (folder / "a.tar").write_bytes(tar(member("x/y", b"1")))
    (folder / "2024" / "b.ZIP").write_bytes(zipped([("z", b"2")]))
    (folder / "broken.tgz").write_bytes(b"no archive")
    (folder / "notes.txt").write_text("no archive, and does not say that it is one")
    (folder / "link.tar").symlink_to("a.tar")
    result = scan(tmp_path / "catalog", declared_of(folder))
    assert paths(tmp_path / "catalog", result) == [b"2024", b"2024/b.ZIP", b"2024/b.ZIP/z", b"a.tar", b"a.tar/x", b"a.tar/x/y", b"broken.tgz"]
    [problem] = problems(tmp_path / "catalog", result)
    assert (problem["path"], problem["hides_below"]) == ("broken.tgz", True)
    assert result.excluded == 2
    digests, _, _ = read(tmp_path, declared_of(folder))
    assert sorted(digests) == ["2024/b.ZIP/z", "a.tar/x/y"]


def test_of_a_folder_that_was_prepared_for_jobs_their_own_is_left_out_and_nobody_elses(tmp_path: Path) -> None:
    folder = tmp_path / "archives"
    (folder / "sub" / ".lastcopy").mkdir(parents=True)
    for name in ("a.tar", "sub/.lastcopy/b.tar"):
        (folder / name).write_bytes(tar(member("x", b"1")))
    store = stores.connect(config.parse({"volumes": {"v": {"url": str(folder)}}}), "v")
    store.prepare("marker-1", at_us=1)
    store.close()
    result = scan(tmp_path / "catalog", declared_of(folder))
    assert paths(tmp_path / "catalog", result) == [b"a.tar", b"a.tar/x", b"sub", b"sub/.lastcopy", b"sub/.lastcopy/b.tar", b"sub/.lastcopy/b.tar/x"]
    assert (problems(tmp_path / "catalog", result), result.excluded) == ([], 1)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    wanted=st.sets(
        st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name and b"/" not in name and name not in (b".", b"..")), min_size=1, max_size=6
    )
)
def test_every_name_that_tar_can_hold_comes_back(tmp_path_factory: pytest.TempPathFactory, wanted: set[bytes]) -> None:
    folder = tmp_path_factory.mktemp("names")
    found, wrong = scanned(folder, tar(*(member(b"d/" + name, b"x") for name in sorted(wanted))))
    assert (set(found), wrong) == ({b"d", *(b"d/" + name for name in wanted)}, [])


def test_a_name_of_a_zip_is_read_in_the_encoding_that_it_has(tmp_path: Path) -> None:
    content = zipped([("caf_", b"1"), ("dos_", b"2")]).replace(b"caf_", b"caf\xe9").replace(b"dos_", b"dos\x82")
    found, wrong = scanned(tmp_path, content, "a.zip")
    assert (set(found), wrong) == ({b"caf\xe9", b"dos\x82"}, [])  # made on Unix: bytes
    dos = content.replace(struct.pack("<HH", 0x0314, 20), struct.pack("<HH", 0x0014, 20))
    found, wrong = scanned(tmp_path, dos, "a.zip")
    assert (set(found), wrong) == ({"cafΘ".encode(), "dosé".encode()}, [])  # made on DOS: code page 437


def test_a_zip_whose_time_has_no_zone_has_no_time(tmp_path: Path) -> None:
    found, _ = scanned(tmp_path, zipped([("x", b"1")]), "a.zip")
    assert (found[b"x"]["modified_at"], found[b"x"]["time_flags"]) == (None, 0)


@pytest.mark.slow
def test_incremental_sparse_and_labelled_archives_of_gnu_tar_are_understood(tmp_path: Path) -> None:
    tree, long = tmp_path / "tree", "n" * 150
    archives.grow(tree, [Item(f"{long}/{long}".encode(), b"long"), Item(b"plain", b"1")])
    with (tree / "sparse").open("wb") as file:
        file.seek(3_000_000)
        file.write(b"data")
    wanted = {path: hashlib.sha256((tree / path).read_bytes()).hexdigest() for path in (f"{long}/{long}", "plain", "sparse")}
    for number, options in enumerate((["-S"], ["-S", "--format=posix"], ["-g", str(tmp_path / "list")], ["-V", "label"], ["--format=oldgnu"])):
        archive = archives.pack(tree, tmp_path / f"{number}.tar", *options)
        found, wrong, _ = read(tmp_path / str(number), declared_of(archive))
        assert (found, wrong) == (wanted, []), options
        result = snapshot.newest_scans(tmp_path / str(number) / "catalog")["v"]
        assert {row["dir"] + row["name"] for row in entries(tmp_path / str(number) / "catalog", result)} == {*wanted, long}  # type: ignore[arg-type]  # has the same id


def test_a_7z_with_empty_files_between_others_and_several_blocks_gives_each_its_own_content(tmp_path: Path) -> None:
    archives.need(".7z")
    items = [Item(b"d/%02d" % number, b"" if number % 3 == 0 else b"%d" % number * 100) for number in range(20)]
    archives.grow(tmp_path / "tree", items)
    archive = archives.pack(tmp_path / "tree", tmp_path / "a.7z", "-ms=3f")
    found, wrong, _ = read(tmp_path, declared_of(archive))
    assert wrong == []
    assert found == {item.path.decode(): hashlib.sha256(item.content or b"").hexdigest() for item in items if item.content}


def test_an_encrypted_7z_is_a_problem(tmp_path: Path) -> None:
    archives.need(".7z")
    archives.grow(tmp_path / "tree", [Item(b"secret", b"x" * 100)])
    for number, (options, path) in enumerate(((["-psecret"], "secret"), (["-psecret", "-mhe=on"], ""))):
        archive = archives.pack(tmp_path / "tree", tmp_path / f"{number}.7z", *options)
        digests, [(told, error)], _ = read(tmp_path / str(number), declared_of(archive))
        assert (digests, told, "encrypted" in error) == ({}, path, True)
