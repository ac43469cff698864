"""What jobs took away from a volume, and which volumes a job changed, as the journal knows it."""

import sqlite3
from collections.abc import Iterator

from lifecycle.states import TAKEN

_STANDS = ", ".join(f"'{state}'" for state in sorted({*TAKEN, "DONE"}))


def names(connection: sqlite3.Connection, volume: str, since_us: int) -> int:
    """How many names of a volume jobs took away since a time: without those that were brought back, and those at which a pointer
    or an equal file was left."""
    gone: set[bytes] = set()
    moved = """
        SELECT subject, json_extract(detail, '$.states.QUARANTINED'), json_extract(detail, '$.states.PUBLISHED')
        FROM events
        WHERE kind = 'steps_moved' AND at_us >= ?
        ORDER BY seq
    """
    for job_id, taken, published in connection.execute(moved, (since_us,)):
        for first, last in _spans(taken):
            gone.update(_taken(connection, job_id, first, last, volume))
        for first, last in _spans(published):
            gone.difference_update(_published(connection, job_id, first, last, volume))
    return len(gone)


def volumes(connection: sqlite3.Connection, job_id: str) -> list[str]:
    """The volumes on which steps of a job changed something, by name: a file was taken away there, or worked on, or put there."""
    rows = connection.execute(
        f"""
        SELECT DISTINCT
            CASE WHEN steps.target_volume IS NULL OR progress.quarantine_fingerprint IS NOT NULL THEN steps.volume END,
            steps.target_volume
        FROM jobs
        INNER JOIN steps ON steps.job = jobs.job
        INNER JOIN progress ON progress.job = steps.job AND progress.step = steps.step
        WHERE jobs.job_id = ? AND progress.state IN ({_STANDS})
        """,
        (job_id,),
    )
    return sorted({volume for row in rows for volume in row if volume is not None})


def _taken(connection: sqlite3.Connection, job_id: str, first: int, last: int, volume: str) -> Iterator[bytes]:
    """The paths of steps whose file is in quarantine, or was let go from there."""
    rows = connection.execute(
        f"""
        SELECT steps.path, json_extract(steps.fingerprint, '$[0]'), steps.target_path IS NOT NULL, json_extract(jobs.policy, '$.leave')
        FROM jobs
        INNER JOIN steps ON steps.job = jobs.job
        INNER JOIN progress ON progress.job = steps.job AND progress.step = steps.step
        WHERE
            jobs.job_id = ?
            AND steps.step BETWEEN ? AND ?
            AND steps.volume = ?
            AND progress.state IN ({_STANDS})
            AND progress.undone_by IS NULL
            AND steps.kept_path IS NULL
        """,
        (job_id, first, last, volume),
    )
    for path, kind, copied, leave in rows:
        if not (copied and kind == "file" and leave not in (None, "nothing")):
            yield path


def _published(connection: sqlite3.Connection, job_id: str, first: int, last: int, volume: str) -> Iterator[bytes]:
    """The paths of a volume at which steps published a file."""
    rows = connection.execute(
        """
        SELECT steps.target_path
        FROM jobs INNER JOIN steps ON steps.job = jobs.job
        WHERE jobs.job_id = ? AND steps.step BETWEEN ? AND ? AND steps.target_volume = ?
        """,
        (job_id, first, last, volume),
    )
    for (path,) in rows:
        yield path


def _spans(text: str | None) -> Iterator[tuple[int, int]]:
    """The pairs of '1-128,130'."""
    for span in text.split(",") if text else ():
        first, _, last = span.partition("-")
        yield int(first), int(last or first)
