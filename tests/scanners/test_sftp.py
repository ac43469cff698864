"""What is peculiar to trees of another host: its key, names that it may tell, what it lacks, contents, and connections that are lost."""

import asyncio
import hashlib
import itertools
import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncssh
import pyarrow as pa
import pytest

import scanners
from catalog import config, snapshot, table
from catalog.errors import ConfigError, RefusedError, UnreachableError
from catalog.schema import TIME_FLAGS
from scanners import _remote, crawl, digest, sftp
from tests.scanners import archives, sshd
from tests.scanners.contract import Contract, Factory, Item, clock, entries, many, paths, problems, scan, settings_of
from tests.scanners.sshd import Server, Tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tmp_path / "tree"


class TestSftp(Contract):
    """The suite that every kind passes."""

    @pytest.fixture
    def factory(self, ssh_server: Server, tmp_path: Path) -> Factory:
        return Tree(ssh_server, tmp_path / "tree")


def test_entries_are_those_of_the_tree_and_what_the_protocol_lacks_is_null(ssh_server: Server, tree: Path, root: Path) -> None:
    archives.grow(tree, [Item(b"d/file.txt", b"content"), Item(b"empty", b"")])
    os.utime(tree / "d" / "file.txt", (1_500_000_000.5, 1_400_000_000.25))
    os.chmod(tree / "d" / "file.txt", 0o4640)
    os.symlink(b"../\xff\n", os.fsencode(tree / "d" / "link"))
    os.link(tree / "d" / "file.txt", tree / "d" / "other name")
    os.mkfifo(tree / "pipe")
    result = scan(root, ssh_server.declared(tree))
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


def test_a_time_that_no_clock_has_shown_is_told(ssh_server: Server, tree: Path, root: Path) -> None:
    archives.grow(tree, [Item(b"old", b"1"), Item(b"future", b"2")])
    os.utime(tree / "old", (0, 0))
    os.utime(tree / "future", (4_000_000_000, 4_000_000_000))
    rows = {row["name"]: row["time_flags"] for row in entries(root, scan(root, ssh_server.declared(tree)))}
    assert rows["old"] == rows["future"] == TIME_FLAGS["modified_suspect"] | TIME_FLAGS["accessed_suspect"] | TIME_FLAGS["modified_coarse"]


def test_a_folder_that_nobody_may_list_is_a_problem_and_what_was_below_stays(
    tree: Path, root: Path, ssh_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives.grow(tree, [Item(b"open/a", b"1"), Item(b"shut/b", b"2")])
    before = scan(root, ssh_server.declared(tree))
    assert before.state == "complete"
    real = asyncssh.SFTPClient.scandir

    async def scandir(client: asyncssh.SFTPClient, path: bytes) -> Any:  # noqa: ANN401 - as the original
        if path.endswith(b"/shut/"):  # root may list all that there is
            raise asyncssh.SFTPPermissionDenied("Permission denied")
        async for entry in real(client, path):
            yield entry

    monkeypatch.setattr(asyncssh.SFTPClient, "scandir", scandir)
    result = scan(root, ssh_server.declared(tree), workers=1)
    assert result.state == "incomplete"
    assert [(row["path"], row["stage"], row["hides_below"]) for row in problems(root, result)] == [("shut", "list", True)]
    carried = {row["dir"] + row["name"]: row["carried_from"] is not None for row in entries(root, result)}
    assert carried == {"open": False, "open/a": False, "shut": False, "shut/b": True}


def test_names_that_no_file_can_have_lead_nowhere(ssh_server: Server, tree: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archives.grow(tree, [Item(b"d/a", b"1")])
    real = asyncssh.SFTPClient.scandir

    async def scandir(client: asyncssh.SFTPClient, path: bytes) -> Any:  # noqa: ANN401 - as the original
        async for entry in real(client, path):
            yield entry
            if entry.filename in (b"a", b"d"):
                for name in (b"../../etc", b"..", b"", b"nul\0l", entry.filename, b"/etc"):
                    yield asyncssh.SFTPName(name, attrs=entry.attrs)

    monkeypatch.setattr(asyncssh.SFTPClient, "scandir", scandir)
    result = scan(root, ssh_server.declared(tree), workers=1)
    assert paths(root, result) == [b"d", b"d/a"]
    assert {(row["path"], row["stage"]) for row in problems(root, result)} == {("", "name"), ("d", "name"), ("d/a", "name")}


@pytest.mark.parametrize("size_bytes", [0, 10, 70_000, 9_000_000])
def test_contents_are_read_and_known_by_their_digest(ssh_server: Server, tree: Path, root: Path, size_bytes: int) -> None:
    content = os.urandom(size_bytes)
    archives.grow(tree, [Item(b"d\n/\xff", content)])
    declared = ssh_server.declared(tree, digest="all")
    age(tree)
    scan(root, declared)
    counts = digest.digest(root, settings_of(declared), now=clock)
    assert (counts.read, counts.problems) == (int(size_bytes > 0), 0)
    stored = table.read(root, "digests").to_pylist()
    assert [row["digest"] for row in stored] == ([hashlib.sha256(content).digest()] if size_bytes else [])


def test_a_file_that_changed_since_its_scan_is_not_read_as_what_it_was(ssh_server: Server, tree: Path, root: Path) -> None:
    archives.grow(tree, [Item(b"longer", b"1"), Item(b"later", b"2"), Item(b"gone", b"3"), Item(b"link", b"4")])
    for path in tree.iterdir():
        os.utime(path, (1_500_000_000, 1_500_000_000))
    declared = ssh_server.declared(tree, digest="all")
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


def age(tree: Path) -> None:
    """Have all files be of the day before: what was changed just now is not read yet."""
    for folder, _, found in os.walk(os.fsencode(tree)):
        for name in found:
            os.utime(os.path.join(folder, name), (1_600_000_000, 1_600_000_000), follow_symlinks=False)


def test_what_was_changed_just_now_is_read_by_a_later_scan(ssh_server: Server, tree: Path, root: Path) -> None:
    archives.grow(tree, [Item(b"new", b"1")])
    os.utime(tree / "new", (time.time() + 1, time.time() + 1))
    declared = ssh_server.declared(tree, digest="all")
    result = scan(root, declared)
    assert digest.digest(root, settings_of(declared), now=clock).read == 0
    assert [(row["path"], row["stage"]) for row in problems(root, result)] == [("new", "changed")]


Told = Callable[[asyncssh.SFTPClient, bytes], AsyncIterator[asyncssh.SFTPName]]


@pytest.fixture
def telling(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Told], Told]], None]:
    """Has the host tell something else of folders, made of what it really tells."""

    def tell(make: Callable[[Told], Told]) -> None:
        monkeypatch.setattr(asyncssh.SFTPClient, "scandir", make(asyncssh.SFTPClient.scandir))

    return tell


def test_what_a_host_does_not_tell_is_unknown_and_never_empty(ssh_server: Server, tree: Path, root: Path, telling: Any) -> None:  # noqa: ANN401 - a fixture
    archives.grow(tree, [Item(b"sized", b"1"), Item(b"unsized", b"2"), Item(b"kindless", b"3"), Item(b"nobody's", b"4")])

    def make(real: Told) -> Told:
        async def scandir(client: asyncssh.SFTPClient, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
            async for entry in real(client, path):
                for name, lacks in ((b"unsized", "size"), (b"kindless", "permissions"), (b"nobody's", "uid")):
                    if entry.filename == name:
                        setattr(entry.attrs, lacks, None)
                yield entry

        return scandir

    telling(make)
    result = scan(root, ssh_server.declared(tree), workers=1)
    rows = {row["name"]: row for row in entries(root, result)}
    assert set(rows) == {"sized", "nobody's"}
    assert rows["nobody's"]["uid"] is None
    assert {(row["path"], row["stage"]) for row in problems(root, result)} == {("unsized", "stat"), ("kindless", "stat")}
    assert result.state == "incomplete"


def test_one_folder_by_two_names_of_its_host_is_refused(ssh_server: Server, tree: Path, root: Path) -> None:
    archives.grow(tree, [Item(b"d/a", b"1")])
    (tree.parent / "link").symlink_to(tree)
    one = ssh_server.declared(tree)
    known = ssh_server.folder / "known_hosts"
    known.write_text(known.read_text() + known.read_text().replace("127.0.0.1", "localhost"))
    for path in (tree, tree / "d", tree.parent / "link"):
        other = ssh_server.declared(path) | {"url": f"sftp://localhost:{ssh_server.port}{path}", "role": "backup"}
        declared = config.parse({"volumes": {"v": one, "w": other}})
        crawl.scan(root, declared, "v", now=clock)
        with pytest.raises(RefusedError, match="by another name"):
            crawl.scan(root, declared, "w", now=clock)
    nested = config.parse({"volumes": {"v": one, "w": ssh_server.declared(tree / "d")}})
    assert crawl.scan(root, nested, "w", now=clock).entries == 1, "their urls say that one lies in the other"


def test_a_link_that_takes_a_folders_place_is_not_followed(ssh_server: Server, tree: Path, root: Path, telling: Any) -> None:  # noqa: ANN401 - a fixture
    archives.grow(tree, [Item(b"d/inside", b"1")])
    archives.grow(tree.parent / "outside", [Item(b"secret", b"2")])

    def make(real: Told) -> Told:
        async def scandir(client: asyncssh.SFTPClient, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
            async for entry in real(client, path):
                yield entry
            if path.endswith(b"/tree/"):
                before = tree.stat()
                (tree / "d").rename(tree.parent / "moved")
                (tree / "d").symlink_to(tree.parent / "outside")
                os.utime(tree, ns=(before.st_atime_ns, before.st_mtime_ns))  # else it is listed again, and shows the link

        return scandir

    telling(make)
    result = scan(root, ssh_server.declared(tree), workers=1)
    assert b"d/secret" not in paths(root, result)
    assert ("d", "list") in {(row["path"], row["stage"]) for row in problems(root, result)}


def test_names_without_end_and_of_any_length_fill_nothing(ssh_server: Server, tree: Path, root: Path, telling: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401 - a fixture
    for module, name, bound in ((_remote, "MOST_ENTRIES", 200), (sftp, "_LARGE", 50), (_remote, "PIECE", 20)):
        monkeypatch.setattr(module, name, bound)
    archives.grow(tree, [Item(b"a", b"1")])

    def make(real: Told) -> Told:
        async def scandir(client: asyncssh.SFTPClient, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
            async for entry in real(client, path):
                last = entry
            for number in itertools.count():
                yield asyncssh.SFTPName(b"%d" % number if number % 2 else b"x" * 5000, attrs=last.attrs)

        return scandir

    telling(make)
    result = scan(root, ssh_server.declared(tree), workers=1)
    assert result.state == "incomplete"
    assert result.entries < 300
    assert {row["stage"] for row in problems(root, result)} == {"name", "list"}


def test_a_large_folder_that_is_told_twice_is_entered_once(ssh_server: Server, tree: Path, root: Path, telling: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401 - a fixture
    monkeypatch.setattr(sftp, "_LARGE", 50)
    monkeypatch.setattr(_remote, "PIECE", 20)
    archives.grow(tree, [Item(b"%02d" % number, b"x") for number in range(60)])

    def make(real: Told) -> Told:
        async def scandir(client: asyncssh.SFTPClient, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
            for _ in range(2):
                async for entry in real(client, path):
                    yield entry

        return scandir

    telling(make)
    result = scan(root, ssh_server.declared(tree), workers=1)
    assert (result.entries, result.bytes) == (60, 60)
    assert ("", "changed") in {(row["path"], row["stage"]) for row in problems(root, result)}


def test_a_host_that_lives_and_does_not_answer_is_given_up(ssh_server: Server, tree: Path, root: Path, telling: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401 - a fixture
    monkeypatch.setattr("scanners._ssh._SILENT_SECONDS", 1.0)
    archives.grow(tree, [Item(b"a", b"1")])

    def make(real: Told) -> Told:
        async def scandir(client: asyncssh.SFTPClient, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
            async for entry in real(client, path):
                await asyncio.sleep(3600)  # as where the disk below it hangs
                yield entry

        return scandir

    telling(make)
    assert "has not answered" in failure(root, ssh_server.declared(tree))


def test_contents_of_a_host_that_is_gone_stay_unknown(tmp_path: Path, root: Path) -> None:
    ended = sshd.start(tmp_path / "sshd")
    declared = Tree(ended, tmp_path / "tree").make(many(20)) | {"digest": "all"}
    age(tmp_path / "tree")
    result = scan(root, declared)
    scanner = scanners.connect(settings_of(declared), "v")
    scanner.probe()
    ended.stop()
    rows = pa.RecordBatch.from_pylist([row for row in entries(root, result) if row["type"] == "file"])
    for _ in range(2):
        reply = scanner.digests(rows)
        assert [stage for _, stage, _, _ in reply.problems] == ["open"] * rows.num_rows
        assert not any(reply.digests)
    scanner.close()


def failure(root: Path, declared: dict[str, Any]) -> str:
    """Why a scan could not be made."""
    with pytest.raises(UnreachableError) as failed:
        scan(root, declared)
    return str(failed.value)


def test_a_host_whose_key_is_not_known_is_told_nothing(ssh_server: Server, tree: Path, root: Path, tmp_path: Path) -> None:
    archives.grow(tree, [Item(b"a", b"1")])
    (tmp_path / "known_hosts").write_text("")
    assert "compare it" in failure(root, ssh_server.declared(tree) | {"known_hosts": str(tmp_path / "known_hosts")})
    other = (ssh_server.folder / "user_key.pub").read_text().split()[:2]
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{ssh_server.port} {' '.join(other)}\n")
    assert "is another than there" in failure(root, ssh_server.declared(tree) | {"known_hosts": str(tmp_path / "known_hosts")})
    assert snapshot.newest_scans(root) == {}


def test_who_has_no_key_is_not_let_in(ssh_server: Server, tree: Path, root: Path, tmp_path: Path) -> None:
    archives.grow(tree, [Item(b"a", b"1")])
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    assert "lets nobody in" in failure(root, ssh_server.declared(tree) | {"identity_file": str(tmp_path / "other")})
    (tmp_path / "none").write_text("no key")
    assert "identity_file" in failure(root, ssh_server.declared(tree) | {"identity_file": str(tmp_path / "none")})


def test_what_is_not_there_is_told(ssh_server: Server, tree: Path, root: Path) -> None:
    tree.mkdir()
    (tree / "file").write_bytes(b"1")
    assert "No such file" in failure(root, ssh_server.declared(tree / "none"))
    assert "it is no folder" in failure(root, ssh_server.declared(tree / "file"))
    port = ssh_server.port
    ssh_server.port = 1
    try:
        assert "cannot be reached" in failure(root, ssh_server.declared(tree))
    finally:
        ssh_server.port = port


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


def test_a_large_folder_is_read_piece_by_piece(ssh_server: Server, tree: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp, "_LARGE", 50)
    monkeypatch.setattr(_remote, "PIECE", 20)
    items = [Item(b"d/%03d" % number, b"x") for number in range(173)] + [Item(b"d/sub/below", b"y")]
    archives.grow(tree, items)
    result = scan(root, ssh_server.declared(tree), workers=1)
    assert len(paths(root, result)) == len(items) + 2
    assert result.state == "complete"


def test_no_password_is_in_the_arguments_or_in_what_is_told(ssh_server: Server, tree: Path, root: Path, tmp_path: Path) -> None:
    archives.grow(tree, [Item(b"a", b"1")])
    (tmp_path / "password").write_text("canary-7f3a\n")
    (tmp_path / "none").write_text("")
    told = failure(root, ssh_server.declared(tree, password_file=str(tmp_path / "password")) | {"known_hosts": str(tmp_path / "none")})
    assert "canary" not in told
    scan(root, ssh_server.declared(tree, password_file=str(tmp_path / "password")))
    assert not [file for file in root.rglob("*") if file.is_file() and b"canary" in file.read_bytes()]
