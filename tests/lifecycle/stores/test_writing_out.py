"""Large copies are written out while they grow: what fails then is a failed fsync, which no later one would tell of."""

import errno
import os

import pytest

from catalog.ours import temporary
from lifecycle.ends import EndError
from lifecycle.stores import _calls, _staging
from tests.lifecycle.stores.contract import KEY, sha256
from tests.lifecycle.stores.places import PosixPlace

BLOCK = os.urandom(4096)


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> PosixPlace:
    return PosixPlace(tmp_path_factory.mktemp("volume"))


def test_a_failure_while_it_is_written_out_taints_the_copy(place: PosixPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_descriptor: int, _at: int, _size_bytes: int) -> None:
        raise OSError(errno.EIO, "lost")

    monkeypatch.setattr(_staging, "_BEGIN_EVERY_BYTES", len(BLOCK))
    monkeypatch.setattr(_calls, "write_out", failing)
    staged = place.connect().stage(b"file", KEY)
    staged.write(memoryview(BLOCK))
    with pytest.raises(EndError, match="make durable") as found:
        staged.write(memoryview(BLOCK))
    assert found.value.retry
    staged.close()
    assert not os.path.lexists(place.at(temporary(KEY)))
    assert os.path.lexists(place.at(temporary(KEY, "bad")))


def test_what_is_written_out_in_parts_is_the_whole(place: PosixPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    out: list[tuple[int, int]] = []
    real = _calls.write_out

    def noted(descriptor: int, at: int, size_bytes: int) -> None:
        out.append((at, size_bytes))
        real(descriptor, at, size_bytes)

    monkeypatch.setattr(_staging, "_BEGIN_EVERY_BYTES", 2 * len(BLOCK))
    monkeypatch.setattr(_calls, "write_out", noted)
    staged = place.connect().stage(b"file", KEY)
    for part in (BLOCK, BLOCK, 3 * len(BLOCK), BLOCK, BLOCK):
        staged.write(part if isinstance(part, int) else memoryview(part))
    staged.sync()
    assert out == [(0, 2 * len(BLOCK))]  # the last parts are the fsync's
    assert staged.digest() == (sha256(2 * BLOCK + bytes(3 * len(BLOCK)) + 2 * BLOCK), 7 * len(BLOCK))
    staged.close()
