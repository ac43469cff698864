"""Repositories of restic: real ones, and what makes reading one fail, each of which is told and leaves what was known before."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from catalog import config, names, snapshot, table
from catalog.errors import ConfigError, RefusedError, UnreachableError
from lifecycle import stores
from scanners import _program, _restic, crawl
from scanners import restic as kind
from tests.scanners import archives, contract
from tests.scanners.contract import Contract, Factory, Interrupt, Item, entries, expected, many, paths, problems, scan
from tests.scanners.repositories import PASSWORD, backup, declared_of, filled, new, restic


class Repository:
    """Makes one repository with one recovery point of some items."""

    kind = "restic"

    def __init__(self, folder: Path, listed: bool = False) -> None:
        self.folder, self.listed = folder, listed

    def make(self, items: Iterable[Item]) -> dict[str, Any]:
        return declared_of(filled(self.folder, items))

    def takes(self, name: bytes) -> bool:
        if not self.listed:
            return True
        try:  # it tells others with U+FFFD in them
            return "\ufffd" not in name.decode()
        except UnicodeDecodeError:
            return False


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


@pytest.fixture(params=["inside", "listed"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a repository is read: what lies inside, or the program's listings."""
    if request.param == "listed":
        monkeypatch.setattr(kind, "_can_decrypt", lambda: False)
    return str(request.param)


class TestRestic(Contract):
    """The suite that every kind passes, but for what takes several shards: a repository is one."""

    @pytest.fixture
    def factory(self, tmp_path: Path) -> Factory:
        return Repository(tmp_path)

    def test_an_interrupted_scan_leaves_the_catalog_as_it_was_and_is_gone_on_with(self, factory: Factory, root: Path) -> None:
        items = many(60)
        declared = factory.make(items)
        with pytest.raises(KeyboardInterrupt):
            scan(root, declared, progress=Interrupt(1), resume=True)
        assert snapshot.newest_scans(root) == {}
        assert table.files(root, "entries") == []
        result = scan(root, declared, resume=True)
        assert paths(root, result) == expected(items)
        assert len(table.read(root, "recovery_points")) == 1

    def test_without_resume_the_leftovers_of_an_interrupted_scan_are_removed(self, factory: Factory, root: Path) -> None:
        items = many(60)
        declared = factory.make(items)
        with pytest.raises(KeyboardInterrupt):
            scan(root, declared, progress=Interrupt(1))
        assert paths(root, scan(root, declared)) == expected(items)
        for name in ("entries", "recovery_points"):
            assert {str(path) for path in (root / name).rglob("*.parquet")} == set(table.files(root, name))


@pytest.fixture
def only_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds where nothing is installed that decrypts a repository, or it lies elsewhere."""
    monkeypatch.setattr(kind, "_can_decrypt", lambda: False)


@pytest.mark.usefixtures("only_listed")
class TestListed(TestRestic):
    """The suite, where the program's listings are all that there is."""

    @pytest.fixture
    def factory(self, tmp_path: Path) -> Factory:
        return Repository(tmp_path, listed=True)


def rows_by_path(root: Path, result: crawl.ScanResult) -> dict[str, list[dict[str, Any]]]:
    """The entries of a scan by path, the largest version first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in entries(root, result):
        found.setdefault(row["dir"] + row["name"], []).append(row)
    return {path: sorted(rows, key=lambda row: -row["size_bytes"]) for path, rows in found.items()}


def test_what_one_machine_backed_up_is_no_copy_for_another(tmp_path: Path, root: Path, way: str) -> None:
    repository, tree = new(tmp_path), tmp_path / "tree"
    archives.grow(tree, [Item(b"t/file", b"of b"), Item(b"t/only b", b"x")])
    backup(repository, tree, "--host", "b")
    (tree / "t/file").write_bytes(b"of a")
    (tree / "t/only b").unlink()
    first = backup(repository, tree, "--host", "a")
    with pytest.raises(UnreachableError, match="its recovery points are of the hosts a, b; say by 'hosts' of which the volume is"):
        scan(root, declared_of(repository))
    with pytest.raises(UnreachableError, match="none of its recovery points is of c, but of the hosts a, b"):
        scan(root, declared_of(repository, hosts=["c"]))
    found = rows_by_path(root, scan(root, declared_of(repository, hosts=["a", "old name of a"])))
    assert [(path, row["first_recovery_point"]) for path, rows in found.items() for row in rows if row["type"] == "file"] == [("t/file", first)]


def test_of_names_that_a_listing_does_not_tell_none_is_entered(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "_can_decrypt", lambda: False)
    result = scan(root, Repository(tmp_path).make([Item(b"t/\xff", b"x"), Item(b"t/in\xff/deep", b"x"), Item(b"t/plain", b"x")]))
    assert paths(root, result) == [b"t", b"t/plain"]
    assert ("t", "name") in {(row["path"], row["stage"]) for row in problems(root, result)}


def test_a_recovery_point_of_the_future_is_left_out(tmp_path: Path, root: Path, way: str) -> None:
    repository, tree = new(tmp_path), tmp_path / "tree"
    archives.grow(tree, [Item(b"t/file", b"old")])
    first = backup(repository, tree)
    (tree / "t/file").write_bytes(b"newer")
    backup(repository, tree, "--time", "2127-06-01 00:00:00")
    result = scan(root, declared_of(repository))
    assert [(row["size_bytes"], row["last_recovery_point"]) for row in rows_by_path(root, result)["t/file"]] == [(3, first)]
    assert table.read(root, "recovery_points")["recovery_point"].to_pylist() == [first]
    assert result.state == "incomplete"


def test_versions_are_intervals_of_recovery_points(tmp_path: Path, root: Path, way: str) -> None:
    repository, tree = new(tmp_path), tmp_path / "tree"
    archives.grow(tree, [Item(b"t/kept", b"1"), Item(b"t/changed", b"old"), Item(b"t/gone", b"x"), Item(b"t/d/back", b"b")])
    os.utime(tree / "t" / "changed", ns=(0, 1_600_000_000_123_456_789))
    first = backup(repository, tree, "--tag", "one", "--exclude", "*.tmp", "--host", "nas")
    (tree / "t" / "changed").write_bytes(b"newer")
    (tree / "t" / "gone").unlink()
    second = backup(repository, tree, "--host", "nas")
    third = backup(repository, tree, "--host", "nas")  # the same tree
    result = scan(root, declared_of(repository))
    found = rows_by_path(root, result)
    told = {
        path: [(row["size_bytes"], row["is_latest"], row["first_recovery_point"], row["last_recovery_point"]) for row in rows] for path, rows in found.items()
    }
    assert told["t/kept"] == [(1, True, first, third)]
    assert told["t/changed"] == [(5, True, second, third), (3, False, first, first)]
    assert told["t/gone"] == [(1, False, first, first)]
    assert told["t/d/back"] == [(1, True, first, third)]
    assert {row["restore_state"] for rows in found.values() for row in rows if row["type"] == "file"} == {"whole" if way == "inside" else None}
    assert found["t/changed"][0]["digest"] == (hashlib.sha256(b"newer").digest() if way == "inside" else None)
    old = found["t/changed"][1]
    assert (old["modified_at"], old["modified_ns"], old["time_flags"]) == (datetime(2020, 9, 13, 12, 26, 40, 123_456), 789, 0)
    kept = tree.joinpath("t", "kept").stat()
    assert (found["t/kept"][0]["mode"], found["t/kept"][0]["uid"], found["t/kept"][0]["gid"]) == (kept.st_mode, kept.st_uid, kept.st_gid)
    assert (result.state, result.entries, result.files) == ("complete", 7, 5)
    point = min(table.read(root, "recovery_points").to_pylist(), key=lambda row: row["started_at"])
    assert (point["recovery_point"], point["host"], json.loads(point["excludes"]), json.loads(point["tags"])) == (first, "nas", ["*.tmp"], ["one"])
    assert json.loads(point["paths"]) == [str(tree / "t")]
    restic(repository, "forget", "--quiet", first)
    after = rows_by_path(root, scan(root, declared_of(repository)))
    assert [len(after.get(path, ())) for path in ("t/kept", "t/changed", "t/gone")] == [1, 1, 0]


@pytest.mark.usefixtures("way")
def test_times_and_types_that_only_a_backup_keeps_are_told(tmp_path: Path, root: Path) -> None:
    tree = tmp_path / "tree"
    archives.grow(tree, [Item(b"early", b"1"), Item(b"late", b"2"), Item(b"zero", b"3"), Item(b"empty")])
    for name, at in (("early", -86_400), ("late", 10_413_792_000), ("zero", 0)):
        os.utime(tree / name, (at, at))
    os.mkfifo(tree / "fifo")
    os.symlink("early", tree / "link")
    os.chmod(tree / "early", 0o4711)
    repository = new(tmp_path)
    backup(repository, tree)
    found = {path: rows[0] for path, rows in rows_by_path(root, scan(root, declared_of(repository))).items()}
    assert (found["early"]["modified_at"], found["early"]["mode"]) == (datetime(1969, 12, 31), 0o104711)
    assert (found["late"]["modified_at"], found["late"]["time_flags"]) == (datetime(2300, 1, 1), 1)
    assert found["zero"]["time_flags"] == 1
    assert (found["fifo"]["type"], found["link"]["type"], found["empty"]["size_bytes"]) == ("special", "symlink", 0)
    assert found["link"]["mode"] == os.lstat(tree / "link").st_mode


@pytest.mark.usefixtures("only_listed")
def test_names_that_restic_cannot_tell_are_a_problem_of_their_folder(tmp_path: Path, root: Path) -> None:
    result = scan(root, declared_of(filled(tmp_path, [Item(b"d/latin-\xe9.txt", b"1"), Item(b"d/plain", b"2"), Item(b"\xff/x", b"3")])))
    assert result.state == "incomplete"
    assert sorted((row["path"], row["stage"], row["hides_below"]) for row in problems(root, result)) == [("", "name", False), ("d", "name", False)]
    assert b"d/plain" in paths(root, result)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that tests look at, and damage copies of."""
    return filled(tmp_path_factory.mktemp("small"), many(40))


@pytest.fixture
def own(small: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(small.parent, tmp_path / "own")
    return tmp_path / "own" / small.name


def failure(root: Path, declared: dict[str, Any]) -> str:
    """What a scan that must fail says; nothing of it is published, and no secret told."""
    before = snapshot.newest_scans(root)
    with pytest.raises(UnreachableError) as caught:
        scan(root, declared)
    assert snapshot.newest_scans(root) == before
    row = snapshot.scans(root)[-1]
    assert (row.state, row.error) == ("failed", str(caught.value))
    assert PASSWORD not in "".join(str(file.read_bytes()) for file in root.rglob("*") if file.is_file())
    assert PASSWORD not in str(caught.value)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_a_wrong_password_is_told_and_older_evidence_stays(own: Path, root: Path) -> None:
    result = scan(root, declared_of(own))
    (own.parent / "password").write_text("wrong\n")
    assert "the password is wrong" in failure(root, declared_of(own))
    assert snapshot.newest_scans(root)["v"].scan_id == result.scan_id


@pytest.mark.slow
def test_the_key_is_asked_for_once_and_again_when_what_tells_it_has_changed(own: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said, asked = _restic.Restic.blocks, list[str]()

    def counted(self: _restic.Restic, *words: str) -> AbstractContextManager[Iterator[bytes]]:
        asked.append(" ".join(words))
        return said(self, *words)

    monkeypatch.setattr(_restic.Restic, "blocks", counted)
    scan(root, declared_of(own))
    assert asked == ["cat masterkey"]
    (own.parent / "new").write_text("another password\n")
    restic(own, "key", "passwd", "--new-password-file", str(own.parent / "new"))
    assert "the password is wrong" in failure(root, declared_of(own))
    (own.parent / "password").write_text("another password\n")
    scan(root, declared_of(own))
    assert asked == ["cat masterkey"] * 3


def test_no_password_and_no_repository_are_told(own: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND"):
        monkeypatch.delenv(name, raising=False)
    assert "password could not be got" in failure(root, {"url": f"restic:{own}", "role": "backup"})
    assert "password could not be got" in failure(root, declared_of(own, password_file="/nowhere"))
    assert "there is no repository" in failure(root, declared_of(own) | {"url": f"restic:{own}/none"})


def test_a_password_comes_from_a_command_or_the_environment(own: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_command = {"url": f"restic:{own}", "role": "backup", "password_command": f"cat {own.parent}/password"}
    assert scan(root, by_command).entries
    monkeypatch.setenv("RESTIC_PASSWORD", PASSWORD)
    assert scan(root, {"url": f"restic:{own}", "role": "backup"}).entries
    complaining = by_command | {"password_command": f"sh -c 'echo {PASSWORD.split()[0]}-is-it >&2; exit 3'"}
    assert "is-it" not in failure(root, complaining)


def test_a_missing_program_is_told(own: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(own))
    assert "restic is not installed" in failure(root, declared_of(own))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("part", ["index", "snapshots", "data"])
def test_a_damaged_repository_fails_the_scan_and_raises_nothing(own: Path, root: Path, part: str) -> None:
    result = scan(root, declared_of(own))
    for file in (own / part).rglob("*"):
        if file.is_file():
            file.chmod(0o600)
            file.write_bytes(bytes(byte ^ 0xFF for byte in file.read_bytes()))
    assert "the repository is damaged" in failure(root, declared_of(own))
    assert snapshot.newest_scans(root)["v"].scan_id == result.scan_id


def test_a_repository_that_is_locked_is_read_all_the_same_and_left_as_it_was(own: Path, root: Path) -> None:
    (own / "locks" / ("0" * 64)).write_bytes(b"a lock of somebody")
    before = {file: file.stat().st_mtime_ns for file in own.rglob("*")}
    assert scan(root, declared_of(own)).state == "complete"
    assert {file: file.stat().st_mtime_ns for file in own.rglob("*")} == before


def test_a_repository_that_hangs_is_given_up(own: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_program, "_SILENT_SECONDS", 2.0)
    [key] = [file for file in (own / "keys").iterdir()]
    key.unlink()
    os.mkfifo(key)
    assert "nothing was heard of it for 2 seconds" in failure(root, declared_of(own))
    assert running(own) == []


@pytest.mark.parametrize("part", ["index", "data", "snapshots"])
def test_what_is_no_file_in_a_repository_makes_nobody_wait(own: Path, root: Path, part: str) -> None:
    for file in list((own / part).rglob("*")):
        if file.is_file():
            file.unlink()
            os.mkfifo(file)
    assert "not a file of the repository" in failure(root, declared_of(own))


@pytest.mark.usefixtures("way")
def test_a_recovery_point_under_the_name_of_another_is_damaged(own: Path, root: Path) -> None:
    [point] = [file for file in (own / "snapshots").iterdir()]
    (own / "snapshots" / ("0" * 64)).write_bytes(point.read_bytes())
    assert "the repository is damaged" in failure(root, declared_of(own))


def running(repository: Path) -> list[str]:
    """The processes of restic that work on a repository."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            asked = f"RESTIC_REPOSITORY={repository}".encode() in (process / "environ").read_bytes().split(b"\0")
            if asked and (process / "comm").read_text() == "restic\n":
                found.append(process.name)
        except OSError:
            continue  # it has ended
    return found


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_of_restic_is_left_when_a_scan_is_ended(own: Path, sent: signal.Signals) -> None:
    [key] = [file for file in (own / "keys").iterdir()]
    key.unlink()
    os.mkfifo(key)
    (own.parent / "lastcopy.toml").write_text(f'[volumes.v]\nurl = "restic:{own}"\nrole = "backup"\npassword_file = "password"\n')
    program = subprocess.Popen([sys.executable, "-m", "lastcopy", "scan"], cwd=own.parent, stderr=subprocess.PIPE, process_group=0)
    until = time.monotonic() + 60
    while not running(own) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(1)  # until it waits for the key that never comes
    assert running(own)
    program.send_signal(sent)
    program.communicate(timeout=60)
    assert program.returncode == (130 if sent is not signal.SIGKILL else -signal.SIGKILL)
    while running(own) and time.monotonic() < until:
        time.sleep(0.05)
    assert running(own) == []


def test_no_secret_is_in_the_arguments_of_a_process(own: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = own.parent / "arguments"
    folder = own.parent / "bin"
    folder.mkdir()
    (folder / "restic").write_text(f'#!/bin/sh\ncat /proc/$$/cmdline >> {told}\nexec {shutil.which("restic")} "$@"\n')
    (folder / "restic").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    scan(root, {"url": f"restic:{own}", "role": "backup", "password_command": f"cat {own.parent}/password"})
    said = told.read_bytes()
    assert b"--no-lock\0--no-cache\0cat\0masterkey" in said
    assert b"password" not in said
    assert PASSWORD.encode() not in said


def test_a_url_with_a_password_is_refused_without_being_repeated() -> None:
    with pytest.raises(ConfigError, match="must not hold a password") as caught:
        config.parse({"volumes": {"v": {"url": "restic:rest:https://me:hunter2@backup.example/", "role": "backup"}}})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("role", ["primary", "archive"])
def test_a_repository_holds_copies_and_no_originals(own: Path, root: Path, role: str) -> None:
    with pytest.raises(RefusedError, match="cannot be of role"):
        scan(root, declared_of(own, role=role))


def test_a_repository_in_the_tree_that_it_is_of_is_refused(own: Path, root: Path) -> None:
    declared = config.parse({"volumes": {"work": {"url": str(own.parent)}, "v": declared_of(own)}})
    with pytest.raises(RefusedError, match="lies in the tree of the primary volume work"):
        crawl.scan(root, declared, "v", now=contract.clock)


def test_no_job_works_on_a_repository(own: Path) -> None:
    declared = config.parse({"volumes": {"v": declared_of(own)}})
    with pytest.raises(ConfigError, match="no job can work on volumes of kind 'restic'"):
        stores.connect(declared, "v")


@pytest.mark.slow
def test_another_repository_in_its_place_is_refused(own: Path, root: Path) -> None:
    scan(root, declared_of(own))
    shutil.rmtree(own)
    restic(own, "init", "--quiet")
    with pytest.raises(RefusedError, match="accept-losses"):
        scan(root, declared_of(own))


@pytest.mark.slow
def test_a_repository_of_the_older_format_is_looked_into(tmp_path: Path, root: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "password").write_text(PASSWORD)
    archives.grow(folder / "tree", [Item(b"caf\xe9", b"x"), Item(b"large", os.urandom(12_000_000))])
    restic(folder / "repository", "init", "--quiet", "--repository-version", "1")
    backup(folder / "repository", folder / "tree")
    found = {names.unescape(path): rows[0] for path, rows in rows_by_path(root, scan(root, declared_of(folder / "repository"))).items()}
    assert found[b"caf\xe9"]["digest"] == hashlib.sha256(b"x").digest()
    assert (found[b"large"]["digest"], found[b"large"]["restore_state"]) == (None, "whole")


@pytest.mark.parametrize("damage", ["gone", "shorter"])
def test_files_of_which_a_pack_is_not_whole_are_problems_and_attest_nothing(own: Path, root: Path, damage: str) -> None:
    archives.grow(own.parent / "more", [Item(b"lost", os.urandom(50_000))])
    before = {file for file in (own / "data").rglob("*") if file.is_file()}
    backup(own, own.parent / "more")
    packs = {file for file in (own / "data").rglob("*") if file.is_file()} - before
    data = max(packs, key=lambda file: file.stat().st_size)
    data.chmod(0o600)
    if damage == "gone":
        data.unlink()
    else:
        os.truncate(data, data.stat().st_size - 1)
    result = scan(root, declared_of(own))
    assert [(row["path"], row["stage"]) for row in problems(root, result)] == [("lost", "read")]
    found = rows_by_path(root, result)
    assert (found["lost"][0]["digest"], found["lost"][0]["restore_state"]) == (None, None)
    assert sum(row["digest"] is not None for rows in found.values() for row in rows) > 30


@pytest.mark.usefixtures("way")
def test_a_recovery_point_that_is_forgotten_while_it_is_scanned_is_not_told(own: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archives.grow(own.parent / "tree", [Item(b"late", b"x")])
    last = backup(own, own.parent / "tree")
    listed = _restic.Restic.blocks

    def forgets(self: _restic.Restic, *words: str) -> AbstractContextManager[Iterator[bytes]]:
        found = listed(self, *words)
        if words[:2] in (("ls", "--json"), ("cat", "masterkey")) and (own / "snapshots" / last).exists():
            restic(own, "forget", "--quiet", last)
        return found

    monkeypatch.setattr(_restic.Restic, "blocks", forgets)
    result = scan(root, declared_of(own))
    assert result.state == "complete"
    assert "late" not in rows_by_path(root, result)
    assert last not in table.read(root, "recovery_points")["recovery_point"].to_pylist()
