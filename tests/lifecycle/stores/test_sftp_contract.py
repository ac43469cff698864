"""Folders of other hosts keep the contracts of stores, on a real server."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lifecycle.stores.contract import Contract
from tests.lifecycle.stores.places import TreePlace
from tests.lifecycle.stores.taking import Taking
from tests.scanners.sshd import Server


class HostPlace(TreePlace):
    """The same tree, which its store reaches by SFTP alone."""

    def __init__(self, folder: Path, server: Server) -> None:
        self._server = server
        super().__init__(folder)

    def declared(self, folder: Path) -> dict[str, Any]:
        return self._server.declared(folder)

    def replace(self, path: bytes, content: bytes) -> None:
        super().replace(path, content)
        os.utime(self.at(path), (1_500_000_000, 1_500_000_000))  # what is replaced within a second looks the same


class TestSftp(Contract, Taking):
    """On OpenSSH's server."""

    @pytest.fixture
    def place(self, tmp_path: Path, ssh_server: Server) -> Iterator[HostPlace]:
        place = HostPlace(tmp_path, ssh_server)
        yield place
        place.close()
