"""What a policy selects from a snapshot."""

import secrets
from typing import TYPE_CHECKING

import reports
from catalog.config import Config, Policy
from catalog.errors import ConfigError, NotFoundError
from lifecycle import planning

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_OF_A_CLASS = "assets"  # the report that a policy of a data class reads
_SAID_APART = ("volume", "path", "size_bytes")


def named(config: Config, name: str) -> Policy:
    """The policy of that name. Raises NotFoundError that lists the known ones."""
    if name not in config.policies:
        raise NotFoundError(f"there is no policy {name!r}; policies are {', '.join(config.policies) or 'none: see [policies.NAME] in the configuration'}")
    return config.policies[name]


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
