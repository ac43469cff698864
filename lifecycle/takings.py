"""What jobs took away from a volume, and which volumes a job changed, as the journal knows it."""

import json
import sqlite3
from collections.abc import Iterator

from lifecycle import audit
from lifecycle.states import TAKEN

_STANDS = ", ".join(f"'{state}'" for state in sorted({*TAKEN, "DONE"}))


def names(connection: sqlite3.Connection, volume: str, since_us: int) -> int:
    """How many names of a volume jobs took away since a time: without those that were brought back, and those at which a pointer was left."""
    gone: set[bytes] = set()
    for event in audit.events(connection, since_us=since_us, kinds=("steps_moved",)):
        states = event.detail["states"]
        for first, last in _spans(states.get("QUARANTINED", "")):
            gone.update(_taken(connection, event.subject, first, last, volume))
        for first, last in _spans(states.get("PUBLISHED", "")):
            gone.difference_update(_published(connection, event.subject, first, last, volume))
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
        SELECT steps.path, steps.fingerprint, steps.target_path IS NOT NULL, jobs.policy
        FROM jobs
        INNER JOIN steps ON steps.job = jobs.job
        INNER JOIN progress ON progress.job = steps.job AND progress.step = steps.step
        WHERE
            jobs.job_id = ?
            AND steps.step BETWEEN ? AND ?
            AND steps.volume = ?
            AND progress.state IN ({_STANDS})
            AND progress.undone_by IS NULL
        """,
        (job_id, first, last, volume),
    )
    for path, fingerprint, copied, policy in rows:
        leaves = copied and json.loads(policy).get("leave", "nothing") != "nothing" and json.loads(fingerprint)[0] == "file"
        if not leaves:
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


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """The pairs of '1-128,130'."""
    for span in filter(None, text.split(",")):
        first, _, last = span.partition("-")
        yield int(first), int(last or first)
