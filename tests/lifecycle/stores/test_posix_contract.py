"""File trees keep the contract of stores, on each of the file systems that are to be had here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lifecycle.stores.contract import Contract
from tests.lifecycle.stores.places import PosixPlace, tmpfs
from tests.lifecycle.stores.taking import Taking


class TestHere(Contract, Taking):
    """On the file system of the tests."""


class TestTmpfs(Contract, Taking):
    """In memory."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[PosixPlace]:
        with tmpfs(tmp_path / "mnt") as mount:
            place = PosixPlace(mount)
            yield place
            place.close()


class TestXfs(Contract, Taking):
    """Where blocks can be shared."""

    @pytest.fixture
    def place(self, xfs_place: PosixPlace) -> PosixPlace:
        return xfs_place
