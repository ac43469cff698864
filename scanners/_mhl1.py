"""Lists of hashes of MHL 1.x (mediahashlist.org, specification of version 1.1): one file a list, that nothing seals and that tells no SHA-256."""

import re
from typing import BinaryIO

from catalog.schema import TIME_FLAGS
from scanners import _xml
from scanners._told import LISTED, Claim, Claims, RefusedPathError, Source
from scanners._when import nanoseconds

_VERSION = re.compile(r"1(\.\d{1,3})?")
# Under which name an algorithm is known to the other formats: what contradicts is compared by that. `xxhash64` has the bytes in another order.
_ALGORITHMS = {"md5": "md5", "sha1": "sha1", "xxhash": "xxh32", "xxhash64": "xxh64 of little-endian bytes", "xxhash64be": "xxh64"}
# The forms that the specification knows; of `xxhash` it is a number, and others write it as digits too.
_FORMS = {
    name: re.compile(form)
    for name, form in {
        "md5": "[0-9a-f]{32}",
        "sha1": "[0-9a-f]{40}",
        "xxhash": "[0-9]{1,10}|[0-9a-f]{8}",
        "xxhash64": "[0-9a-f]{16}",
        "xxhash64be": "[0-9a-f]{16}",
    }.items()
}
_OTHER = re.compile(r"[2-9]\d{0,2}(\.\d{1,3}){0,3}")
_UNCLEAR = "it is listed without the time when it was read, or with none that can be right: nobody can say of which time that is"


def is_one(file: BinaryIO) -> bool:
    """Whether a file begins as such a list. Raises BadXMLError for what does not begin as XML."""
    found = []

    def start(path: list[str], attributes: dict[str, str]) -> None:
        found.append(path == ["hashlist"] and _VERSION.fullmatch(attributes.get("version", "")) is not None)
        raise _xml.StopReadingError

    _xml.read(file, start, lambda path, text: None)
    return found == [True]


def check_other(file: BinaryIO) -> None:
    """Read all of a list of another version, which is not taken. Raises BadXMLError where it is none: a list of this version may have come to look so."""

    def start(path: list[str], attributes: dict[str, str]) -> None:
        if len(path) == 1 and (path != ["hashlist"] or not _OTHER.fullmatch(attributes.get("version", ""))):
            raise _xml.BadXMLError("no list of hashes of MHL, or of no version that can be")

    _xml.read(file, start, lambda path, text: None)


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
        modified_us = _microseconds(told.get("lastmodificationdate", ""))
        told_us = _microseconds(told["hashdate"]) if "hashdate" in told else self._finished_us
        unclear = told_us is None or told_us > self._latest_us
        if told_us is not None and not unclear:
            self.oldest_us = min(told_us, self.oldest_us or told_us)
        try:
            hashes = _hashes(told)
            self._source.add(
                told.get("file", "").encode(),
                told_us=told_us or 0,
                level=self._level if hashes else LISTED,
                size_bytes=_size(told.get("size", "").strip()),
                modified_us=modified_us,
                time_flags=0 if modified_us is None or modified_us % 1_000_000 else TIME_FLAGS["modified_coarse"],
                others=hashes,
                claim=Claim.FAILED if unclear else Claim.TOLD,
                why=_UNCLEAR if unclear else None,
            )
        except RefusedPathError as error:
            self._source.refuse(f"hash {self._count}", str(error))


def _hashes(told: dict[str, str]) -> dict[str, str]:
    """The hashes that are told of a file; without one nobody says that he read it. Raises RefusedPathError for one that cannot be."""
    found = {name: text.strip().lower() for name, text in told.items() if name in _ALGORITHMS and text.strip()}
    for name, text in found.items():
        if not _FORMS[name].fullmatch(text):
            raise RefusedPathError(f"{text[:80]!r} is no {name}")
    return {_ALGORITHMS[name]: text for name, text in found.items()}


def _size(text: str) -> int | None:
    """A size in bytes; None where none is told. Raises RefusedPathError."""
    if text and not re.fullmatch(r"[0-9]{1,19}", text):
        raise RefusedPathError(f"{text[:40]!r} is no size in bytes")
    return int(text) if text else None


def _microseconds(text: str) -> int | None:
    found = nanoseconds(text.strip())
    return None if found is None else found // 1000
