"""Files of a share that are read, and copies there under their temporary names: what `Source` and `Staged` say. Nobody else writes to either meanwhile."""

import os
from collections.abc import Iterable, Iterator

from catalog.ours import temporary
from lifecycle.ends import EndError
from lifecycle.stores import BLOCK_BYTES, Fingerprint, Metadata, _metadata
from lifecycle.stores._host_files import Looked, refuse_changed, sha256_of
from lifecycle.stores._share import ALONE_TO_WRITE, READ, REMOVE, TIME, WRITE
from lifecycle.stores._share_names import text_of
from lifecycle.stores._share_tree import ABSENT, Tree, signed
from scanners import _smb
from scanners._smb import Opened

_IN_USE = 0xC0000043
_UNTOLD = "owner and mode: a share does not tell them"
_UNKNOWN_MODE = 0o600


class Reading(Looked):
    """A file of a share, open so that nobody writes to it through the server. Who is at the server itself may, so it is looked at again."""

    _files: Tree

    def __init__(self, tree: Tree, path: bytes, fingerprint: Fingerprint, *, moved: bool = False) -> None:
        """Opens what has that fingerprint; `moved`: in quarantine, a rename touched it. Raises EndError STALE, SOURCE_BUSY, REFUSED, UnreachableError."""
        from smbprotocol.exceptions import SMBResponseException

        super().__init__(path, fingerprint)
        self._files, self._moved = tree, moved
        self._opened: Opened | None = None
        if fingerprint.type != "file":
            raise EndError("REFUSED", f"{tree.shown(path)}: is a link or junction, whose text jobs do not read")
        try:
            with tree.ending("open", path):
                self._opened = self._begun()
                found = tree.share.known(self._opened)
        except EndError as end:
            cause = end.__cause__
            status = cause.status if isinstance(cause, SMBResponseException) else None
            self.close()
            if status in (_IN_USE, *ABSENT):
                raise EndError("SOURCE_BUSY" if status == _IN_USE else "STALE", end.reason, retry=status == _IN_USE) from end
            raise
        if wrong := fingerprint.differs(tree.fingerprint(found), moved=moved):
            self.close()
            raise EndError("STALE", f"{tree.shown(path)}: is not what was planned ({wrong})")
        self._times = found.times

    def _begun(self) -> Opened:
        """The file, open for its content: of one that its server stores in another way, say deduplicated, what it stands for. Raises EndError REFUSED."""
        share, text = self._files.share, text_of(self._path)
        opened = share.begin(text, READ)
        if opened.attributes & (_smb.RECALLED | _smb.REPARSE):
            share.let_go(opened)
            if opened.attributes & _smb.RECALLED:
                raise EndError(
                    "REFUSED", f"{self._files.shown(self._path)}: its content lies on a slower storage behind the server: have it brought back there"
                )
            opened = share.begin(text, READ, through=True)
        return opened

    def metadata(self) -> Metadata:
        """Its times; a share tells neither owner nor mode."""
        modified, accessed = (time * 100 for time in (self._times.modified, self._times.accessed))
        return Metadata(_UNKNOWN_MODE, os.geteuid(), os.getegid(), modified, accessed, dropped=(_UNTOLD,))

    def blocks(self) -> Iterator[memoryview]:
        """The content in order. Raises EndError, UnreachableError."""
        if self._opened is None:
            raise EndError("FAILED", f"{self._files.shown(self._path)}: is not open any more", retry=True)
        with self._files.ending("read", self._path):
            yield from (memoryview(block) for block in blocks(self._files, self._path, self._opened, self.fingerprint.size_bytes))
        self.check()

    def check(self) -> None:
        """Raises EndError SOURCE_CHANGED if another file is there now, UnreachableError."""
        if not self._moved:
            super().check()
            return
        with self._files.ending("look", self._path):
            found = self._files.seen(self._path, self._path)
        refuse_changed(self.fingerprint, found, self._files.shown(self._path), moved=True)

    def close(self) -> None:
        """Let others write to it again."""
        opened, self._opened = self._opened, None
        if opened is not None:
            self._files.share.let_go(opened)


class StagedFile:
    """A copy under its temporary name on the share. From its making until `close` nobody else writes to it through the server."""

    def __init__(
        self, tree: Tree, path: bytes, key: str, opened: Opened | None, inode: int | None, losses: Iterable[str] = (), created_ns: int | None = None
    ) -> None:
        """`opened`: for writing; None = an earlier run wrote it. `created_ns`: when its source was made."""
        self.inode = inode
        self.read_back: Fingerprint | None = None
        self._tree, self._path, self._key, self._opened = tree, path, key, opened
        self._losses, self._created_ns = list(losses), created_ns
        self._at = self._written = 0
        self._held: Opened | None = None  # while it is read back, and until it has its name

    @property
    def _place(self) -> bytes:
        return self._tree.at(self._path.rpartition(b"/")[0], temporary(self._key))

    def write(self, block: memoryview | int) -> None:
        """Append a block, or a run of zeros as a hole. Raises EndError, UnreachableError."""
        if isinstance(block, int):
            self._at += block
            return
        with self._tree.ending("write", self._path):
            self._tree.share.write(self._writable(), self._at, block)
        self._at += len(block)
        self._written = self._at

    def finish(self, metadata: Metadata) -> list[str]:
        """Give it its length and its times; gives what could not be kept. Raises EndError, UnreachableError."""
        share, opened = self._tree.share, self._writable()
        created, accessed, modified = (None if time is None else time // 100 for time in (self._created_ns, metadata.accessed_ns, metadata.modified_ns))
        with self._tree.ending("give the metadata", self._path):
            if self._written < self._at:
                share.resize(opened, self._at)
            share.set_times(opened, created=created, accessed=accessed or 0, modified=modified or 0)
            found = share.known(opened)
        kept = os.stat_result((0, 0, 0, 1, 0, 0, 0, 0, 0, 0), {"st_atime_ns": found.times.accessed * 100, "st_mtime_ns": found.times.modified * 100})
        lost = [*self._losses, *lost_rights(metadata), *_metadata.lost_times(metadata, kept)]
        return lost if created in (None, found.times.created) else [*lost, "created time"]

    def sync(self) -> None:
        """Make it durable, by the server's word. A failure taints it. Raises EndError, UnreachableError."""
        try:
            with self._tree.ending("make durable", self._path):
                self._tree.share.flush(self._writable())
        except EndError:
            self.taint()
            raise

    def taint(self) -> None:
        """Rename it away, never to be published. Raises EndError, UnreachableError."""
        self.close()
        with self._tree.ending("set the bad copy aside", self._path):
            self._tree.rename(self._place, self._tree.at(self._path.rpartition(b"/")[0], temporary(self._key, "bad")))

    def digest(self) -> tuple[bytes, int]:
        """SHA-256 and length of what the server gives back, by a new handle, which holds writers off until `close`. Raises EndError, UnreachableError."""
        self.close()
        tree = self._tree
        with tree.ending("read back", self._path):
            self._held = tree.share.begin(text_of(self._place), READ, share=ALONE_TO_WRITE)
            known = tree.share.known(self._held)
            if self.inode is not None and signed(known.number) != self.inode:
                raise EndError("FAILED", f"{tree.shown(self._path)}: its temporary name leads to another file now", retry=True)
            self.read_back = tree.fingerprint(known)
            return sha256_of(blocks(tree, self._path, self._held, known.size_bytes))

    def close(self) -> None:
        """Let go; the temporary name stays. Raises EndError, UnreachableError."""
        both, self._opened, self._held = (self._opened, self._held), None, None
        with self._tree.ending("close", self._path):
            for opened in both:
                if opened is not None:
                    self._tree.share.end(opened)

    def _writable(self) -> Opened:
        if self._opened is None:
            raise EndError("FAILED", f"{self._tree.shown(self._path)}: an earlier run wrote its temporary copy, which is not written to again", retry=True)
        return self._opened


def create(tree: Tree, path: bytes, key: str, losses: list[str], created_ns: int | None, *, stable: bool) -> StagedFile:
    """Create the temporary name beside a path whose folder is there. Writes. Raises SMBResponseException, UnreachableError, ValueError."""
    share = tree.share
    opened = share.begin(text_of(tree.at(tree.split(path)[0], temporary(key))), READ | WRITE | TIME | REMOVE, new=True)
    try:
        number = share.known(opened).number
    except BaseException:
        share.let_go(opened)
        raise
    return StagedFile(tree, path, key, opened, signed(number) if stable else None, losses, created_ns)


def blocks(tree: Tree, path: bytes, opened: Opened, size_bytes: int) -> Iterator[bytes]:
    """The content of an open file of that size. Raises SMBResponseException, UnreachableError; EndError where it gives less, or has more."""
    at = 0
    while at < size_bytes:
        block = tree.share.block(opened, at, min(BLOCK_BYTES, size_bytes - at))
        if not block:
            raise EndError("FAILED", f"{tree.shown(path)}: the server gave {size_bytes - at} bytes less than the size of the file", retry=True)
        at += len(block)
        yield block
    if tree.share.read(opened, at, 1):
        raise EndError("SOURCE_CHANGED", f"{tree.shown(path)}: has grown while it was read", retry=True)


def lost_rights(wanted: Metadata) -> list[str]:
    """What a share keeps of nothing: owner, mode and attributes, a phrase each."""
    rights = () if _UNTOLD in wanted.dropped else (f"owner {wanted.uid}:{wanted.gid} (a share keeps none)", f"mode {wanted.mode:04o} (a share keeps none)")
    return [*rights, *map(_metadata.told, sorted(wanted.xattrs)), *wanted.dropped]


def make_folders(tree: Tree, path: bytes, models: tuple[Metadata, ...]) -> list[str]:
    """Make the folders above a path that are not there; gives what they could not keep. Writes.

    `models` are those of the innermost ones. Raises SMBResponseException, ValueError, EndError REFUSED, UnreachableError.
    """
    from smbprotocol.exceptions import SMBResponseException

    parts, losses = tree.split(path)[0].split(b"/"), list[str]()
    for depth in range(len(parts)):
        place = b"/".join(parts[: depth + 1])
        if tree.is_here(place):
            continue
        try:
            tree.make_folder(place)
        except SMBResponseException:
            if not tree.is_here(place):  # else another run made it
                if tree.seen(place, place) is not None:
                    raise EndError("REFUSED", f"{tree.shown(path)}: what has the name of its folder is none, or is reached by a link") from None
                raise
            continue
        at = depth - len(parts) + len(models)
        losses += [f"folder {tree.shown(place)}: {loss}" for loss in lost_rights(models[at])] if at >= 0 else []
    return losses
