"""Plain estates as catalogs that reports can be asked of, for what is held against the independent computation in tests/protection."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

import reports
from catalog import connect, derive
from catalog.sight import Sight
from tests.protection import estate as written
from tests.protection import generated
from tests.protection.merged import merge, packs
from tests.protection.plain import Estate


def many(seed: int, count: int = 20) -> Estate:
    """Some generated estates side by side, as one."""
    chance = random.Random(seed)
    return merge(packs([generated.estate(chance) for _ in range(count)])[0])


@contextmanager
def opened(root: Path, estate: Estate, *parts: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A reader's connection to an estate, after a first snapshot of what had been seen before; parts are those that who asks may see."""
    before = estate.before()
    written.write(root, before)
    if any(before.newest(volume) for volume in before.config.volumes):
        derive.derive(root, before.config, estate.as_of - generated.HOUR)
    written.write(root, estate, skip=before)
    new = derive.derive(root, estate.config, estate.as_of)
    with connect.connect(root, new, sight=Sight.of(parts) if parts else None) as connection:
        yield connection


def rows(connection: duckdb.DuckDBPyConnection, report: str, where: str | None = None, **params: object) -> list[dict[str, Any]]:
    """The answer of a report, by column."""
    found: list[dict[str, Any]] = reports.load(report).run(connection, params, where).to_arrow_table().to_pylist()
    return found
