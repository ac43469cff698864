"""File trees keep the contract of stores, on each of the file systems that are to be had here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lifecycle.stores.contract import Contract
from tests.lifecycle.stores.places import PosixPlace, tmpfs, xfs


class TestHere(Contract):
    """On the file system of the tests."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[PosixPlace]:
        place = PosixPlace(tmp_path)
        yield place
        place.close()


class TestTmpfs(Contract):
    """In memory."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[PosixPlace]:
        with tmpfs(tmp_path / "mnt") as mount:
            place = PosixPlace(mount)
            yield place
            place.close()


@pytest.fixture(scope="module")
def xfs_mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with xfs(tmp_path_factory.mktemp("xfs")) as mount:
        yield mount


class TestXfs(Contract):
    """Where blocks can be shared."""

    @pytest.fixture
    def place(self, xfs_mount: Path) -> Iterator[PosixPlace]:
        folder = xfs_mount / f"t{len(list(xfs_mount.iterdir()))}"
        folder.mkdir()
        place = PosixPlace(folder)
        yield place
        place.close()
