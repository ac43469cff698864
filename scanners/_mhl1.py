"""Lists of hashes of MHL 1.x (mediahashlist.org, specification of version 1.1): one file a list, that nothing seals and that tells no SHA-256."""

import re
from typing import BinaryIO

from catalog.schema import TIME_FLAGS
from scanners import _xml
from scanners._told import Claim, Claims, RefusedPathError, Source
from scanners._when import nanoseconds

_VERSION = re.compile(r"1(\.\d{1,3})?")
# Under which name an algorithm is known to the other formats: what contradicts is compared by that. `xxhash64` has the bytes in another order.
_ALGORITHMS = {"md5": "md5", "sha1": "sha1", "xxhash": "xxh32", "xxhash64": "xxh64 of little-endian bytes", "xxhash64be": "xxh64"}
_UNCLEAR = "it is listed without the time when it was read, or with none that can be right: nobody can say of which time that is"


def is_one(file: BinaryIO) -> bool:
    """Whether a file begins as such a list."""
    found = []

    def start(path: list[str], attributes: dict[str, str]) -> None:
        found.append(path == ["hashlist"] and _VERSION.fullmatch(attributes.get("version", "")) is not None)
        raise _xml.StopReadingError

    try:
        _xml.read(file, start, lambda path, text: None)
    except _xml.BadXMLError:
        return False
    return found == [True]


def read(source: Source, file: BinaryIO, claims: Claims, level: int, modified_us: int) -> None:
    """Take all of a list. Raises BadXMLError."""
    found = _List(source, level, claims.latest_us)
    _xml.read(file, lambda path, attributes: None, found.end)
    claims.of(min(found.oldest_us or modified_us, modified_us))


class _List:
    """A list, while it is read."""

    def __init__(self, source: Source, level: int, latest_us: int) -> None:
        self.oldest_us: int | None = None
        self._source, self._level, self._latest_us = source, level, latest_us
        self._finished_us: int | None = None
        self._now: dict[str, str] = {}
        self._count = 0

    def end(self, path: list[str], text: str) -> None:
        """Take what an element holds."""
        if path[1:] == ["creatorinfo", "finishdate"]:
            self._finished_us = _microseconds(text)
        elif path[1:2] == ["hash"] and len(path) == 3:
            self._now[path[2]] = text
        elif path[1:] == ["hash"]:
            self._count += 1
            self._take(self._now)
            self._now = {}

    def _take(self, told: dict[str, str]) -> None:
        size, modified_us = told.get("size", "").strip(), _microseconds(told.get("lastmodificationdate", ""))
        told_us = _microseconds(told["hashdate"]) if "hashdate" in told else self._finished_us
        unclear = told_us is None or told_us > self._latest_us
        if told_us is not None and not unclear:
            self.oldest_us = min(told_us, self.oldest_us or told_us)
        try:
            self._source.add(
                told.get("file", "").encode(),
                told_us=told_us or 0,
                level=self._level,
                size_bytes=int(size) if re.fullmatch(r"\d{1,19}", size) else None,
                modified_us=modified_us,
                time_flags=0 if modified_us is None or modified_us % 1_000_000 else TIME_FLAGS["modified_coarse"],
                others={_ALGORITHMS[name]: text.strip().lower() for name, text in told.items() if name in _ALGORITHMS},
                claim=Claim.FAILED if unclear else Claim.TOLD,
                why=_UNCLEAR if unclear else None,
            )
        except RefusedPathError as error:
            self._source.refuse(f"hash {self._count}", str(error))


def _microseconds(text: str) -> int | None:
    found = nanoseconds(text.strip())
    return None if found is None else found // 1000
