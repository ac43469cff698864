"""Storages on which a file is one file: it shares no blocks with others, has one name, and nothing takes its place."""

from typing import Any, Literal, NoReturn

from lifecycle.ends import EndError
from lifecycle.stores import Fingerprint, Metadata, Pointer
from lifecycle.stores._marked import Marked


class Plain(Marked):
    """What `stores.Store` says of shared blocks, further names and folders' times, where there is none of it: what would do something raises EndError."""

    def refuse(self, path: bytes) -> NoReturn:
        """Raises EndError REFUSED."""
        raise EndError("REFUSED", f"{self.shown(path)}: this storage cannot do that: a file is one file here, and nothing takes its place")

    def share(self, kept: bytes, kept_expected: Fingerprint, other: bytes, other_expected: Fingerprint) -> Literal["shared", "differs", "unsupported"]:
        """Never."""
        return "unsupported"

    def clone(self, path: bytes, key: str, kept: bytes, kept_expected: Fingerprint, how: Literal["reflink", "hard_link"]) -> Any:  # noqa: ANN401  it gives nothing
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
        """Not asked: nobody could tell whether something else happened in a folder."""
        self.refuse(path)

    def give_folder_modified(self, path: bytes, modified_ns: int) -> None:
        """As above."""
        self.refuse(path)
