"""A line on loopback that breaks at one byte: what networks do to whatever is spoken over them."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["cut", "stall", "half-close", "flip", "lost reply", "kill"]
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: what closes sends a reset
_REPLY_SECONDS = 0.15  # without another byte of it a reply is over


@dataclass(frozen=True)
class Break:
    """What happens when a byte has come: the `at`-th that goes up (to the server) or down, of all connections."""

    kind: Kind
    up: bool
    at: int

    def __str__(self) -> str:
        return f"{self.kind} at byte {self.at} {'up' if self.up else 'down'}"


@dataclass
class Line:
    """A line that works until a break; `sent` are the bytes so far by direction (up = True), `messages` where in them one begins after the other side spoke."""

    upstream: tuple[str, int]
    port: int = 0
    broken: Break | None = None
    fired: bool = False
    kill: Callable[[], None] = lambda: None  # ends the engine
    sent: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    messages: list[tuple[bool, int]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fresh(self, broken: Break | None = None) -> None:
        """Count from nothing, and break so."""
        with self.lock:
            self.broken, self.fired, self.sent, self.messages = broken, False, {True: 0, False: 0}, []

    def passes(self, block: bytes, *, up: bool) -> tuple[bytes, Break | None]:
        """What of a block goes on, and the break that it meets."""
        with self.lock:
            begun, broken = self.sent[up], self.broken
            if not self.messages or self.messages[-1][0] != up:
                self.messages.append((up, begun))
            self.sent[up] += len(block)
            if broken is None or self.fired or broken.up != up or self.sent[up] <= broken.at:
                return block, None
            self.fired = True
        at = broken.at - begun
        if broken.kind == "flip":
            return block[:at] + bytes([block[at] ^ 1]) + block[at + 1 :], broken
        return (block if broken.kind == "lost reply" else block[:at]), broken


@contextmanager
def running(port: int) -> Iterator[Line]:
    """A line to a port of this machine."""
    line = Line(("127.0.0.1", port))
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        line.port = server.getsockname()[1]
        threading.Thread(target=_accept, args=(line, server), daemon=True).start()
        yield line


def _accept(line: Line, server: socket.socket) -> None:
    with suppress(OSError):  # the server is closed
        while True:
            client, _ = server.accept()
            try:
                far = socket.create_connection(line.upstream, 60)
            except OSError:
                client.close()
                continue
            far.settimeout(None)
            ended = _Ended()
            for up, here, there in ((True, client, far), (False, far, client)):
                threading.Thread(target=_pass_on, args=(line, ended, here, there, up), daemon=True).start()


@dataclass
class _Ended:
    """How a connection ended, for both its directions."""

    how: Kind | None = None


def _pass_on(line: Line, ended: _Ended, here: socket.socket, there: socket.socket, up: bool) -> None:
    """One direction of one connection, until it is over."""
    with suppress(OSError):
        while block := here.recv(1 << 16):
            if ended.how in ("stall", "cut") or (ended.how == "lost reply" and not up):
                if ended.how == "lost reply":
                    _swallow(here, there)
                continue
            block, broken = line.passes(block, up=up)
            there.sendall(block)
            if broken is None or broken.kind == "flip":
                continue
            ended.how = broken.kind
            if broken.kind == "kill":
                line.kill()
            if broken.kind in ("cut", "kill"):
                _reset(here, there)
            elif broken.kind == "half-close":
                there.shutdown(socket.SHUT_WR)
                while here.recv(1 << 16):
                    pass
        if ended.how not in ("stall", "half-close"):
            there.shutdown(socket.SHUT_WR)


def _swallow(server: socket.socket, client: socket.socket) -> None:
    """Let a reply come to its end, which nobody hears."""
    server.settimeout(_REPLY_SECONDS)
    with suppress(OSError):
        while server.recv(1 << 16):
            pass
    _reset(server, client)


def _reset(*sockets: socket.socket) -> None:
    for one in sockets:
        with suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
