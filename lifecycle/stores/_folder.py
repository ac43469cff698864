"""A folder outside of every volume, as a restore writes to it: known by its inode and its file system, and left without anything of ours."""

import time

from catalog.config import Config
from catalog.errors import UnreachableError
from catalog.ours import temporary
from catalog.volumes import Volume
from lifecycle.stores import Capabilities, Identity, _canaries, _staging, posix

_CANARIES = temporary("canaries")


class Folder(posix.Store):
    """One folder. Its name is its path; what it can do is kept by the journal, for there is no marker in it."""

    def __init__(self, path: str, able: Capabilities | None = None) -> None:
        """Opens nothing yet. `able` is what an earlier `prepare` found."""
        super().__init__(Config.model_construct(volumes={path: Volume(url=path)}, path=None), path)
        self._capabilities = able

    def identify(self) -> Identity:
        """Look at the folder and its file system; its marker is its inode. Only reads. Raises UnreachableError."""
        found = self._tree.fingerprint(self._tree.root, b"")
        self._identified = True
        return Identity(f"inode {found.inode}", self._tree.fs_id, self._writable(self._tree.root))

    def prepare(self, marker: str, *, at_us: int, take_over: bool = False) -> Capabilities:
        """Try the canaries; nothing of them stays. Writes. Raises UnreachableError, EndError, LockedError."""
        if self.identify().marker != marker:
            raise UnreachableError(f"{self._tree.location}: another folder has that name now")
        with self._tree.ending("prepare", _CANARIES):
            self._capabilities = _canaries.find_out(self._tree, self._tree.root, _CANARIES)
        return self._capabilities

    def discard(self, path: bytes, key: str, inode: int | None = None) -> None:
        """Remove this step's temporary name if it is that inode. Writes. Raises EndError CONFLICT."""
        _staging.discard(self._tree, path, key, inode)

    def clock_ns(self) -> int:
        """The host's time: nothing is written here to ask."""
        return time.time_ns()
