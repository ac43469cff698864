"""The steps of a job as they are first written into the journal: PLANNED, and counted."""

import sqlite3
from collections.abc import Iterable, Iterator

from lifecycle import _rows
from lifecycle.manifest import Step
from lifecycle.states import LIVE

_AT_ONCE = 10_000


def write(connection: sqlite3.Connection, number: int, at_us: int, steps: Iterable[Step]) -> int:
    """Write those of these steps that the job has not yet, and count them; gives how many. Writes."""
    marks = ", ".join("?" * len(_rows.STEP.split(", ")))
    insert = f"INSERT INTO steps (job, {_rows.STEP}) VALUES ({number}, {marks})"
    written = connection.executemany(insert, _rows_of(connection, number, at_us, _new(connection, number, steps))).rowcount
    if written > 0:
        connection.execute(
            """
            INSERT INTO counts SELECT job, state, count(*), sum(size_bytes) FROM progress WHERE job = ? GROUP BY job, state ORDER BY state
            ON CONFLICT (job, state) DO UPDATE SET steps = excluded.steps, bytes = excluded.bytes
            """,
            (number,),
        )
        count_chunks(connection, number)
    return max(0, written)


def count_chunks(connection: sqlite3.Connection, number: int) -> None:
    """Count what lives of each chunk of a job. Writes."""
    connection.execute(
        f"""
        INSERT INTO chunks SELECT job, chunk, sum(state IN ({", ".join("?" * len(LIVE))})) FROM progress WHERE job = ? GROUP BY job, chunk ORDER BY chunk
        ON CONFLICT (job, chunk) DO UPDATE SET live = excluded.live
        """,
        (*LIVE, number),
    )


def ranges(connection: sqlite3.Connection, job_id: str) -> tuple[tuple[int, int], ...]:
    """The steps that a job has, as ranges of their numbers; none where there is no such job."""
    rows = connection.execute(
        """
        SELECT min(step), max(step)
        FROM (
            SELECT steps.step, steps.step - row_number() OVER (ORDER BY steps.step) AS island
            FROM steps INNER JOIN jobs ON jobs.job = steps.job
            WHERE jobs.job_id = ?
        )
        GROUP BY island
        ORDER BY 1
        """,
        (job_id,),
    )
    return tuple((first, last) for first, last in rows)


def _new(connection: sqlite3.Connection, number: int, steps: Iterable[Step]) -> Iterator[Step]:
    """Those of these steps that the job has not yet."""
    if connection.execute("SELECT 1 FROM steps WHERE job = ? LIMIT 1", (number,)).fetchone() is None:
        yield from steps
        return
    for step in steps:
        if connection.execute("SELECT 1 FROM steps WHERE job = ? AND step = ?", (number, step.step)).fetchone() is None:
            yield step


def _rows_of(connection: sqlite3.Connection, number: int, at_us: int, steps: Iterable[Step]) -> Iterator[tuple[object, ...]]:
    """The rows of `steps`; those of `progress` are written on the way, a batch at a time."""
    waiting: list[tuple[object, ...]] = []
    insert = f"INSERT INTO progress (job, step, chunk, size_bytes, state, since_us) VALUES ({number}, ?, ?, ?, 'PLANNED', {at_us})"
    for step in steps:
        waiting.append((step.step, step.chunk, step.fingerprint.size_bytes))
        if len(waiting) == _AT_ONCE:
            connection.executemany(insert, waiting)
            waiting = []
        yield _rows.of_step(step)
    connection.executemany(insert, waiting)
