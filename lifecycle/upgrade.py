"""A journal of version 1 becomes one of version 2: what it keeps stays, and whoever is killed meanwhile leaves it as it was."""

import fcntl
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from catalog import names
from catalog.errors import LockedError
from lifecycle import intents

VERSION = 2  # of journal.sql

_CHUNKS = """CREATE TABLE chunks (
    job INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    live INTEGER NOT NULL,
    PRIMARY KEY (job, chunk)
) WITHOUT ROWID"""


def bring_up(folder: Path, connection: sqlite3.Connection, lock: Callable[[int], object]) -> None:
    """Make the journal of a folder one of this version. Writes, unless it is one already.

    `lock` takes its lock alone (F_WRLCK) or with others (F_RDLCK), without waiting. Raises LockedError where others have it open.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    try:
        lock(fcntl.F_WRLCK)
    except BlockingIOError as error:
        told = "the journal was written by an older Lastcopy, and somebody has it open: end all jobs and services of this catalog, then try again"
        raise LockedError(f"{names.escape(os.fsencode(folder))}: {told}") from error
    _bring_up(connection)
    lock(fcntl.F_RDLCK)


def _bring_up(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("PRAGMA user_version").fetchone() == (VERSION,):
            connection.execute("ROLLBACK")  # by somebody else, since it was looked at
            return
        connection.execute(_CHUNKS)
        for (number,) in connection.execute("SELECT job FROM jobs ORDER BY job").fetchall():
            intents.count_chunks(connection, number)
        connection.execute("DROP INDEX progress_that_lives")
        connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
