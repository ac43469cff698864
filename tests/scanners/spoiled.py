"""Contents that a storage refuses to give."""

import errno
import os
from collections.abc import Iterator

import pytest

from scanners import _stored, reading


def spoiled(monkeypatch: pytest.MonkeyPatch) -> set[bytes]:
    """A set of contents: whatever reads one of them in this process, from memory or from the storage, gets EIO as long as it is in the set."""
    contents: set[bytes] = set()
    from_memory, from_storage = os.read, _stored.blocks

    def checked(data: bytes) -> bytes:
        if data in contents:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return data

    def blocks(descriptor: int) -> Iterator[memoryview]:
        for block in from_storage(descriptor):
            checked(bytes(block))
            yield block

    monkeypatch.setattr(reading, "_read", lambda descriptor, length: checked(from_memory(descriptor, length)))
    monkeypatch.setattr(_stored, "blocks", blocks)
    return contents
