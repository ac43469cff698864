"""Another program that reads a repository: ended with us, and never waited for without end."""

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from catalog import printable
from scanners import _bound

_SILENT_SECONDS = 600.0  # without a sign of life
_PIECE_BYTES = 1 << 20
_ERRORS_BYTES = 64 * 1024  # the end of what it complains of
_TOLD_LETTERS = 300
_MOST_BYTES = 1 << 30  # of an answer that is kept whole


class RunError(Exception):
    """A run of a program that did not end with 0; the text says why, without a secret."""

    def __init__(self, text: str, code: int | None = None) -> None:
        """`code`: what it ended with; None = it did not end, or what it said is wrong."""
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Run:
    """How a program is started."""

    what: str  # what errors call it
    command: Sequence[str]
    env: Mapping[str, str]
    why: Callable[[int, bytes], tuple[str, str]]  # of the exit code and the end of standard error: what it means, and what it says of itself
    folder: Path | None = None  # where it starts, and the only place that it may write to
    passed: tuple[int, ...] = ()  # descriptors


@contextmanager
def blocks(run: Run) -> Iterator[Iterator[bytes]]:
    """What a program says, as it comes; the iteration ends by RunError unless the program ended with 0. The process is gone when the block ends."""
    words = [sys.executable, "-I", "-S", _bound.__file__, str(os.getpid()), str(run.folder or ""), *run.command]
    process = subprocess.Popen(  # noqa: S603 - no shell
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(run.env),
        cwd=run.folder,
        pass_fds=run.passed,
        start_new_session=True,  # without a terminal to ask
    )
    try:
        yield _heard(process, run)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()


def answer(what: str, running: AbstractContextManager[Iterator[bytes]]) -> Any:  # noqa: ANN401 - whatever JSON holds
    """The JSON that a program answers with. Raises RunError."""
    whole = bytearray()
    with running as pieces:
        for piece in pieces:
            whole += piece
            if len(whole) > _MOST_BYTES:
                raise RunError(f"{what}: an answer of more than {_MOST_BYTES} bytes")
    try:
        return json.loads(whole)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{what}: its answer cannot be read") from error


def _heard(process: "subprocess.Popen[bytes]", run: Run) -> Iterator[bytes]:
    """Blocks of standard output until its end."""
    complaints = bytearray()
    streams: list[IO[bytes]] = [stream for stream in (process.stdout, process.stderr) if stream]
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(_SILENT_SECONDS)
            if not ready:
                raise RunError(f"{run.what}: nothing was heard of it for {_SILENT_SECONDS:g} seconds, so it was ended")
            for key, _ in ready:
                piece = os.read(key.fd, _PIECE_BYTES)
                if not piece:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stdout:
                    yield piece
                else:
                    complaints = (complaints + piece)[-_ERRORS_BYTES:]
    try:
        code = process.wait(_SILENT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise RunError(f"{run.what}: it closed its output and did not end") from error
    if code:
        meaning, said = run.why(code, bytes(complaints))
        meaning = meaning or (f"it was ended by signal {-code}" if code < 0 else f"it ended with exit code {code}")
        raise RunError(f"{run.what}: {meaning} ({printable.clean(said[:_TOLD_LETTERS])})" if said else f"{run.what}: {meaning}", code)
