"""What programs said of a whole repository, and for how long it stands. Pure functions of recorded rows."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog import table

LOOKED, READ, RESTORED = 1, 2, 4  # levels: structure and sizes; all stored bytes; given back by the program itself


@dataclass(frozen=True)
class Check:
    """A run of a program over a repository, or over a part of its content, see `schema.VERIFICATIONS`."""

    repository: str
    fs_id: str | None
    method: str
    started_at: datetime.datetime
    ok: bool
    level: int
    part: int | None
    parts: int | None


@dataclass(frozen=True)
class Standing:
    """What is known of all that a repository held before a time: looked at, or read. `in_doubt`: errors were found then that nobody can tell the files of."""

    level: int
    at: datetime.datetime
    fs_id: str | None
    in_doubt: bool = False


def read(root: Path, version: int, repositories: Mapping[str, str | None]) -> dict[str, list[Check]]:
    """The runs that are of the very repositories, volume -> id, that scans saw."""
    if version < 0:
        return {}
    found: dict[str, list[Check]] = {}
    for row in table.read(root, "verifications", version=version).to_pylist():
        if row["name"] is None and row["level"] >= LOOKED and row["repository"] is not None and repositories.get(row["volume"]) == row["repository"]:
            found.setdefault(row["volume"], []).append(check(row))
    return found


def check(row: Mapping[str, Any]) -> Check:
    """A run from its stored row."""
    return Check(row["repository"], row["fs_id"], row["method"], row["started_at"], row["ok"], row["level"], row["part"], row["parts"])


def standing(checks: Sequence[Check]) -> list[Standing]:
    """What some runs over one repository come to.

    One that found errors ends what was known before it, and leaves all in doubt until one that looked as closely finds none. Of parts n/t all t must have been
    read without an error; then all is known as of the first of them, each at its newest reading.
    """
    found = []
    for fs_id in dict.fromkeys(one.fs_id for one in checks):
        mine = [one for one in checks if one.fs_id == fs_id]
        bad = [one for one in mine if not one.ok]
        good = [one for one in mine if one.ok and not any(one.started_at <= wrong.started_at for wrong in bad)]
        whole = [Standing(one.level, one.started_at, fs_id) for one in good if one.parts is None]
        whole += [Standing(LOOKED, one.started_at, fs_id) for one in good if one.parts is not None]  # each looks at all of the structure
        whole += [Standing(READ, at, fs_id) for at in _of_parts(good)]
        found += whole
        doubts = [Standing(one.level, one.started_at, fs_id, in_doubt=True) for one in bad]
        found += [one for one in doubts if not any(other.level >= one.level and other.at > one.at for other in whole)]
    return found


def _of_parts(checks: Sequence[Check]) -> list[datetime.datetime]:
    """Since when all parts are read, for each method and number of parts of which that is so."""
    newest: dict[tuple[str, int], dict[int, datetime.datetime]] = {}
    for one in checks:
        if one.part is not None and one.parts is not None and one.level >= READ:
            read = newest.setdefault((one.method, one.parts), {})
            read[one.part] = max(read.get(one.part, one.started_at), one.started_at)
    return [min(read.values()) for (_, parts), read in newest.items() if set(read) == set(range(1, parts + 1))]
