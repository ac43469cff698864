"""A server of SSH on loopback: OpenSSH's own, with a host key and a user's key of its own."""

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

_PROGRAM = "/usr/sbin/sshd"
_PATIENCE_SECONDS = 20.0
_CONFIG = """\
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
MaxSessions 50
MaxStartups 100
Subsystem sftp internal-sftp
"""


def need() -> None:
    """Skip where OpenSSH's server is not installed, unless the tests must not be skipped."""
    if not shutil.which(_PROGRAM):
        assert not os.environ.get("REQUIRE_SERVERS"), "openssh-server is not installed"
        pytest.skip("openssh-server is not installed")


@dataclass
class Server:
    """One that runs, with what a client needs to know."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes]"

    def declared(self, path: Path | str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a volume may have
        """The table of a volume at a path of this server."""
        keys = {"identity_file": str(self.folder / "user_key"), "known_hosts": str(self.folder / "known_hosts")}
        return {"url": f"sftp://127.0.0.1:{self.port}{path}", **keys, **more}

    def stop(self) -> None:
        """End it, and every session that it has."""
        for process in reversed(_family(self.process.pid)):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.process.wait()


def start(folder: Path) -> Server:
    """Start a server on a free port, and wait until it answers."""
    need()
    folder.mkdir()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where OpenSSH of Debian gives up its rights
    for name in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    (folder / "config").write_text(_CONFIG.format(folder=folder))
    known = " ".join((folder / "host_key.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {known}\n")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([_PROGRAM, "-D", "-e", "-f", folder / "config", "-p", str(port)], stderr=log, start_new_session=True)
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            said = (folder / "log").read_text(errors="replace")
            assert process.poll() is None, f"sshd does not answer: {said}"
            assert time.monotonic() < until, f"sshd does not answer: {said}"
            time.sleep(0.02)
        else:
            return Server(folder, port, process)


def _family(ancestor: int) -> list[int]:
    """A process and all that came from it, whatever session they are in."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    found = [ancestor]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return found


class Tree:
    """A tree on the server: `contract.Factory`."""

    kind = "sftp"

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder

    def make(self, items: Iterable[Item]) -> dict[str, Any]:
        """Grow it; gives the volume."""
        archives.grow(self.folder, items)
        return self.server.declared(self.folder)

    def takes(self, name: bytes) -> bool:
        """All that a file system takes."""
        return bool(name)
