"""Listings that are tables: CSV, whose columns the configuration names, and what `rclone lsjson` writes."""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from catalog import names
from scanners._sums import LONGEST_LINE
from scanners._told import ATTESTED, LISTED, READ, ChangedError, RefusedPathError, Source
from scanners._when import counted, nanoseconds

_MOST_LINES_A_ROW = 1_000
_TYPES = {"": "file", "file": "file", "f": "file", "dir": "dir", "d": "dir", "directory": "dir", "symlink": "symlink", "l": "symlink"}
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_LOSSY = "\N{REPLACEMENT CHARACTER}"
_LOST = "rclone tells names that are not UTF-8 with U+FFFD in them: they cannot be told apart, and are left out"


def worth(digest: bytes | None, in_place: bool) -> int:
    """The level of a line of a table: a digest says that somebody read the file; without one it is only listed."""
    return LISTED if digest is None else READ if in_place else ATTESTED


def read_csv(file: BinaryIO, source: Source, columns: Mapping[str, str], unit: str, told_us: int, *, in_place: bool) -> None:
    """Take the rows of a table with a header; `columns` says under which names it has what. Raises ChangedError where it has not, or cannot be read on."""
    texts = _Lines(file)
    rows = csv.reader(texts, strict=True)
    try:
        header = next(rows, [])
        missing = sorted(set(columns.values()) - set(header))
        if missing:
            raise ChangedError(f"it has no column {', '.join(map(repr, missing))}; it has {', '.join(map(repr, header[:50]))}")
        places = {what: header.index(name) for what, name in columns.items()}
        while True:
            first = texts.number + 1
            texts.of_row = 0
            row = next(rows, None)
            if row is None:
                return
            if not row:
                continue
            if len(row) != len(header):
                source.refuse(first, f"{len(row)} fields, and the header has {len(header)}")
                continue
            try:
                take(source, {what: row[place] for what, place in places.items()}, unit, told_us, in_place=in_place)
            except RefusedPathError as error:
                source.refuse(first, str(error))
    except csv.Error as error:
        raise ChangedError(f"line {texts.number}: {error}") from error


class _Lines:
    """The lines of a file as text, whose bytes are not lost, none longer than any."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.number, self.of_row = file, 0, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(LONGEST_LINE)
        if not line:
            raise StopIteration
        self.number += 1
        self.of_row += 1
        if not line.endswith(b"\n") and len(line) >= LONGEST_LINE:
            raise csv.Error(f"a line of more than {LONGEST_LINE} bytes")
        if self.of_row > _MOST_LINES_A_ROW:
            raise csv.Error(f"a row of more than {_MOST_LINES_A_ROW} lines")
        return (line.removeprefix(b"\xef\xbb\xbf") if self.number == 1 else line).decode("utf-8", "surrogateescape")


def take(source: Source, told: Mapping[str, str], unit: str, told_us: int, *, in_place: bool) -> None:
    """Take one row. Raises RefusedPathError."""
    size, time, digits = (told.get(name, "").strip() for name in ("size_bytes", "modified_at", "sha256"))
    if size and not re.fullmatch(r"\d{1,19}", size):
        raise RefusedPathError(f"{size[:40]!r} is no size in bytes")
    if digits and not _SHA256.fullmatch(digits):
        raise RefusedPathError(f"{digits[:80]!r} is no SHA-256")
    modified = counted(time, unit) if time else None
    if time and modified is None:
        raise RefusedPathError(f"{time[:40]!r} is no time ({'as 2026-01-31T12:00:00Z' if unit == 'iso' else f'in {unit}'})")
    digest = bytes.fromhex(digits) if digits else None
    _add(
        source,
        told["path"].encode("utf-8", "surrogateescape"),
        _TYPES.get(told.get("type", "").strip().lower(), "special"),
        size,
        modified,
        digest,
        told_us,
        in_place,
    )


def _add(source: Source, path: bytes, kind: str, size: str, modified: int | None, digest: bytes | None, told_us: int, in_place: bool) -> None:
    source.add(
        path.rstrip(b"/") if kind == "dir" else path,
        told_us=told_us,
        level=worth(digest, in_place),
        kind=kind,
        size_bytes=0 if kind == "dir" else int(size) if size else None,
        modified_us=None if modified is None or kind == "dir" else _within(modified // 1000),
        modified_ns=0 if modified is None else modified % 1000,
        digest=digest if kind == "file" else None,
    )


def _within(microseconds: int) -> int | None:
    """A time that a column can hold."""
    return microseconds if -(2**62) < microseconds < 2**62 else None


def read_lsjson(file: BinaryIO, source: Source, told_us: int, *, in_place: bool) -> None:
    """Take what `rclone lsjson -R` writes: an array, one object a line. Raises ChangedError where it is not, or was cut off."""
    number, ended = 0, False
    while line := file.readline(LONGEST_LINE):
        number += 1
        text = line.strip()
        if number == 1 or (ended and text) or not (ended or text == b"]" or line.endswith(b"\n")):
            if number > 1 or text != b"[":
                raise ChangedError(f"line {number}: not what 'rclone lsjson' writes")
        elif text == b"]":
            ended = True
        elif text:
            try:
                found = json.loads(text.removesuffix(b","))
                _item(source, found, told_us, in_place=in_place)
            except (ValueError, RecursionError, TypeError, KeyError, AttributeError) as error:  # RefusedPathError among them
                source.refuse(number, str(error) if isinstance(error, RefusedPathError) else "no entry of 'rclone lsjson'")
    if not ended:
        raise ChangedError(f"line {number}: it was cut off")


def _item(source: Source, found: Mapping[str, Any], told_us: int, *, in_place: bool) -> None:
    """Take one entry. Raises RefusedPathError, and what a wrong shape raises."""
    path, size = found["Path"], found.get("Size")
    if not isinstance(path, str) or (size is not None and type(size) is not int):
        raise TypeError("no path, or no size")
    if _LOSSY in path:
        source.refuse(names.escape(path.encode()), _LOST, path[: path.index(_LOSSY)].rpartition("/")[0].encode())
        return
    digits = (found.get("Hashes") or {}).get("sha256") or ""
    digest = bytes.fromhex(digits) if _SHA256.fullmatch(digits) else None
    modified = nanoseconds(found.get("ModTime") or "")
    _add(source, path.encode(), "dir" if found.get("IsDir") else "file", "" if size is None or size < 0 else str(size), modified, digest, told_us, in_place)
