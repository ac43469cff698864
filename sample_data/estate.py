"""The sample estate: what the table estate.csv says, built as real files.

A row of the table is a file and, in `also_on`, the volumes that hold the same bytes with the same times at the same path.
The columns from `data_class` on are the truth of every asset, reasoned out by hand from docs/protection.md.
Times are ages in days before the moment of building, so that what is dormant today is dormant in ten years too.
"""

import csv
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from catalog.names import unescape

TABLE = Path(__file__).with_name("estate.csv")
ABSENT_VOLUMES = ("vault",)  # declared in lastcopy.toml, and never plugged in
THREATS = ("user_error", "ransomware", "system_failure", "facility_outage")


@dataclass(frozen=True)
class Truth:
    """What must come out for one asset: the four threats as (result, reasons), and the rest of its row."""

    data_class: str
    status: str
    copies: int  # devices with a usable copy, the original counted
    threats: dict[str, tuple[str, str]]  # threat -> (yes | no | unknown, reasons joined by ',')
    freshness: str
    is_last_copy: bool | None  # None = no matter: an empty file
    why: str


@dataclass(frozen=True)
class Row:
    """One line of the table: an entry of a volume, and what is true of it."""

    volume: str
    path: str  # escaped, as reports print it
    type: str  # file | hardlink | sparse | symlink | unreadable (a directory)
    content: str  # seed of the bytes
    size_bytes: int
    modified_days: float
    accessed_days: float
    link: str  # what a hardlink or symlink points to
    also_on: tuple[str, ...]
    dormant: str  # yes | no | unread (only where the volume does not record reads); '' for what is no file
    duplicates: str  # name of the group of equal files
    truth: Truth | None = field(repr=False)  # None = not an asset


def rows(table: Path = TABLE) -> list[Row]:
    """The rows of the table, in its order."""
    with table.open(encoding="utf-8", newline="") as lines:
        return [_row(line) for line in csv.DictReader(lines)]


def build(folder: Path, table: Iterable[Row], built_at: float) -> None:
    """Make one folder a volume in `folder`, with the table's files in it. `built_at` is in seconds since 1970. Writes only below `folder`."""
    for row in table:
        for volume in (row.volume, *row.also_on):
            _make(os.fsencode(folder / volume), row, built_at)
    for volume in volumes(table):
        (folder / volume).mkdir(parents=True, exist_ok=True)


def volumes(table: Iterable[Row]) -> Iterator[str]:
    """The volumes that the table names, each once."""
    yield from dict.fromkeys(volume for row in table for volume in (row.volume, *row.also_on))


def content(row: Row) -> bytes:
    """The bytes of a file: its seed, again and again, up to its size."""
    line = row.content.encode() + b"\n"
    return (line * (row.size_bytes // len(line) + 1))[: row.size_bytes]


def _row(line: dict[str, str]) -> Row:
    return Row(
        volume=line["volume"],
        path=line["path"],
        type=line["type"],
        content=line["content"],
        size_bytes=int(line["size_bytes"] or 0),
        modified_days=float(line["modified_days"] or 0),
        accessed_days=float(line["accessed_days"] or 0),
        link=line["link"],
        also_on=tuple(line["also_on"].split()),
        dormant=line["dormant"],
        duplicates=line["duplicates"],
        truth=_truth(line) if line["status"] else None,
    )


def _truth(line: dict[str, str]) -> Truth:
    return Truth(
        data_class=line["data_class"],
        status=line["status"],
        copies=int(line["copies"]),
        threats={threat: _result(line[threat]) for threat in THREATS},
        freshness=line["freshness"],
        is_last_copy={"yes": True, "no": False, "": None}[line["last_copy"]],
        why=line["why"],
    )


def _result(cell: str) -> tuple[str, str]:
    result, _, reasons = cell.partition(":")
    return result, ",".join(reasons.split())


def _make(root: bytes, row: Row, built_at: float) -> None:
    path = os.path.join(root, unescape(row.path))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if row.type == "symlink":
        os.symlink(unescape(row.link), path)
        return
    if row.type == "unreadable":
        os.mkdir(path, 0o000)  # empty, so that whoever deletes the demo can remove it
        return
    if row.type == "hardlink":
        os.link(os.path.join(root, unescape(row.link)), path)
    else:
        _write(path, row)
    os.utime(path, tuple(_seconds(built_at, days) for days in (row.accessed_days, row.modified_days)))  # type: ignore[arg-type]  # a tuple of two floats


def _write(path: bytes, row: Row) -> None:
    with open(path, "xb") as file:
        if row.type == "sparse":
            file.truncate(row.size_bytes)
        else:
            file.write(content(row))


def _seconds(built_at: float, days: float) -> int:
    return int(built_at - days * 86400)
