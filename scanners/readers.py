"""Processes that read files for the driver: a few children, each always with one request ahead, that die with it."""

import os
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Generic, Self, TypeVar

from catalog.errors import CatalogError
from scanners import reading
from scanners.reading import LENGTH_BYTES, Reply, Request, pack, unpack_reply

Key = TypeVar("Key")

_AHEAD = 2  # requests that a child has: the one it reads and the next
_PIECE_BYTES = 1024 * 1024


@dataclass(eq=False)
class _Child(Generic[Key]):
    process: subprocess.Popen[bytes]
    requests: IO[bytes]
    replies: IO[bytes]
    keys: deque[Key] = field(default_factory=deque)  # of the requests without a reply, oldest first
    unsent: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)


class Readers(Generic[Key]):
    """A few reading processes; they are started when there is something to read, and ended when the block ends."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._children: list[_Child[Key]] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._selector.close()
        for child in self._children:
            child.requests.close()
            child.process.kill()
        for child in self._children:
            child.replies.close()
            child.process.wait()

    def replies(self, requests: Iterator[tuple[Key, Request]]) -> Iterator[tuple[Key, Reply]]:
        """The reply to each request with its key, as they come. Requests are taken only as children get free. Raises CatalogError if a child dies."""
        self._children = self._children or [self._start() for _ in range(self._count)]
        more = True
        while True:
            while more and (child := min(self._children, key=lambda c: len(c.keys))) and len(child.keys) < _AHEAD:
                following = next(requests, None)
                more = following is not None
                if following:
                    child.keys.append(following[0])
                    child.unsent += pack(following[1])
                    self._send(child)
            if not any(child.keys for child in self._children):
                return
            for event, _ in self._selector.select():
                child = event.data
                if event.fileobj is child.requests:
                    self._send(child)
                else:
                    yield from self._receive(child)

    def _start(self) -> _Child[Key]:
        # Isolated and without site: a child needs the standard library only. Its own group: Ctrl-C is the driver's to answer.
        command = [sys.executable, "-I", "-S", os.path.abspath(reading.__file__)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)  # noqa: S603 -- our own interpreter and file
        if process.stdin is None or process.stdout is None:
            raise CatalogError("a reading process has no pipes")
        child: _Child[Key] = _Child(process, process.stdin, process.stdout)
        os.set_blocking(child.requests.fileno(), False)
        os.set_blocking(child.replies.fileno(), False)
        self._selector.register(child.replies, selectors.EVENT_READ, child)
        return child

    def _send(self, child: _Child[Key]) -> None:
        """Write as much as the pipe takes now; the rest when the selector says that it takes more."""
        waiting = child.requests in self._selector.get_map()
        try:
            while child.unsent:
                del child.unsent[: os.write(child.requests.fileno(), child.unsent[:_PIECE_BYTES])]
        except BlockingIOError:
            if not waiting:
                self._selector.register(child.requests, selectors.EVENT_WRITE, child)
            return
        except BrokenPipeError:
            self._died(child)
        if waiting:
            self._selector.unregister(child.requests)

    def _receive(self, child: _Child[Key]) -> Iterator[tuple[Key, Reply]]:
        piece = os.read(child.replies.fileno(), _PIECE_BYTES)
        if not piece:
            self._died(child)
        child.received += piece
        while len(child.received) >= LENGTH_BYTES:
            end = LENGTH_BYTES + int.from_bytes(child.received[:LENGTH_BYTES], "little")
            if len(child.received) < end:
                return
            reply = unpack_reply(bytes(memoryview(child.received)[LENGTH_BYTES:end]))
            del child.received[:end]
            yield child.keys.popleft(), reply

    def _died(self, child: _Child[Key]) -> None:
        raise CatalogError(f"a process that read files ended with code {child.process.wait()}; what was read before is kept, run the scan again to go on")
