"""The members of one archive as entries: names that several have, hard links and folders that are only implied are settled here, for all at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog import glob, hashes, names
from catalog.schema import TIME_FLAGS
from scanners import _naming
from scanners._archive import MOST_NAMES, DamagedError
from scanners._columns import DAY_S, FIRST_S, LAST_S, START_1980_S
from scanners._unpack import COLUMNS

_BATCH_ROWS = 65_536
_TYPES = {
    "path_hash": pa.int64(), "size_bytes": pa.int64(), "modified_s": pa.int64(), "modified_ns": pa.int64(), "exact_time": pa.bool_(), "mode": pa.int32(),
    "uid": pa.int64(), "gid": pa.int64(), "hard_link": pa.bool_(), "number": pa.int64(),
}  # fmt: skip
_OF_CONTENT = ("number", "size_bytes", "modified_s", "modified_ns", "exact_time", "mode", "uid", "gid", "owner", "group")  # which all names of a file share
_WORDS = ("dir", "type", "owner", "group", "extension", "fs_id")


@dataclass
class Members:
    """What is told of one archive, until its end."""

    place: str  # escaped: where its members lie in the volume
    state: str  # of the archive file: whatever changes in it changes this
    started_us: int
    exclude: str | None = None  # expression of what is left out, see catalog.glob
    last_wins: bool = False
    batches: list[pa.Table] = field(default_factory=list)
    left_out: int = 0  # members that are excluded

    def add(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Take a batch."""
        batch = pa.table({name: pa.array(columns[name], _TYPES.get(name, pa.string())) for name in COLUMNS})
        if self.exclude is not None:
            ends = pc.if_else(pc.equal(batch["type"], "dir"), "/", "")
            out = glob.excluded(self.exclude, pc.binary_join_element_wise(batch["dir"], batch["name"], ends, "").combine_chunks())
            self.left_out += pc.sum(out).as_py()
            batch = batch.filter(pc.invert(out))
        self.batches.append(batch)

    def settle(self) -> tuple[list[dict[str, pa.Array]], list[tuple[str, str]]]:
        """The entries in batches, sorted by `dir, name`, with the columns of `schema.ENTRIES`; and the members that are none, with the reason.

        Raises DamagedError where the folders that are implied are too many.
        """
        if not self.batches:
            return [], []
        table = pa.concat_tables(self.batches).sort_by([("dir", "ascending"), ("name", "ascending"), ("number", "ascending")]).combine_chunks()
        keep, problems = self._of_one_name(table)
        paths = pc.binary_join_element_wise(table["dir"], table["name"], "")
        folders, inside = self._folders(table, paths, keep)
        unresolved, content = self._linked(table, paths, keep)
        for row, error in {**inside, **unresolved}.items():
            keep[row] = False
            problems.append((paths[row].as_py(), error))
        found = table.take(pa.array(np.flatnonzero(keep)))
        of_content = table.select(_OF_CONTENT).take(pa.array(content[keep]))
        for name in _OF_CONTENT:
            found = found.set_column(found.schema.get_field_index(name), name, of_content[name])
        found = found.append_column("link_count", _link_counts(found))
        found = pa.concat_tables([found, _implied(folders, found.schema)]).sort_by([("dir", "ascending"), ("name", "ascending")])
        return [self._entries(batch) for batch in found.combine_chunks().to_batches(_BATCH_ROWS)], problems

    def _of_one_name(self, table: pa.Table) -> tuple["np.ndarray[Any, Any]", list[tuple[str, str]]]:
        """Which rows are entries, and a problem for each name that several members have."""
        keep, problems = np.ones(len(table), bool), []
        same = pc.and_(pc.equal(table["dir"][1:], table["dir"][:-1]), pc.equal(table["name"][1:], table["name"][:-1]))
        starts = np.flatnonzero(~np.concatenate([[False], same.to_numpy()]))
        ends = np.append(starts[1:], len(table))
        for start, end in zip(starts[ends - starts > 1].tolist(), ends[ends - starts > 1].tolist(), strict=True):
            types = table["type"][start:end].to_pylist()
            keep[start : end - 1] = False  # of folders that are named again the last
            if set(types) == {"dir"}:
                continue
            path = table["dir"][start].as_py() + table["name"][start].as_py()
            if self.last_wins and "dir" not in types:
                problems.append((path, f"{end - start} members have this name: the last is what comes out, the others are not entered"))
            else:
                keep[end - 1] = False
                problems.append((path, f"{end - start} members have this name: which of them comes out depends on the program, none is entered"))
        return keep, problems

    def _folders(self, table: pa.Table, paths: pa.Array, keep: "np.ndarray[Any, Any]") -> tuple[list[str], dict[int, str]]:
        """The folders that are only implied; and the rows that are no entries since they lie in what is no folder, or are that.

        What lies below a link of the archive would come out where the link leads.
        """
        above: dict[str, None] = {}
        characters = 0
        for directory in pc.unique(table["dir"]).to_pylist():
            path = directory[:-1]
            while len(path) > len(self.place) and path not in above:
                above[path] = None
                characters += len(path)
                if characters > MOST_NAMES:
                    raise DamagedError(f"the paths of its folders have more than {MOST_NAMES} characters: they are not read")
                path = path.rpartition("/")[0]
        among = pc.is_in(paths, value_set=pa.array(list(above), pa.string()))
        others = pc.and_(among, pc.not_equal(table["type"], "dir")).to_numpy(zero_copy_only=False)
        bad = set(paths.filter(pa.array(others)).to_pylist())
        wrong = {int(row): "it is no folder, and other members lie in it" for row in np.flatnonzero(others & keep)}
        if bad:
            below = {f"{path}/" for path in above if any(part in bad for part in _parents(path))}
            lying = pc.is_in(table["dir"], value_set=pa.array(list(below), pa.string())).to_numpy(zero_copy_only=False)
            wrong |= {int(row): "it lies in what is no folder in the archive, but a link or a file" for row in np.flatnonzero(lying & keep)}
            above = {path: None for path in above if f"{path}/" not in below}
        folders = pc.and_(among, pc.equal(table["type"], "dir")).to_numpy(zero_copy_only=False)
        known = set(paths.filter(pa.array(folders & keep)).to_pylist())
        return [path for path in above if path not in known], wrong

    def _linked(self, table: pa.Table, paths: pa.Array, keep: "np.ndarray[Any, Any]") -> tuple[dict[int, str], "np.ndarray[Any, Any]"]:
        """The hard links that name no one file that is before them; and of each row the one that has its content, of a link that of what it names."""
        content = np.arange(len(table))
        links = np.flatnonzero(table["hard_link"].to_numpy() & keep)
        if not len(links):
            return {}, content
        targets = [self.place + (text or "/") for text in table["link_target"].take(pa.array(links)).to_pylist()]
        named = pc.is_in(paths, value_set=pa.array(list(set(targets)), pa.string())).to_numpy(zero_copy_only=False)
        # Of several members of that name nobody can say which one was meant.
        rows = np.flatnonzero(named)
        by_path: dict[str, int | None] = {}
        for path, row in zip(paths.take(pa.array(rows)).to_pylist(), rows.tolist(), strict=True):
            by_path[path] = None if path in by_path or not keep[row] else row
        numbers, types = table["number"].to_numpy(), table["type"]
        wrong: dict[int, str] = {}
        for row, path in sorted(
            zip(links.tolist(), targets, strict=True), key=lambda link: int(numbers[link[0]])
        ):  # a link may name another, that was before it
            target = by_path.get(path)
            if target is None or target in wrong or numbers[target] >= numbers[row] or types[target].as_py() != "file":
                wrong[row] = f"a hard link to {path.removeprefix(self.place)!r}, which is no one file that is before it in the archive"
            else:
                content[row] = content[target]
        return wrong, content

    def _entries(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        is_file = pc.equal(batch["type"], "file")
        number = pc.if_else(is_file, batch["number"], None)
        columns = {name: batch[name] for name in ("dir", "name", "path_hash", "type", "size_bytes", "owner", "group", "uid", "gid", "mode")}
        columns |= self._times(batch)
        columns["extension"] = _naming.extensions(batch["name"])
        columns["link_target"] = pc.if_else(pc.equal(batch["type"], "symlink"), batch["link_target"], None)
        columns["inode"] = number
        columns["fs_id"] = pc.if_else(is_file, pa.scalar(self.state), pa.scalar(None, pa.string()))
        columns["link_count"] = batch["link_count"]
        return {name: column.dictionary_encode() if name in _WORDS else column for name, column in columns.items()}

    def _times(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        unknown = batch["modified_s"].is_null().to_numpy(zero_copy_only=False)
        seconds, fraction = (batch[name].fill_null(0).to_numpy() for name in ("modified_s", "modified_ns"))
        outside = ((seconds < FIRST_S) | (seconds > LAST_S)) & ~unknown
        suspect = (seconds > self.started_us // 1_000_000 + DAY_S) | ((seconds >= 0) & (seconds < DAY_S)) | ((seconds == START_1980_S) & (fraction == 0))
        coarse = ~batch["exact_time"].fill_null(True).to_numpy(zero_copy_only=False) & ~unknown & ~outside
        flags = np.where(outside, TIME_FLAGS["modified_range"], (suspect & ~unknown) * TIME_FLAGS["modified_suspect"]) | coarse * TIME_FLAGS["modified_coarse"]
        missing = outside | unknown
        whole = np.where(missing, 0, seconds) * 1_000_000 + np.where(missing, 0, fraction) // 1000
        return {
            "modified_at": pa.array(whole, mask=missing).view(pa.timestamp("us")),
            "modified_ns": pa.array((fraction % 1000).astype(np.int32), mask=missing),
            "time_flags": pa.array(flags.astype(np.int32)),
        }


def _parents(path: str) -> Iterator[str]:
    """A path and all above it."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _link_counts(found: pa.Table) -> pa.Array:
    """How many names each file has; null for what is no file."""
    numbers = found["number"].to_numpy()
    _, inverse, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    return pa.array(counts[inverse].astype(np.int32), mask=pc.not_equal(found["type"], "file").to_numpy(zero_copy_only=False))


def _implied(folders: list[str], schema: pa.Schema) -> pa.Table:
    """Rows for folders that no member is."""
    split = [path.rpartition("/") for path in folders]
    columns: dict[str, list[Any]] = {
        "dir": [head + slash for head, slash, _ in split],
        "name": [name for _, _, name in split],
        "path_hash": [hashes.of_path(names.unescape(path)) for path in folders],
        "type": ["dir"] * len(split),
        "size_bytes": [0] * len(split),
    }
    return pa.table({f.name: pa.array(columns.get(f.name, [None] * len(split)), f.type) for f in schema})
