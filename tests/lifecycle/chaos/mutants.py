"""Engines with one safety measure taken out, for the length of one child process. Each must be caught by a sweep."""

import os
import stat
from collections.abc import Callable

Body = Callable[[], int | None]


def applied(name: str | None, body: Body) -> Body:
    """The body of a child in which that measure is missing."""
    if name is None:
        return body

    def bad() -> int | None:
        MUTANTS[name]()
        return body()

    return bad


def _no_fsync() -> None:
    """Nothing is made durable."""
    os.fsync = os.fdatasync = lambda _descriptor: None  # type: ignore[assignment]  # that is the point


def _no_directory_fsync() -> None:
    """Names are not made durable, contents are."""
    real = os.fsync

    def only_files(descriptor: int) -> None:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            real(descriptor)

    os.fsync = only_files  # type: ignore[assignment]  # that is the point


MUTANTS: dict[str, Callable[[], None]] = {
    "no fsync": _no_fsync,
    "no fsync of directories": _no_directory_fsync,
}
