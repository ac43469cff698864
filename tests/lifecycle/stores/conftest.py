"""A prepared file tree for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lifecycle.stores.places import PosixPlace, xfs


@pytest.fixture
def place(tmp_path: Path) -> Iterator[PosixPlace]:
    place = PosixPlace(tmp_path)
    yield place
    place.close()


@pytest.fixture(scope="session")
def xfs_mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with xfs(tmp_path_factory.mktemp("xfs")) as mount:
        yield mount


@pytest.fixture
def xfs_place(xfs_mount: Path) -> Iterator[PosixPlace]:
    folder = xfs_mount / f"t{len(list(xfs_mount.iterdir()))}"
    folder.mkdir()
    place = PosixPlace(folder)
    yield place
    place.close()
