"""A server of SMB on loopback: Samba's own, with a user who has a password there."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.scanners import archives
from tests.scanners.contract import Item

PASSWORD = "correct horse"
_PATIENCE_SECONDS = 20.0
_CONFIG = """\
[global]
smb ports = {port}
interfaces = 127.0.0.1
bind interfaces only = yes
disable netbios = yes
server role = standalone
map to guest = bad user
load printers = no
log file = {folder}/log
private dir = {folder}/private
lock directory = {folder}/lock
state directory = {folder}/state
cache directory = {folder}/cache
pid directory = {folder}/pid
ncalrpc dir = {folder}/ncalrpc
passdb backend = smbpasswd:{folder}/passwords
{more}
[Share]
path = {folder}/share
read only = no
guest ok = yes
"""


def need() -> None:
    """Skip where Samba is not installed, or may not be run, unless the tests must not be skipped."""
    if not shutil.which("smbd") or not shutil.which("smbpasswd") or os.geteuid() != 0:
        assert not os.environ.get("REQUIRE_SERVERS"), "samba is not installed, or this is not root"
        pytest.skip("samba is not installed, or this is not root")


@dataclass
class Server:
    """One that runs, with what a client needs to know."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes]"

    @property
    def share(self) -> Path:
        """The folder that it shares."""
        return self.folder / "share"

    def declared(self, path: str = "", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a volume may have
        """The table of a volume at a path of the share."""
        return {"url": f"smb://{getpass.getuser()}@127.0.0.1:{self.port}/Share/{path}", "password_file": str(self.folder / "password"), **more}

    def stop(self) -> None:
        """End it, and every session that it has."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def start(folder: Path, more: str = "") -> Server:
    """Start a server on a free port, and wait until it answers. `more`: lines of its configuration."""
    need()
    for name in ("private", "lock", "state", "cache", "pid", "ncalrpc", "share"):
        (folder / name).mkdir(parents=True)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    (folder / "smb.conf").write_text(_CONFIG.format(folder=folder, port=port, more=more))
    (folder / "password").write_text(PASSWORD + "\n")
    told = f"{PASSWORD}\n{PASSWORD}\n".encode()
    subprocess.run(["smbpasswd", "-c", folder / "smb.conf", "-s", "-a", getpass.getuser()], input=told, check=True, capture_output=True)
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            ["smbd", "--foreground", "--no-process-group", "-s", folder / "smb.conf"],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, f"smbd does not answer: {(folder / 'said').read_text(errors='replace')}"
            assert time.monotonic() < until, f"smbd does not answer: {(folder / 'said').read_text(errors='replace')}"
            time.sleep(0.02)
        else:
            return Server(folder, port, process)


class Tree:
    """A tree on the server: `contract.Factory`."""

    kind = "smb"

    def __init__(self, server: Server, name: str) -> None:
        self.server, self.name = server, name

    def make(self, items: Iterable[Item]) -> dict[str, Any]:
        """Grow it; gives the volume."""
        archives.grow(self.server.share / self.name, items)
        return self.server.declared(self.name)

    def takes(self, name: bytes) -> bool:
        """What Windows takes; other names Samba calls otherwise."""
        try:
            text = name.decode()
        except UnicodeDecodeError:
            return False
        return not (set(text) & set('\\/:*?"<>|') or min(text) < " " or text[-1] in " ." or text == "CON")
