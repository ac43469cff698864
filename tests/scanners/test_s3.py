"""Buckets of real object stores."""

from collections.abc import Iterable
from typing import Any

import pytest

from tests.scanners import stores
from tests.scanners.contract import Contract, Item
from tests.scanners.stores import Server


class _Factory:
    kind = "s3"
    folders = False

    def __init__(self, server: Server, **declared: object) -> None:
        self._server, self._declared = server, declared

    def make(self, items: Iterable[Item]) -> dict[str, Any]:
        return self._server.declared(self._server.filled(items, versioned=bool(self._declared.get("versions"))), **self._declared)

    def takes(self, name: bytes) -> bool:
        try:
            name.decode()
        except UnicodeDecodeError:
            return False
        return self._server.name != "weed" or b"\\" not in name  # SeaweedFS makes a slash of a backslash


class TestSeaweedFS(Contract):
    @pytest.fixture(scope="class")
    def factory(self) -> _Factory:
        return _Factory(stores.weed())


class TestCeph(Contract):
    @pytest.fixture(scope="class")
    def factory(self) -> _Factory:
        return _Factory(stores.ceph())
