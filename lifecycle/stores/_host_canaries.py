"""What a host is able to do, found by doing it under `.lastcopy/canaries-…/`: servers differ in what renaming does to what is there."""

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from lifecycle.stores import Capabilities
from lifecycle.stores._host_files import read_link
from lifecycle.stores._hosted import CANARIES, Files
from lifecycle.stores._line import FRESH, SYNC_SECONDS
from lifecycle.stores._line import Files as HostFiles

if TYPE_CHECKING:
    from asyncssh import SFTPClient, SFTPClientFile

_RAW = [bytes(range(1, 47)), bytes(range(48, 160)), bytes(range(160, 256)), b" lead", b"trail ", b"dot.", b"CON", b"a:b", b"back\\slash"]
LONGEST = 255
_NOTHING = Capabilities(
    publish="none", exchange=False, leases=False, reflink=False, dedupe=False, hard_links=False, symlinks=False, xattrs=False, acls=False,
    sync_directories=False, folds_case=False, folds_unicode=False, raw_names=False, time_step_ns=1, name_bytes=LONGEST // 2, stable_inodes=False,
    quarantine=False,
)  # fmt: skip


class Canaries:
    """A folder of ours in which something is tried."""

    def __init__(self, files: Files, at: bytes) -> None:
        self.files, self.at = files, at

    def does(self, canary: Callable[[], bool]) -> bool:
        """Whether a canary lives. A refusal is an answer: the host cannot do it."""
        try:
            return canary()
        except self.files.refused:
            return False
        finally:
            for name, _ in self.files.listed(self.at):
                self.files.remove(self.place(name))

    def place(self, name: bytes) -> bytes:
        """That of a name in the folder."""
        return self.at + b"/" + name

    def tried(self) -> Capabilities:
        """What renaming does, and how names are taken; the rest as if the host could do nothing. Writes."""
        return replace(
            _NOTHING,
            publish="noreplace" if self.does(self._never_replaces) else "none",
            folds_case=self.does(lambda: self._folds(b"lastcopy-case-a", b"LASTCOPY-CASE-A")),
            folds_unicode=self.does(lambda: self._folds("lastcopy-é".encode(), "lastcopy-e\u0301".encode())),
            name_bytes=LONGEST if self.does(lambda: self.keeps([b"n" * LONGEST])) else LONGEST // 2,
        )

    def keeps(self, given: Iterable[bytes]) -> bool:
        """Whether names come back as they were given."""
        for name in given:
            self.files.write_new(self.place(name), b"")
        return {name for name, _ in self.files.listed(self.at)} == set(given)

    def _never_replaces(self) -> bool:
        """Whether neither a new file nor a renamed one takes the place of what is there."""
        files, (one, two, name) = self.files, map(self.place, (b"first", b"second", b"published"))
        files.write_new(one, b"first")
        files.write_new(two, b"second")
        files.rename(one, name)
        for act in (lambda: files.write_new(name, b"third"), lambda: files.rename(two, name)):
            if not self.is_refused(act):
                return False
        return files.read_small(name, 99) == b"first" and files.read_small(two, 99) == b"second"

    def is_refused(self, act: Callable[[], object]) -> bool:
        """Whether the host refuses something."""
        try:
            act()
        except self.files.refused:
            return True
        return False

    def _folds(self, one: bytes, two: bytes) -> bool:
        self.files.write_new(self.place(one), b"")
        return self.files.seen(self.place(two), two) is not None


@contextmanager
def canaries(files: Files) -> Iterator[Canaries]:
    """A new folder for canaries, so that nothing of somebody else is in it; it goes again. Writes. Raises what a refusal raises, UnreachableError."""
    at = files.home(CANARIES + secrets.token_hex(8).encode())
    files.make_folder(at)
    yield Canaries(files, at)
    files.remove_folder(at)


def find_out(files: HostFiles) -> Capabilities:
    """What a host of SFTP can do. Writes. Raises SFTPError where not even files can be made, UnreachableError."""
    with canaries(files) as trying:
        found = trying.tried()
        return replace(
            found,
            publish=found.publish if trying.does(lambda: _syncs(files, trying.place(b"synced"))) else "none",
            symlinks=trying.does(lambda: _links(files, trying.at)),
            raw_names=trying.does(lambda: trying.keeps(_RAW)),
            time_step_ns=1_000_000_000,
            quarantine=trying.does(lambda: _takes(files, trying)),
        )


def _syncs(files: HostFiles, place: bytes) -> bool:
    """Whether the host makes a file durable when it is asked to."""

    async def sync(client: "SFTPClient") -> bool:
        file: SFTPClientFile
        async with client.open(place, FRESH, encoding=None) as file:
            await file.write(b"content")
            await file.fsync()
        return True

    return files.line.ask(sync, SYNC_SECONDS)


def _takes(files: HostFiles, trying: Canaries) -> bool:
    """Whether the host moves a file by one rename, and links files, without which what it calls a rename may replace something; see `_line.Files.take`."""
    one, two, linked = map(trying.place, (b"taken", b"there", b"linked"))
    files.write_new(one, b"content")
    files.line.ask(lambda client: client.posix_rename(one, two))
    files.line.ask(lambda client: client.link(two, linked))
    return files.seen(one, one) is None and files.read_small(linked, 99) == b"content"


def _links(files: HostFiles, at: bytes) -> bool:
    """Whether a link has the text that it is given. Servers that take the two the other way round make one of that name: it must lie here, too."""
    text = at + b"/else\xffwhere"
    files.line.ask(lambda client: client.symlink(text, at + b"/link"))
    return read_link(files, at + b"/link") == text
