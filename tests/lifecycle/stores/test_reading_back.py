"""What is digested as the storage has it: past memory, through memory where a storage wants it so, and whatever its length is."""

import errno
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lifecycle.stores import _reading
from scanners import _stored as storage

LENGTHS = (0, 1, 4095, 4096, 4097, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 5 << 20)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("past_memory", [True, False])
def test_a_file_of_any_length_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int, past_memory: bool) -> None:
    if not past_memory:
        monkeypatch.setattr(storage, "past_memory", lambda _descriptor, *, wanted: not wanted)
    content = os.urandom(length)
    assert _stored(tmp_path, content) == (hashlib.sha256(content).digest(), length)


def test_a_storage_that_refuses_such_reads_is_read_through_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = os.preadv, list[int]()

    def refused(descriptor: int, buffers: Any, at: int) -> int:  # noqa: ANN401  as os.preadv has it
        asked.append(at)
        if len(asked) == 2:
            raise OSError(errno.EINVAL, "not so")
        return real(descriptor, buffers, at)

    monkeypatch.setattr(os, "preadv", refused)
    content = os.urandom(5 << 20)
    assert _stored(tmp_path, content) == (hashlib.sha256(content).digest(), len(content))


def test_short_reads_are_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.preadv
    monkeypatch.setattr(os, "preadv", lambda descriptor, buffers, at: real(descriptor, [buffers[0][:77_777]], at))
    content = os.urandom(3 << 20)
    assert _stored(tmp_path, content) == (hashlib.sha256(content).digest(), len(content))


def test_an_error_of_the_storage_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.preadv

    def failing(descriptor: int, buffers: Any, at: int) -> int:  # noqa: ANN401  as os.preadv has it
        if at:
            raise OSError(errno.EIO, "broken")
        return real(descriptor, buffers, at)

    monkeypatch.setattr(os, "preadv", failing)
    with pytest.raises(OSError, match="broken"):
        _stored(tmp_path, os.urandom(5 << 20))


def test_who_waits_is_asked_for_after_each_block(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(os.urandom(9 << 20))
    asked = list[None]()
    descriptor = os.open(tmp_path / "f", os.O_RDONLY)
    try:
        _reading.stored(descriptor, lambda: asked.append(None))
    finally:
        os.close(descriptor)
    assert len(asked) >= 5


def test_a_child_reads_into_memory_of_its_own(tmp_path: Path) -> None:
    def code() -> int:
        _stored(tmp_path, b"content")
        assert hasattr(storage._rooms, "here")
        child = os.fork()
        if not child:
            os._exit(int(hasattr(storage._rooms, "here")))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    with ThreadPoolExecutor(1) as thread:
        assert [code(), thread.submit(code).result()] == [0, 0], "the memory is of a thread, whichever forks"


def _stored(folder: Path, content: bytes) -> tuple[bytes, int]:
    (folder / "f").write_bytes(content)
    descriptor = os.open(folder / "f", os.O_RDONLY)
    try:
        os.fsync(descriptor)
        return _reading.stored(descriptor)
    finally:
        os.close(descriptor)
