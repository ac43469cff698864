"""Histories of ASC MHL: a folder `ascmhl` with a list of hashes for each generation, and the chain that seals them."""

import os
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, BinaryIO

import scanners
from catalog import names
from catalog.schema import TIME_FLAGS
from scanners import _mhl1, _xml
from scanners._told import LISTED, ChangedError, Claim, Claims, RefusedPathError, Source

if TYPE_CHECKING:
    from scanners.manifest import Scanner

FOLDER = b"ascmhl"
_CHAIN = b"ascmhl_chain.xml"
_GENERATION = re.compile(rb"(\d{4,9})_.*\.mhl", re.DOTALL)
_MOST_GENERATIONS = 10_000
_MOST_HASHES = 100  # of one file in one generation, and paths that it had
_MOST_BYTES = 4 << 30  # of the lists of one history
_VERSION = "2.0"
_EPOCH = datetime(1970, 1, 1)
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_C4_LETTERS = 88
_ACTIONS = {"original": Claim.TOLD, "new": Claim.TOLD, "verified": Claim.VERIFIED, "failed": Claim.FAILED}
_NO_HASHES = ("path", "previousPath", "metadata")
# The forms of the hashes that its specification knows; of another one nobody can say what it proves.
_LETTERS = {"md5": 32, "sha1": 40, "sha256": 64, "xxh64": 16, "xxh3": 16, "xxh128": 32}
_FORMS = {name: re.compile(rf"[0-9A-Fa-f]{{{letters}}}") for name, letters in _LETTERS.items()}
_FORMS["c4"] = re.compile(r"c4[1-9A-HJ-NP-Za-km-z]{88}")
_FAILED = "what was read of it was not what it had been: it is damaged, or was changed"
_MIXED = "its hashes have an action, or a time, that cannot be understood: nobody can say whether it is what it was"


# What the formats of MHL make of no bytes: XXH64, XXH3, XXH128, MD5, SHA-1, C4.
_OF_NOTHING = {
    "ef46db3751d8e999", "2d06800538d394c2", "99aa06d3014798d86001c324468d497f", "d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "c459dsjfscH38cYeXXYogktxf4Cd9ibshE3BHUo6a58hBXmRQdZrAkZzsWcbWtDg5oQstpDuni4Hirj75GEmTc1sFT",
}  # fmt: skip


@dataclass
class _Hash:
    """What a generation says of one file, while it is read."""

    path: str | None = None
    size: str | None = None
    modified: str | None = None
    before: list[str] = field(default_factory=list)  # paths that it had
    claims: list[Claim] = field(default_factory=list)
    told: list[str | None] = field(default_factory=list)
    digest: bytes | None = None
    others: dict[str, str] = field(default_factory=dict)
    is_empty: bool = False  # by one of its hashes: the reference program tells no size of nothing
    unclear: bool = False
    is_hashed: bool = False  # by a hash of a form that is known
    wrong: str | None = None  # what is told of it, and cannot be

    def learn(self, name: str, text: str) -> None:
        """Take a hash."""
        if name in _FORMS and not _FORMS[name].fullmatch(text):
            self.wrong = f"{text[:80]!r} is no {name}"
        elif name == "sha256":
            self.digest = bytes.fromhex(text)
        else:
            self.others[name] = text if name == "c4" else text.lower()
        self.is_hashed |= name in _FORMS


def c4(digest: bytes) -> str:
    """The C4 identifier (SMPTE ST 2114) of a SHA-512."""
    number, letters = int.from_bytes(digest, "big"), ""
    while number:
        number, place = divmod(number, 58)
        letters = _BASE58[place] + letters
    return "c4" + letters.rjust(_C4_LETTERS, _BASE58[0])


def read(scanner: "Scanner", folder: bytes, claims: Claims, level: int) -> None:
    """Take the history of a folder: of each file the last generation that tells of it. Raises OSError, ChangedError."""
    inner = folder + FOLDER + b"/"
    try:
        sealed = _chain(scanner, inner, claims)
        generations = {name: int(found[1]) for name in scanner.listed(inner) if (found := _GENERATION.fullmatch(name))}
        if set(generations) != set(sealed) or sorted(generations.values()) != list(range(1, len(generations) + 1)):
            raise ChangedError("its chain and its generations are not the same, or one is missing")
        ordered = sorted(generations, key=generations.__getitem__)
        _check_size(scanner, inner, ordered, claims)
        whole = max((generations[name] for name in ordered if _is_of_all(scanner, inner + name, claims)), default=0)
        order_us = 0
        for name in ordered:
            with claims.source(names.escape(FOLDER + b"/" + name), folder) as source, scanner.opened(inner + name, claims) as (file, modified_us):
                generation = _Generation(source, level, order_us, stands=generations[name] >= whole, latest_us=claims.latest_us)
                if c4(generation.read(file)) != sealed[name]:
                    raise ChangedError(f"{names.escape(name)} is not what its chain has sealed")
                order_us = generation.order_us + 1
            claims.of(min(generation.created_us or modified_us, modified_us))
    except _xml.BadXMLError as error:
        raise ChangedError(str(error)) from error


def read_one(source: Source, file: BinaryIO, claims: Claims, level: int, modified_us: int) -> None:
    """Take one list of hashes by itself, that no chain seals, of any version. Raises ChangedError."""
    try:
        is_first = _mhl1.is_one(file)
        file.seek(0)
        if is_first:
            _mhl1.read(source, file, claims, level, modified_us)
            return
        generation = _Generation(source, level, 0, stands=True, latest_us=claims.latest_us)
        generation.read(file)
    except _xml.BadXMLError as error:
        raise ChangedError(str(error)) from error
    claims.of(min(generation.created_us or modified_us, modified_us))


def _check_size(scanner: "Scanner", inner: bytes, ordered: list[bytes], claims: Claims) -> None:
    """Refuse a history that takes too long to read. Raises OSError, ChangedError."""
    size_bytes = 0
    for name in ordered:
        with scanner.opened(inner + name, claims) as (file, _):
            size_bytes += os.fstat(file.fileno()).st_size
        if size_bytes > _MOST_BYTES:
            raise ChangedError(f"its lists of hashes are more than {_MOST_BYTES} bytes")


def _chain(scanner: "Scanner", inner: bytes, claims: Claims) -> dict[bytes, str]:
    """The C4 identifier of each generation by the name of its file. Raises OSError, BadXMLError."""
    found: dict[bytes, str] = {}
    now: dict[str, str] = {}

    def end(path: list[str], text: str) -> None:
        if path[1:2] != ["hashlist"]:
            return
        now[path[-1]] = text
        if len(path) == 2:
            found[now.get("path", "").encode()] = now.get("c4", "")
            now.clear()
        if len(found) > _MOST_GENERATIONS:
            raise _xml.BadXMLError(f"a chain of more than {_MOST_GENERATIONS} generations")

    with scanner.opened(inner + _CHAIN, claims) as (file, _):
        _xml.read(file, lambda path, attributes: None, end)
    return found


def _is_of_all(scanner: "Scanner", path: bytes, claims: Claims) -> bool:
    """Whether a generation is of the whole folder: then what it does not list was not there."""
    found = []

    def start(path: list[str], _: dict[str, str]) -> None:
        if path[-1] == "roothash":
            found.append(True)
        if path[1:] == ["hashes"]:
            raise _xml.StopReadingError

    with scanner.opened(path, claims) as (file, _):
        _xml.read(file, start, lambda path, text: None)
    return bool(found)


class _Generation:
    """One list of hashes, while it is read."""

    def __init__(self, source: Source, level: int, order_us: int, *, stands: bool, latest_us: int) -> None:
        self.order_us = order_us
        self.created_us: int | None = None
        self._source, self._level, self._stands, self._latest_us = source, level, stands, latest_us
        self._now: _Hash | None = None
        self._count = 0

    def read(self, file: BinaryIO) -> bytes:
        """Take all of it; gives the SHA-512 of the file. Raises BadXMLError."""
        return _xml.read(file, self._start, self._end)

    def _start(self, path: list[str], attributes: dict[str, str]) -> None:
        if len(path) == 1 and (path[0] != "hashlist" or attributes.get("version") != _VERSION):
            raise _xml.BadXMLError(f"no list of hashes of ASC MHL, version {_VERSION}")
        if path[1:] == ["hashes", "hash"]:
            self._now, self._count = _Hash(), self._count + 1
        elif self._now is None or path[1:3] != ["hashes", "hash"] or len(path) != 4:
            return
        elif path[3] == "path":
            size = attributes.get("size")
            if size and not re.fullmatch(r"[0-9]{1,19}", size):
                self._now.wrong = f"{size[:40]!r} is no size in bytes"
            self._now.size, self._now.modified = size, attributes.get("lastmodificationdate")
        elif path[3] not in _NO_HASHES:
            claim = _ACTIONS.get(attributes.get("action", "original"))
            self._now.unclear |= claim is None
            if len(self._now.claims) == _MOST_HASHES:
                raise _xml.BadXMLError(f"hash {self._count}: more than {_MOST_HASHES} hashes of one file")
            self._now.claims.append(claim or Claim.TOLD)
            self._now.told.append(attributes.get("hashdate"))

    def _end(self, path: list[str], text: str) -> None:
        if path[1:] == ["creatorinfo", "creationdate"]:
            self.created_us = _microseconds(text)
            self.order_us = max(self.order_us, self.created_us or 0)
        elif self._now is not None and path[1:3] == ["hashes", "hash"]:
            if path[3:] == ["path"]:
                self._now.path = text
            elif path[3:] == ["previousPath"]:
                if len(self._now.before) == _MOST_HASHES:
                    raise _xml.BadXMLError(f"hash {self._count}: more than {_MOST_HASHES} paths that one file had")
                self._now.before.append(text)
            elif len(path) == 4 and path[3] not in _NO_HASHES:
                self._now.is_empty |= text in _OF_NOTHING
                self._now.learn(path[3], text)
            elif len(path) == 3:
                self._take(self._now)
                self._now = None

    def _take(self, found: _Hash) -> None:
        told = [self.created_us if text is None else _microseconds(text) for text in found.told]
        known = [time for time in told if time is not None and time <= self._latest_us]
        claim, why = max(found.claims, default=Claim.TOLD), _FAILED
        if found.unclear or not known or len(known) < len(told):
            claim, why = Claim.FAILED, _MIXED
        size = int(found.size) if found.size and not found.wrong else 0 if found.is_empty else None
        modified_us = _microseconds(found.modified or "")
        told_us = min(known, default=self.created_us or 0)
        if found.wrong is not None:
            self._source.refuse(f"hash {self._count}", found.wrong)
            return
        try:
            for gone in found.before:
                self._source.add(gone.encode(), told_us=told_us, level=self._level, order_us=self.order_us, claim=Claim.GONE)
            self._source.add(
                (found.path or "").encode(),
                told_us=told_us,
                level=self._level if found.is_hashed else LISTED,  # without a hash nobody says that he read it
                order_us=self.order_us,
                size_bytes=size,
                modified_us=modified_us,
                time_flags=0 if modified_us is None or modified_us % 1_000_000 else TIME_FLAGS["modified_coarse"],
                digest=found.digest,
                others=found.others,
                claim=claim,
                stands=self._stands,
                why=why if claim == Claim.FAILED else None,
            )
        except RefusedPathError as error:
            self._source.refuse(f"hash {self._count}", str(error))


def _microseconds(text: str) -> int | None:
    """Microseconds since 1970 of a time that says its zone; None where it is none."""
    try:
        return (scanners.utc(datetime.fromisoformat(text)) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return None
