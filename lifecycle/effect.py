"""What a plan changes: the protection of every asset and the cost of a month, before and after.

After is what the derivation says of the snapshot's own scans with the plan's steps applied to them, as of the snapshot: as if every step
succeeded, every volume were scanned again, and nothing else changed. What a job reads counts as read on that day. A target that was never
scanned stays unknown but for what the plan puts there; what its volume excludes is not seen. A stub is a pointer where its content is found; files
that become names of one have its times, and their bytes count once. Costs are those of the space on the source once its quarantine is purged, and of the
sizes on the target; bytes on a volume without a price are counted apart.
"""

import dataclasses
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog import connect, derive, former, glob, names, table
from catalog.config import Config
from catalog.derive import earlier
from catalog.derive.expressions import parquet, problem_rows, quoted, recovery_points, verifications
from catalog.errors import RefusedError
from catalog.schema import ENTRIES, TABLES
from catalog.snapshot import ScanRow, Snapshot
from catalog.words import THREATS
from lifecycle import planning, pointers, stores

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_NOT_OPTIMIZED = "statistics_propagation,join_order,build_side_probe_side"  # as the derivation itself is run
_SUMS = f"SELECT status, {', '.join(THREATS)}, count(*), coalesce(sum(counted_bytes), 0) FROM {{}} GROUP BY ALL"
_JUDGED = f"""(
    SELECT w.status, {", ".join(f"w.{threat}" for threat in THREATS)}, CASE WHEN o.counted THEN i.size_bytes ELSE 0 END AS counted_bytes
    FROM outcomes AS o
    INNER JOIN verdicts AS w ON o.signature_no = w.signature_no
    INNER JOIN items AS i ON o.v = i.v AND o.entry_id = i.entry_id
) AS judged"""
_TARGETS = "SELECT DISTINCT target_volume FROM read_parquet({}) WHERE target_volume IS NOT NULL"
_OF_STUBS = ("step", "target_volume", "target_path", "size_bytes")
_SAVED = "SELECT coalesce(sum(cost_per_month), 0), coalesce(sum(size_bytes) FILTER (WHERE cost_per_month IS NULL), 0) FROM steps"
# Of all names of a file one; what its target has already, by the size that was seen there, takes no more room.
_ADDED = """
SELECT
    coalesce(sum(s.size_bytes * t.cost_per_tib_month / 1099511627776.0), 0) AS added,
    coalesce(sum(s.size_bytes) FILTER (WHERE t.cost_per_tib_month IS NULL), 0) AS unpriced_added_bytes
FROM standing AS s
LEFT JOIN effect_prices AS t ON s.target_volume = t.volume
WHERE s.target_volume IS NOT NULL AND s.id = s.unit AND NOT coalesce(s.adopts, FALSE)
"""


@dataclasses.dataclass(frozen=True)
class Doing:
    """What the steps of a plan do to their sources."""

    removes: bool  # they are gone afterwards
    frees: bool  # their space is
    stubs: bool  # a stub stays at their names
    linking: frozenset[str]  # the volumes on which they become names of the file that is kept


def of(root: Path, wanted: Snapshot, config: Config, steps: Path, before: "DuckDBPyConnection", doing: Doing) -> dict[str, Any]:
    """The effect of the steps in a Parquet file, in plain JSON values. `before` reads the snapshot, and has the table `standing` of the draft.

    Where a target is not in the snapshot's configuration, coverage is None.
    """
    with _opened(root, wanted) as connection:
        connection.execute(f"CREATE TEMP VIEW steps AS SELECT * FROM read_parquet({quoted(str(steps))})")
        targets = [volume for (volume,) in connection.execute(_TARGETS.format(quoted(str(steps)))).fetchall()]
        strange = [volume for volume in targets if volume not in wanted.config.volumes and not stores.is_folder(volume)]
        coverage = None
        if any(map(stores.is_folder, targets)):  # what lies outside of every volume counts for nothing
            summed = _summed(before, "assets")
            coverage = {"before": summed, "after": summed}
        elif not strange:
            _tell_names(connection, wanted, steps, doing)
            _apply(connection, root, wanted, removes=doing.removes)
            coverage = {"before": _summed(before, "assets"), "after": _after(connection, root, wanted, targets)}
        why = f"volume {strange[0]} is not in the snapshot's configuration; scan first" if strange else None
        return {"coverage": coverage, "unknown_because": why, "cost": _cost(connection, before, config, frees=doing.frees)}


@contextmanager
def afterwards(root: Path, wanted: Snapshot, steps: Path, doing: Doing) -> "Iterator[DuckDBPyConnection]":
    """A connection with the views over which a loss is simulated, as they would be once the steps in a Parquet file were carried out.

    Raises RefusedError where a target is not in the snapshot's configuration.
    """
    with _opened(root, wanted) as connection:
        targets = [name for (name,) in connection.execute(_TARGETS.format(quoted(str(steps)))).fetchall()]
        outside = any(map(stores.is_folder, targets))  # what goes to a folder outside of every volume counts for nothing, and what it is copied from stays
        targets = [] if outside else targets
        connection.execute(f"CREATE TEMP VIEW steps AS SELECT * FROM read_parquet({quoted(str(steps))}) WHERE {not outside}")
        if strange := [name for name in targets if name not in wanted.config.volumes]:
            raise RefusedError(f"volume {strange[0]} is not in the configuration of snapshot {wanted.snapshot_id}: what the plan would change is not known")
        _tell_names(connection, wanted, steps, doing)
        _apply(connection, root, wanted, removes=doing.removes)
        _judge(connection, root, wanted, targets)
        small = connect.small_tables(root, wanted)
        for name in ("volumes", "classes", "snapshot"):
            connection.register("small_table", small[name])
            connection.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM small_table")
            connection.unregister("small_table")
        connection.execute("CREATE TEMP TABLE sight (part VARCHAR)")
        connection.execute(f"CREATE TEMP TABLE copies AS {derive.sql('copies')}")
        connection.execute(f"CREATE TEMP TABLE stored_files AS {derive.sql('files')}")
        connection.execute("CREATE TEMP VIEW stored_verdicts AS SELECT * FROM verdicts")
        yield connection


def _after(connection: "DuckDBPyConnection", root: Path, wanted: Snapshot, targets: list[str]) -> dict[str, Any]:
    _judge(connection, root, wanted, targets)
    return _summed(connection, _JUDGED)


def _judge(connection: "DuckDBPyConnection", root: Path, wanted: Snapshot, targets: list[str]) -> None:
    imported = {place: table.read(root, "labels", table_hash=[digest]) for place, digest in wanted.label_tables.items()}
    inputs = derive.inputs_of(root, wanted, imported)
    new = {volume: _scan_to_come(volume, wanted) for volume in targets if volume not in inputs.scans}
    for volume in new:  # the rest of it was not seen: unknown, as it was
        connection.execute("INSERT INTO unseen_volumes VALUES ($volume)", {"volume": volume})
    derive.judge(connection, dataclasses.replace(inputs, scans={**inputs.scans, **new}), imported)


def _apply(connection: "DuckDBPyConnection", root: Path, wanted: Snapshot, *, removes: bool) -> None:
    schema = ENTRIES.append(pa.field("volume", pa.string()))
    connection.execute(f"CREATE TEMP VIEW entries_now AS SELECT {', '.join(map(_named, schema.names))} FROM {former.entries(root, wanted.scans)[0]}")
    read = table.files(root, "digests", wanted.versions.get("digests"))
    connection.execute(f"CREATE TEMP VIEW digests_now AS SELECT * FROM {parquet(read, TABLES['digests'])}")
    connection.execute(f"CREATE TEMP TABLE planned AS {planning.sql('planned')}")
    gone = "SELECT target_volume AS volume, target_dir AS dir, target_name AS name FROM planned WHERE target_volume IS NOT NULL"
    if removes:
        gone += " UNION SELECT volume, dir, name FROM planned WHERE of_job IS NULL"
    gone += " UNION SELECT volume, dir, name FROM planned WHERE volume IN (SELECT volume FROM linking_volumes)"
    connection.execute(f"CREATE TEMP TABLE gone AS {gone}")
    connection.execute(f"CREATE TEMP VIEW entries AS {planning.sql('entries_after')}")
    as_of = quoted(wanted.as_of.isoformat(" "))
    connection.execute(f"CREATE TEMP VIEW digests AS {planning.sql('digests_after').replace('$as_of', as_of)}")
    problems = table.files(root, "problems", wanted.versions.get("problems"), scan_id=wanted.scans.values())
    connection.execute("CREATE TEMP TABLE unseen_volumes (volume VARCHAR)")
    connection.execute(f"CREATE TEMP VIEW problem_rows AS {problem_rows(problems)} UNION ALL SELECT volume, '', NULL, NULL FROM unseen_volumes")
    connection.execute(f"CREATE TEMP VIEW recovery_points AS {recovery_points(root, wanted)}")
    connection.execute(f"CREATE TEMP VIEW verifications AS {verifications(root, wanted)}")
    connection.execute(f"CREATE TEMP VIEW files_before AS {earlier.files_before(root, wanted)}")


def _tell_names(connection: "DuckDBPyConnection", wanted: Snapshot, steps: Path, doing: Doing) -> None:
    """Make the tables of what a scan leaves out, of the stubs and their sizes, and of the volumes where files become names of others."""
    patterns = {volume: glob.regex(list(declared.exclude)) for volume, declared in wanted.config.volumes.items() if declared.exclude}
    connection.execute("CREATE TEMP TABLE excluded (volume VARCHAR, expression VARCHAR)")
    connection.execute("CREATE TEMP TABLE linking_volumes (volume VARCHAR)")
    connection.execute("CREATE TEMP TABLE stubs_left (step BIGINT, size_bytes BIGINT)")
    for volume, expression in patterns.items():
        connection.execute("INSERT INTO excluded VALUES ($volume, $expression)", {"volume": volume, "expression": expression})
    for volume in doing.linking:
        connection.execute("INSERT INTO linking_volumes VALUES ($volume)", {"volume": volume})
    for batch in pq.ParquetFile(steps).iter_batches(columns=list(_OF_STUBS)) if doing.stubs else ():
        rows = [
            (row["step"], len(pointers.stub(row["target_volume"], names.unescape(row["target_path"]), bytes(32), row["size_bytes"])))
            for row in batch.to_pylist()
        ]
        made = pa.table(
            {"step": [step for step, _ in rows], "size_bytes": [size for _, size in rows]}, pa.schema([("step", pa.int64()), ("size_bytes", pa.int64())])
        )
        connection.register("stub_rows", made)
        connection.execute("INSERT INTO stubs_left SELECT * FROM stub_rows")
        connection.unregister("stub_rows")


def _named(column: str) -> str:
    return f'"{column}"'


def _summed(connection: "DuckDBPyConnection", source: str) -> dict[str, Any]:
    """Assets and bytes by status, and by threat and answer."""
    statuses: dict[str, dict[str, int]] = {}
    threats: dict[str, dict[str, dict[str, int]]] = {threat: {} for threat in THREATS}
    for status, *answers, assets, size_bytes in connection.execute(_SUMS.format(source)).fetchall():
        _add(statuses, status, assets, size_bytes)
        for threat, answer in zip(THREATS, answers, strict=True):
            _add(threats[threat], answer, assets, size_bytes)
    return {"status": statuses, "threats": threats}


def _add(sums: dict[str, dict[str, int]], key: str, assets: int, size_bytes: int) -> None:
    found = sums.setdefault(key, {"assets": 0, "bytes": 0})
    found["assets"] += int(assets)
    found["bytes"] += int(size_bytes)


def _cost(connection: "DuckDBPyConnection", before: "DuckDBPyConnection", config: Config, *, frees: bool) -> dict[str, Any]:
    prices = pa.table(
        {"volume": list(config.volumes), "cost_per_tib_month": [volume.cost_per_tib_month for volume in config.volumes.values()]},
        schema=pa.schema([("volume", pa.string()), ("cost_per_tib_month", pa.float64())]),
    )
    before.register("effect_prices", prices)
    [(added, unpriced_added)] = before.execute(_ADDED).fetchall()
    before.unregister("effect_prices")
    [(saved, unpriced_saved)] = connection.execute(_SAVED).fetchall()
    return {
        "currency": config.catalog.currency,
        "saved_per_month": float(saved) if frees else 0.0,
        "added_per_month": float(added),
        "unpriced_saved_bytes": int(unpriced_saved) if frees else 0,
        "unpriced_added_bytes": int(unpriced_added),
    }


def _scan_to_come(volume: str, wanted: Snapshot) -> ScanRow:
    """The scan of a volume that was never scanned: it saw nothing but what the plan puts there."""
    known: Mapping[str, Any] = {
        "scan_id": "planned",
        "volume": volume,
        "kind": wanted.config.volumes[volume].kind,
        "state": "incomplete",
        "started_at": wanted.as_of,
        "finished_at": wanted.as_of,
    }
    counts = dict.fromkeys(("entries", "files", "bytes", "carried_entries", "problems", "excluded"), 0)
    return ScanRow(**{field.name: known.get(field.name, counts.get(field.name)) for field in dataclasses.fields(ScanRow)})


@contextmanager
def _opened(root: Path, wanted: Snapshot) -> "Iterator[DuckDBPyConnection]":
    import duckdb

    spill = root / ".tmp" / f"effect-{secrets.token_hex(4)}"
    spill.mkdir(parents=True)
    limits = wanted.config.catalog
    settings: dict[str, str | bool | int | float | list[str]] = {"temp_directory": str(spill), "preserve_insertion_order": "false"}
    if limits.memory_limit is not None:
        settings["memory_limit"] = f"{limits.memory_limit}B"
    if limits.threads is not None:
        settings["threads"] = limits.threads
    connection = duckdb.connect(config=settings)
    try:
        connection.execute(f"SET disabled_optimizers = '{_NOT_OPTIMIZED}'")
        yield connection
    finally:
        connection.close()
        shutil.rmtree(spill, ignore_errors=True)
