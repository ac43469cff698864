"""Asks a snapshot: opens the locked connection, runs a report or a query, prints the answer."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lastcopy import engines, output
from lastcopy.settings import Engine, Settings

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    import reports
    from catalog.errors import CatalogError
    from catalog.snapshot import Snapshot
    from reports.explain import Explanation


@contextmanager
def connected(chosen: Settings, against: str | None = None) -> "Iterator[DuckDBPyConnection]":
    """A locked connection to the snapshot that was asked for. Raises ConfigError, NotFoundError."""
    from catalog import snapshot

    root, wanted = chosen.stored()
    connection = opened(root, wanted, snapshot.find(root, against) if against is not None else None)
    try:
        yield connection
    finally:
        connection.close()


def opened(root: "Path", wanted: "Snapshot", earlier: "Snapshot | None" = None) -> "DuckDBPyConnection":
    """A locked connection to a snapshot, within the limits of its configuration. Raises CatalogError where its files are lost or damaged."""
    import duckdb

    from catalog import connect

    limits = wanted.config.catalog
    memory = f"{limits.memory_limit}B" if limits.memory_limit else None
    try:
        return connect.connect(root, wanted, earlier, memory_limit=memory, threads=limits.threads)
    except duckdb.Error as error:
        if is_of_the_catalog(error):
            raise _damaged(str(root), error) from error
        raise


def report(
    chosen: Settings,
    found: "reports.Report",
    given: Mapping[str, object],
    *,
    where: str | None,
    limit: int | None,
    against: str | None,
    engine: Engine = "local",
) -> None:
    """Print the answer of a report."""
    from reports import render, state

    remote = engines.remote(engine, chosen.root())
    with connected(chosen, against) as connection, _foreseen(f"report {found.name}"):
        if remote is None:
            relation = found.run(connection, given, where=where, limit=limit or None)
        else:
            from reports import cluster

            relation = cluster.answer(remote, connection, found, given, where=where, limit=limit or None)
        output.answer(chosen, render.answer(found, relation, state.read(connection.cursor())), limit)


def query(chosen: Settings, text: str, limit: int | None) -> None:
    """Print the answer of a user's SELECT. Raises ConfigError for anything else."""
    from reports import render, state

    with connected(chosen) as connection, _foreseen("query"):
        output.answer(chosen, render.table_answer("sql", "Query", relation(connection, text, limit), state.read(connection.cursor())), limit)


def relation(connection: "DuckDBPyConnection", text: str, limit: int | None = None) -> "DuckDBPyRelation":
    """The relation of a user's SELECT over the views. Raises ConfigError for anything else."""
    from catalog import predicate

    views = [name for (name,) in connection.execute("SELECT table_name FROM information_schema.tables ORDER BY 1").fetchall()]
    checked = predicate.select(text, views)
    with _foreseen("query"):
        found = connection.sql(checked)
    assert found is not None  # noqa: S101  # a SELECT gives a relation
    return found.limit(limit) if limit else found


@contextmanager
def _foreseen(what: str) -> Iterator[None]:
    """The engine's errors as ours: what a question does wrong is the user's, a lost file or too little memory the catalog's."""
    import duckdb

    from catalog.errors import ConfigError

    try:
        yield
    except duckdb.Error as error:
        if not is_of_the_catalog(error):
            raise ConfigError(f"{what}: {str(error).splitlines()[0]}") from error
        raise _damaged(what, error) from error


def _damaged(what: str, error: "duckdb.Error") -> "CatalogError":
    from catalog.errors import CatalogError

    hint = "'lastcopy doctor' says whether a file is lost; [catalog] memory_limit says how much may be used"
    return CatalogError(f"{what}: {str(error).splitlines()[0]}; {hint}")


def is_of_the_catalog(error: "duckdb.Error") -> bool:
    """Whether an error of the engine tells of a file that is lost or damaged, or of too little memory; else the question is wrong."""
    import duckdb

    damaged = isinstance(error, duckdb.InvalidInputException) and ".parquet" in str(error)
    return damaged or isinstance(error, (duckdb.IOException, duckdb.OutOfMemoryException))


def explain(connection: "DuckDBPyConnection", path: str, volume: str | None = None, folder: "Path | None" = None) -> "list[Explanation]":
    """Every file at a path as it was typed, on one volume or on all; `folder` is the configuration's. Raises NotFoundError."""
    from catalog.errors import NotFoundError
    from reports import explain

    first, *others = written(path)
    try:
        return explain.explain(connection, volume, first, folder)
    except NotFoundError:
        if not others:
            raise
        return explain.explain(connection, volume, others[0], folder)


def written(typed: str) -> list[str]:
    """How a name that somebody typed may be written in the catalog, the likelier first: copied from a report, or the raw bytes of the shell."""
    from catalog import names

    raw = names.escape(os.fsencode(typed))
    if any("\ud800" <= letter <= "\udfff" for letter in typed):
        return [raw]
    return list(dict.fromkeys([names.escape(names.unescape(typed)), raw]))
