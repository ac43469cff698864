"""What is peculiar to trees of another host: its key, names that it may tell, what it lacks, contents, and connections that are lost."""

import hashlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from catalog import snapshot, table
from catalog.errors import ConfigError, UnreachableError
from catalog.schema import TIME_FLAGS
from scanners import digest, sftp
from tests.scanners import archives, sshd
from tests.scanners.contract import Contract, Factory, Item, clock, entries, many, paths, problems, scan, settings_of
from tests.scanners.sshd import Server, Tree


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = sshd.start(tmp_path_factory.mktemp("server") / "sshd")
    yield started
    started.stop()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tmp_path / "tree"


class TestSftp(Contract):
    """The suite that every kind passes."""

    @pytest.fixture
    def factory(self, server: Server, tmp_path: Path) -> Factory:
        return Tree(server, tmp_path / "tree")


def test_entries_are_those_of_the_tree_and_what_the_protocol_lacks_is_null(server: Server, tree: Path, root: Path) -> None:
    archives.grow(tree, [Item(b"d/file.txt", b"content"), Item(b"empty", b"")])
    os.utime(tree / "d" / "file.txt", (1_500_000_000.5, 1_400_000_000.25))
    os.chmod(tree / "d" / "file.txt", 0o4640)
    os.symlink(b"../\xff\n", os.fsencode(tree / "d" / "link"))
    os.link(tree / "d" / "file.txt", tree / "d" / "other name")
    os.mkfifo(tree / "pipe")
    result = scan(root, server.declared(tree))
    rows = {row["dir"] + row["name"]: row for row in entries(root, result)}
    assert {path: row["type"] for path, row in rows.items()} == {
        "d": "dir", "d/file.txt": "file", "d/link": "symlink", "d/other name": "file", "empty": "file", "pipe": "special",
    }  # fmt: skip
    file, stored = rows["d/file.txt"], (tree / "d" / "file.txt").stat()
    assert (file["size_bytes"], file["mode"], file["uid"], file["gid"]) == (7, stored.st_mode, stored.st_uid, stored.st_gid)
    assert (file["modified_at"].timestamp(), file["modified_ns"], file["time_flags"]) == (1_400_000_000, 0, TIME_FLAGS["modified_coarse"])
    assert file["accessed_at"].timestamp() == 1_500_000_000
    assert rows["d/link"]["link_target"] == "../\\xff\\x0a"
    for lacking in ("inode", "link_count", "owner", "group", "changed_at", "created_at", "allocated_bytes"):
        assert file[lacking] is None
    scanned = snapshot.newest_scans(root)["v"]
    assert (scanned.state, scanned.root_fs_id) == ("complete", file["fs_id"])
    assert scanned.capacity_bytes
    assert scanned.free_bytes


def test_a_time_that_no_clock_has_shown_is_told(server: Server, tree: Path, root: Path) -> None:
    archives.grow(tree, [Item(b"old", b"1"), Item(b"future", b"2")])
    os.utime(tree / "old", (0, 0))
    os.utime(tree / "future", (4_000_000_000, 4_000_000_000))
    rows = {row["name"]: row["time_flags"] for row in entries(root, scan(root, server.declared(tree)))}
    assert rows["old"] == rows["future"] == TIME_FLAGS["modified_suspect"] | TIME_FLAGS["accessed_suspect"] | TIME_FLAGS["modified_coarse"]


def test_a_folder_that_nobody_may_list_is_a_problem_and_what_was_below_stays(tree: Path, root: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    archives.grow(tree, [Item(b"open/a", b"1"), Item(b"shut/b", b"2")])
    before = scan(root, server.declared(tree))
    assert before.state == "complete"
    real = asyncssh.SFTPClient.scandir

    async def scandir(client: asyncssh.SFTPClient, path: bytes) -> Any:  # noqa: ANN401 - as the original
        if path.endswith(b"/shut/"):  # root may list all that there is
            raise asyncssh.SFTPPermissionDenied("Permission denied")
        async for entry in real(client, path):
            yield entry

    monkeypatch.setattr(asyncssh.SFTPClient, "scandir", scandir)
    result = scan(root, server.declared(tree), workers=1)
    assert result.state == "incomplete"
    assert [(row["path"], row["stage"], row["hides_below"]) for row in problems(root, result)] == [("shut", "list", True)]
    carried = {row["dir"] + row["name"]: row["carried_from"] is not None for row in entries(root, result)}
    assert carried == {"open": False, "open/a": False, "shut": False, "shut/b": True}


def test_names_that_no_file_can_have_lead_nowhere(server: Server, tree: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archives.grow(tree, [Item(b"d/a", b"1")])
    real = asyncssh.SFTPClient.scandir

    async def scandir(client: asyncssh.SFTPClient, path: bytes) -> Any:  # noqa: ANN401 - as the original
        async for entry in real(client, path):
            yield entry
            if entry.filename in (b"a", b"d"):
                for name in (b"../../etc", b"..", b"", b"nul\0l", entry.filename, b"/etc"):
                    yield asyncssh.SFTPName(name, attrs=entry.attrs)

    monkeypatch.setattr(asyncssh.SFTPClient, "scandir", scandir)
    result = scan(root, server.declared(tree), workers=1)
    assert paths(root, result) == [b"d", b"d/a"]
    assert {(row["path"], row["stage"]) for row in problems(root, result)} == {("", "name"), ("d", "name"), ("d/a", "name")}


@pytest.mark.parametrize("size_bytes", [0, 10, 70_000, 9_000_000])
def test_contents_are_read_and_known_by_their_digest(server: Server, tree: Path, root: Path, size_bytes: int) -> None:
    content = os.urandom(size_bytes)
    archives.grow(tree, [Item(b"d\n/\xff", content)])
    declared = server.declared(tree, digest="all")
    scan(root, declared)
    counts = digest.digest(root, settings_of(declared), now=clock)
    assert (counts.read, counts.problems) == (int(size_bytes > 0), 0)
    stored = table.read(root, "digests").to_pylist()
    assert [row["digest"] for row in stored] == ([hashlib.sha256(content).digest()] if size_bytes else [])


def test_a_file_that_changed_since_its_scan_is_not_read_as_what_it_was(server: Server, tree: Path, root: Path) -> None:
    archives.grow(tree, [Item(b"longer", b"1"), Item(b"later", b"2"), Item(b"gone", b"3"), Item(b"link", b"4")])
    for path in tree.iterdir():
        os.utime(path, (1_500_000_000, 1_500_000_000))
    declared = server.declared(tree, digest="all")
    result = scan(root, declared)
    (tree / "longer").write_bytes(b"11")
    os.utime(tree / "longer", (1_500_000_000, 1_500_000_000))
    os.utime(tree / "later", (1_500_000_001, 1_500_000_001))
    (tree / "gone").unlink()
    (tree / "link").unlink()
    (tree / "link").symlink_to("longer")
    assert digest.digest(root, settings_of(declared), now=clock).read == 0
    found = {row["path"]: row["stage"] for row in problems(root, result)}
    assert found == {"longer": "changed", "later": "changed", "gone": "open", "link": "changed"}
    assert not [row for row in table.read(root, "digests").to_pylist() if row["digest"]]


def failure(root: Path, declared: dict[str, Any]) -> str:
    """Why a scan could not be made."""
    with pytest.raises(UnreachableError) as failed:
        scan(root, declared)
    return str(failed.value)


def test_a_host_whose_key_is_not_known_is_told_nothing(server: Server, tree: Path, root: Path, tmp_path: Path) -> None:
    archives.grow(tree, [Item(b"a", b"1")])
    (tmp_path / "known_hosts").write_text("")
    assert "compare it" in failure(root, server.declared(tree) | {"known_hosts": str(tmp_path / "known_hosts")})
    other = (server.folder / "user_key.pub").read_text().split()[:2]
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {' '.join(other)}\n")
    assert "is another than there" in failure(root, server.declared(tree) | {"known_hosts": str(tmp_path / "known_hosts")})
    assert snapshot.newest_scans(root) == {}


def test_who_has_no_key_is_not_let_in(server: Server, tree: Path, root: Path, tmp_path: Path) -> None:
    archives.grow(tree, [Item(b"a", b"1")])
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    assert "lets nobody in" in failure(root, server.declared(tree) | {"identity_file": str(tmp_path / "other")})
    (tmp_path / "none").write_text("no key")
    assert "identity_file" in failure(root, server.declared(tree) | {"identity_file": str(tmp_path / "none")})


def test_what_is_not_there_is_told(server: Server, tree: Path, root: Path) -> None:
    tree.mkdir()
    (tree / "file").write_bytes(b"1")
    assert "No such file" in failure(root, server.declared(tree / "none"))
    assert "it is no folder" in failure(root, server.declared(tree / "file"))
    port = server.port
    server.port = 1
    try:
        assert "cannot be reached" in failure(root, server.declared(tree))
    finally:
        server.port = port


@pytest.mark.parametrize("url", ["sftp://", "sftp://host", "sftp://host/a/../b", "sftp:///path", "sftp://host:99999999/path", "sftp:path"])
def test_a_url_that_is_none_is_told(root: Path, url: str) -> None:
    with pytest.raises((UnreachableError, ConfigError), match="url"):
        scan(root, {"url": url})


def test_a_connection_that_is_lost_fails_the_scan_and_publishes_nothing(tmp_path: Path, root: Path) -> None:
    ended = sshd.start(tmp_path / "sshd")
    items = many(400)
    declared = Tree(ended, tmp_path / "tree").make(items)
    heard = 0

    def listener(_: object) -> None:
        nonlocal heard
        heard += 1
        if heard == 2:
            ended.stop()

    with pytest.raises(UnreachableError, match=r"was lost|cannot be reached"):
        scan(root, declared, workers=1, progress=listener)
    assert not [row for row in snapshot.scans(root) if row.state != "failed"]
    assert table.files(root, "entries") == []


def test_a_host_of_which_nothing_is_heard_is_given_up(tree: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanners._ssh._LOGIN_SECONDS", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        (tmp_path / "known_hosts").write_text("")
        assert "cannot be reached" in failure(root, {"url": f"sftp://127.0.0.1:{silent.getsockname()[1]}{tree}", "known_hosts": str(tmp_path / "known_hosts")})


def test_a_large_folder_is_read_piece_by_piece(server: Server, tree: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp, "_LARGE", 50)
    monkeypatch.setattr(sftp, "_PIECE", 20)
    items = [Item(b"d/%03d" % number, b"x") for number in range(173)] + [Item(b"d/sub/below", b"y")]
    archives.grow(tree, items)
    result = scan(root, server.declared(tree), workers=1)
    assert len(paths(root, result)) == len(items) + 2
    assert result.state == "complete"


def test_no_password_is_in_the_arguments_or_in_what_is_told(server: Server, tree: Path, root: Path, tmp_path: Path) -> None:
    archives.grow(tree, [Item(b"a", b"1")])
    (tmp_path / "password").write_text("canary-7f3a\n")
    (tmp_path / "none").write_text("")
    told = failure(root, server.declared(tree, password_file=str(tmp_path / "password")) | {"known_hosts": str(tmp_path / "none")})
    assert "canary" not in told
    scan(root, server.declared(tree, password_file=str(tmp_path / "password")))
    assert not [file for file in root.rglob("*") if file.is_file() and b"canary" in file.read_bytes()]
