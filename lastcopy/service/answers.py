"""Answers for who may see a part: one locked connection a snapshot and sight, kept while it is asked, and answers that are streamed."""

import contextlib
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from catalog import connect, snapshot
from catalog.errors import CatalogError, ConfigError
from catalog.sight import Sight
from lastcopy import asking
from lastcopy.service.deadline import Deadline

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from catalog.snapshot import Snapshot

_KEPT = 6  # connections; each has its own cache of file footers
_WAITING = 16  # chunks that a slow reader may be behind
_PATIENCE_SECONDS = 60.0  # for a reader who reads nothing
_LONGEST_SECONDS = 600.0  # of one question, from its turn to the last of its answer
_LOOK_SECONDS = 0.2
_TOO_LONG = "the answer took too long; ask for less"


class Connections:
    """Connections by snapshot and sight. Safe to ask from many threads."""

    def __init__(self, root: Callable[[], Path]) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, str, str, str | None], Future[DuckDBPyConnection]] = OrderedDict()

    @contextlib.contextmanager
    def cursor(self, wanted: str | None, sight: Sight | None, against: str | None = None) -> "Iterator[DuckDBPyConnection]":
        """A cursor on a snapshot as somebody may see it; it is stopped after ten minutes, opening included. Raises NotFoundError, ConfigError, CatalogError."""
        root = self.root()
        found, earlier = snapshot.find(root, wanted), snapshot.find(root, against) if against else None
        with _foreseen(), Deadline(_LONGEST_SECONDS) as deadline:
            cursor = self._connection(root, found, earlier, sight, deadline).cursor()
            deadline.covers(cursor)
            try:
                yield cursor
            finally:
                deadline.end()
                cursor.close()

    def opened(self, root: Path, found: "Snapshot", earlier: "Snapshot | None", sight: Sight | None) -> "DuckDBPyConnection":
        """A new connection that nobody else has, in ten minutes or never. Raises ConfigError, CatalogError."""
        with _foreseen(), Deadline(_LONGEST_SECONDS) as deadline:
            return _opened(root, found, earlier, sight, deadline)

    def _connection(self, root: Path, found: "Snapshot", earlier: "Snapshot | None", sight: Sight | None, deadline: Deadline) -> "DuckDBPyConnection":
        """The connection of a key. Who comes first opens it; only those who want the same one wait for that."""
        key = (str(root), found.snapshot_id, earlier.snapshot_id if earlier else "", None if sight is None else str(sight))
        with self._lock:
            first = key not in self._open
            opening = self._open.setdefault(key, Future())
            self._open.move_to_end(key)
            while len(self._open) > _KEPT:
                self._open.popitem(last=False)  # closed when its last cursor is
        if first:
            try:
                opening.set_result(_opened(root, found, earlier, sight, deadline))
            except BaseException as error:
                with self._lock:
                    if self._open.get(key) is opening:
                        del self._open[key]
                opening.set_exception(error)
                raise
        try:
            return opening.result(deadline.left_seconds)
        except TimeoutError as error:
            raise CatalogError(_TOO_LONG) from error


def _opened(root: Path, found: "Snapshot", earlier: "Snapshot | None", sight: Sight | None, deadline: Deadline) -> "DuckDBPyConnection":
    """A new connection, within the limits of the snapshot's configuration."""
    limits = found.config.catalog
    memory = f"{limits.memory_limit}B" if limits.memory_limit else None
    return connect.connect(root, found, earlier, memory_limit=memory, threads=limits.threads, sight=sight, derives=False, begun=deadline.covers)


@contextlib.contextmanager
def _foreseen() -> Iterator[None]:
    """The engine's errors as ours, without what they say of files."""
    import duckdb

    try:
        yield
    except duckdb.InterruptException as error:
        raise CatalogError(_TOO_LONG) from error
    except duckdb.Error as error:
        if asking.is_of_the_catalog(error):
            raise CatalogError("the catalog could not answer; its log says why") from error
        raise ConfigError(f"the question cannot be answered: {type(error).__name__}") from error


def streamed(write: "Callable[[IO[bytes]], object]") -> Iterator[bytes]:
    """What a writer writes, as it is written, from a thread of its own. An error before the first bytes is raised at once, a later one ends the stream.

    The writer is ended where nothing is read for a minute, or not all of it within ten minutes.
    """
    pipe = _Pipe()
    threading.Thread(target=pipe.fill, args=(write,), name="answer", daemon=True).start()
    try:
        first = next(pipe.chunks(), b"")
    except BaseException:
        pipe.close_reading()
        raise
    return _with_first(first, pipe)


def _with_first(first: bytes, pipe: "_Pipe") -> Iterator[bytes]:
    try:
        yield first
        yield from pipe.chunks()
    finally:
        pipe.close_reading()


class _Pipe:
    """A bounded pipe between a thread that writes and one that reads."""

    def __init__(self) -> None:
        self._queue: queue.Queue[bytes | BaseException | None] = queue.Queue(_WAITING)
        self._until = time.monotonic() + _LONGEST_SECONDS
        self._read = True
        self._written = False
        self._ended = False
        self._held = bytearray()

    def write(self, chunk: bytes) -> int:
        """Take bytes; they go on in pieces of some size. Raises BrokenPipeError where nobody reads."""
        self._held += chunk
        if len(self._held) >= 1 << 16:
            self.flush()
        return len(chunk)

    def flush(self) -> None:
        """Send on what was taken. Raises CatalogError after ten minutes."""
        if time.monotonic() > self._until:
            raise CatalogError(_TOO_LONG)
        if self._held:
            self._put(bytes(self._held))
            self._held.clear()

    def fill(self, write: "Callable[[IO[bytes]], object]") -> None:
        """Run the writer to its end."""
        try:
            write(cast("IO[bytes]", _File(self)))
            self.flush()
            self._put(None)
        except BaseException as error:  # it is raised where it is read
            with contextlib.suppress(BrokenPipeError):
                self._put(error)
        finally:
            self._written = True

    def chunks(self) -> Iterator[bytes]:
        """The pieces. Raises what the writer raised, and BrokenPipeError where it was ended because they were not read."""
        while not self._ended:
            written = self._written
            try:
                found = self._queue.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                if written:
                    raise BrokenPipeError("the answer was not read in time") from None
                continue
            if found is None:
                self._ended = True
            elif isinstance(found, BaseException):
                self._ended = True
                raise found
            else:
                yield found

    def close_reading(self) -> None:
        """Nobody reads any more: the writer is ended by its next piece."""
        self._read = False

    def _put(self, found: bytes | BaseException | None) -> None:
        until = min(time.monotonic() + _PATIENCE_SECONDS, self._until)
        while self._read:
            try:
                self._queue.put(found, timeout=_LOOK_SECONDS)
            except queue.Full:
                if time.monotonic() > until:
                    break
            else:
                return
        raise BrokenPipeError("nobody reads the answer")


class _File:
    """The writing end as a file that goes only forward."""

    closed = False

    def __init__(self, pipe: _Pipe) -> None:
        self.write = pipe.write
        self.flush = pipe.flush

    def writelines(self, lines: Iterable[bytes]) -> None:
        """All of them."""
        for line in lines:
            self.write(line)
