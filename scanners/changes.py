"""A scan by a list of what changed: the entries of the scan before, and in place of those that the list names, what is there now."""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from catalog import names, snapshot, table
from catalog.errors import RefusedError
from catalog.schema import ENTRIES, PROBLEMS
from scanners import CHANGED, Identity, Scanner, ShardRecord, Sink, Spot, _naming, guard, microseconds
from scanners.change_lists import Changes as Listed
from scanners.sink import ParquetSink, Target

if TYPE_CHECKING:
    from catalog.snapshot import ScanRow
    from scanners.journal import Journal

_OF_CRAWLS = ("list", "stat", "name")  # stages of problems
_BATCH_ROWS = 65_536
_UNBOUNDED = 2**62
_NAMED = "LEFT JOIN below ON before.dir = below.dir LEFT JOIN named ON before.prefix = named.prefix"
_IS_NAMED = "(below.dir IS NOT NULL OR named.prefix IS NOT NULL)"


def follow(changes: "Changes", journal: "Journal", scanner: Scanner, crawl: Callable[[], None]) -> None:
    """Look at all that a list names, crawl what lies below, and keep the rest of the scan before. Raises RefusedError, UnreachableError."""

    def sink() -> Sink:
        return ParquetSink(journal.target, journal.next_number, _UNBOUNDED, _UNBOUNDED)

    def seen() -> list[str]:
        return [str(journal.target.root / "entries" / file.path) for file in journal.files("entries")]

    def look(spots: Sequence[Spot]) -> None:
        changes.look(scanner.look, sink, lambda record: journal.add([], record), spots)
        crawl()

    look(changes.spots)
    if further := changes.further(seen()):
        look(further)
    journal.add([], changes.keep(journal.next_number, seen()))


Look = Callable[[Sequence[Spot], Sink], tuple[ShardRecord, list[Spot]]]


class Changes:
    """What a list names, in one scan that goes on from another."""

    def __init__(self, target: Target, previous: "ScanRow | None", options: Mapping[str, object], listed: Listed) -> None:
        """`options` are those that this scan would write. Raises RefusedError."""
        if previous is None:
            raise RefusedError(f"volume {target.volume}: it has no scan that a list of changes could go on from; scan it as a whole")
        before = json.loads(previous.options or "{}")
        if any(before.get(name) != value for name, value in json.loads(json.dumps(options)).items()):
            raise RefusedError(
                f"volume {target.volume}: what is scanned, or left out, is declared otherwise than at its last scan, or is another folder; scan it as a whole"
            )
        self._target, self._previous, self.since = target, previous, previous.scan_id
        self._connection = guard.connect(target)
        self._before = snapshot.entry_files(target.root, previous.scan_id, target.volume)
        self._deep, self._alone = set[str](), set[str]()  # prefixes
        if listed.of_subvolume and self._has_others():
            raise RefusedError(f"volume {target.volume}: other subvolumes or file systems lie in it, and the list tells nothing of them; scan it as a whole")
        self.spots = self._outermost(self._spots(self._escaped(listed.alone)))

    def look(self, look: Look, sink: Callable[[], Sink], add: Callable[[ShardRecord], None], spots: Sequence[Spot]) -> None:
        """Look at names. What is not the directory that it was is looked at as a whole, and so is a directory that is not there any more."""
        waiting = list(spots)
        while True:
            record, again = look(waiting, sink())
            add(record)
            whole = {spot.prefix for spot in again}
            for spot in waiting:
                (self._deep if spot.itself is None or spot.prefix in whole else self._alone).add(spot.prefix)
            self._deep |= whole
            if not again:
                return
            waiting = self._outermost({spot.prefix: spot for spot in again})

    def further(self, seen: Sequence[str]) -> list[Spot]:
        """The other names of inodes with several links of which one was looked at; `seen` are the files of entries of this scan."""
        self._hold()
        if not self._before:
            return []
        looked = "SELECT fs_id, inode FROM read_parquet($seen, hive_partitioning = false) WHERE link_count > 1 AND type <> 'dir' UNION" if seen else ""
        self._connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE linked AS
            {looked} SELECT before.fs_id, before.inode FROM {self._entries()} AS before {_NAMED}
            WHERE before.link_count > 1 AND before.type <> 'dir' AND {_IS_NAMED}
            """,
            {"seen": list(seen)} if seen else {},
        )
        query = f"""
            SELECT before.dir, before.name FROM {self._entries()} AS before SEMI JOIN linked ON before.fs_id = linked.fs_id AND before.inode = linked.inode
            {_NAMED} WHERE before.type <> 'dir' AND NOT {_IS_NAMED} ORDER BY 1, 2
        """
        return [Spot(directory, name) for directory, name in self._connection.execute(query).fetchall()]

    def keep(self, number: int, seen: Sequence[str]) -> ShardRecord:
        """Write what the scan before knew of all other names, and its problems there; `number` is a shard number that is free.

        Raises RefusedError if a name was seen twice, since directories moved while they were looked at.
        """
        self._hold()
        sink = ParquetSink(self._target, number, _UNBOUNDED, _UNBOUNDED)
        sink.told(microseconds(self._previous.known_at))
        if seen:
            twice = "SELECT dir || name FROM read_parquet($seen, hive_partitioning = false) GROUP BY 1 HAVING count(*) > 1 LIMIT 1"
            for (path,) in self._connection.execute(twice, {"seen": list(seen)}).fetchall():
                raise RefusedError(f"volume {self._target.volume}: {path} moved while it was looked at; scan again with the same list and what changed since")
        if self._before:
            kept = f"SELECT before.* FROM {self._entries()} AS before {_NAMED}"
            kept += f" WHERE before.carried_from IS NULL AND NOT {_IS_NAMED} ORDER BY before.dir, before.name"
            for batch in self._connection.sql(kept).to_arrow_reader(_BATCH_ROWS):
                sink.write({f.name: guard.entry_column(batch.column(f.name), f.type) for f in ENTRIES if f.name != "entry_id"})
        kept = f"SELECT before.* FROM problems AS before {_NAMED} WHERE NOT {_IS_NAMED}"
        sink.problems(self._connection.sql(kept).to_arrow_table().select(PROBLEMS.names).cast(PROBLEMS))
        return sink.finish()

    def close(self) -> None:
        """Let go of what it holds."""
        self._connection.close()

    def _has_others(self) -> bool:
        """Whether the scan before saw a directory of another file system than that of the root."""
        if not self._before:
            return False
        query = f"SELECT count(*) FROM {self._entries()} AS before WHERE before.type = 'dir' AND before.fs_id IS DISTINCT FROM $root"
        [(found,)] = self._connection.execute(query, {"root": self._previous.root_fs_id}).fetchall()
        return bool(found)

    def _escaped(self, listed: Mapping[bytes, bool]) -> dict[str, bool]:
        """The escaped paths of a list, and of the directories that hold them, whose times are others too; and of which nothing below changed."""
        if listed.get(b"") is False:
            raise RefusedError(f"volume {self._target.volume}: the list of changes names its root; scan it as a whole")
        found = {names.escape(path): alone for path, alone in listed.items()}
        for path in list(found):
            found.setdefault(path.rpartition("/")[0], True)
        found.pop("", None)  # the root has no entry
        return found

    def _spots(self, changes: Mapping[str, bool]) -> dict[str, Spot]:
        """Where to look, by prefix: at the paths themselves, or at the uppermost directory above each that was not known."""
        directories = self._directories({place[: at + 1] for place in (f"{path}/" for path in changes) for at, letter in enumerate(place) if letter == "/"})
        found: dict[str, Spot] = {}
        for path, alone in changes.items():
            ends = [at for at, letter in enumerate(path) if letter == "/"]
            unknown = next((path[:end] for end in ends if path[: end + 1] not in directories), None)
            above, slash, name = (unknown or path).rpartition("/")
            itself = directories.get(f"{path}/") if alone and unknown is None else None
            spot = Spot(above + slash, name, directories.get(above + slash), itself)
            if spot.prefix not in found or found[spot.prefix].itself is not None:
                found[spot.prefix] = spot
        return found

    def _directories(self, prefixes: set[str]) -> dict[str, Identity]:
        """Which directories the scan before saw, of those that are asked for, and could read."""
        if not self._before:
            return {}
        problems = self._problems
        self._connection.register("unread", problems.filter(problems["hides_below"]).select(["path"]))
        self._connection.register("asked", pa.table({"prefix": pa.array(prefixes, pa.string())}))
        query = f"""
            SELECT before.prefix, before.fs_id, before.inode FROM {self._entries()} AS before SEMI JOIN asked ON before.prefix = asked.prefix
            ANTI JOIN unread ON before.prefix = unread.path || '/'
            WHERE before.type = 'dir' AND before.carried_from IS NULL
        """
        return {prefix: (fs_id, inode) for prefix, fs_id, inode in self._connection.execute(query).fetchall()}

    @functools.cached_property
    def _problems(self) -> pa.Table:
        """What the crawl of the scan before told, and none that read contents."""
        found = table.read(self._target.root, "problems", scan_id=[self._previous.scan_id], volume=[self._target.volume])
        of_crawl = pc.or_(pc.is_in(found["stage"], pa.array(_OF_CRAWLS)), pc.or_(found["hides_below"], pc.equal(found["error"], CHANGED)))
        return found.filter(pc.and_(of_crawl, pc.invert(pc.starts_with(found["error"], guard.VAST))))

    @staticmethod
    def _outermost(spots: Mapping[str, Spot]) -> list[Spot]:
        """Those that lie below no other that is looked at as a whole, sorted by directory."""
        found: list[Spot] = []
        last = None
        for prefix in sorted(spots):
            if last is None or not prefix.startswith(last):
                found.append(spots[prefix])
                last = prefix if spots[prefix].itself is None else last
        return sorted(found)

    def _hold(self) -> None:
        """Make the tables of what the list names: `named` are the names themselves, and `below` the directories in which all is named."""
        whole = [spot.prefix for spot in self._outermost({prefix: Spot("", prefix[:-1]) for prefix in self._deep})]
        problems = self._problems
        paths = problems["path"].combine_chunks()
        places = {"dir": _naming.split(paths)[0], "prefix": pc.binary_join_element_wise(paths, "/", "")}
        run = self._connection.register
        run("problems", pa.table({**{name: problems[name] for name in problems.column_names}, **places}))
        run("deep", pa.table({"prefix": pa.array(whole, pa.string())}))
        run("asked", pa.table({"prefix": pa.array([*whole, *self._alone], pa.string())}))
        known = f"SELECT DISTINCT dir FROM {self._entries()} UNION" if self._before else ""
        self._connection.execute("CREATE OR REPLACE TEMP TABLE named AS SELECT DISTINCT prefix FROM asked")
        self._connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE below AS
            SELECT places.dir FROM ({known} SELECT DISTINCT dir FROM problems) AS places
            ASOF JOIN deep ON places.dir >= deep.prefix WHERE starts_with(places.dir, deep.prefix)
        """)

    def _entries(self) -> str:
        """The rows of the scan before, with their paths as prefixes."""
        files = ", ".join("'" + file.replace("'", "''") + "'" for file in self._before)
        return f"(SELECT *, dir || name || '/' AS prefix FROM read_parquet([{files}], hive_partitioning = false))"
