"""The process that opens one archive, and tells its members or their digests as lines of JSON. It may use so much memory, and write no file."""

import contextlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from catalog import hashes, names
from scanners._archive import MEMORY_BYTES, MOST_MEMBERS, MOST_NAMES, Archive, DamagedError, Member, Refused, opened, place_of

_BATCH = 4096  # members that are told together
_ALIVE_SECONDS = 5.0
_FURTHEST_S = 2**40  # from 1970: beyond every time that can be stored
_NS = 1_000_000_000
COLUMNS = (
    "number", "dir", "name", "path_hash", "type", "size_bytes", "modified_s", "modified_ns", "exact_time", "mode", "uid", "gid", "owner", "group",
    "link_target", "hard_link",
)  # fmt: skip


def main() -> None:
    """Answer the one request on the standard input."""
    request = json.loads(sys.stdin.readline())
    say = _Voice()
    try:
        with open(request["descriptor"], "rb") as file:
            archive = opened(file, say.alive)
            if "wanted" in request:
                _contents(archive, set(request["wanted"]), say)
            else:
                _Listing(request["place"], say).run(archive)
    except DamagedError as error:
        say({"damaged": printable(str(error))})
    except MemoryError:
        say({"damaged": f"it takes more than {MEMORY_BYTES // 2**20} MiB of memory to read"})
    except ImportError as error:
        say({"damaged": f"no library reads this format ({error}); install lastcopy[archives]"})
    except Exception as error:  # whatever a hostile archive leads to: it is a problem of that archive
        say({"damaged": printable(f"damaged ({type(error).__name__}: {error})")})
    say({"done": True})


def _limit() -> None:
    """Take from this process what it does not need."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class _Voice:
    """What is told to the driver, and a sign of life at least every few seconds as long as there is work."""

    def __init__(self) -> None:
        self._out: BinaryIO = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)  # a library that prints must not speak to the driver
        self._spoke_at = time.monotonic()

    def __call__(self, message: dict[str, Any]) -> None:
        """Tell something."""
        self._out.write(json.dumps(message).encode() + b"\n")
        self._out.flush()
        self._spoke_at = time.monotonic()

    def alive(self) -> None:
        """Something was done."""
        if time.monotonic() - self._spoke_at > _ALIVE_SECONDS:
            self({})


class _Listing:
    """Members as columns, in batches."""

    def __init__(self, place: str, say: Callable[[dict[str, Any]], None]) -> None:
        """`place` is escaped: where the archive's members lie in the volume, '' or with a trailing slash."""
        self._place, self._raw_place, self._say = place, names.unescape(place), say
        self._dirs: dict[bytes, str] = {}  # escaped
        self._rows: list[tuple[Any, ...]] = []
        self._refused: list[tuple[str, str]] = []
        self._characters = 0

    def run(self, archive: Archive) -> None:
        """Tell every member."""
        self._say({"last_wins": archive.last_wins})
        try:
            for count, member in enumerate(archive.members()):
                if count == MOST_MEMBERS:
                    raise DamagedError(f"more than {MOST_MEMBERS} members: no more are read")
                self._take(member)
                if len(self._rows) + len(self._refused) >= _BATCH:
                    self._tell()
        finally:
            self._tell()

    def _take(self, member: Member | Refused) -> None:
        if isinstance(member, Refused):
            self._refuse(member.name, member.error)
            return
        try:
            folder, name = place_of(member.name)
        except ValueError as error:
            self._refuse(member.name, str(error))
            return
        if not name:
            if member.type != "dir":
                self._refuse(member.name, "no name")
            return
        escaped, last = self._dir(folder), names.escape(name)
        self._count(len(escaped) + len(last))
        self._rows.append(_row(member, escaped, last, hashes.of_path(self._raw_place + folder + name)))

    def _dir(self, folder: bytes) -> str:
        """The escaped directory of a member."""
        if folder not in self._dirs:
            if len(self._dirs) > 100_000:
                self._dirs.clear()
            self._dirs[folder] = self._place + names.escape(folder)
        return self._dirs[folder]

    def _refuse(self, name: bytes, error: str) -> None:
        path = self._place + names.escape(name[:4096])
        self._count(len(path))
        self._refused.append((path, printable(error)))

    def _count(self, characters: int) -> None:
        self._characters += characters
        if self._characters > MOST_NAMES:
            raise DamagedError(f"the paths of its members have more than {MOST_NAMES} characters: no more are read")

    def _tell(self) -> None:
        columns = dict(zip(COLUMNS, map(list, zip(*self._rows, strict=True)), strict=True)) if self._rows else None
        self._say({"members": columns, "refused": self._refused})
        self._rows, self._refused = [], []


def _row(member: Member, directory: str, name: str, path_hash: int) -> tuple[Any, ...]:
    seconds, fraction = (None, None) if member.modified_ns is None else divmod(member.modified_ns, _NS)
    link = None if member.link_target is None else names.escape(member.link_target[:4096])
    return (
        member.number,
        directory,
        name,
        path_hash,
        member.type,
        member.size_bytes,
        None if seconds is None else max(-_FURTHEST_S, min(seconds, _FURTHEST_S)),
        fraction,
        member.exact_time,
        member.mode,
        member.uid,
        member.gid,
        _text(member.owner),
        _text(member.group),
        _target(member, link),
        member.hard_link,
    )


def _target(member: Member, link: str | None) -> str | None:
    """Where a link leads, as it is written; of a hard link the member's path as entries have it, '' where there can be none."""
    if not member.hard_link or member.link_target is None:
        return link
    try:
        folder, name = place_of(member.link_target)
    except ValueError:
        return ""
    return names.escape(folder + name)


def printable(error: str) -> str:
    """What a library said, which may have names of the archive in it."""
    return names.escape(error[:1000].encode("utf-8", "backslashreplace"))


def _text(text: str | None) -> str | None:
    return names.escape(text.encode("utf-8", "surrogateescape")) if text else None


def _contents(archive: Archive, wanted: set[int], say: Callable[[dict[str, Any]], None]) -> None:
    """Tell what the wanted members hold: number, digest and sample in hex, and what was wrong; many together, for most are small."""
    told: list[tuple[int, str | None, str | None, str | None]] = []
    told_at = time.monotonic()
    try:
        for found in archive.contents(wanted):
            digest, sample = (None if read is None else read.hex() for read in (found.digest, found.sample))
            told.append((found.number, digest, sample, found.error and printable(found.error)))
            if len(told) >= _BATCH or time.monotonic() - told_at > _ALIVE_SECONDS:
                say({"contents": told})
                told, told_at = [], time.monotonic()
    finally:
        say({"contents": told})


if __name__ == "__main__":
    with contextlib.suppress(ValueError, OSError):  # where less is allowed already
        _limit()
    main()
