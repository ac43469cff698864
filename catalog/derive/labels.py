"""Labels, classes and exceptions of the configuration, as columns of one view over the snapshot's files."""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from catalog import predicate
from catalog.config import AcceptedFinding, Config, Label
from catalog.derive.facts import control_bits, prefix_end
from catalog.errors import ConfigError
from catalog.schema import ENTRIES, LABELS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAX_CLASSES = 4096  # the number of an asset's class has twelve bits of its circumstances, see asset_words.sql
ATTRIBUTES = ("owner", "steward", "data_class", "note")
_HIDDEN = {"entry_id", "path_hash", "carried_from"}
COLUMNS = sorted(({f.name for f in ENTRIES} - _HIDDEN) | {"volume", "path"})


def create_view(connection: "DuckDBPyConnection", config: Config, imported: Mapping[int, pa.Table], classes: Sequence[str], as_of: datetime.datetime) -> None:
    """Make the view `labelled`: `file_entries` with label_owner, label_steward, label_note, class_no and excepted (bits of controls).

    `imported` holds the rows of imported label tables by their place in the configuration, see `schema.LABELS`.
    """
    for number, rows in imported.items():
        _create_imported(connection, number, rows)
    joins = "".join(_join(number) for number in imported)
    attributes = ", ".join(f"{_attribute(config.labels, imported, name)} AS label_{name}" for name in ATTRIBUTES)
    class_no = _class_number(config, classes)
    excepted = " | ".join(["0", *(_excepted(finding, as_of, number) for number, finding in enumerate(config.exceptions))])
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW labelled AS SELECT *, CAST({excepted} AS BIGINT) AS excepted FROM ("
        f"SELECT *, CAST({class_no} AS INTEGER) AS class_no FROM (SELECT e.*, {attributes} FROM file_entries AS e{joins}) AS with_labels) AS with_classes"
    )


def read_imported(path: Path, where_found: str, config: Config) -> pa.Table:
    """The rows of a CSV or Parquet label table: columns path and any of volume, owner, steward, data_class, note. Raises ConfigError."""
    import pyarrow.parquet as pq
    from pyarrow import csv

    try:
        if path.suffix == ".parquet":
            found = pq.read_table(path)
        else:
            text = csv.ConvertOptions(column_types={name: pa.string() for name in LABELS.names}, strings_can_be_null=True, null_values=[""])
            found = csv.read_csv(path, convert_options=text)
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"{where_found}: {path}: {error}") from error
    strange = set(found.column_names) - set(LABELS.names)
    if strange or "path" not in found.column_names:
        raise ConfigError(f"{where_found}: {path}: has columns {', '.join(found.column_names)}; wanted are path and any of {', '.join(LABELS.names)}")
    columns = [found[name].cast(pa.string()) if name in found.column_names else pa.nulls(found.num_rows, pa.string()) for name in LABELS.names]
    rows = pa.table(columns, schema=LABELS)
    for name in rows["data_class"].unique().to_pylist():
        if name not in (None, "default", *config.classes):
            raise ConfigError(f"{where_found}: {path}: there is no class {name!r}; classes are {', '.join(dict.fromkeys([*config.classes, 'default']))}")
    return rows


def class_names(config: Config, imported: Mapping[int, pa.Table]) -> list[str]:
    """Every class that an asset can have, `default` last. Raises ConfigError where there are too many."""
    named = [*config.classes, *(label.data_class for label in config.labels if label.data_class)]
    for rows in imported.values():
        named += [name for name in rows["data_class"].unique().to_pylist() if name]
    found = [*dict.fromkeys(name for name in named if name != "default"), "default"]
    if len(found) > MAX_CLASSES:
        raise ConfigError(f"classes: {len(found)} classes, at most {MAX_CLASSES} can be judged")
    return found


def excepted(findings: Sequence[AcceptedFinding], entries: str) -> str:
    """A query over a view of entries: each file that an exception is for, live or ended, with the exception's position."""
    nothing = "SELECT CAST(0 AS INTEGER) AS position, CAST(NULL AS VARCHAR) AS volume, CAST(NULL AS BIGINT) AS entry_id WHERE FALSE"
    checked = [predicate.check(finding.where, COLUMNS, f"exceptions[{number}].where") for number, finding in enumerate(findings)]
    found = (
        f"SELECT {number} AS position, volume, entry_id FROM {entries} WHERE type IN ('file', 'object') AND ({where})" for number, where in enumerate(checked)
    )
    return " UNION ALL ".join([nothing, *found])


def _create_imported(connection: "DuckDBPyConnection", number: int, rows: pa.Table) -> None:
    folders = [
        row | {"prefix_end": prefix_end(row["path"])}
        for row in rows.to_pylist()
        if row["path"] is not None and (row["path"] == "" or row["path"].endswith("/"))
    ]
    files: list[dict[str, Any]] = [row for row in rows.to_pylist() if row["path"] and not row["path"].endswith("/")]
    connection.register(f"label_{number}_folders", pa.Table.from_pylist(folders, LABELS.append(pa.field("prefix_end", pa.string()))))
    connection.register(f"label_{number}_files", pa.Table.from_pylist(files, LABELS))
    # No column is named as one of an entry: a predicate of another label must not be able to mean it.
    attributes = ", ".join(f"l.{name} AS given_{name}" for name in ATTRIBUTES)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE label_{number}_dirs AS SELECT * FROM ("
        f"SELECT d.volume AS for_volume, d.dir AS for_dir, {attributes},"
        f" row_number() OVER (PARTITION BY d.volume, d.dir ORDER BY length(l.path) DESC, l.volume NULLS LAST) AS place"
        f" FROM (SELECT DISTINCT volume, dir FROM file_entries) AS d INNER JOIN label_{number}_folders AS l"
        f" ON d.dir >= l.path AND d.dir < l.prefix_end AND (l.volume IS NULL OR l.volume = d.volume)) AS ranked WHERE place = 1"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE label_{number}_paths AS SELECT * FROM ("
        f"SELECT l.path AS for_path, v.volume AS for_volume, {attributes},"
        f" row_number() OVER (PARTITION BY l.path, v.volume ORDER BY l.volume NULLS LAST, {', '.join(f'l.{name}' for name in ATTRIBUTES)}) AS place"
        f" FROM label_{number}_files AS l INNER JOIN volume_facts AS v ON l.volume IS NULL OR l.volume = v.volume) AS ranked WHERE place = 1"
    )


def _join(number: int) -> str:
    return (
        f" LEFT JOIN label_{number}_paths AS p{number} ON e.volume = p{number}.for_volume AND e.dir || e.name = p{number}.for_path"
        f" LEFT JOIN label_{number}_dirs AS d{number} ON e.volume = d{number}.for_volume AND e.dir = d{number}.for_dir"
    )


def _attribute(labels: Sequence[Label], imported: Mapping[int, pa.Table], name: str) -> str:
    sources = []
    for number, label in enumerate(labels):
        if label.table is not None and number in imported:
            sources += [f"p{number}.given_{name}", f"d{number}.given_{name}"]
        elif label.where is not None and getattr(label, name) is not None:
            condition = predicate.check(label.where, COLUMNS, f"labels[{number}].where")
            sources.append(f"CASE WHEN {condition} THEN {_literal(getattr(label, name))} END")
    return f"coalesce({', '.join(sources)}, NULL)" if sources else "CAST(NULL AS VARCHAR)"


def _class_number(config: Config, classes: Sequence[str]) -> str:
    given = " ".join(f"WHEN label_data_class = {_literal(name)} THEN {number}" for number, name in enumerate(classes))
    selected = " ".join(
        f"WHEN {predicate.check(data_class.select, COLUMNS, f'classes.{name}.select')} THEN {classes.index(name)}"
        for name, data_class in config.classes.items()
        if data_class.select is not None
    )
    return f"CASE {given} {selected} ELSE {classes.index('default')} END"


def _excepted(finding: AcceptedFinding, as_of: datetime.datetime, number: int) -> str:
    condition = predicate.check(finding.where, COLUMNS, f"exceptions[{number}].where")
    ends = datetime.datetime.combine(finding.until, datetime.time()) + datetime.timedelta(days=1)
    return f"CASE WHEN {condition} THEN {control_bits(finding.controls)} ELSE 0 END" if as_of < ends else "0"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
