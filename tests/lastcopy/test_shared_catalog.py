"""Several hosts, one catalog in a bucket: each scans what it has, and all of them know all of it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from catalog import integrity, snapshot, table
from catalog.connect import connect
from tests.catalog import apart
from tests.catalog.hosts import Shared
from tests.scanners import stores
from tests.scanners.stores import Server

ROUNDS = 2
VOLUMES: Mapping[str, Mapping[str, object]] = {"work": {"role": "primary", "system": "a"}, "copy": {"role": "backup", "of": ["work"], "system": "b"}}


@pytest.fixture
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Shared:
    server: Server = getattr(stores, getattr(request, "param", "weed"))()
    return Shared(server, tmp_path, server.bucket())


class Host:
    """A host: its own home, folder of temporary files and namespaces, where they may be made."""

    def __init__(self, shared: Shared, name: str) -> None:
        self.folder, self.shared, self.name = shared.folder / f"host-{name}", shared, name
        for each in ("home", "tmp"):
            (self.folder / each).mkdir(parents=True)
        for volume in VOLUMES:
            (shared.folder / volume).mkdir(exist_ok=True)
        declared = {key: value for key, value in shared.declared(name).items() if key != "mirror"}
        lines = ["[catalog]", *(f'{key} = "{value}"' for key, value in declared.items())]
        for volume, told in VOLUMES.items():
            lines += [f"[volumes.{volume}]", f'url = "{shared.folder / volume}"', *(f"{key} = {json.dumps(value)}" for key, value in told.items())]
        (self.folder / "lastcopy.toml").write_text("\n".join(lines) + "\n")

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Begin a command on the host."""
        command = [str(Path(sys.executable).with_name("lastcopy")), *words, "--config", str(self.folder / "lastcopy.toml")]
        port = urlsplit(self.shared.server.endpoint).port
        if apart.may_be_made():
            command = [*apart.NAMESPACES, sys.executable, "-m", "tests.catalog.apart", str(port), str(self.shared.folder / "door"), *command]
        env = {**os.environ, "HOME": str(self.folder / "home"), "TMPDIR": str(self.folder / "tmp")}
        env.pop("XDG_STATE_HOME", None)
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)

    def run(self, *words: str) -> Mapping[str, Any]:
        """What a command on the host gives as JSON."""
        process = self.start(*words, "--format", "json")
        out, said = process.communicate()
        assert process.returncode == 0, said
        found: Mapping[str, Any] = json.loads(out)
        return found


@pytest.fixture
def hosts(shared: Shared) -> Iterator[Mapping[str, Host]]:
    with ExitStack() as opened:
        opened.enter_context(apart.door(urlsplit(shared.server.endpoint).port or 0, shared.folder / "door"))
        yield {name: Host(shared, name) for name in ("one", "two", "reader")}


@pytest.mark.slow
@pytest.mark.parametrize("shared", ["weed", "ceph"], indirect=True)
def test_two_hosts_scan_at_once_while_a_third_one_reads(shared: Shared, hosts: Mapping[str, Host]) -> None:
    reader = shared.root("looking")
    for number in range(ROUNDS):
        for volume in VOLUMES:
            for place in range(20):
                (shared.folder / volume / f"{number}-{place}").write_bytes(bytes([number, place]) * 100)
        running = [hosts["one"].start("scan", "work"), hosts["two"].start("scan", "copy")]
        while any(process.poll() is None for process in running):
            _all_that_is_published_is_whole(reader)
        for process in running:
            assert process.returncode == 0, process.communicate()
    told = hosts["reader"].run("report", "volumes")
    assert {(row["volume"], row["entries"]) for row in told["data"]} == {("work", 20 * ROUNDS), ("copy", 20 * ROUNDS)}
    root = shared.root("late")
    _all_that_is_published_is_whole(root)
    scans = snapshot.scans(root)
    assert sorted((scan.volume, scan.entries) for scan in scans) == sorted((volume, 20 * number) for volume in VOLUMES for number in range(1, ROUNDS + 1))
    if apart.may_be_made():
        assert {scan.host for scan in scans} == {"door-apart"}
    known = snapshot.snapshots(root)
    assert [one.previous_id for one in known] == [None, *(one.snapshot_id for one in known[:-1])]
    assert dict(known[-1].scans) == {name: scan.scan_id for name, scan in snapshot.newest_scans(root).items()}
    assert [one for one in integrity.verify(root, contents=True)[0] if one.state == "error"] == []


def _all_that_is_published_is_whole(root: Path) -> None:
    for scan in snapshot.scans(root):
        assert table.read(root, "entries", scan_id=[scan.scan_id], volume=[scan.volume]).num_rows == scan.entries
    for one in snapshot.snapshots(root)[-1:]:
        with connect(root, one, derives=False) as connection:
            assert connection.execute("SELECT count(*) FROM files").fetchall() == connection.execute("SELECT count(*) FROM entries").fetchall()


@pytest.mark.slow
def test_a_digest_of_a_file_that_another_host_reads_is_known_after_its_next_scan(shared: Shared, hosts: Mapping[str, Host]) -> None:
    work, copy = shared.folder / "work", shared.folder / "copy"
    (work / "plan").write_bytes(b"the plan" * 100)
    hosts["one"].run("scan", "work")
    (copy / "renamed").write_bytes(b"the plan" * 100)  # only its content tells what it is
    work.rename(shared.folder / "elsewhere")
    hosts["two"].run("scan", "copy")
    assert _copies(hosts["reader"]) == []
    (shared.folder / "elsewhere").rename(work)
    copy.rename(shared.folder / "elsewhere")
    hosts["one"].run("scan", "work")
    assert _copies(hosts["reader"]) == [{"volume": "copy", "name": "renamed", "match": "content"}]


def _copies(host: Host) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = host.run("sql", "SELECT copy_volume AS volume, copy_name AS name, match FROM copies")["data"]
    return found


@pytest.mark.slow
def test_a_list_of_changes_comes_to_what_a_whole_scan_sees(shared: Shared, hosts: Mapping[str, Host], tmp_path: Path) -> None:
    work = shared.folder / "work"
    (work / "kept").mkdir()
    for number in range(20):
        (work / "kept" / str(number)).write_bytes(bytes([number]) * 100)
    hosts["one"].run("scan", "work")
    whole = snapshot.newest_scans(shared.root("late"))["work"]
    (work / "kept" / "3").write_bytes(b"changed")
    (work / "kept" / "4").unlink()
    (work / "new").mkdir()
    (work / "new" / "file").write_bytes(b"new")
    (tmp_path / "list").write_text("kept/3\nkept/4\nnew\n")
    hosts["two"].run("scan", "work", "--changes", str(tmp_path / "list"), "--changes-form", "paths")  # which has nothing of the first scan yet
    root = shared.root("late")
    known = snapshot.newest_scans(root)["work"]
    assert (known.entries, known.evidence_at, known.previous_scan_id) == (whole.entries + 1, whole.started_at, whole.scan_id)
    by_list = _entries(root)
    hosts["two"].run("scan", "work")
    root = shared.root("late")
    assert _entries(root) == by_list
    assert [one for one in integrity.verify(root, contents=True)[0] if one.state == "error"] == []
    told = hosts["reader"].run("report", "volumes")
    assert {(row["volume"], row["entries"]) for row in told["data"]} == {("work", known.entries), ("copy", None)}


def _entries(root: Path) -> list[str]:
    scan = snapshot.newest_scans(root)["work"]
    rows = table.read(root, "entries", scan_id=[scan.scan_id], volume=["work"]).drop_columns(["entry_id", "accessed_at"]).to_pylist()
    return sorted(map(str, rows))
