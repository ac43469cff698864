"""Answers for who may see a part: one locked connection a snapshot and sight, kept while it is asked, and answers that are streamed."""

import contextlib
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from catalog import connect, snapshot
from catalog.errors import CatalogError, ConfigError
from catalog.sight import Sight

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from catalog.snapshot import Snapshot

_KEPT = 6  # connections; each has its own cache of file footers
_WAITING = 16  # chunks that a slow reader may be behind
_PATIENCE_SECONDS = 60.0  # for a reader who reads nothing
_LONGEST_SECONDS = 600.0  # of one question


class Connections:
    """Connections by snapshot and sight. Safe to ask from many threads."""

    def __init__(self, root: Callable[[], Path]) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, str, str, str | None], DuckDBPyConnection] = OrderedDict()

    @contextlib.contextmanager
    def cursor(self, wanted: str | None, sight: Sight | None, against: str | None = None) -> "Iterator[DuckDBPyConnection]":
        """A cursor on a snapshot as somebody may see it; it is stopped after ten minutes. Raises NotFoundError, ConfigError, CatalogError."""
        root = self.root()
        found, earlier = snapshot.find(root, wanted), snapshot.find(root, against) if against else None
        cursor = self._connection(root, found, earlier, sight).cursor()
        stop = threading.Timer(_LONGEST_SECONDS, cursor.interrupt)
        stop.daemon = True
        stop.start()
        try:
            with _foreseen():
                yield cursor
        finally:
            stop.cancel()
            cursor.close()

    def opened(self, root: Path, found: "Snapshot", earlier: "Snapshot | None", sight: Sight | None) -> "DuckDBPyConnection":
        """A new connection, within the limits of the snapshot's configuration."""
        limits = found.config.catalog
        memory = f"{limits.memory_limit}B" if limits.memory_limit else None
        return connect.connect(root, found, earlier, memory_limit=memory, threads=limits.threads, sight=sight)

    def _connection(self, root: Path, found: "Snapshot", earlier: "Snapshot | None", sight: Sight | None) -> "DuckDBPyConnection":
        key = (str(root), found.snapshot_id, earlier.snapshot_id if earlier else "", None if sight is None else str(sight))
        with self._lock:
            if key not in self._open:
                self._open[key] = self.opened(root, found, earlier, sight)
                while len(self._open) > _KEPT:
                    self._open.popitem(last=False)  # closed when its last cursor is
            self._open.move_to_end(key)
            return self._open[key]


@contextlib.contextmanager
def _foreseen() -> Iterator[None]:
    """The engine's errors as ours, without what they say of files."""
    import duckdb

    try:
        yield
    except duckdb.InterruptException as error:
        raise CatalogError("the answer took too long; ask for less") from error
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise CatalogError("the catalog could not answer; its log says why") from error
    except duckdb.Error as error:
        raise ConfigError(f"the question cannot be answered: {type(error).__name__}") from error


def streamed(write: "Callable[[IO[bytes]], object]") -> Iterator[bytes]:
    """What a writer writes, as it is written, from a thread of its own. An error before the first bytes is raised at once, a later one ends the stream."""
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
        self._read = True
        self._ended = False
        self._held = bytearray()

    def write(self, chunk: bytes) -> int:
        """Take bytes; they go on in pieces of some size. Raises BrokenPipeError where nobody reads."""
        self._held += chunk
        if len(self._held) >= 1 << 16:
            self.flush()
        return len(chunk)

    def flush(self) -> None:
        """Send on what was taken."""
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

    def chunks(self) -> Iterator[bytes]:
        """The pieces. Raises what the writer raised."""
        while not self._ended:
            found = self._queue.get()
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
        for _ in range(int(_PATIENCE_SECONDS * 5)):
            if not self._read:
                break
            try:
                self._queue.put(found, timeout=0.2)
            except queue.Full:
                continue
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
