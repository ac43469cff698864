"""What a policy selects from a snapshot, and what no policy covers."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import reports
from catalog.config import Config, Policy
from catalog.errors import ConfigError, LastcopyError, NotFoundError
from lifecycle import planning

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from catalog.snapshot import Snapshot
    from lifecycle.journal import Journal

_OF_A_CLASS = "assets"  # the report that a policy of a data class reads
_SAID_APART = ("volume", "path", "size_bytes")


_SELECTED = """
SELECT count(*), coalesce(sum(coalesce(i.expected.size_bytes, e.size_bytes)), 0)
FROM intended AS i
LEFT JOIN entries AS e ON i.volume = e.volume AND i.path = e.path
WHERE i.choice = 0 AND i.id NOT IN (SELECT id FROM refused)
"""

_UNCOVERED = """
SELECT f.data_class, f.volume, count(*), coalesce(sum(f.counted_bytes), 0)
FROM files AS f
WHERE NOT EXISTS (SELECT 1 FROM covered AS c WHERE c.volume = f.volume AND c.path = f.path)
GROUP BY 1, 2 ORDER BY 4 DESC, 1, 2
"""


@dataclass(frozen=True)
class Selected:
    """What a policy selects, before any file is looked at; `problem` says why nothing can be selected."""

    policy: str
    action: str
    files: int
    bytes: int
    problem: str | None


@dataclass(frozen=True)
class Uncovered:
    """Files of a class on a volume that no policy selects."""

    data_class: str
    volume: str
    files: int
    bytes: int


@dataclass(frozen=True)
class Checked:
    """All policies of a configuration over one snapshot."""

    selected: tuple[Selected, ...]
    uncovered: tuple[Uncovered, ...]


def check(root: Path, config: Config, of: "Snapshot", journal: "Journal | None", now_us: int) -> Checked:
    """What each policy would select from a snapshot, and what none does. Reads the catalog and the journal only."""
    from lifecycle import draft

    connection = draft.connected(root, config, of)
    try:
        connection.execute("CREATE TABLE covered (volume VARCHAR, path VARCHAR)")
        selected = tuple(_selected(connection, root, config, of, name, journal, now_us) for name in config.policies)
        left = connection.execute(_UNCOVERED).fetchall()
        return Checked(selected, tuple(Uncovered(data_class, volume, int(files), int(size)) for data_class, volume, files, size in left))
    finally:
        connection.close()


def _selected(connection: "DuckDBPyConnection", root: Path, config: Config, of: "Snapshot", name: str, journal: "Journal | None", now_us: int) -> Selected:
    from lifecycle import draft

    policy = config.policies[name]
    with connection.cursor() as own:  # temporary tables are those of a cursor
        try:
            begun = draft.begun(own, root, config, of, (name, policy), journal, now_us, "")
            begun.action.intend(begun)
        except LastcopyError as error:
            return Selected(name, policy.action, 0, 0, str(error))
        [(files, size_bytes)] = begun.run(_SELECTED)
        begun.run("INSERT INTO covered SELECT volume, path FROM intended WHERE choice = 0 AND id NOT IN (SELECT id FROM refused)")
    return Selected(name, policy.action, int(files), int(size_bytes), None)


def named(config: Config, name: str) -> Policy:
    """The policy of that name. Raises NotFoundError that lists the known ones."""
    if name not in config.policies:
        raise NotFoundError(f"there is no policy {name!r}; policies are {', '.join(config.policies) or 'none: see [policies.NAME] in the configuration'}")
    return config.policies[name]


def compared(policy: Policy) -> frozenset[tuple[str, str]]:
    """The columns that a policy's `where` holds against a text by = or IN, each with that text; none where it is no condition, as `choose` tells."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        tree = sqlglot.parse_one(policy.where or "TRUE", dialect="duckdb")
    except (SqlglotError, RecursionError):
        return frozenset()
    found = set()
    for node in tree.find_all(exp.EQ, exp.In):
        sides = [node.this, *(node.expressions or [node.args.get("expression")])]
        columns = [side.name.lower() for side in sides if isinstance(side, exp.Column)]
        found |= {(column, side.this) for column in columns for side in sides if isinstance(side, exp.Literal) and side.is_string}
    return frozenset(found)


def choose(connection: "DuckDBPyConnection", policy: Policy, default: str | None, name: str) -> None:
    """Make the table `chosen` of the files that a policy takes: rank (the report's order), volume, path, reason. Raises ConfigError."""
    found = report_of(policy, default, name)
    relation = found.run(connection, policy.params, where=policy.where)
    rows = f"report_rows_{secrets.token_hex(4)}"
    kinds = dict(zip(relation.columns, map(str, relation.types), strict=True))
    shown = [column for column in found.table if kinds.get(column, "DOUBLE") != "DOUBLE" and column not in _SAID_APART]
    relation.project(", ".join(dict.fromkeys(["volume", "path", *(["data_class"] if policy.data_class else []), *shown]))).create(rows)
    said = ", ".join(f"'{column.replace('_', ' ')} ' || CAST({column} AS VARCHAR)" for column in shown)
    reason = f"concat_ws(', ', {said})" if said else "''"
    condition = "WHERE data_class = $data_class" if policy.data_class else ""
    try:
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE chosen_rows AS SELECT rowid AS place, volume, path, $report || ': ' || {reason} AS reason FROM {rows} {condition}",
            {"report": found.name} | ({"data_class": policy.data_class} if policy.data_class else {}),
        )
    finally:
        connection.execute(f"DROP TABLE {rows}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE chosen AS {planning.sql('chosen')}")


def report_of(policy: Policy, default: str | None, name: str) -> reports.Report:
    """The report whose rows a policy takes. Raises ConfigError where it gives no files, NotFoundError where there is none of that name."""
    wanted = _OF_A_CLASS if policy.data_class else policy.report or default
    if wanted is None:
        raise ConfigError(f"policy {name}: give 'report' (its rows are taken) or 'data_class' (its assets are taken)")
    found = reports.load(wanted)
    if not {"volume", "path"} <= {column.name for column in found.columns}:
        raise ConfigError(f"policy {name}: the rows of report {wanted!r} are no files; reports of files are {', '.join(_of_files())}")
    return found


def _of_files() -> list[str]:
    loaded = [reports.load(name) for name in reports.names()]
    return [one.name for one in loaded if {"volume", "path"} <= {column.name for column in one.columns}]
