"""Which files are worth reading: questions over the newest scans of all volumes, answered in the order in which storage likes to be read."""

import datetime
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from catalog import derive, lock, snapshot, table
from catalog.config import Catalog
from catalog.errors import LockedError
from catalog.schema import DIGESTS
from catalog.snapshot import ScanRow
from scanners.reading import SAMPLE_BYTES, SMALL_BYTES, UNKNOWN, Request

CHUNK_FILES = 1024  # a reader's portion: at most so many files, or bytes to read
CHUNK_BYTES = 16 * 1024 * 1024
HOLLOW = {"least_bytes": 2**30, "fullness": 64, "most_bytes": 2**40}  # what is sparse: less than one part of so many is stored; so much of it is read in a run
_BATCH_ROWS = 8 * 2048
_MEMORY = "256MiB"  # beyond it DuckDB goes to disk
_KNOWN_ONLY_AFTER_READING = ("digest", "sample", "read_started_at", "digested_at", "bytes_read")
_SAME_FILE = " AND ".join(f"wanted.{name} IS NOT DISTINCT FROM before.{name}" for name in ("volume", "dir", "name", "inode"))
_COLUMNS = [name for name in DIGESTS.names if name not in _KNOWN_ONLY_AFTER_READING]


@dataclass(frozen=True)
class Place:
    """A volume that can be read now, and how: all its files, or those that match."""

    scan: ScanRow
    folder: Path
    mode: Literal["match", "all"]
    streamed: bool = False  # files are not opened one by one, but read in one pass over what holds them
    in_any_order: bool = False  # and of these as many at a time as is wanted
    again: bool = False  # what is known is read once more


@dataclass(frozen=True)
class Found:
    """How many names of files are not known well enough, how many files are to be read (hard links once), their bytes; what is too `hollow` to be read."""

    names: int
    wanted: int
    wanted_bytes: int
    hollow: Mapping["Place", Sequence[tuple[str, str]]]  # path, and what is wrong


@dataclass(frozen=True)
class Untold:
    """A file that proves nothing until it is read, since a reading failed; `reader` names the other volume that shows it and tried, or found other content."""

    path: str
    inode: int | None
    failed_at: datetime.datetime
    reader: str | None
    is_other: bool


@dataclass(frozen=True)
class Damaged:
    """A file that an earlier scan found damaged: what is wrong, and when it was found."""

    path: str
    inode: int | None
    error: str
    seen_at: datetime.datetime


@dataclass(frozen=True, eq=False)
class Chunk:
    """Files of one scan that one reader gets at once. `rows` has the columns of `schema.DIGESTS` that an entry gives, and `whole`.

    Where what is known is read again, it has `digest_before` and `digested_before_at` too.
    """

    place: Place
    rows: pa.RecordBatch
    request: Request | None  # None of a place that is streamed


class Candidates:
    """Questions over the newest scans, on a connection of its own that is closed when the block ends. Changes nothing."""

    def __init__(
        self,
        root: Path,
        settings: Catalog,
        scans: Mapping[str, ScanRow],
        places: Mapping[str, Place],
        read_since: datetime.datetime | None = None,
        budget: int | None = None,
        *,
        protecting: Sequence[tuple[str, str]],
        on_request: Sequence[str] = (),
    ) -> None:
        """Compare the files of all `scans`, to read those of `places`. `protecting` has each volume with one that may protect it, `on_request` has
        those whose contents are left unread unless they are read again.

        What was read before `read_since`, naive UTC, is read again where its place says so: what was read longest ago first, until `budget` bytes.
        """
        self._root, self._scans, self._places, self._read_since, self._budget = root, scans, places, read_since, budget
        self._read_before, self._protecting, self._on_request = False, protecting, on_request
        self._stack = ExitStack()
        self._connection = duckdb.connect(
            config={
                "memory_limit": f"{settings.memory_limit}B" if settings.memory_limit else _MEMORY,
                "threads": settings.threads or len(os.sched_getaffinity(0)),
                "temp_directory": str(_room(root, self._stack)),
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
            }
        )
        self._stack.callback(self._connection.close)

    def __enter__(self) -> Self:
        places = {
            "volume": list(self._places),
            "mode": [p.mode for p in self._places.values()],
            "scanned_at": [p.scan.started_at for p in self._places.values()],
        }
        self._connection.register("volumes", pa.table(places, pa.schema([("volume", pa.string()), ("mode", pa.string()), ("scanned_at", pa.timestamp("us"))])))
        pairs = {name: pa.array([pair[place] for pair in self._protecting], pa.string()) for place, name in enumerate(("volume", "protector"))}
        self._connection.register("protecting", pa.table(pairs))
        self._connection.execute("SET VARIABLE small_bytes = $1", [SMALL_BYTES])
        self._connection.execute("SET VARIABLE read_since = CAST($1 AS TIMESTAMP)", [self._read_since])
        self._connection.execute("SET VARIABLE again = $1", [[name for name, place in self._places.items() if place.again]])
        self._connection.execute("SET VARIABLE on_request = CAST($1 AS VARCHAR[])", [list(self._on_request)])
        self._source("entries", self._scans.values())
        self._source("problems", self._scans.values())
        self._source("digests")
        self._connection.execute(f"CREATE TEMP TABLE requested AS {_sql('requested')}")
        self._view("files", "files")
        self._view("failed", "failed")
        self._view("known", "known")
        self._view("readings", "readings")
        self._connection.execute(f"CREATE TEMP TABLE failures AS {derive.sql('failures')}")
        self._connection.execute(f"CREATE TEMP TABLE unread AS {_sql('unread')}")
        self._connection.execute(f"CREATE TEMP TABLE before AS {_sql('before')}{'' if self._read_since else ' LIMIT 0'}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def find(self, question: Literal["asked", "sampled"], recent: pa.Table) -> Found:
        """Ask over all that is known now: 'asked' are the files that the modes want, 'sampled' the large ones that their samples do not part.

        `recent` are rows of `schema.DIGESTS` that may not be in the catalog yet.
        """
        self._read_before = self._source("digests", recent=recent)
        self._view("known", "known")
        self._view("asked", question)
        if question == "asked" and self._budget is not None:
            [(until,)] = self._connection.execute(_sql("budget"), {"budget": self._budget}).fetchall()
            self._connection.execute("SET VARIABLE read_since = least(CAST($1 AS TIMESTAMP), CAST($2 AS TIMESTAMP))", [self._read_since, until])
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE wanted AS {_sql('wanted')}")
        hollow = self._hollow()
        [(names, wanted, wanted_bytes)] = self._connection.execute(_sql("counts"), {"sampled_bytes": 2 * SAMPLE_BYTES}).fetchall()
        return Found(names, wanted, wanted_bytes, hollow)

    def asked(self) -> int:
        """How many files the last question was about, known or not."""
        asked = "asked" if self._read_before else "wanted"  # where nothing was read before, all that is asked is wanted
        return int(self._connection.execute(f"SELECT count(*) FROM {asked}").fetchall()[0][0])

    def untold(self, volumes: Iterable[str]) -> dict[str, list[Untold]]:
        """The files of some volumes that prove nothing until they are read, and that their scans have no problem with."""
        found: dict[str, list[Untold]] = {}
        for volume, *told in self._connection.execute(_sql("untold"), {"volumes": list(volumes)}).fetchall():
            found.setdefault(volume, []).append(Untold(*told))
        return found

    def damaged(self, earlier: Sequence[ScanRow]) -> dict[str, list[Damaged]]:
        """The files that some earlier scans found damaged, and that are so still."""
        found: dict[str, list[Damaged]] = {}
        if self._source("earlier_problems", earlier, stored="problems"):
            for volume, *told in self._connection.execute(_sql("damaged")).fetchall():
                found.setdefault(volume, []).append(Damaged(*told))
        return found

    def chunks(self) -> Iterator[Chunk]:
        """The files that `find` found, by volume, directory and file number, in portions for readers. Nothing else may be asked meanwhile."""
        question = f"{self._chosen('whole')} ORDER BY wanted.fs_id, wanted.dir, wanted.inode, wanted.name"
        for volume, place in self._places.items():
            if place.streamed:
                continue
            for batch in self._connection.sql(question, params=[volume]).to_arrow_reader(_BATCH_ROWS):
                yield from _portions(place, batch)

    def streams(self) -> Iterator[Chunk]:
        """The files that `find` found in what is read through, each read whole, those of one file system (one archive) together unless any order will do.

        Nothing else may be asked meanwhile.
        """
        for volume, place in self._places.items():
            if place.in_any_order:
                question = f"{self._chosen('TRUE AS whole')} ORDER BY wanted.dir, wanted.name"
                for batch in self._connection.sql(question, params=[volume]).to_arrow_reader(_BATCH_ROWS):
                    yield from _portions(place, batch)
            elif place.streamed:
                found = self._connection.execute(f"SELECT DISTINCT fs_id FROM ({self._chosen('TRUE AS whole')}) ORDER BY fs_id", [volume]).fetchall()
                for (fs_id,) in found:
                    question = f"{self._chosen('TRUE AS whole')} AND wanted.fs_id = $2 ORDER BY wanted.dir, wanted.name"
                    rows = self._connection.sql(question, params=[volume, fs_id]).to_arrow_table().combine_chunks()
                    yield Chunk(place, rows.to_batches()[0], None)

    def _chosen(self, whole: str) -> str:
        """The query for what is wanted of a volume, its one parameter."""
        before, known = (", digest_before, digested_before_at", f"LEFT JOIN before ON {_SAME_FILE}") if self._read_since else ("", "")
        columns = ", ".join(f"wanted.{name}" for name in _COLUMNS)
        return f"SELECT {columns}, {whole}{before} FROM wanted {known} WHERE wanted.volume = $1 AND is_first AND NOT has_failed"

    def _hollow(self) -> dict[Place, list[tuple[str, str]]]:
        """Sparse files that would take longer to read than they are worth, by place: path and what is wrong. They are wanted no more."""
        run = self._connection.execute
        run(f"CREATE OR REPLACE TEMP TABLE hollow AS {_sql('hollow')}", HOLLOW)
        found: dict[Place, list[tuple[str, str]]] = {}
        for volume, path, size, stored in run("SELECT volume, dir || name, size_bytes, allocated_bytes FROM hollow ORDER BY ALL").fetchall():
            error = f"a sparse file of {size} bytes, of which {stored} are stored; no more than {HOLLOW['most_bytes']} bytes of such files are read in a run"
            found.setdefault(self._places[volume], []).append((path, error))
        if found:
            run("UPDATE wanted SET has_failed = TRUE WHERE is_first AND (volume, dir, name) IN (SELECT volume, dir, name FROM hollow)")
        return found

    def _source(self, name: str, scans: Iterable[ScanRow] | None = None, recent: pa.Table | None = None, stored: str | None = None) -> bool:
        """Make a view of a `stored` table (of its name), or of its part that belongs to some scans, and of recent rows; gives whether there are any."""
        of = stored or name
        if of == "entries":  # of scans that others may follow meanwhile
            paths = [path for scan in scans or () for path in snapshot.entry_files(self._root, scan.scan_id, scan.volume)]
        else:
            paths = table.files(self._root, of) if scans is None else table.files(self._root, of, scan_id=[scan.scan_id for scan in scans])
        parts = []
        if paths:
            self._connection.execute(f"SET VARIABLE {name}_paths = $1", [paths])
            parts.append(f"SELECT * FROM read_parquet(getvariable('{name}_paths'), hive_partitioning = true, hive_types_autocast = false)")
        if recent:
            self._connection.register(f"recent_{name}", recent)
            parts.append(f"SELECT * FROM recent_{name}")
        if not parts:
            self._connection.register(f"no_{name}", table.stored_schema(of).empty_table())
            parts.append(f"SELECT * FROM no_{name} WHERE false")  # known to be empty: the planner makes no join with it
        self._connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {' UNION ALL BY NAME '.join(parts)}")
        return len(paths) > 0 or bool(recent)

    def _view(self, name: str, question: str) -> None:
        self._connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {_sql(question)}")


def _room(root: Path, stack: ExitStack) -> Path:
    """A folder of the catalog for what does not fit in memory, for us alone until the stack is left; cleared of what a killed run left."""
    number = 0
    while True:
        name = f"digest-{number}"
        try:
            stack.enter_context(lock.hold(root, name))
        except LockedError:  # of another run: both may go on
            number += 1
            continue
        folder = root / ".tmp" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder


def _sql(name: str) -> str:
    return Path(__file__).with_name(f"digest_{name}.sql").read_text("utf-8")


def _portions(place: Place, batch: pa.RecordBatch) -> Iterator[Chunk]:
    """A batch cut so that no portion is long to read, but for single large files."""
    sizes = np.where(batch["whole"].to_numpy(zero_copy_only=False), batch["size_bytes"].to_numpy(), 2 * SAMPLE_BYTES)
    read_before = np.concatenate([[0], np.cumsum(np.minimum(sizes, CHUNK_BYTES))])
    start = 0
    while start < batch.num_rows:
        within = int(np.searchsorted(read_before, read_before[start] + CHUNK_BYTES, "right")) - 1
        end = max(start + 1, min(start + CHUNK_FILES, within))
        rows = batch.slice(start, end - start)
        yield Chunk(place, rows, None if place.streamed else _request(place, rows))
        start = end


def _request(place: Place, rows: pa.RecordBatch) -> Request:
    dirs, names = rows["dir"], rows["name"]
    changes = pc.not_equal(dirs.slice(1), dirs.slice(0, len(dirs) - 1)).to_numpy(zero_copy_only=False)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1, [len(dirs)]])
    _, offsets, data = names.buffers()
    places = np.frombuffer(offsets, np.int32)[names.offset : names.offset + len(names) + 1]
    fingerprints = np.empty((len(names), 4), np.int64)
    fingerprints[:, 0] = rows["inode"].fill_null(UNKNOWN).to_numpy()
    fingerprints[:, 1] = rows["size_bytes"].to_numpy()
    fingerprints[:, 2] = _nanoseconds(rows["modified_at"], rows["modified_ns"])
    fingerprints[:, 3] = _nanoseconds(rows["changed_at"], rows["changed_ns"])
    return Request(
        root=os.fsencode(place.folder),
        dirs=[text.encode() for text in dirs.take(pa.array(starts[:-1])).to_pylist()],
        counts=np.diff(starts).tolist(),
        name_offsets=(places - places[0]).tobytes(),
        name_bytes=data[int(places[0]) : int(places[-1])].to_pybytes(),
        fingerprints=fingerprints.tobytes(),
        whole=rows["whole"].to_numpy(zero_copy_only=False).tobytes(),
        stored=place.again,
    )


def _nanoseconds(microseconds: pa.Array, rest: pa.Array) -> npt.NDArray[np.int64]:
    """Nanoseconds since 1970, modulo 2**64; UNKNOWN where there is no time."""
    with np.errstate(over="ignore"):
        found = microseconds.cast(pa.int64()).fill_null(0).to_numpy() * 1000 + rest.fill_null(0).to_numpy()
    found[microseconds.is_null().to_numpy(zero_copy_only=False)] = UNKNOWN
    return np.asarray(found, np.int64)
