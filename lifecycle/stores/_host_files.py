"""Files of another host that are read, and copies there under their temporary names: what `Source` and `Staged` say."""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from catalog.ours import HOME, temporary
from lifecycle.ends import EndError
from lifecycle.stores import BLOCK_BYTES, Fingerprint, Metadata, _metadata
from lifecycle.stores._line import SYNC_SECONDS, Files

if TYPE_CHECKING:
    from asyncssh import SFTPAttrs, SFTPClientFile

    from lifecycle.stores._hosted import Files as FilesOfAnyHost

_RIGHTS = 0o777  # set-user-ID and the like are never given


class Looked:
    """What is read of a host while nothing keeps all others from it: it is looked at anew, and read again before it counts."""

    leased = False
    _files: "FilesOfAnyHost"

    def __init__(self, path: bytes, fingerprint: Fingerprint) -> None:
        self.fingerprint, self._path = fingerprint, path

    def is_wanted(self) -> bool:
        """Never: nobody asks before."""
        return False

    def check(self) -> None:
        """Raises EndError SOURCE_CHANGED if another file is there now, UnreachableError."""
        refuse_changed(self.fingerprint, self._files.look(self._path), self._files.shown(self._path))


def refuse_changed(expected: Fingerprint, found: Fingerprint | None, shown: str, *, moved: bool = False) -> None:
    """Raises EndError SOURCE_CHANGED where what is found is not what was expected."""
    wrong = "it is gone" if found is None else expected.differs(found, moved=moved)
    if wrong:
        raise EndError("SOURCE_CHANGED", f"{shown}: changed while it was worked on ({wrong})", retry=True)


class Reading(Looked):
    """A file or symbolic link of the host."""

    _files: Files

    def __init__(self, files: Files, path: bytes, fingerprint: Fingerprint) -> None:
        super().__init__(path, fingerprint)
        self._files, self._place = files, files.at(path)

    def metadata(self) -> Metadata:
        """Owner, mode and times, of it and of the folders above it; the protocol tells no attributes. Raises EndError, UnreachableError."""
        with self._files.ending("read its metadata", self._path):
            link = read_link(self._files, self._place) if self.fingerprint.type == "symlink" else None
            inner = self._files.split(self._path)[0].split(b"/") if b"/" in self._path else []
            above = [self._status(self._files.at(*inner[: end + 1])) for end in range(len(inner))]
            return _as_metadata(self._status(self._place), link, tuple(_as_metadata(one) for one in above))

    def _status(self, place: bytes) -> "SFTPAttrs":
        found = self._files.status(place)
        if found is None:
            raise EndError("SOURCE_CHANGED", f"{self._files.shown(self._path)}: is gone", retry=True)
        return found

    def blocks(self) -> Iterator[memoryview]:
        """The content in order. Raises EndError, UnreachableError."""
        with self._files.ending("read", self._path):
            if self.fingerprint.type == "symlink":
                yield memoryview(read_link(self._files, self._place))
                return
            yield from (memoryview(block) for block in blocks(self._files, self._place, self.fingerprint.size_bytes))
        self.check()

    def close(self) -> None:
        """Nothing is held."""


class Kept(Reading):
    """A file in quarantine, known by its place there."""

    def __init__(self, files: Files, place: bytes, fingerprint: Fingerprint) -> None:
        super().__init__(files, HOME, fingerprint)
        self._place = place

    def metadata(self) -> Metadata:
        """Owner, mode and times. Raises EndError, UnreachableError."""
        with self._files.ending("read its metadata", self._path):
            return _as_metadata(self._status(self._place))

    def check(self) -> None:
        """Raises EndError SOURCE_CHANGED if another file is there now, UnreachableError."""
        with self._files.ending("look", self._path):
            found = self._files.seen(self._place, self._path)
        refuse_changed(self.fingerprint, found, f"{self._files.volume}: a file in quarantine", moved=True)


class StagedFile:
    """A copy under its temporary name on the host."""

    inode = None

    def __init__(self, files: Files, path: bytes, key: str, place: bytes, file: "SFTPClientFile | None", losses: Iterable[str] = ()) -> None:
        """`place`: that of the temporary name. `file`: open for writing; None = an earlier run wrote it."""
        self.read_back: Fingerprint | None = None
        self._files, self._path, self._key, self._place, self._file = files, path, key, place, file
        self._losses, self._at = list(losses), 0

    def write(self, block: memoryview | int) -> None:
        """Append a block, or a run of zeros as a hole. Raises EndError, UnreachableError."""
        if not isinstance(block, int):
            file, at, piece = self._opened(), self._at, bytes(block)
            with self._files.ending("write", self._path):
                self._files.line.ask(lambda _: file.write(piece, at))
        self._at += block if isinstance(block, int) else len(block)

    def finish(self, metadata: Metadata) -> list[str]:
        """Give it size, owner, mode, and times last; gives what could not be kept. Raises EndError, UnreachableError."""
        import asyncssh

        file = self._opened()
        with self._files.ending("give the metadata", self._path):
            self._files.line.ask(lambda _: file.truncate(self._at))
            found = self._files.line.ask(lambda _: file.stat())
            if (found.uid, found.gid) != (metadata.uid, metadata.gid) and _are_numbers(metadata):
                self._try(asyncssh.SFTPAttrs(uid=metadata.uid, gid=metadata.gid))
            self._try(asyncssh.SFTPAttrs(permissions=metadata.mode & _RIGHTS))
            self._try(asyncssh.SFTPAttrs(atime=_told_second(metadata.accessed_ns), mtime=_told_second(metadata.modified_ns)))
            return [*self._losses, *lost(metadata, self._files.line.ask(lambda _: file.stat()))]

    def _try(self, attrs: "SFTPAttrs") -> None:
        """Ask for something that the host may refuse: what it is afterwards is looked at."""
        import asyncssh

        file = self._opened()
        with suppress(asyncssh.SFTPPermissionDenied, asyncssh.SFTPFailure, asyncssh.SFTPOpUnsupported):
            self._files.line.ask(lambda _: file.setstat(attrs))

    def sync(self) -> None:
        """Make it durable, by the host's word. A failure taints it. Raises EndError, UnreachableError."""
        file = self._opened()
        try:
            with self._files.ending("make durable", self._path):
                self._files.line.ask(lambda _: file.fsync(), SYNC_SECONDS)
        except EndError:
            self.taint()
            raise

    def taint(self) -> None:
        """Rename it away, never to be published. Raises EndError, UnreachableError."""
        bad = self._place[: -len(temporary(self._key))] + temporary(self._key, "bad")
        with self._files.ending("set the bad copy aside", self._path):
            self._files.line.ask(lambda client: client.rename(self._place, bad))

    def digest(self) -> tuple[bytes, int]:
        """SHA-256 and length of what the host gives back, by a new handle. Raises EndError, UnreachableError."""
        self.close()
        with self._files.ending("read back", self._path):
            found = self._files.status(self._place)
            if found is None or not stat.S_ISREG(found.permissions or 0):
                raise EndError("FAILED", f"{self._files.shown(self._path)}: its temporary name is gone, or leads elsewhere", retry=True)
            self.read_back = self._files.fingerprint(found, self._path)
            return sha256(self._files, self._place, self.read_back.size_bytes)

    def close(self) -> None:
        """Let go; the temporary name stays. Raises EndError, UnreachableError."""
        file, self._file = self._file, None
        if file is not None:
            with self._files.ending("close", self._path):
                self._files.line.ask(lambda _: file.close())

    def _opened(self) -> "SFTPClientFile":
        if self._file is None:
            raise EndError("FAILED", f"{self._files.shown(self._path)}: an earlier run wrote its temporary copy, which is not written to again", retry=True)
        return self._file


class StagedLink:
    """A symbolic link under its temporary name on the host."""

    inode = None

    def __init__(self, files: Files, path: bytes, key: str, place: bytes, losses: Iterable[str] = ()) -> None:
        self.read_back: Fingerprint | None = None
        self._files, self._path, self._key, self._place, self._losses = files, path, key, place, list(losses)

    def write(self, block: memoryview | int) -> None:
        """Nothing: its text is its name's. It may be given again, as a file's content is."""

    def finish(self, metadata: Metadata) -> list[str]:
        """Gives what it did not keep: the protocol gives a link nothing. Raises EndError, UnreachableError."""
        with self._files.ending("look", self._path):
            found = self._files.status(self._place)
        return [*self._losses, *(lost(metadata, found, is_link=True) if found is not None else [])]

    def sync(self) -> None:
        """Nothing: the host has no such thing for links."""

    def taint(self) -> None:
        """Rename it away, never to be published. Raises EndError, UnreachableError."""
        bad = self._place[: -len(temporary(self._key))] + temporary(self._key, "bad")
        with self._files.ending("set the bad copy aside", self._path):
            self._files.line.ask(lambda client: client.rename(self._place, bad))

    def digest(self) -> tuple[bytes, int]:
        """SHA-256 and length of its text, as it is read back. Raises EndError, UnreachableError."""
        with self._files.ending("read back", self._path):
            text = read_link(self._files, self._place)
            found = self._files.status(self._place)
        self.read_back = None if found is None else self._files.fingerprint(found, self._path)
        return hashlib.sha256(text).digest(), len(text)

    def close(self) -> None:
        """Nothing is held open."""


def blocks(files: Files, place: bytes, size_bytes: int) -> Iterator[bytes]:
    """The content of a file of that size. Raises SFTPError, UnreachableError; EndError where it gives less, or has more."""
    file, at = files.line.ask(lambda client: client.open(place, "rb")), 0
    try:
        while at < size_bytes:
            wanted = min(BLOCK_BYTES, size_bytes - at)
            block = files.line.ask(lambda _, wanted=wanted, at=at: file.read(wanted, at))  # type: ignore[misc]  # bound as defaults
            if not block:
                raise EndError("FAILED", f"{files.volume}: the host gave {size_bytes - at} bytes less than the size of a file", retry=True)
            at += len(block)
            yield cast(bytes, block)
        if files.line.ask(lambda _: file.read(1, at)):
            raise EndError("SOURCE_CHANGED", f"{files.volume}: a file has grown while it was read", retry=True)
    finally:
        files.line.ask(lambda _: file.close())


def sha256(files: Files, place: bytes, size_bytes: int) -> tuple[bytes, int]:
    """SHA-256 and length of a file, as the host gives it. Raises SFTPError, EndError, UnreachableError."""
    return sha256_of(blocks(files, place, size_bytes))


def sha256_of(content: Iterable[bytes | memoryview]) -> tuple[bytes, int]:
    """SHA-256 and length of blocks."""
    digest, length = hashlib.sha256(), 0
    for block in content:
        digest.update(block)
        length += len(block)
    return digest.digest(), length


def read_link(files: Files, place: bytes) -> bytes:
    """Where a link leads. Raises SFTPError, UnreachableError."""
    found = files.line.ask(lambda client: client.readlink(place))
    return found if isinstance(found, bytes) else os.fsencode(str(found))


def lost(wanted: Metadata, found: "SFTPAttrs", *, is_link: bool = False) -> list[str]:
    """What a copy on the host does not keep of what was wanted, a phrase each."""
    kept = _as_status(found)
    rights = _metadata.lost_owner(wanted, kept) if is_link else _metadata.lost_rights(wanted, kept)
    return [*rights, *map(_metadata.told, sorted(wanted.xattrs)), *wanted.dropped, *_metadata.lost_times(wanted, kept)]


def make_folders(files: Files, path: bytes, key: str, models: tuple[Metadata, ...]) -> list[str]:
    """Make the folders above a path that are not there, each whole before it has its name; gives what they could not keep. Writes.

    `models` are those of the innermost ones. Raises SFTPError, EndError REFUSED, UnreachableError.
    """
    import asyncssh

    parts, losses = files.split(path)[0].split(b"/"), list[str]()
    for depth in range(len(parts)):
        inner, name = b"/".join(parts[:depth]), parts[depth]
        place, own = files.at(inner, name), files.at(inner, temporary(key))
        if (there := files.status(place)) is not None:
            if not stat.S_ISDIR(there.permissions or 0):
                raise EndError("REFUSED", f"{files.shown(path)}: what has the name of its folder is none")
            continue
        files.line.ask(lambda client, own=own: client.mkdir(own, asyncssh.SFTPAttrs(permissions=0o700)))  # type: ignore[misc]  # bound as a default
        at = depth - len(parts) + len(models)
        losses += _dress(files, own, models[at], f"folder {files.shown(b'/'.join(parts[: depth + 1]))}") if at >= 0 else []
        try:
            files.line.ask(lambda client, own=own, place=place: client.rename(own, place))  # type: ignore[misc]  # as above
        except asyncssh.SFTPError:
            files.line.ask(lambda client, own=own: client.rmdir(own))  # type: ignore[misc]  # as above
            if files.status(place) is None:  # else another run made it
                raise
    return losses


def _dress(files: Files, place: bytes, wanted: Metadata, shown: str) -> list[str]:
    import asyncssh

    owner = [asyncssh.SFTPAttrs(uid=wanted.uid, gid=wanted.gid)] if _are_numbers(wanted) else []
    for attrs in (*owner, asyncssh.SFTPAttrs(permissions=wanted.mode & _RIGHTS | stat.S_IRWXU)):
        try:
            files.line.ask(lambda client, attrs=attrs: client.setstat(place, attrs, follow_symlinks=False))  # type: ignore[misc]  # bound as a default
        except (asyncssh.SFTPPermissionDenied, asyncssh.SFTPFailure, asyncssh.SFTPOpUnsupported):
            continue
    found = files.status(place)
    if found is None:
        return []
    return [f"{shown}: {loss}" for loss in [*_metadata.lost_rights(wanted, _as_status(found)), *map(_metadata.told, sorted(wanted.xattrs))]]


def _told_second(time_ns: int) -> int:
    """A time as the protocol can tell it: in 32 bits of seconds since 1970. One that it cannot is lost, and listed."""
    return min(max(time_ns // 10**9, 0), 2**32 - 1)


def _are_numbers(wanted: Metadata) -> bool:
    """Whether the protocol can tell these owners."""
    return all(0 <= one < 2**32 for one in (wanted.uid, wanted.gid))


def _as_status(found: "SFTPAttrs") -> os.stat_result:
    seconds = (found.atime or 0, found.mtime or 0)
    exact = dict(zip(("st_atime_ns", "st_mtime_ns"), (one * 10**9 for one in seconds), strict=True))
    return os.stat_result((found.permissions or 0, 0, 0, 1, _id(found.uid), _id(found.gid), 0, *seconds, 0), exact)


def _as_metadata(found: "SFTPAttrs", link_target: bytes | None = None, parents: tuple[Metadata, ...] = ()) -> Metadata:
    return Metadata(
        mode=stat.S_IMODE(found.permissions or 0),
        uid=_id(found.uid),
        gid=_id(found.gid),
        modified_ns=(found.mtime or 0) * 10**9,
        accessed_ns=(found.atime or 0) * 10**9,
        link_target=link_target,
        parents=parents,
    )


def _id(found: int | None) -> int:
    """An owner; where none is told, one that nobody is."""
    return 0xFFFF_FFFE if found is None else found
