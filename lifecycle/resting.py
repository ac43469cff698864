"""What of a job rests in quarantine."""

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True)
class Resting:
    """Files in quarantine: how many, their bytes (of all names of one file once), and when the first and the last came there."""

    files: int
    bytes: int
    first_us: int
    last_us: int


def of(connection: sqlite3.Connection, job_id: str) -> Resting | None:
    """What of a job rests in quarantine; None = nothing."""
    files, size_bytes, first_us, last_us = connection.execute(
        """
        SELECT sum(files), sum(size_bytes), min(first_us), max(last_us)
        FROM (
            SELECT
                count(*) AS files,
                max(progress.size_bytes) AS size_bytes,
                min(progress.since_us) AS first_us,
                max(progress.since_us) AS last_us
            FROM progress
            INNER JOIN jobs ON jobs.job = progress.job
            INNER JOIN steps ON steps.job = progress.job AND steps.step = progress.step
            WHERE
                jobs.job_id = ?
                AND progress.state IN ('QUARANTINED', 'PURGING')
                AND progress.quarantine_fingerprint IS NOT NULL
                AND progress.undone_by IS NULL
            GROUP BY coalesce(steps.link_group, -steps.step)
        )
        """,
        (job_id,),
    ).fetchone()
    return Resting(files, size_bytes, first_us, last_us) if files else None
