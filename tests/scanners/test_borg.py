"""Repositories of borg: real ones, and what makes reading one fail, each of which is told and leaves what was known before."""

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
from catalog.errors import RefusedError, UnreachableError
from scanners import _bound, _program, crawl
from tests.scanners import archives
from tests.scanners.borgs import PASSPHRASE, backup, borg, content, declared_of, filled, new, points
from tests.scanners.contract import Contract, Factory, Interrupt, Item, entries, expected, many, paths, problems, scan


class Repository:
    """Makes one repository with one archive of some items."""

    kind = "borg"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, items: Iterable[Item]) -> dict[str, Any]:
        return declared_of(filled(self.folder, items))

    def takes(self, name: bytes) -> bool:
        return True


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


@pytest.fixture(params=["inside", "listed", "one file"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a repository is read: by borg's own code, or as borg lists it, also where borg is one file and is not told how to write names."""
    if request.param != "inside":
        monkeypatch.setattr("scanners._borg._python", lambda program: None)
    if request.param == "one file":
        monkeypatch.setattr("scanners._borg._EXACT", {})
    return str(request.param)


@pytest.fixture
def only_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds where borg has no Python that can be run."""
    monkeypatch.setattr("scanners._borg._python", lambda program: None)


class TestBorg(Contract):
    """The suite that every kind passes, but for what takes several shards: a repository is one."""

    @pytest.fixture
    def factory(self, tmp_path: Path) -> Factory:
        return Repository(tmp_path)

    @pytest.mark.slow
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

    @pytest.mark.slow
    def test_without_resume_the_leftovers_of_an_interrupted_scan_are_removed(self, factory: Factory, root: Path) -> None:
        items = many(60)
        declared = factory.make(items)
        with pytest.raises(KeyboardInterrupt):
            scan(root, declared, progress=Interrupt(1))
        assert paths(root, scan(root, declared)) == expected(items)
        for name in ("entries", "recovery_points"):
            assert {str(path) for path in (root / name).rglob("*.parquet")} == set(table.files(root, name))


@pytest.mark.usefixtures("only_listed")
class TestListed(TestBorg):
    """The suite, where the program's listings are all that there is."""


def rows_by_path(root: Path, result: crawl.ScanResult) -> dict[str, list[dict[str, Any]]]:
    """The entries of a scan by path, the largest version first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in entries(root, result):
        found.setdefault(row["dir"] + row["name"], []).append(row)
    return {path: sorted(rows, key=lambda row: -row["size_bytes"]) for path, rows in found.items()}


@pytest.mark.slow
def test_versions_are_intervals_of_archives(tmp_path: Path, root: Path, way: str) -> None:
    repository, tree = new(tmp_path), tmp_path / "tree"
    archives.grow(tree, [Item(b"t/kept", b"1"), Item(b"t/changed", b"old"), Item(b"t/gone", b"x")])
    first = backup(repository, tree, "first", "--exclude", "*.tmp", "--timestamp", "2020-01-01T00:00:00", of=["t"])
    (tree / "t" / "changed").write_bytes(b"newer")
    (tree / "t" / "gone").unlink()
    second = backup(repository, tree, "second", "--timestamp", "2020-01-02T00:00:00", of=["t"])
    third = backup(repository, tree, "third", "--timestamp", "2020-01-03T00:00:00", of=["t"])
    result = scan(root, declared_of(repository))
    found = rows_by_path(root, result)
    told = {
        path: [(row["size_bytes"], row["is_latest"], row["first_recovery_point"], row["last_recovery_point"]) for row in rows] for path, rows in found.items()
    }
    assert told["t/kept"] == [(1, True, first, third)]
    assert told["t/changed"] == [(5, True, second, third), (3, False, first, first)]
    assert told["t/gone"] == [(1, False, first, first)]
    assert {row["restore_state"] for rows in found.values() for row in rows if row["type"] == "file"} == {"whole" if way == "inside" else None}
    kept = tree.joinpath("t", "kept").stat()
    assert (found["t/kept"][0]["mode"], found["t/kept"][0]["uid"], found["t/kept"][0]["gid"]) == (kept.st_mode, kept.st_uid, kept.st_gid)
    assert (result.state, result.entries, result.files) == ("complete", 5, 4)
    point = min(table.read(root, "recovery_points").to_pylist(), key=lambda row: row["started_at"])
    assert (point["recovery_point"], point["started_at"], point["host"]) == (first, datetime(2020, 1, 1), os.uname().nodename)
    assert (json.loads(point["excludes"]), json.loads(point["left_out"]), json.loads(point["paths"])) == (["*.tmp"], [[False, ".tmp/"]], ["/t"])
    borg(repository, "delete", "::first")
    after = rows_by_path(root, scan(root, declared_of(repository)))
    assert [len(after.get(path, ())) for path in ("t/kept", "t/changed", "t/gone")] == [1, 1, 0]


@pytest.mark.slow_but_first
@pytest.mark.usefixtures("way")
def test_every_name_of_a_hard_link_has_the_size_of_the_file(tmp_path: Path, root: Path) -> None:
    tree = tmp_path / "tree"
    archives.grow(tree, [Item(b"d/one", b"content"), Item(b"d/plain \xc3\xa9", b"more")])
    os.link(tree / "d/one", tree / "d/two")
    os.link(tree / "d/one", tree / "three")
    os.link(tree / "d/plain \N{LATIN SMALL LETTER E WITH ACUTE}", tree / "four")
    repository = new(tmp_path)
    backup(repository, tree, "first")
    result = scan(root, declared_of(repository))
    sizes = {names.unescape(path): rows[0]["size_bytes"] for path, rows in rows_by_path(root, result).items() if rows[0]["type"] == "file"}
    assert sizes == {b"d/one": 7, b"d/two": 7, b"three": 7, b"d/plain \xc3\xa9": 4, b"four": 4}
    assert result.state == "complete"


@pytest.mark.slow_but_first
def test_times_that_borg_cannot_keep_are_unknown_and_types_are_told(tmp_path: Path, root: Path, way: str) -> None:
    tree = tmp_path / "tree"
    archives.grow(tree, [Item(b"early", b"1"), Item(b"late", b"2"), Item(b"ns", b"3")])
    for name, at in (("early", -86_400), ("late", 10_413_792_000)):
        os.utime(tree / name, (at, at))
    os.utime(tree / "ns", ns=(0, 1_600_000_000_123_456_789))
    os.mkfifo(tree / "fifo")
    os.symlink("early", tree / "link")
    os.chmod(tree / "early", 0o4711)
    os.chmod(tree / "late", 0o2640)
    (tree / "shared").mkdir()
    os.chmod(tree / "shared", 0o1777)
    repository = new(tmp_path)
    backup(repository, tree, "first")
    found = {path: rows[0] for path, rows in rows_by_path(root, scan(root, declared_of(repository))).items()}
    assert [(found[name]["modified_at"], found[name]["time_flags"]) for name in ("early", "late")] == [(None, 2), (None, 2)]
    if way == "inside":
        assert (found["ns"]["modified_at"], found["ns"]["modified_ns"], found["ns"]["time_flags"]) == (datetime(2020, 9, 13, 12, 26, 40, 123_456), 789, 0)
    else:
        assert (found["ns"]["modified_at"], found["ns"]["modified_ns"], found["ns"]["time_flags"]) == (datetime(2020, 9, 13, 12, 26, 40, 123_457), None, 128)
    assert (found["fifo"]["type"], found["link"]["type"]) == ("special", "symlink")
    for name in ("early", "late", "shared", "link", "fifo"):
        assert found[name]["mode"] == os.lstat(tree / name).st_mode


@pytest.mark.slow_but_first
@pytest.mark.usefixtures("way")
def test_the_time_zone_of_who_scans_changes_nothing(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = filled(tmp_path, [Item(b"file", b"x")])
    there = datetime(1970, 1, 1)
    found = []
    for zone in ("UTC", "America/New_York"):
        monkeypatch.setenv("TZ", zone)
        rows = rows_by_path(root, scan(root, declared_of(repository)))["file"]
        found.append((rows[0]["modified_at"], table.read(root, "recovery_points")["started_at"].to_pylist()[-1]))
    assert found[0] == found[1]
    assert abs((found[0][0] - there).total_seconds() - (tmp_path / "tree/file").stat().st_mtime) < 1e-3


@pytest.mark.slow
def test_what_one_machine_backed_up_is_no_copy_for_another(tmp_path: Path, root: Path) -> None:
    repository = filled(tmp_path, [Item(b"file", b"x")])
    with pytest.raises(UnreachableError, match="none of its recovery points is of elsewhere"):
        scan(root, declared_of(repository, hosts=["elsewhere"]))
    assert scan(root, declared_of(repository, hosts=[os.uname().nodename])).files == 1


@pytest.mark.slow
def test_what_an_interrupted_backup_left_is_told_and_counts_for_nothing(tmp_path: Path, root: Path) -> None:
    repository, tree = new(tmp_path), tmp_path / "tree"
    archives.grow(tree, [Item(b"whole", b"x")])
    backup(repository, tree, "first")
    archives.grow(tree, [Item(b"part", b"y")])
    borg(repository, "create", "::second", ".", folder=tree)
    borg(repository, "rename", "::second", "second.checkpoint.1")
    result = scan(root, declared_of(repository))
    assert paths(root, result) == [b"whole"]
    assert [row["error"] for row in problems(root, result)] == ["archive second.checkpoint.1 is left out: an interrupted backup left it"]
    assert len(table.read(root, "recovery_points")) == 1


@pytest.mark.slow
def test_what_archives_have_in_common_is_told_once(tmp_path: Path, root: Path) -> None:
    repository, tree = new(tmp_path), tmp_path / "tree"
    archives.grow(tree, [Item(b"d%02d/%04d" % (i % 40, i), b"%d" % (i % 3)) for i in range(6000)])
    os.link(tree / "d01/0001", tree / "linked")
    ids = []
    for number in range(4):
        (tree / "d07/0007").write_bytes(b"x" * number)
        (tree / f"d20/new-{number}").write_bytes(b"new")
        ids.append(backup(repository, tree, f"archive-{number}", "--timestamp", f"2020-01-0{number + 1}T00:00:00"))
    found = rows_by_path(root, scan(root, declared_of(repository)))
    told = {path: sorted((row["size_bytes"], row["first_recovery_point"], row["last_recovery_point"]) for row in rows) for path, rows in found.items()}
    assert told.pop("d07/0007") == [(number, one, one) for number, one in enumerate(ids)]
    assert [told.pop(f"d20/new-{number}") for number in range(4)] == [[(3, one, ids[-1])] for one in ids]
    assert {(first, last) for rows in told.values() for _, first, last in rows} == {(ids[0], ids[-1])}
    assert {path for path, rows in told.items() if found[path][0]["type"] == "file"} == {f"d{i % 40:02d}/{i:04d}" for i in range(6000) if i != 7} | {"linked"}
    assert told["linked"][0][0] == told["d01/0001"][0][0] == 1


@pytest.mark.slow_but_first
@pytest.mark.parametrize("damage", ["gone", "shorter"])
def test_files_of_which_a_segment_is_not_whole_are_problems_and_attest_nothing(tmp_path: Path, root: Path, damage: str) -> None:
    repository, tree = filled(tmp_path, many(20)), tmp_path / "tree"
    archives.grow(tree, [Item(b"lost", os.urandom(3_000_000))])
    before = segments(repository)
    borg(repository, "config", str(repository), "max_segment_size", "1000000")
    backup(repository, tree, "second")
    data = max(set(segments(repository)) - set(before), key=lambda file: file.stat().st_size)
    if damage == "gone":
        data.unlink()
    else:
        os.truncate(data, data.stat().st_size // 2)
    result = scan(root, declared_of(repository))
    assert [(row["path"], row["stage"]) for row in problems(root, result)] == [("lost", "read")]
    found = rows_by_path(root, result)
    assert found["lost"][0]["restore_state"] is None
    assert sum(row["restore_state"] == "whole" for rows in found.values() for row in rows) == 20


def test_borg_of_another_form_than_is_known_is_asked_for_its_listings(own: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = own.parent / "other.py"
    other.write_text("raise SystemExit(3)")
    monkeypatch.setattr("scanners._borg_inside.__file__", str(other))
    result = scan(root, declared_of(own))
    assert (result.state, result.files) == ("complete", 40)
    assert {row["restore_state"] for row in entries(root, result)} == {None}


@pytest.mark.slow_but_first
def test_an_archive_that_is_deleted_while_it_is_scanned_is_not_told(own: Path, root: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    archives.grow(own.parent / "tree", [Item(b"late", b"x")])
    backup(own, own.parent / "tree", "last")
    begun = _program.blocks

    def deletes(run: _program.Run) -> AbstractContextManager[Iterator[bytes]]:
        lists = run.what == "borg's code" or any("isomtime" in word for word in run.command)
        if lists and any(one["barchive"] == "last" for one in points(own)):
            borg(own, "delete", "::last")
        return begun(run)

    monkeypatch.setattr(_program, "blocks", deletes)
    result = scan(root, declared_of(own))
    assert result.state == "complete"
    assert "late" not in rows_by_path(root, result)
    assert len(table.read(root, "recovery_points")) == 1


@pytest.mark.slow
def test_an_archive_of_the_future_is_left_out(tmp_path: Path, root: Path) -> None:
    repository = filled(tmp_path, [Item(b"file", b"old")])
    (tmp_path / "tree/file").write_bytes(b"newer")
    backup(repository, tmp_path / "tree", "later", "--timestamp", "2037-01-01T00:00:00")
    result = scan(root, declared_of(repository))
    assert [row["size_bytes"] for row in rows_by_path(root, result)["file"]] == [3]
    assert result.state == "incomplete"


@pytest.mark.slow_but_first
@pytest.mark.usefixtures("way")
def test_archives_are_asked_for_whatever_their_names(tmp_path: Path, root: Path) -> None:
    repository, tree = new(tmp_path), tmp_path / "tree"
    archives.grow(tree, [Item(b"file", b"x")])
    borg(repository, "create", "::-rf {{now}} {{ :: x:y %s \N{SNOWMAN}", ".", folder=tree)
    result = scan(root, declared_of(repository))
    assert (result.state, result.files) == ("complete", 1)


@pytest.mark.slow_but_first
@pytest.mark.parametrize("encryption", ["none", "authenticated", "keyfile", "repokey-blake2"])
def test_every_kind_of_encryption_is_read(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, encryption: str) -> None:
    new(tmp_path)
    repository = tmp_path / "other" / "repository"
    repository.parent.mkdir()
    (repository.parent / "password").write_text(PASSPHRASE)
    borg(repository, "init", "--encryption", encryption)
    archives.grow(tmp_path / "tree", [Item(b"file", b"x")])
    backup(repository, tmp_path / "tree", "first")
    monkeypatch.setenv("BORG_BASE_DIR", str(repository.parent / "base"))  # where the key file is
    assert scan(root, declared_of(repository)).files == 1


@pytest.mark.slow
@pytest.mark.usefixtures("way")
def test_replicas_with_one_id_do_not_hide_each_other(tmp_path: Path, root: Path) -> None:
    repository = filled(tmp_path, [Item(b"file", b"x")])
    replica = tmp_path / "replica" / "repository"
    shutil.copytree(repository, replica)
    archives.grow(tmp_path / "tree", [Item(b"new", b"y")])
    backup(repository, tmp_path / "tree", "second")
    volumes = {"one": declared_of(repository), "two": declared_of(repository) | {"url": f"borg:{replica}"}}
    declared = config.parse({"volumes": volumes})
    for _ in range(2):
        found = [crawl.scan(root, declared, name, now=lambda: datetime.now().astimezone()).files for name in ("one", "two")]
        assert found == [2, 1]


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
    assert PASSPHRASE not in "".join(str(file.read_bytes()) for file in root.rglob("*") if file.is_file())
    assert PASSPHRASE not in str(caught.value)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.slow
def test_a_wrong_passphrase_is_told_and_older_evidence_stays(own: Path, root: Path) -> None:
    result = scan(root, declared_of(own))
    (own.parent / "password").write_text("wrong\n")
    assert "the passphrase is wrong" in failure(root, declared_of(own))
    assert snapshot.newest_scans(root)["v"].scan_id == result.scan_id


def test_no_passphrase_and_no_repository_are_told(own: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BORG_PASSPHRASE", "BORG_PASSCOMMAND", "BORG_PASSPHRASE_FD"):
        monkeypatch.delenv(name, raising=False)
    assert "passphrase could not be got" in failure(root, {"url": f"borg:{own}", "role": "backup"})
    assert "password could not be got" in failure(root, declared_of(own, password_file="/nowhere"))
    assert "there is no repository" in failure(root, declared_of(own) | {"url": f"borg:{own}/none"})
    assert "there is no repository" in failure(root, declared_of(own) | {"url": f"borg:{own.parent}"})


@pytest.mark.slow
def test_a_passphrase_comes_from_a_command_or_the_environment(own: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_command = {"url": f"borg:{own}", "role": "backup", "password_command": f"cat {own.parent}/password"}
    assert scan(root, by_command).entries
    complaining = by_command | {"password_command": f"sh -c 'echo {PASSPHRASE.split()[0]}-is-it >&2; exit 3'"}
    assert "is-it" not in failure(root, complaining)
    monkeypatch.setenv("BORG_PASSCOMMAND", f"cat {own.parent}/password")
    assert scan(root, {"url": f"borg:{own}", "role": "backup"}).entries
    monkeypatch.delenv("BORG_PASSCOMMAND")
    monkeypatch.setenv("BORG_PASSPHRASE", PASSPHRASE)
    assert scan(root, {"url": f"borg:{own}", "role": "backup"}).entries


def test_a_missing_program_is_told(own: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(own))
    assert "borg is not installed" in failure(root, declared_of(own))


@pytest.mark.parametrize("url", ["ssh://me@host/srv/repo", "me@host:repo"])
def test_a_repository_elsewhere_is_refused(own: Path, root: Path, url: str) -> None:
    assert "on another host is not read" in failure(root, declared_of(own) | {"url": f"borg:{url}"})


def segments(repository: Path) -> list[Path]:
    """The files that hold what is stored, oldest first."""
    return sorted((file for file in (repository / "data").rglob("*") if file.is_file()), key=lambda file: int(file.name))


@pytest.mark.usefixtures("way")
def test_a_damaged_repository_fails_the_scan_and_is_left_as_it_is(own: Path, root: Path) -> None:
    result = scan(root, declared_of(own))
    for file in segments(own):
        file.write_bytes(file.read_bytes()[:9] + bytes(byte ^ 0xFF for byte in file.read_bytes()[9:-17]) + file.read_bytes()[-17:])
    before = content(own)
    assert "the repository is damaged" in failure(root, declared_of(own))
    assert content(own) == before
    assert snapshot.newest_scans(root)["v"].scan_id == result.scan_id


@pytest.mark.usefixtures("way")
def test_a_repository_that_is_locked_is_read_all_the_same_and_left_as_it_was(own: Path, root: Path) -> None:
    (own / "lock.exclusive").mkdir()
    (own / "lock.exclusive" / "other@1.2-3").write_bytes(b"")
    before = content(own)
    assert scan(root, declared_of(own)).state == "complete"
    assert content(own) == before


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("index", ["gone", "damaged"])
def test_a_transaction_that_is_not_finished_is_told_and_never_finished(own: Path, root: Path, index: str) -> None:
    """As while a backup is stored: borg would write the index anew, and remove what is not committed."""
    [file] = own.glob("index.*")
    if index == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    newest = segments(own)[-1]
    (newest.parent / str(int(newest.name) + 1)).write_bytes(b"BORG_SEG" + b"\0" * 40)
    before = content(own)
    assert "has a transaction that is not finished" in failure(root, declared_of(own))
    assert content(own) == before


def test_without_landlock_a_repository_that_can_be_written_to_is_refused(own: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bound, "landlock", lambda: 0)
    assert "has no Landlock" in failure(root, declared_of(own))


@pytest.mark.slow
def test_a_repository_that_hangs_is_given_up(own: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_program, "_SILENT_SECONDS", 3.0)
    (own / "config").unlink()
    os.mkfifo(own / "config")
    assert "nothing was heard of it for 3 seconds" in failure(root, declared_of(own))


def running(repository: Path) -> list[str]:
    """The processes of borg that work on a repository."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "cwd" / "repository") == str(repository):
                found.append(process.name)
        except OSError:
            continue  # it has ended, or is no such process
    return found


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_of_borg_is_left_when_a_scan_is_ended(own: Path, sent: signal.Signals) -> None:
    (own / "config").unlink()
    os.mkfifo(own / "config")
    (own.parent / "lastcopy.toml").write_text(f'[volumes.v]\nurl = "borg:{own}"\nrole = "backup"\npassword_file = "password"\n')
    program = subprocess.Popen([sys.executable, "-m", "lastcopy", "scan"], cwd=own.parent, stderr=subprocess.PIPE, process_group=0)
    until = time.monotonic() + 60
    while not running(own) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(1)  # until it waits for the configuration that never comes
    assert running(own)
    program.send_signal(sent)
    program.communicate(timeout=60)
    assert program.returncode == (130 if sent is not signal.SIGKILL else -signal.SIGKILL)
    while running(own) and time.monotonic() < until:
        time.sleep(0.05)
    assert running(own) == []


def test_no_secret_is_in_the_arguments_or_the_environment_of_a_process(own: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = own.parent / "bin"
    folder.mkdir()
    (folder / "borg").write_text(f'#!/bin/sh\necho "--- $$" >&2\ncat /proc/$$/cmdline /proc/$$/environ >&2\nexec {shutil.which("borg")} "$@"\n')
    (folder / "borg").chmod(0o755)
    heard: list[bytes] = []

    def hears(code: int, said: bytes) -> tuple[str, str]:
        heard.append(said)
        return "", ""

    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr("scanners._borg._why", hears)
    (own / "config").write_bytes(b"")
    with pytest.raises(UnreachableError):
        scan(root, {"url": f"borg:{own}", "role": "backup", "password_command": f"cat {own.parent}/password"})
    said = b"".join(heard)
    assert b"--bypass-lock\0list" in said
    assert b"BORG_PASSPHRASE_FD=" in said
    assert PASSPHRASE.encode() not in said


@pytest.mark.parametrize("role", ["primary", "archive"])
def test_a_repository_holds_copies_and_no_originals(own: Path, root: Path, role: str) -> None:
    with pytest.raises(RefusedError, match="cannot be of role"):
        scan(root, declared_of(own, role=role))


@pytest.mark.slow
def test_another_repository_in_its_place_is_refused(own: Path, root: Path) -> None:
    scan(root, declared_of(own))
    shutil.rmtree(own)
    borg(own, "init", "--encryption", "repokey")
    with pytest.raises(RefusedError, match="accept-losses"):
        scan(root, declared_of(own))
