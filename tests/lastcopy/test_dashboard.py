"""The command that serves the pages: where it listens, and what it says where it cannot."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.lastcopy.conftest import Estate
from tests.lastcopy.program import environment, run


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port


@pytest.mark.slow
def test_the_dashboard_answers_on_loopback_until_it_is_interrupted(estate: Estate) -> None:
    port = _free_port()
    command = [sys.executable, "-m", "lastcopy", "dashboard", "--port", str(port)]
    served = subprocess.Popen(command, cwd=estate.folder, env=environment(estate.folder), stderr=subprocess.PIPE, start_new_session=True)
    try:
        until, page = time.monotonic() + 60, b""
        while not page and time.monotonic() < until:
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read()
            time.sleep(0.1)
        assert b"<html" in page
        places = [line.split()[1] for line in Path("/proc/net/tcp").read_text("ascii").splitlines()]
        listening = {place.split(":")[0] for place in places if place.endswith(f":{port:04X}")}
        assert listening == {"0100007F"}
        foreign = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": "pages.example"})
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(foreign, timeout=10)
        taken = run("dashboard", "--port", str(port), folder=estate.folder, code=8)
        assert f"port {port} of this machine cannot be served: Address already in use" in taken.err
    finally:
        os.killpg(served.pid, signal.SIGINT)
        _, said = served.communicate(timeout=30)
    assert f"http://127.0.0.1:{port}/".encode() in said


def test_without_a_configuration_it_says_what_is_missing(estate: Estate) -> None:
    ended = run("dashboard", "--config", "nowhere.toml", folder=estate.folder, code=2)
    assert "nowhere.toml" in ended.err
