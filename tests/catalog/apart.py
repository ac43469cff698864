"""Runs a command as on another host: `python -m tests.catalog.apart PORT SOCKET COMMAND…`, within namespaces whose loopback leads to a socket of this one."""

import fcntl
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_SIOCSIFFLAGS, _UP = 0x8914, 0x41  # <linux/sockios.h>; IFF_UP | IFF_RUNNING
NAMESPACES = ("unshare", "--net", "--uts", "--ipc")


def may_be_made() -> bool:
    """Whether this user may make namespaces."""
    return subprocess.run([*NAMESPACES, "true"], capture_output=True, check=False).returncode == 0


@contextmanager
def door(port: int, path: Path) -> Iterator[None]:
    """A socket in a folder that leads to a port of this host's loopback."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(64)
        _serve(listening, lambda: socket.create_connection(("127.0.0.1", port)))
        yield


def main(arguments: Sequence[str]) -> int:
    """Have the loopback of this namespace lead to the socket, and run the command."""
    port, path, *command = arguments
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        fcntl.ioctl(one, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _UP))
    socket.sethostname(Path(path).stem + "-apart")
    with socket.create_server(("127.0.0.1", int(port)), backlog=64) as listening:
        _serve(listening, lambda: _connected(path))
        return subprocess.run(command, check=False).returncode


def _connected(path: str) -> socket.socket:
    found = socket.socket(socket.AF_UNIX)
    found.connect(path)
    return found


def _serve(listening: socket.socket, connect: Callable[[], socket.socket]) -> None:
    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                server = connect()
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=_pour, args=(one, other), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def _pour(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while block := one.recv(1 << 16):
            other.sendall(block)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
