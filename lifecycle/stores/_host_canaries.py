"""What a host is able to do, found by doing it under `.lastcopy/canaries/`: servers of SFTP differ in what renaming does to what is there."""

import os
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from lifecycle.stores import Capabilities
from lifecycle.stores._host_files import read_link
from lifecycle.stores._line import SYNC_SECONDS, Files

if TYPE_CHECKING:
    from asyncssh import SFTPClient, SFTPClientFile

FOLDER = b"canaries-"
_RAW = [bytes(range(1, 47)), bytes(range(48, 160)), bytes(range(160, 256)), b" lead", b"trail ", b"dot.", b"CON", b"a:b", b"back\\slash"]
_LONGEST = 255
FRESH = 0x02 | 0x08 | 0x20  # SSH_FXF_WRITE, SSH_FXF_CREAT and SSH_FXF_EXCL


def find_out(files: Files) -> Capabilities:
    """What the host can do, tried in a folder of ours that goes again. Writes. Raises SFTPError where not even files can be made, UnreachableError."""
    import asyncssh

    at = files.home(FOLDER + secrets.token_hex(8).encode())  # a new one: nothing of somebody else is in it
    files.line.ask(lambda client: client.mkdir(at, asyncssh.SFTPAttrs(permissions=0o700)))

    def does(canary: Callable[[], bool]) -> bool:
        """Whether a canary lives. A refusal is an answer: the host cannot do it."""
        try:
            return canary()
        except asyncssh.SFTPError:
            return False
        finally:
            _clear(files, at)

    can_publish = does(lambda: _never_replaces(files, at)) and does(lambda: _syncs(files, at))
    found = Capabilities(
        publish="noreplace" if can_publish else "none",
        exchange=False,
        leases=False,
        reflink=False,
        dedupe=False,
        hard_links=False,
        symlinks=does(lambda: _links(files, at)),
        xattrs=False,
        acls=False,
        sync_directories=False,
        folds_case=does(lambda: _folds(files, at, b"lastcopy-case-a", b"LASTCOPY-CASE-A")),
        folds_unicode=does(lambda: _folds(files, at, "lastcopy-é".encode(), "lastcopy-e\u0301".encode())),
        raw_names=does(lambda: _raw_names(files, at)),
        time_step_ns=1_000_000_000,
        name_bytes=_LONGEST if does(lambda: _keeps(files, at, [b"n" * _LONGEST])) else _LONGEST // 2,
        stable_inodes=False,
        quarantine=False,
    )
    files.line.ask(lambda client: client.rmdir(at))
    return found


def write_new(files: Files, place: bytes, content: bytes) -> None:
    """Write a file where nothing is, durable where the host can do that. Writes. Raises SFTPError, UnreachableError."""
    import asyncssh

    async def write(client: "SFTPClient") -> None:
        async with client.open(place, FRESH, asyncssh.SFTPAttrs(permissions=0o600), encoding=None) as file:
            await file.write(content)
            with suppress(asyncssh.SFTPOpUnsupported):
                await file.fsync()

    files.line.ask(write)


def read_small(files: Files, place: bytes, most_bytes: int) -> bytes:
    """The beginning of a file. Raises SFTPError, UnreachableError."""

    async def read(client: "SFTPClient") -> bytes:
        async with client.open(place, "rb") as file:
            return cast(bytes, await file.read(most_bytes, 0))

    return files.line.ask(read)


def _never_replaces(files: Files, at: bytes) -> bool:
    """Whether neither a new file nor a renamed one takes the place of what is there."""
    one, two, name = (at + b"/" + part for part in (b"first", b"second", b"published"))
    write_new(files, one, b"first")
    write_new(files, two, b"second")
    files.line.ask(lambda client: client.rename(one, name))
    for act in (lambda: write_new(files, name, b"third"), lambda: files.line.ask(lambda client: client.rename(two, name))):
        if not _is_refused(act):
            return False
    return read_small(files, name, 99) == b"first" and read_small(files, two, 99) == b"second"


def _is_refused(act: Callable[[], object]) -> bool:
    import asyncssh

    try:
        act()
    except asyncssh.SFTPError:
        return True
    return False


def _syncs(files: Files, at: bytes) -> bool:
    """Whether the host makes a file durable when it is asked to."""

    async def sync(client: "SFTPClient") -> bool:
        file: SFTPClientFile
        async with client.open(at + b"/synced", FRESH, encoding=None) as file:
            await file.write(b"content")
            await file.fsync()
        return True

    return files.line.ask(sync, SYNC_SECONDS)


def _links(files: Files, at: bytes) -> bool:
    """Whether a link has the text that it is given. Servers that take the two the other way round make one of that name: it must lie here, too."""
    text = at + b"/else\xffwhere"
    files.line.ask(lambda client: client.symlink(text, at + b"/link"))
    return read_link(files, at + b"/link") == text


def _folds(files: Files, at: bytes, one: bytes, two: bytes) -> bool:
    write_new(files, at + b"/" + one, b"")
    return files.status(at + b"/" + two) is not None


def _raw_names(files: Files, at: bytes) -> bool:
    return _keeps(files, at, _RAW)


def _keeps(files: Files, at: bytes, given: Iterable[bytes]) -> bool:
    for name in given:
        write_new(files, at + b"/" + name, b"")
    return set(_listed(files, at)) == set(given)


def _listed(files: Files, at: bytes) -> list[bytes]:
    async def names(client: "SFTPClient") -> list[bytes]:
        return [os.fsencode(one.filename) async for one in client.scandir(at) if one.filename not in (b".", b"..")]

    return files.line.ask(names)


def _clear(files: Files, at: bytes) -> None:
    for name in _listed(files, at):
        files.line.ask(lambda client, name=name: client.remove(at + b"/" + name))  # type: ignore[misc]  # bound as a default
