"""Has an archive read by a process of its own: whatever it holds, the worst that it does is to end that process."""

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

_SILENT_SECONDS = 600  # without a sign of life
_PIECE_BYTES = 1024 * 1024


def told(descriptor: int, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What `scanners._unpack` says of an open archive, as it comes; the last message is `damaged` if it could not be read to its end.

    The process ends with the iteration. Reads from the descriptor only, which is left open.
    """
    command = [sys.executable, "-P", "-m", "scanners._unpack"]
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=(descriptor,), process_group=0
    )
    try:
        done = False
        for line in _lines(process, json.dumps({**request, "descriptor": descriptor}).encode() + b"\n"):
            message = json.loads(line)
            done = done or "done" in message
            if message and not done:
                yield message
        if not done:
            yield {"damaged": _why(process)}
    finally:
        process.kill()
        if process.stdout:
            process.stdout.close()
        process.wait()


def _lines(process: "subprocess.Popen[bytes]", request: bytes) -> Iterator[bytes]:
    """The lines that a process says, until it ends or is silent for too long."""
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    try:
        process.stdin.write(request)
        process.stdin.close()
    except BrokenPipeError:
        return
    torn = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.select(_SILENT_SECONDS):
            piece = os.read(process.stdout.fileno(), _PIECE_BYTES)
            if not piece:
                return
            torn += piece
            *lines, rest = torn.split(b"\n")
            torn = bytearray(rest)
            yield from map(bytes, lines)


def _why(process: "subprocess.Popen[bytes]") -> str:
    """Why a process did not come to its end."""
    try:
        code = process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        return f"nothing was heard of its reading for {_SILENT_SECONDS} seconds"
    return f"the process that read it was ended by signal {-code}" if code < 0 else f"the process that read it ended (exit {code})"
