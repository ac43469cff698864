"""The log of a Delta table, replayed here: opening a table with its engine takes longer than most questions.

Source: the Delta transaction protocol, https://github.com/delta-io/delta/blob/master/PROTOCOL.md
"""

import functools
import json
import re
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = "_delta_log"
_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(?:\.\d{10}\.(\d{10}))?\.parquet")
_READER_VERSIONS = {1: (), 2: ("columnMapping",), 3: ()}  # what a reader must know, besides the features that are named


@dataclass
class State:
    """What one version of a table consists of. `files` maps paths relative to the table's folder to their partition values."""

    version: int
    files: dict[str, Mapping[str, str | None]] = field(default_factory=dict)
    app_ids: set[str] = field(default_factory=set)
    columns: frozenset[str] | None = None
    reader_features: frozenset[str] | None = None


def newest(table: Path) -> int:
    """The newest version of the table in a folder; -1 if none was ever made."""
    return max(_commits(table), default=-1)


def written_after(table: Path, version: int) -> list[Path]:
    """The commits of later versions and the checkpoints of them."""
    return [
        table / FOLDER / name for name in _names(table) for pattern in (_COMMIT, _CHECKPOINT) if (found := pattern.fullmatch(name)) and int(found[1]) > version
    ]


def replay(table: Path, version: int | None = None) -> State:
    """A version of the table in a folder (None: the newest); not to be changed. Raises OSError, ValueError where the log is damaged or lacks it."""
    wanted = newest(table) if version is None else version
    found = (table / FOLDER / _commit_name(wanted)).stat()
    return _replayed(table.absolute(), wanted, (found.st_ino, found.st_mtime_ns, found.st_size))


@functools.lru_cache(maxsize=64)
def _replayed(table: Path, version: int, _identity: tuple[int, ...]) -> State:
    """A version whose last commit is that very file: a commit never changes, but a folder may be made anew."""
    state = State(version)
    start, parts = _newest_checkpoint(table, version)
    _take(state, _checkpointed(table, parts))
    for number in range(start + 1, version + 1):
        text = (table / FOLDER / _commit_name(number)).read_text("utf-8")
        _take(state, (json.loads(line) for line in text.split("\n") if line.strip()))
    if state.columns is None or state.reader_features is None:
        raise ValueError(f"version {version} names no {'columns' if state.columns is None else 'protocol'}")
    return state


def _take(state: State, actions: Iterable[Mapping[str, Any]]) -> None:
    for action in actions:
        if added := action.get("add"):
            state.files[_relative(added["path"])] = dict(added["partitionValues"])
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
    """The newest checkpoint up to a version, and its files; -1 without one. Of one in several parts some may be missing: then it does not count."""
    parts: dict[tuple[int, str], list[str]] = {}
    for name in _names(table):
        if (found := _CHECKPOINT.fullmatch(name)) and int(found[1]) <= version:
            parts.setdefault((int(found[1]), found[2] or ""), []).append(name)
    return max(((number, names) for (number, count), names in parts.items() if len(names) == int(count or 1)), default=(-1, []))


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
    return [int(found[1]) for name in _names(table) if (found := _COMMIT.fullmatch(name))]


def _names(table: Path) -> list[str]:
    try:
        return [path.name for path in (table / FOLDER).iterdir()]
    except FileNotFoundError:
        return []


def _commit_name(version: int) -> str:
    return f"{version:020d}.json"
