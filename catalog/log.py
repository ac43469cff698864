"""The log of a Delta table, replayed here: opening a table with its engine takes longer than most questions.

Source: the Delta transaction protocol, https://github.com/delta-io/delta/blob/master/PROTOCOL.md
"""

import functools
import json
import re
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

FOLDER = "_delta_log"
MARK = "lastcopyCommit"  # in what a commit tells of itself: tells one from all others
_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(?:\.\d{10}\.(\d{10}))?\.parquet")
_READER_VERSIONS = {1: (), 2: ("columnMapping",), 3: ()}  # what a reader must know, besides the features that are named


@dataclass(frozen=True)
class Logged:
    """What the log says of a file: its partition values, its size, and statistics of it as JSON."""

    partition: Mapping[str, str | None]
    size_bytes: int
    stats: str | None

    @property
    def rows(self) -> int | None:
        """How many rows it has; None where the log does not tell."""
        told = json.loads(self.stats).get("numRecords") if self.stats else None
        return told if isinstance(told, int) else None


@dataclass
class State:
    """What one version of a table consists of. `files` are named by their paths relative to the table's folder, in the order in which they were added."""

    version: int
    files: dict[str, Logged] = field(default_factory=dict)
    app_ids: set[str] = field(default_factory=set)
    columns: frozenset[str] | None = None
    reader_features: frozenset[str] | None = None


def is_of_another(found: bytes, ours: bytes) -> bool:
    """Whether what was found in the place of a commit is a whole one of somebody else. False: it is ours, changed, or none at all.

    Not told by its application transaction: two hosts may do the same thing at once, under one id.
    """
    try:
        return _only_its_own(found).isdisjoint(_only_its_own(ours))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _only_its_own(commit: bytes) -> set[str]:
    """What a commit names and no other one does: its mark, the id of the table that it makes, the files that it adds. Raises ValueError where it is none."""
    actions = [json.loads(line) for line in commit.decode().split("\n") if line.strip()]
    if not actions:
        raise ValueError("it is empty")
    found = [(action.get("commitInfo") or {}).get(MARK) for action in actions]
    found += [(action.get("metaData") or {}).get("id") for action in actions]
    found += [(action.get("add") or {}).get("path") for action in actions]
    return {one for one in found if one is not None}


def newest(table: Path) -> int:
    """The newest version of the table in a folder; -1 if none was ever made."""
    return max(_commits(table), default=-1)


def order(name: str) -> tuple[bool, int] | None:
    """When a part of a log is to be brought where another log is, by its name: checkpoints, then each commit after those before it; None: it is no part."""
    checkpoint, commit = _CHECKPOINT.fullmatch(name), _COMMIT.fullmatch(name)
    return (commit is not None, int((commit or checkpoint)[1])) if commit or checkpoint else None  # type: ignore[index]  # one is there


def written_after(table: Path, version: int) -> list[Path]:
    """The commits of later versions and the checkpoints of them."""
    return [
        table / FOLDER / name for name in names(table) for pattern in (_COMMIT, _CHECKPOINT) if (found := pattern.fullmatch(name)) and int(found[1]) > version
    ]


def needed(table: Path, version: int) -> list[str]:
    """The names of what a version of the table in a folder is told by: the newest checkpoint up to it, and the commits after that; of version -1 none."""
    start, parts = _newest_checkpoint(table, version)
    return [*parts, *map(_commit_name, range(max(start, 0) if parts else 0, version + 1))]


def checkpoint_names(table: Path, version: int) -> list[str]:
    """The names of the checkpoint of a version; none without one."""
    return [name for number, names in _checkpoints(table) if number == version for name in names]


def replay(table: Path, version: int | None = None) -> State:
    """A version of the table in a folder (None: the newest); not to be changed. Raises OSError, ValueError where the log is damaged or lacks it."""
    wanted = newest(table) if version is None else version
    found = commit_file(table, wanted).stat()
    return _replayed(table.absolute(), wanted, (found.st_ino, found.st_mtime_ns, found.st_size))


@functools.lru_cache(maxsize=64)
def _replayed(table: Path, version: int, _identity: tuple[int, ...]) -> State:
    """A version whose last commit is that very file: a commit never changes, but a folder may be made anew."""
    state = State(version)
    start, parts = _newest_checkpoint(table, version)
    _take(state, _checkpointed(table, parts))
    for number in range(start + 1, version + 1):
        _take(state, _actions(table, number))
    if state.columns is None or state.reader_features is None:
        raise ValueError(f"version {version} names no {'columns' if state.columns is None else 'protocol'}")
    return state


@dataclass(frozen=True)
class Life:
    """How long a file was part of a table: from one version on, up to but not with another (None: it still is)."""

    file: Logged
    since: int
    until: int | None = None
    removed_ms: int | None = None  # when it was taken out, as the log says

    def holds(self, version: int) -> bool:
        """Whether it was part of the table at a version."""
        return self.since <= version and (self.until is None or version < self.until)


def lives(table: Path) -> tuple[int, dict[str, list[Life]]]:
    """The oldest version that is known of the table in a folder, and each file that it or a later one names, by its relative path.

    What that oldest version consists of counts as having been there always. Raises OSError, ValueError where the log is damaged.
    """
    base = _known_since(table)
    found = {path: [Life(file, 0)] for path, file in replay(table, base).files.items()}
    for number in range(base + 1, newest(table) + 1):
        for action in _actions(table, number):
            if added := action.get("add"):
                found.setdefault(_relative(added["path"]), []).append(Life(_logged(added), number))
            elif (removed := action.get("remove")) and (lived := found.get(_relative(removed["path"]))):
                lived[-1] = replace(lived[-1], until=number, removed_ms=removed.get("deletionTimestamp"))
    return base, found


def _known_since(table: Path) -> int:
    """The oldest version that can be replayed, and all after it."""
    commits = set(_commits(table))
    since = max(commits)
    while since - 1 in commits:
        since -= 1
    if since == 0:
        return 0
    whole = [number for number, _ in _checkpoints(table) if number >= since]
    if not whole:
        raise ValueError(f"it lacks the commits before version {since}, and no checkpoint stands for them")
    return min(whole)


def _actions(table: Path, version: int) -> Iterator[Mapping[str, Any]]:
    text = commit_file(table, version).read_text("utf-8")
    return (json.loads(line) for line in text.split("\n") if line.strip())


def _logged(added: Mapping[str, Any]) -> Logged:
    return Logged(dict(added["partitionValues"]), int(added["size"]), added.get("stats"))


def _take(state: State, actions: Iterable[Mapping[str, Any]]) -> None:
    for action in actions:
        if added := action.get("add"):
            state.files[_relative(added["path"])] = _logged(added)
        elif removed := action.get("remove"):
            state.files.pop(_relative(removed["path"]), None)
        elif transaction := action.get("txn"):
            state.app_ids.add(transaction["appId"])
        elif metadata := action.get("metaData"):
            state.columns = frozenset(column["name"] for column in json.loads(metadata["schemaString"])["fields"])
        elif protocol := action.get("protocol"):
            least = protocol["minReaderVersion"]
            state.reader_features = frozenset(protocol.get("readerFeatures") or ()).union(_READER_VERSIONS.get(least, (f"reader version {least}",)))


def _newest_checkpoint(table: Path, version: int) -> tuple[int, list[str]]:
    """The newest checkpoint up to a version, and its files; -1 without one."""
    return max((found for found in _checkpoints(table) if found[0] <= version), default=(-1, []))


def _checkpoints(table: Path) -> list[tuple[int, list[str]]]:
    """The checkpoints with their files. Of one in several parts some may be missing: then it does not count."""
    parts: dict[tuple[int, str], list[str]] = {}
    for name in names(table):
        if found := _CHECKPOINT.fullmatch(name):
            parts.setdefault((int(found[1]), found[2] or ""), []).append(name)
    return [(number, names) for (number, count), names in parts.items() if len(names) == int(count or 1)]


def _checkpointed(table: Path, parts: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    import pyarrow.parquet as pq

    wanted = ("add", "txn", "metaData", "protocol")
    for part in parts:
        file = pq.ParquetFile(table / FOLDER / part)
        names = [name for name in wanted if name in file.schema_arrow.names]
        yield from file.read(columns=names).to_pylist(maps_as_pydicts="strict")


def _relative(path: str) -> str:
    plain = urllib.parse.unquote(path)
    if plain.startswith("/") or ":" in path.partition("/")[0] or ".." in plain.split("/"):
        raise ValueError(f"a file of it lies elsewhere: {path}")
    return plain


def _commits(table: Path) -> list[int]:
    return [int(found[1]) for name in names(table) if (found := _COMMIT.fullmatch(name))]


def names(table: Path) -> list[str]:
    """The names of all that lies in the log of the table in a folder."""
    try:
        return [path.name for path in (table / FOLDER).iterdir()]
    except FileNotFoundError:
        return []


def commit_file(table: Path, version: int) -> Path:
    """The file of the commit that made a version of the table in a folder."""
    return table / FOLDER / _commit_name(version)


def _commit_name(version: int) -> str:
    return f"{version:020d}.json"
