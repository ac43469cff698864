"""An audit pack: the evidence of one snapshot, every report on it, the queries, and the SHA-256 of each file. The same snapshot gives the same bytes."""

import importlib.metadata
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import reports
from catalog import connect, derive, evidence
from catalog.evidence import Subject
from reports import Report, Value, render, state, sums
from reports.state import State

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SCHEMA = "audit-pack-contents/1"
MANIFEST, CONFIGURATION, GUIDE = "pack.json", "configuration.json", "README.txt"
TOOLS = ("lastcopy", "libraries")  # keys of the manifest that tell who made it, and no figure
_VOLUMES = """
SELECT
    volume, kind, role, state, scan_id, scanned_at, finished_at, entries, files, bytes, coalesce(problems, 0) AS problems, carried_entries,
    last_error, last_failed_at
FROM volumes ORDER BY position
"""
_LIBRARIES = ("duckdb", "pyarrow")
_GUIDE = """\
An audit pack of Lastcopy: what one snapshot of a data catalog says, and all that it rests on.

SHA256SUMS          the SHA-256 of every file here; its own SHA-256 stands for the whole pack
SHA256SUMS.sig      the signature of that list, where somebody signed the pack (ssh-keygen -Y, namespace lastcopy-audit-pack)
pack.json           snapshot, state of each volume, figures, the reports with their parameters
configuration.json  the configuration that held; its SHA-256 is the snapshot's config_hash
evidence/           what scans saw and what was read, one Parquet file a kind
reports/            every report as Parquet and as CSV
sql/reports/        the query of each report
sql/derivation/     the queries that make assets and copies of the evidence

To verify it, without the catalog, the volumes or a network:
    lastcopy audit verify THIS_FOLDER [--signers ALLOWED_SIGNERS]
The sums alone, without Lastcopy:
    sha256sum --check --strict SHA256SUMS

Names of files are escaped as reports escape them. In CSV a text that a spreadsheet would compute has a ' before it. All times are UTC.
"""


@dataclass(frozen=True)
class Question:
    """A report with a value for each of its parameters, and the name of its files."""

    report: Report
    values: Mapping[str, Value]
    name: str


def questions() -> list[Question]:
    """What every pack answers: each report of Lastcopy's own with its defaults, and where it is asked `by` something, by each of that."""
    found = []
    for report in map(reports.read, sorted(Path(reports.__file__).parent.glob("*.sql"))):
        by = next((parameter.choices for parameter in report.params if parameter.name == "by"), ())
        found += [Question(report, report.values({"by": choice}), f"{report.name}.by-{choice}".replace("_", "-")) for choice in by]
        found += [] if by else [Question(report, report.values({}), report.name)]
    return found


def write(folder: Path, of: Subject, version: str) -> str:
    """Write a pack into an empty folder; gives the SHA-256 of its list of sums, which stands for all of it. Derives what the catalog does not have."""
    limits, asked = of.snapshot.config.catalog, questions()
    memory = f"{limits.memory_limit}B" if limits.memory_limit else None
    for inside in ("evidence", "reports", "sql/reports", "sql/derivation"):
        (folder / inside).mkdir(parents=True)
    with connect.connect(of.root, of.snapshot, memory_limit=memory, threads=limits.threads) as connection:
        known = state.read(connection)
        manifest = {
            "schema": SCHEMA,
            "lastcopy": version,
            "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
            "snapshot": _snapshot(of),
            "volumes": _volumes(connection),
            "figures": {name: value for name, value in known.meta().items() if name.endswith(("assets", "bytes"))},
            "warnings": known.warnings,
            "evidence": {name: {"rows": rows, "what": evidence.KINDS[name].what} for name, rows in evidence.write(connection, of, folder / "evidence").items()},
            "reports": [_answer(connection, question, known, folder) for question in asked],
        }
    _queries(folder, asked)
    (folder / CONFIGURATION).write_bytes(of.configuration.encode())
    (folder / GUIDE).write_text(_GUIDE, "ascii")
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "ascii")
    return sums.write(folder)


def _snapshot(of: Subject) -> dict[str, Any]:
    return {
        "snapshot_id": of.snapshot.snapshot_id,
        "as_of": state.iso(of.snapshot.as_of),
        "previous_snapshot_id": of.snapshot.previous_id,
        "complete": of.snapshot.complete,
        "config_hash": of.snapshot.config_hash,
        "lastcopy": of.snapshot.lastcopy_version,
        "scans": dict(of.snapshot.scans),
        "label_tables": {str(place): digest for place, digest in of.snapshot.label_tables.items()},
    }


def _volumes(connection: "DuckDBPyConnection") -> list[dict[str, Any]]:
    rows = connection.sql(_VOLUMES).to_arrow_table().to_pylist()
    return [{name: state.iso(value) if name.endswith("_at") and value is not None else value for name, value in row.items()} for row in rows]


def _answer(connection: "DuckDBPyConnection", question: Question, known: State, folder: Path) -> dict[str, Any]:
    """Write one report as Parquet, and that as CSV; gives what the manifest says of it."""
    import pyarrow.parquet as pq

    parquet, csv = (folder / "reports" / f"{question.name}.{ending}" for ending in ("parquet", "csv"))
    found = render.answer(question.report, question.report.run(connection, question.values), known)
    with parquet.open("xb") as out:
        rows = render.write(found, "parquet", out, io.StringIO())
    with pq.ParquetFile(parquet) as file, csv.open("xb") as out:
        batches = pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(render.BATCH_ROWS))
        render.write(render.Answer(found.name, found.title, found.question, found.columns, batches, known), "csv", out, io.StringIO())
    return {
        "report": question.report.name,
        "question": question.report.question,
        "parameters": dict(question.values),
        "sql": f"sql/reports/{question.report.path.name}",
        "rows": rows,
        "parquet": f"reports/{parquet.name}",
        "csv": f"reports/{csv.name}",
    }


def _queries(folder: Path, asked: Sequence[Question]) -> None:
    for question in asked:
        (folder / "sql" / "reports" / question.report.path.name).write_bytes(question.report.path.read_bytes())
    for name in derive.queries():
        (folder / "sql" / "derivation" / f"{name}.sql").write_bytes(derive.sql(name).encode())
