"""The real process: binds, answers, runs its schedule, survives being killed, and ends cleanly."""

import contextlib
import datetime
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from lastcopy.service import tasks
from tests.lastcopy.conftest import DECLARED, Estate, grow
from tests.lastcopy.program import ask, environment, run

LONG_AGO = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=500)).isoformat()
YEARLY = "0 0 1 1 *"
PATIENCE_SECONDS = 90  # for an answer of a machine with other work
_BIG_BYTES = 3 << 30  # sparse: reading it takes some seconds


@dataclass
class Service:
    """A running service."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def lines(self) -> str:
        return self.log.read_text("utf-8", "replace")


_BEGUN = re.compile(r'(?:serving on |"address": ")(http://[^\s"]+/)')


@contextlib.contextmanager
def serving(folder: Path, *options: str, **more: str) -> Iterator[Service]:
    log = folder / f"serve-{time.monotonic_ns()}.log"
    program = [sys.executable, "-m", "lastcopy", "serve", "--listen", "127.0.0.1:0", *options]
    with log.open("wb") as file, subprocess.Popen(program, cwd=folder, env=environment(folder, **more), stdout=file, stderr=file) as process:
        try:
            until(lambda: _BEGUN.search(log.read_text()) or process.poll() is not None)
            found = _BEGUN.search(log.read_text())
            assert found, log.read_text()
            yield Service(process, found[1], log)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(60)


def until(holds: Callable[[], object], seconds: float = 90) -> None:
    for _ in range(int(seconds * 10)):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("it never came to be so")


def children(pid: int) -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            number, _, rest = place.read_text().partition(" (")
            if int(rest.rpartition(") ")[2].split()[1]) == pid:
                found.append(int(number))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_it_serves_and_ends_cleanly_with_json_lines_on_request(estate: Estate) -> None:
    with serving(estate.folder, "--no-pages", "--log-json") as service:
        assert httpx.get(f"{service.url}healthz", timeout=PATIENCE_SECONDS).json()["status"] == "ok"
        assert httpx.get(f"{service.url}api/openapi.json", timeout=PATIENCE_SECONDS).json()["info"]["title"] == "Lastcopy"
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) == 0
    logged = [json.loads(line) for line in service.lines().splitlines()]
    assert [line["event"] for line in logged] == ["serving", "ending"]


@pytest.mark.slow
def test_the_dashboard_is_served_beside_the_api(estate: Estate) -> None:
    with serving(estate.folder, "--no-schedule") as service:
        assert httpx.get(f"{service.url}_stcore/health", timeout=PATIENCE_SECONDS).text == "ok"
        assert "<html" in httpx.get(service.url, headers={"Accept": "text/html"}, timeout=PATIENCE_SECONDS).text
        assert httpx.get(f"{service.url}api/volumes", timeout=PATIENCE_SECONDS).json()["schema"] == "volumes/1"
        assert httpx.get(service.url, headers={"Host": "rebound.example"}, timeout=PATIENCE_SECONDS).status_code == 400
        assert handshake(service.url, service.url.rstrip("/")) == 101
        assert handshake(service.url, "http://rebound.example") == 403


def handshake(url: str, origin: str) -> int:
    """The status of opening the WebSocket of the pages, as a browser would for a page of that origin."""
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    with httpx.stream("GET", f"{url}_stcore/stream", headers={**headers, "Origin": origin}) as answer:
        return answer.status_code


def test_it_listens_beyond_loopback_only_where_somebody_can_be_known(estate: Estate) -> None:
    ended = run("serve", "--listen", "0.0.0.0:0", "--no-pages", folder=estate.folder, code=5)
    assert "[api.tokens]" in ended.err


@pytest.mark.slow
def test_a_port_that_is_taken_is_said(estate: Estate) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = run("serve", "--listen", f"127.0.0.1:{taken.getsockname()[1]}", "--no-pages", folder=estate.folder, code=8)
    assert "cannot listen there" in ended.err
    run("serve", "--listen", "nowhere", folder=estate.folder, code=2)


@pytest.fixture
def big(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "small").write_bytes(b"small")
    with (tmp_path / "data" / "big").open("wb") as file:
        file.truncate(_BIG_BYTES)
    declared = DECLARED.partition("[volumes.mirror]")[0].replace('media = "disk"', 'media = "disk"\ndigest = "all"')
    (tmp_path / "lastcopy.toml").write_text(f'{declared}\n[schedule.nightly]\ncron = "{YEARLY}"\nrun = "scan"\n')
    return tmp_path


def state_of(folder: Path, task: str) -> str:
    """How the command line says that a task is."""
    return next(str(row["state"]) for row in ask("schedule", "list", "--format", "json", folder=folder).data if row["task"] == task)


@pytest.mark.slow
def test_a_service_that_is_killed_in_a_scan_leaves_nothing_running_and_catches_up(big: Path) -> None:
    root = big / "catalog"
    tasks.write(root, "nightly", tasks.Run(LONG_AGO))
    with serving(big, "--no-pages") as service:
        until(lambda: (root / "scans").exists() and children(service.process.pid))
        [scan] = children(service.process.pid)
        assert state_of(big, "nightly") == "running"
        service.process.kill()
        service.process.wait()
        until(lambda: not alive(scan))
    left = tasks.read(root, "nightly")
    assert left is not None
    assert left.unfinished
    assert state_of(big, "nightly") == "interrupted"
    assert run("report", "volumes", folder=big, code=6)
    with serving(big, "--no-pages", "--log-json") as service:
        until(lambda: (found := tasks.read(root, "nightly")) and found.code == 0)
        assert httpx.get(f"{service.url}healthz", timeout=PATIENCE_SECONDS).json()["snapshot"] is True
        assert {row["path"] for row in httpx.get(f"{service.url}api/reports/assets", timeout=PATIENCE_SECONDS).json()["data"]} == {"big", "small"}
        first = tasks.read(root, "nightly")
    with serving(big, "--no-pages"):
        time.sleep(1)
    assert tasks.read(root, "nightly") == first


@pytest.mark.slow
def test_sigterm_interrupts_a_scan_which_the_next_start_goes_on_with(big: Path) -> None:
    root = big / "catalog"
    tasks.write(root, "nightly", tasks.Run(LONG_AGO))
    with serving(big, "--no-pages", "--log-json") as service:
        until(lambda: (root / "scans").exists() and children(service.process.pid))
        [scan] = children(service.process.pid)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(60) == 0
        assert not alive(scan)
    left = tasks.read(root, "nightly")
    assert left is not None
    assert left.unfinished


@pytest.mark.slow
def test_twenty_clients_are_answered_while_scans_come_to_be_published(tmp_path: Path) -> None:
    grow(tmp_path)
    run("scan", folder=tmp_path, code=None)
    paths = (
        "snapshots",
        "volumes",
        "reports/coverage",
        "reports/assets?format=csv",
        "reports/duplicates?format=xlsx",
        "find?pattern=same",
        "explain?path=deep/same",
    )
    with serving(tmp_path, "--no-pages", "--no-schedule") as service:

        def client(number: int) -> list[int]:
            with httpx.Client(base_url=service.url, timeout=PATIENCE_SECONDS) as asking:
                return [asking.get(f"api/{paths[(number + asked) % len(paths)]}").status_code for asked in range(2 * len(paths))]

        with ThreadPoolExecutor(20) as pool:
            clients = [pool.submit(client, number) for number in range(20)]
            scans = [run("scan", "data", "mirror", folder=tmp_path, code=None).code for _ in range(3)]
        assert {status for found in clients for status in found.result()} == {200}
        assert set(scans) <= {0, 4}
        published = httpx.get(f"{service.url}api/snapshots", timeout=PATIENCE_SECONDS).json()["data"]
        assert len(published) == 4


@pytest.mark.slow
def test_only_one_service_runs_the_schedule_of_a_catalog(big: Path) -> None:
    with serving(big, "--no-pages"):
        assert "service is locked" in run("serve", "--listen", "127.0.0.1:0", "--no-pages", folder=big, code=7).err


def test_a_child_whose_parent_is_gone_begins_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "lastcopy.service.child", "1", "version"], cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (130, b"") or os.getpid() == 1
