"""An end for what takes too long."""

import contextlib
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_AGAIN_SECONDS = 0.2


class Deadline:
    """Interrupts what is asked on some connections from its time on, until it ends: again and again, since an interrupt between two queries is lost."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._connections: list[DuckDBPyConnection] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="deadline", daemon=True)

    @property
    def left_seconds(self) -> float:
        """How long it is until then; 0 afterwards."""
        return max(0.0, self._until - time.monotonic())

    def covers(self, connection: "DuckDBPyConnection") -> None:
        """Let it hold for a connection too, which stays open until the end."""
        self._connections.append(connection)

    def end(self) -> None:
        """Interrupt nothing any more."""
        self._ended.set()
        self._thread.join()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()

    def _run(self) -> None:
        import duckdb

        wait_seconds = self.left_seconds
        while not self._ended.wait(wait_seconds):
            for connection in list(self._connections):
                with contextlib.suppress(duckdb.Error):
                    connection.interrupt()
            wait_seconds = _AGAIN_SECONDS
