"""Shares keep the contracts of stores, on a real server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lifecycle.ends import EndError
from tests.lifecycle.stores.contract import KEY, Contract, Place
from tests.lifecycle.stores.places import TreePlace
from tests.lifecycle.stores.taking import Taking
from tests.scanners.contract import BAD_NAMES
from tests.scanners.smbd import Server, Tree


class SharePlace(TreePlace):
    """A tree on the share, which its store reaches by SMB alone."""

    def __init__(self, server: Server, name: str) -> None:
        self._server = server
        (server.share / name).mkdir()
        super().__init__(server.share / name)

    def declared(self, folder: Path) -> dict[str, Any]:
        return self._server.declared(str(folder.relative_to(self._server.share)))


class TestSmb(Contract, Taking):
    """On Samba."""

    @pytest.fixture
    def place(self, smb_server: Server, tmp_path: Path) -> Iterator[SharePlace]:
        place = SharePlace(smb_server, tmp_path.name)
        yield place
        place.close()

    def takes(self, able: Any, name: bytes) -> bool:  # noqa: ANN401  # nothing of it matters
        return Tree.takes(None, name)  # type: ignore[arg-type]  # it asks for nothing

    @pytest.mark.parametrize("name", [name for name in BAD_NAMES if not Tree.takes(None, name)], ids=repr)  # type: ignore[arg-type]  # as above
    def test_a_name_that_windows_cannot_have_is_refused(self, place: Place, name: bytes) -> None:
        store = place.connect()
        for path in (b"in/" + name, name + b"/in"):
            with pytest.raises(EndError, match="REFUSED"):
                store.stage(path, KEY)
        assert place.names() == []
