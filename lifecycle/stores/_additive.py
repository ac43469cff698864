"""Storages to which jobs only add: nothing is taken out of them, moved in them, or left in the place of something."""

from collections.abc import Iterable
from typing import Any, Literal, NoReturn

from lifecycle.ends import EndError
from lifecycle.stores import Fingerprint, Metadata, Move, Pointer
from lifecycle.stores._marked import Marked


class Additive(Marked):
    """What `stores.Store` says of quarantines, shared blocks and folders' times, for a storage that has none of it: what would do something raises EndError."""

    def refuse(self, path: bytes) -> NoReturn:
        """Raises EndError REFUSED."""
        raise EndError("REFUSED", f"{self.shown(path)}: jobs add to this storage, and take nothing out of it")

    def announce(self, moves: Iterable[Move]) -> None:
        """Nothing is moved here."""
        for move in moves:
            self.refuse(move.path)

    def quarantine(self, path: bytes, key: str, expected: Fingerprint, *, leave: Pointer | None = None) -> Fingerprint:
        """Nothing is taken away here."""
        self.refuse(path)

    def settle_quarantine(self) -> None:
        """Nothing lies there."""

    def quarantined(self, key: str) -> Fingerprint | None:
        """None: nothing lies there."""
        return None

    def open_quarantined(self, key: str, expected: Fingerprint) -> Any:  # noqa: ANN401  it gives nothing
        """Nothing lies there."""
        self.refuse(key.encode())

    def put_back(self, key: str, path: bytes, expected: Fingerprint) -> None:
        """Nothing was taken away here."""
        self.refuse(path)

    def remove(self, key: str, expected: Fingerprint) -> None:
        """No job destroys a file here."""
        self.refuse(key.encode())

    def share(self, kept: bytes, kept_expected: Fingerprint, other: bytes, other_expected: Fingerprint) -> Literal["shared", "differs", "unsupported"]:
        """Never."""
        return "unsupported"

    def clone(self, path: bytes, key: str, kept: bytes, kept_expected: Fingerprint, how: Literal["reflink", "hard_link"]) -> Any:  # noqa: ANN401  as above
        """Nothing is shared here."""
        self.refuse(path)

    def stand_in(self, path: bytes, key: str, sha256: bytes, read_back: Fingerprint) -> Pointer:
        """Nothing takes the place of a file here."""
        self.refuse(path)

    def link(self, path: bytes, key: str, first: bytes, first_expected: Fingerprint, parents: tuple[Metadata, ...] = ()) -> list[str]:
        """A file has one name here."""
        self.refuse(path)

    def give_back(self, path: bytes, key: str, inode: int) -> None:
        """Nothing: no two files change places."""

    def folder_modified_ns(self, path: bytes) -> int:
        """Nothing is taken out of a folder."""
        self.refuse(path)

    def give_folder_modified(self, path: bytes, modified_ns: int) -> None:
        """As above."""
        self.refuse(path)
