"""Sidecars: what `<key>.json` in quarantine says of the file that a step put there. Written, and durable, before the file is moved.

The sidecars of moves that are announced together are names of one file, a line of JSON for each: that file is made durable once, and is
gone with its last name. Where a storage knows no hard links each has a file of its own.
"""

import base64
import errno
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

from catalog.ours import temporary
from lifecycle.stores import Move, _calls

_MOST_BYTES = 1 << 20  # of one file, unless a single line is longer
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINK = (*_calls.NO_FLAGS, errno.EPERM, errno.EMLINK)


def name(key: str) -> bytes:
    """The name of a step's sidecar. Raises ValueError for what is no key."""
    temporary(key)
    return b"%s.json" % key.encode()


def write(directory: int, moves: Iterable[Move]) -> None:
    """Write the sidecars of moves, where they are not there yet; durable with the directory that holds them. Writes. Raises OSError."""
    lines = [(move.key, text_of(move)) for move in moves]
    for together in _parted([(key, line) for key, line in lines if not _stands(directory, key, line)]):
        first = name(together[0][0])
        _create(directory, first, b"".join(line for _, line in together))
        for key, line in together[1:]:
            try:
                os.link(first, name(key), src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
                _create(directory, name(key), line)


def read(directory: int, key: str) -> dict[str, Any] | None:
    """What a sidecar says; None where there is none that is whole. Its path and the text of its pointer are base64."""
    try:
        return parsed(_content(directory, name(key)), key)
    except OSError:
        return None


def parsed(text: bytes, key: str) -> dict[str, Any] | None:
    """What the text of a sidecar says of a step's move; None where it is not whole."""
    begin = b'{"key": "%s"' % key.encode()
    line = next((line for line in text.splitlines() if line.startswith(begin)), b"")
    try:
        found: dict[str, Any] = json.loads(line)
        leave = found.get("leave") or {"how": "nothing", "text": ""}
        if not isinstance(leave["how"], str):
            return None
        for encoded in (found["path"], leave["text"]):
            base64.b64decode(encoded, validate=True)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return found


def _stands(directory: int, key: str, line: bytes) -> bool:
    """Whether a sidecar says that already. One that does not, of another attempt or not whole, goes. Writes. Raises OSError."""
    if _calls.find(directory, name(key)) is None:
        return False
    if read(directory, key) == json.loads(line):
        return True
    os.unlink(name(key), dir_fd=directory)
    return False


def text_of(move: Move) -> bytes:
    """What the sidecar of a move says."""
    told: dict[str, Any] = {"key": move.key, "path": base64.b64encode(move.path).decode(), "fingerprint": move.expected._asdict()}
    if move.leave:
        told["leave"] = {"how": move.leave.how, "text": base64.b64encode(move.leave.text).decode()}
    return json.dumps(told).encode() + b"\n"


def _parted(lines: list[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    """Lines in parts, each for one file."""
    part: list[tuple[str, bytes]] = []
    size_bytes = 0
    for key, line in lines:
        if part and size_bytes + len(line) > _MOST_BYTES:
            yield part
            part, size_bytes = [], 0
        part.append((key, line))
        size_bytes += len(line)
    if part:
        yield part


def _create(directory: int, own: bytes, text: bytes) -> None:
    descriptor = os.open(own, _CREATE, 0o600, dir_fd=directory)
    try:
        at = 0
        while at < len(text):
            at += os.pwrite(descriptor, text[at:], at)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _content(directory: int, own: bytes) -> bytes:
    descriptor = os.open(own, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    try:
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(2 * _MOST_BYTES)
    finally:
        os.close(descriptor)
