"""Bags: folders whose payload has manifests, as RFC 8493 (BagIt) says."""

import re
from datetime import date, datetime
from typing import TYPE_CHECKING

from catalog import names
from scanners import _sums
from scanners._told import ChangedError, Claim, Claims, RefusedPathError, Source

if TYPE_CHECKING:
    from scanners.manifest import Scanner

MARK, _INFO, _FETCH = b"bagit.txt", b"bag-info.txt", b"fetch.txt"
_MANIFEST = re.compile(r"manifest-([a-z0-9]+)\.txt", re.IGNORECASE)
_LONGEST_TAGS = 4 << 20
_LAST = 2**63 - 1
_FETCH_PARTS = 3  # URL, length, path
_OXUM = re.compile(r"\d+\.(\d+)")
_FETCHED = "fetch.txt says that it is to be fetched from elsewhere: nobody can say whether it is in the bag"


def is_part(name: str) -> bool:
    """Whether a file of that name is read with its bag, and not by itself."""
    return name.encode("utf-8", "surrogateescape") in (MARK, _INFO, _FETCH) or _MANIFEST.fullmatch(name) is not None


def read(scanner: "Scanner", folder: bytes, files: list[bytes], claims: Claims, level: int) -> None:
    """Take the payload that the manifests of a bag tell of, at the day when it was made. Raises OSError, ChangedError."""
    declared, _ = _tags(scanner, folder + MARK, claims)
    info, _ = _tags(scanner, folder + _INFO, claims) if _INFO in files else ({}, 0)
    percent = declared.get("bagit-version", "") >= "1.0"
    made_us = _day(info.get("bagging-date", ""))
    counts = {}
    with claims.source("bag", folder) as source:
        encoding = declared.get("tag-file-character-encoding", "UTF-8")
        if encoding.upper().replace("-", "") not in ("UTF8", "ASCII", "USASCII"):
            raise ChangedError(f"its files are written in {encoding[:40]!r}, and only UTF-8 is read")
        for name in files:
            if found := _MANIFEST.fullmatch(name.decode("utf-8", "surrogateescape")):
                with scanner.opened(folder + name, claims) as (file, modified_us):
                    told_us = modified_us if made_us is None else min(made_us, modified_us)
                    source.called = names.escape(name)
                    counts[name] = _sums.read_bag(source, file, found[1].lower(), percent=percent, told_us=told_us, level=level)
                    claims.of(told_us)
        wanted = _OXUM.fullmatch(info.get("payload-oxum", ""))
        for name, count in counts.items():
            if wanted and int(wanted[1]) != count:
                source.called = names.escape(name)
                source.refuse("as a whole", f"it has {count} files, and Payload-Oxum says {wanted[1]}")
        if _FETCH in files:
            with scanner.opened(folder + _FETCH, claims) as (file, modified_us):
                source.called = "fetch.txt"
                for number, line in _sums.lines(file):
                    _fetched(source, number, line, modified_us, level)


def _fetched(source: Source, number: int, line: bytes | None, told_us: int, level: int) -> None:
    if line is not None and not line.strip():
        return
    parts = line.split(None, 2) if line else []
    if len(parts) != _FETCH_PARTS:
        source.refuse(number, "no line of what is to be fetched")
        return
    try:
        source.add(parts[2].removesuffix(b"\r"), told_us=told_us, level=level, order_us=_LAST, claim=Claim.FAILED, why=_FETCHED)
    except RefusedPathError as error:
        source.refuse(number, str(error))


def _tags(scanner: "Scanner", path: bytes, claims: Claims) -> tuple[dict[str, str], int]:
    """The labels of a tag file in lower case with the last value of each, and when it was written."""
    with scanner.opened(path, claims) as (file, modified_us):
        text = file.read(_LONGEST_TAGS).decode("utf-8-sig", "replace")
    found = {}
    for line in text.splitlines():
        label, colon, value = line.partition(":")
        if colon and not line[:1].isspace():
            found[label.strip().lower()] = value.strip()
    return found, modified_us


def _day(text: str) -> int | None:
    """The begin of a day, in microseconds since 1970; None where the text is none."""
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        return None
    return round((datetime(day.year, day.month, day.day) - datetime(1970, 1, 1)).total_seconds()) * 1_000_000
