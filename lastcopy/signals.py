"""What signals do to a command that runs."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM, as of a service that is stopped, ends a scan as Ctrl-C does; also in the background, where a shell lets SIGINT be ignored."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
