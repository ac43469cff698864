"""What is peculiar to shares: file ids, times, what a link led to, contents, who is let in, and servers that lie or are lost."""

import errno
import hashlib
import itertools
import os
import signal
import socket
import struct
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from catalog import names, snapshot, table
from catalog.errors import ConfigError, UnreachableError
from scanners import _remote, _smb, digest, smb
from scanners._smb import Entry, Host, Times
from tests.lifecycle.chaos import line
from tests.lifecycle.chaos.line import Break
from tests.scanners import archives, smbd
from tests.scanners.contract import BAD_NAMES, Contract, Factory, Item, clock, entries, many, paths, problems, scan, settings_of
from tests.scanners.smbd import Server, Tree

_PLACES = itertools.count()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


@pytest.fixture
def place() -> str:
    return f"tree {next(_PLACES)}"


@pytest.fixture
def tree(smb_server: Server, place: str) -> Path:
    return smb_server.share / place


class TestSmb(Contract):
    """The suite that every kind passes."""

    @pytest.fixture
    def factory(self, smb_server: Server, place: str) -> Factory:
        return Tree(smb_server, place)


def failure(root: Path, declared: dict[str, Any]) -> str:
    """Why a scan could not be made."""
    with pytest.raises(UnreachableError) as failed:
        scan(root, declared, workers=1)
    return str(failed.value)


def age(tree: Path) -> None:
    """Have all files be of some years before: what was changed just now is not read yet."""
    for folder, _, found in os.walk(os.fsencode(tree)):
        for name in found:
            os.utime(os.path.join(folder, name), (1_600_000_000, 1_600_000_000), follow_symlinks=False)


def test_entries_are_those_of_the_tree_and_what_the_protocol_lacks_is_null(smb_server: Server, place: str, tree: Path, root: Path) -> None:
    archives.grow(tree, [Item(b"d/file.txt", b"content"), Item(b"empty", b"")])
    os.utime(tree / "d" / "file.txt", ns=(1_400_000_000_250_000_100, 1_500_000_000_123_456_700))
    os.link(tree / "d" / "file.txt", tree / "d" / "other name")
    result = scan(root, smb_server.declared(place))
    rows = {row["dir"] + row["name"]: row for row in entries(root, result)}
    assert sorted(rows) == ["d", "d/file.txt", "d/other name", "empty"]
    found, known = rows["d/file.txt"], (tree / "d" / "file.txt").stat()
    assert (found["type"], found["size_bytes"], found["inode"]) == ("file", 7, known.st_ino)
    assert found["allocated_bytes"] >= 7
    assert (found["modified_at"], found["modified_ns"]) == (datetime(2017, 7, 14, 2, 40, 0, 123456), 700)
    assert found["accessed_at"] == datetime(2014, 5, 13, 16, 53, 20, 250000)
    assert found["changed_at"] == found["modified_at"]  # so Samba has it: no sign of what was done to a file beside its content
    assert found["created_at"] is None  # Samba knows none, and makes it of the others
    assert {found[name] for name in ("owner", "uid", "gid", "mode", "link_count", "link_target")} == {None}
    assert (rows["d/other name"]["inode"], rows["d/other name"]["fs_id"]) == (found["inode"], found["fs_id"])
    assert (rows["d"]["type"], rows["empty"]["size_bytes"]) == ("dir", 0)


def test_what_a_link_leads_to_is_not_seen_as_more_files_of_the_tree(smb_server: Server, place: str, tree: Path, root: Path) -> None:
    archives.grow(tree, [Item(b"d/e/file", b"1")])
    (tree / "d" / "loop").symlink_to("../d")
    (tree / "again").symlink_to("d/e")
    (tree / "file").symlink_to("d/e/file")
    (tree / "dead").symlink_to("nowhere")
    result = scan(root, smb_server.declared(place), workers=1)
    rows = {row["dir"] + row["name"]: row for row in entries(root, result)}
    assert sorted(rows) == ["again", "d", "d/e", "d/e/file", "d/loop", "file"]
    assert rows["file"]["inode"] == rows["d/e/file"]["inode"]
    assert {(row["path"], row["stage"], row["error"]) for row in problems(root, result)} == {(path, "list", _remote.LINKED) for path in ("again", "d/loop")}


@pytest.mark.parametrize("size_bytes", [0, 10, 70_000, 3_000_000])
def test_contents_are_read_and_known_by_their_digest(smb_server: Server, place: str, tree: Path, root: Path, size_bytes: int) -> None:
    content = os.urandom(size_bytes)
    archives.grow(tree, [Item("d é/\u2028".encode(), content)])
    age(tree)
    declared = smb_server.declared(place.replace(" ", "%20"), digest="all")
    scan(root, declared)
    counts = digest.digest(root, settings_of(declared), now=clock)
    assert (counts.read, counts.problems) == (int(size_bytes > 0), 0)
    assert [row["digest"] for row in table.read(root, "digests").to_pylist()] == ([hashlib.sha256(content).digest()] if size_bytes else [])


def test_names_that_windows_cannot_have_are_seen_under_those_that_the_server_gives_and_are_read(smb_server: Server, place: str, tree: Path, root: Path) -> None:
    items = [Item(b"d/" + name, b"content of %d" % number) for number, name in enumerate(BAD_NAMES)]
    archives.grow(tree, items)
    age(tree)
    declared = smb_server.declared(place, digest="all")
    result = scan(root, declared)
    seen = [row for row in entries(root, result) if row["type"] == "file"]
    told = {row["path"] for row in problems(root, result)}
    assert len(seen) + len(told) >= len(items) - 2, told  # Samba leaves out names that are no UTF-8, some of its releases at least
    digest.digest(root, settings_of(declared), now=clock)
    digests = {row["digest"] for row in table.read(root, "digests").to_pylist() if row["digest"]}
    unread = {row["path"] for row in problems(root, result)} - told
    assert len(digests) + len(unread) == len(seen)
    assert unread <= {r"d/\xed\xa0\x80"}  # half a letter, which Samba shows and does not open
    assert digests <= {hashlib.sha256(item.content or b"").digest() for item in items}


def test_a_file_that_changed_since_its_scan_is_not_read_as_what_it_was(smb_server: Server, place: str, tree: Path, root: Path) -> None:
    archives.grow(tree, [Item(b"longer", b"1"), Item(b"later", b"2"), Item(b"gone", b"3"), Item(b"link", b"4"), Item(b"other", b"5"), Item(b"folder", b"6")])
    age(tree)
    declared = smb_server.declared(place, digest="all")
    result = scan(root, declared)
    (tree / "longer").write_bytes(b"11")
    os.utime(tree / "longer", (1_600_000_000, 1_600_000_000))
    os.utime(tree / "later", (1_600_000_001, 1_600_000_001))
    for name in ("gone", "link", "folder"):
        (tree / name).unlink()
    (tree / "link").symlink_to("other")
    (tree / "folder").mkdir()
    assert digest.digest(root, settings_of(declared), now=clock).read == 1
    found = {row["path"]: row["stage"] for row in problems(root, result)}
    assert found == {"longer": "changed", "later": "changed", "gone": "open", "link": "changed", "folder": "open"}
    assert [row["digest"] for row in table.read(root, "digests").to_pylist() if row["digest"]] == [hashlib.sha256(b"5").digest()]


def test_what_was_changed_just_now_is_read_by_a_later_scan(smb_server: Server, place: str, tree: Path, root: Path) -> None:
    archives.grow(tree, [Item(b"new", b"1")])
    os.utime(tree / "new", (time.time() + 1, time.time() + 1))
    declared = smb_server.declared(place, digest="all")
    result = scan(root, declared)
    assert digest.digest(root, settings_of(declared), now=clock).read == 0
    assert [(row["path"], row["stage"]) for row in problems(root, result)] == [("new", "changed")]


def test_no_content_is_brought_back_from_a_slower_storage(smb_server: Server, place: str, tree: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archives.grow(tree, [Item(b"migrated", b"1")])
    age(tree)
    declared = smb_server.declared(place, digest="all")
    result = scan(root, declared)
    monkeypatch.setattr(_smb, "RECALLED", 0xFFFFFFFF)  # no server here has such a storage: all attributes stand for that of it
    opened = list[bool]()
    really = Host.file

    def file(host: Host, path: str, *, content: bool) -> Any:  # noqa: ANN401 - what it really gives
        opened.append(content)
        return really(host, path, content=content)

    monkeypatch.setattr(Host, "file", file)
    assert digest.digest(root, settings_of(declared), now=clock).read == 0
    assert opened == [False]
    assert [(row["path"], row["stage"], row["error"]) for row in problems(root, result)] == [("migrated", "open", smb._RECALLED)]


def test_a_large_folder_is_read_piece_by_piece(smb_server: Server, place: str, tree: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_smb, "_LIST_BYTES", 4096)
    items = [Item(b"d/%03d" % number, b"x") for number in range(173)] + [Item(b"d/sub/below", b"y")]
    archives.grow(tree, items)
    result = scan(root, smb_server.declared(place), workers=1)
    assert len(paths(root, result)) == len(items) + 2
    assert result.state == "complete"


@pytest.fixture
def telling(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[list[Entry]], list[Entry]]], None]:
    """Has the server tell something else of folders, made of what it really tells."""
    really = Host.listed

    def tell(make: Callable[[list[Entry]], list[Entry]]) -> None:
        monkeypatch.setattr(Host, "listed", lambda host, opened, *, again=False: make(really(host, opened, again=again)))

    return tell


def test_names_that_no_file_can_have_lead_nowhere(smb_server: Server, place: str, tree: Path, root: Path, telling: Any) -> None:  # noqa: ANN401 - a fixture
    archives.grow(tree, [Item(b"d/a", b"1")])
    bad = ["", "a/b", "..\\..", "a\0b", "x" * 5000]
    telling(lambda found: [*found, *(one._replace(name=name) for one in found if one.name in ("a", "d") for name in [*bad, one.name, "\ud800"])])
    result = scan(root, smb_server.declared(place), workers=1)
    assert sorted(map(names.escape, paths(root, result))) == ["\\xed\\xa0\\x80", "d", "d/\\xed\\xa0\\x80", "d/a"]
    told = sorted((row["path"], row["stage"]) for row in problems(root, result))
    assert told == [*[("", "name")] * 5, ("\\xed\\xa0\\x80", "list"), ("d", "name"), *[("d", "name")] * 5, ("d/a", "name")]


def test_names_without_end_are_told_of(smb_server: Server, place: str, tree: Path, root: Path, telling: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401 - a fixture
    archives.grow(tree, [Item(b"a", b"1")])
    monkeypatch.setattr(_remote, "MOST_ENTRIES", 100)
    numbers = itertools.count()
    one = Entry("", Times(0, 0, 0, 0), 1, 1, 0x80, 0, None)
    telling(lambda _: [one._replace(name=f"n{next(numbers)}") for _ in range(30)])
    result = scan(root, smb_server.declared(place), workers=1)
    assert 100 <= result.entries <= 160
    assert {(row["path"], row["stage"], row["error"]) for row in problems(root, result)} == {("", "list", _remote.ENDLESS)}


def test_a_folder_that_changes_while_it_is_read_is_read_again(smb_server: Server, place: str, tree: Path, root: Path, telling: Any) -> None:  # noqa: ANN401 - a fixture
    archives.grow(tree, [Item(b"a", b"1")])
    numbers = itertools.count()

    def change(found: list[Entry]) -> list[Entry]:
        if found and next(numbers) in (0, 1):  # the first is of the look at the root
            (tree / f"late {next(numbers)}").write_bytes(b"2")
        return found

    telling(change)
    result = scan(root, smb_server.declared(place), workers=1)
    assert len(paths(root, result)) == 1 + sum(1 for path in tree.iterdir() if path.name.startswith("late"))
    assert problems(root, result) == []


@pytest.mark.parametrize(
    "buffer",
    [
        pytest.param(struct.pack("<II4q2QIII4xQ", 0, 0, *[0] * 6, 0, 100, 0, 0), id="a name that is cut off"),
        pytest.param(struct.pack("<II4q2QIII4xQ", 8, 0, *[0] * 6, 0, 0, 0, 0) * 2, id="a list that leads to itself"),
        pytest.param(struct.pack("<II4q2QIII4xQ", 0, 0, *[0] * 6, 0, 1, 0, 0) + b"x", id="half a letter"),
    ],
)
def test_a_list_that_is_none_is_refused(buffer: bytes) -> None:
    with pytest.raises(ValueError, match=r"the server tells|codec"):
        list(_smb._entries(buffer))


@pytest.mark.parametrize(("created", "is_told"), [(5, False), (7, False), (4, True), (6, True), (-_smb._FIRST_YEARS_100NS, False)])
def test_a_time_of_creation_that_is_the_earliest_of_the_others_is_not_told(created: int, is_told: bool) -> None:
    assert Times(created, accessed=7, modified=5 if created != 7 else 8, changed=9).is_created_told == is_told


def test_reparse_points_are_links_where_they_stand_for_what_lies_elsewhere() -> None:
    def kind(attributes: int, tag: int) -> tuple[int, bool]:
        one = Entry("n", Times(0, 0, 0, 0), 1, 1, attributes, tag, 1)
        return smb._mode(one) >> 12, _smb.is_folder(one)

    folder, file, link = 0o040000 >> 12, 0o100000 >> 12, 0o120000 >> 12
    assert kind(0x410, 0xA000000C) == (link, False)  # a symbolic link to a folder
    assert kind(0x410, 0xA0000003) == (link, False)  # a junction
    assert kind(0x420, 0x80000013) == (file, False)  # a deduplicated file
    assert kind(0x410, 0x9000001A) == (folder, True)  # a folder of a cloud's client


def test_what_nobody_may_list_is_a_problem_and_what_was_below_stays(root: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as given:
        os.chmod(given, 0o755)
        other = smbd.start(Path(given) / "smbd", "force user = nobody")
        try:
            archives.grow(other.share, [Item(b"open/a", b"1"), Item(b"shut/b", b"2")])
            before = scan(root, other.declared(), workers=1)
            (other.share / "shut").chmod(0o700)
            result = scan(root, other.declared(), workers=1)
        finally:
            other.stop()
    assert paths(root, before) == paths(root, result) == [b"open", b"open/a", b"shut", b"shut/b"]
    assert [(row["path"], row["stage"], row["errno"]) for row in problems(root, result)] == [("shut", "list", errno.EACCES)]


@pytest.mark.parametrize("more", ["smb encrypt = required", "server max protocol = SMB2_10\nserver signing = mandatory"])
def test_servers_that_encrypt_and_those_that_only_sign_are_read(tmp_path: Path, root: Path, more: str) -> None:
    other = smbd.start(tmp_path / "smbd", more)
    try:
        archives.grow(other.share, [Item(b"d/a", b"1")])
        age(other.share)
        declared = other.declared(digest="all")
        assert paths(root, scan(root, declared)) == [b"d", b"d/a"]
        assert digest.digest(root, settings_of(declared), now=clock).read == 1
    finally:
        other.stop()


@pytest.mark.slow
def test_who_is_not_let_in_is_told_and_no_password_is(smb_server: Server, tree: Path, root: Path, tmp_path: Path) -> None:
    tree.mkdir()
    (tmp_path / "password").write_text("canary-7f3a\n")
    told = failure(root, smb_server.declared(password_file=str(tmp_path / "password")))
    assert "does not let" in told
    assert "canary" not in told
    stranger = smb_server.declared() | {"url": f"smb://stranger@127.0.0.1:{smb_server.port}/Share"}  # the server takes it for a guest
    assert "guest" in failure(root, stranger)
    assert "has no share" in failure(root, smb_server.declared() | {"url": f"smb://root@127.0.0.1:{smb_server.port}/none"})
    assert "name is not found" in failure(root, smb_server.declared("none"))
    assert "cannot be reached" in failure(root, smb_server.declared() | {"url": "smb://root@127.0.0.1:1/Share"})
    scan(root, smb_server.declared())
    assert not [file for file in root.rglob("*") if file.is_file() and smbd.PASSWORD.encode() in file.read_bytes()]


@pytest.mark.parametrize(
    "url", ["smb://", "smb://host", "smb://host/", "smb://host/share/a/../b", "smb:///share", "smb://host:99999999/share", "smb://host/a%5Cb", "smb://h/s/%ff"]
)
def test_a_url_that_is_none_is_told(root: Path, url: str) -> None:
    with pytest.raises((UnreachableError, ConfigError), match="url"):
        scan(root, {"url": url})


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_server_that_ends_or_stops_answering_fails_the_scan_and_publishes_nothing(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr(_smb, "_SILENT_SECONDS", 1)
    halted = smbd.start(tmp_path / "smbd")
    declared, heard = Tree(halted, "tree").make(many(400)), itertools.count()

    def listener(_: object) -> None:
        if next(heard) == 1:
            os.killpg(halted.process.pid, number)

    try:
        with pytest.raises(UnreachableError, match="was lost"):
            scan(root, declared, workers=1, progress=listener)
    finally:
        halted.stop()
    assert not [row for row in snapshot.scans(root) if row.state != "failed"]
    assert table.files(root, "entries") == []


@pytest.mark.parametrize("at", [300, 550, 650], ids=["at the challenge", "at the answer to it", "at the share"])
def test_a_host_that_falls_silent_while_somebody_signs_in_is_given_up(smb_server: Server, root: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    monkeypatch.setattr(_smb, "_SILENT_SECONDS", 1)
    with line.running(smb_server.port) as between:
        between.fresh(Break("stall", up=False, at=at))
        told = failure(root, {**smb_server.declared(), "url": f"smb://root@127.0.0.1:{between.port}/Share"})
        assert between.fired
    assert "cannot be reached" in told


def test_a_host_of_which_nothing_is_heard_is_given_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_smb, "_LOGIN_SECONDS", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert "cannot be reached" in failure(root, {"url": f"smb://root@127.0.0.1:{silent.getsockname()[1]}/Share"})
