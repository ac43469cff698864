"""The derivation's SQL run over a plain estate in memory, without a catalog: hundreds of estates a minute."""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from catalog import derive, recovery, verification
from catalog.config import Config
from catalog.derive import export, labels
from catalog.derive.facts import Inputs
from catalog.schema import DIGESTS, ENTRIES, RECOVERY_POINTS
from catalog.snapshot import ScanRow
from tests.protection import estate as written
from tests.protection.plain import Estate


def connect(folder: Path) -> duckdb.DuckDBPyConnection:
    """A connection as the derivation opens it, that can judge one estate after the other. Temporary files go into the folder."""
    return derive._open(folder, Config.model_validate({"catalog": {"threads": 1}}))


def files(connection: duckdb.DuckDBPyConnection, estate: Estate) -> list[dict[str, Any]]:
    """The rows of the view `files` of an estate; the connection keeps what else was derived."""
    for name, rows in sources(estate).items():
        connection.register(name, rows)
    derive.judge(connection, inputs(estate), {})
    connection.execute(f"CREATE OR REPLACE TEMP VIEW stored_files AS {derive.sql('files')}")
    connection.execute("CREATE OR REPLACE TEMP VIEW stored_verdicts AS SELECT * FROM verdicts")
    connection.execute("CREATE OR REPLACE TEMP VIEW volumes AS SELECT volume, role, clock FROM volume_facts")
    return rows_of(connection, "file_rows")


def orphans(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """The orphans of the estate that was judged last."""
    export.create_strays(connection, derive.sql)
    return rows_of(connection, "orphans")


def rows_of(connection: duckdb.DuckDBPyConnection, name: str) -> list[dict[str, Any]]:
    """The rows of a derived table of the estate that was judged last."""
    return select(connection, derive.sql(name))


def select(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    """The rows of a query, by column."""
    rows = connection.execute(query)
    columns = [column[0] for column in rows.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in rows.fetchall()]


def inputs(estate: Estate) -> Inputs:
    """What is declared, and which scans hold."""
    config: Config = estate.config
    newest, first = {}, {}
    for volume in config.volumes:
        good = [(number, scan) for number, scan in enumerate(estate.scans.get(volume, ())) if scan.state != "failed"]
        if good:
            newest[volume] = ScanRow(**written.published(volume, *good[-1]).to_pylist()[0])
            first[volume] = good[0][1].known_at
    points = {volume: [recovery.point(row) for row in written.points(scan).to_pylist()] for volume in config.volumes if (scan := estate.newest(volume))}
    checks: dict[str, list[verification.Check]] = {}
    for row in written.verifications(estate).to_pylist():
        if row["name"] is None:
            checks.setdefault(row["volume"], []).append(verification.check(row))
    return Inputs(config, newest, first, labels.class_names(config, {}), estate.as_of, points, checks)


def sources(estate: Estate) -> dict[str, pa.Table]:
    """The rows of the catalog that a derivation reads, by the names of its views."""
    hidden: list[dict[str, object]] = []
    seen, before, points = [_plain(ENTRIES).empty_table()], [], [_plain(RECOVERY_POINTS).empty_table()]
    for volume in estate.config.volumes:
        good = [(number, scan) for number, scan in enumerate(estate.scans.get(volume, ())) if scan.state != "failed"]
        for number, scan in good[-1:]:
            rows = written.entries(volume, number, scan).cast(_plain(ENTRIES).remove(len(ENTRIES)))
            seen.append(rows.append_column("volume", pa.repeat(volume, len(rows))))
            points.append(written.points(scan).append_column("volume", pa.repeat(volume, len(written.points(scan)))))
            hidden += [{"volume": volume, "path": path, "unread_at": None if hides else scan.started_at} for path, hides in scan.problems]
            hidden += [{"volume": volume, "path": path, "inode": inode, "unread_at": scan.started_at} for path, inode in scan.broken]
        for _, scan in good[:-1]:
            before += [{"volume": volume, "dir": file.place[0], "name": file.place[1], "first_seen_at": scan.known_at} for file in scan.files]
    text, moment = pa.string(), pa.timestamp("us")
    return {
        "entries": pa.concat_tables(seen),
        "recovery_points": pa.concat_tables(points),
        "digests": written.digests(estate).cast(pa.schema([_undictionary(field) for field in DIGESTS])),
        "verifications": written.verifications(estate),
        "problem_rows": pa.Table.from_pylist(hidden, pa.schema([("volume", text), ("path", text), ("inode", pa.int64()), ("unread_at", moment)])),
        "files_before": pa.Table.from_pylist(before, pa.schema([("volume", text), ("dir", text), ("name", text), ("first_seen_at", moment)])),
    }


def _plain(schema: pa.Schema) -> pa.Schema:
    return pa.schema([*(_undictionary(field) for field in schema), ("volume", pa.string())])


def _undictionary(field: pa.Field) -> pa.Field:
    return pa.field(field.name, field.type.value_type) if pa.types.is_dictionary(field.type) else field
