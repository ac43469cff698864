"""What earlier jobs took away and where its content is now, as tables of a draft."""

import datetime
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from catalog import names, predicate
from catalog.config import Policy
from catalog.derive.expressions import sql_type
from lifecycle import manifest
from lifecycle.draft import EXPECTED
from lifecycle.plan import moment
from lifecycle.stores import Fingerprint

if TYPE_CHECKING:
    from lifecycle.draft import Draft
    from lifecycle.journal import Journal
    from lifecycle.records import JobRow, Record

# The columns that a condition may ask for, then what the plan needs.
_ASKED = [
    ("volume", pa.string()),  # where the file was
    ("path", pa.string()),
    ("size_bytes", pa.int64()),
    ("archive_volume", pa.string()),  # where its copy is; null = the job made none
    ("archive_path", pa.string()),
    ("action", pa.string()),
    ("job", pa.string()),
    ("taken_at", pa.timestamp("us")),
]
TAKEN = pa.schema(
    [
        *_ASKED,
        ("step", pa.int64()),
        ("key", pa.string()),
        ("kept_path", pa.string()),  # of a file that dedupe replaced: the one that keeps the blocks
        ("sha256", pa.binary()),
        ("of_source", EXPECTED),  # in quarantine
        ("of_copy", EXPECTED),
        ("also", pa.list_(manifest.EVIDENCE)),
    ]
)
_AT_ONCE = 10_000


def taken(draft: "Draft", wanted: "Callable[[JobRow, Record], bool]") -> str:
    """Make the table `taken` of those steps of all jobs; gives the policy's condition over its columns. Raises ConfigError."""
    draft.insert("taken", TAKEN.empty_table())
    waiting: list[dict[str, Any]] = []
    for job, record in _steps(draft.journal) if draft.journal else ():
        if wanted(job, record):
            waiting.append(_row(job, record))
        if len(waiting) == _AT_ONCE:
            draft.insert("taken", pa.Table.from_pylist(waiting, TAKEN))
            waiting = []
    draft.insert("taken", pa.Table.from_pylist(waiting, TAKEN))
    columns = {name: sql_type(kind) for name, kind in _ASKED}
    return predicate.check(draft.policy.where, columns, f"policy {draft.name}, where") if draft.policy.where else "TRUE"


def is_due(job: "JobRow", record: "Record", now_us: int) -> bool:
    """Whether a step's file lies in quarantine and its grace time is over."""
    grace = Policy.model_validate(json.loads(job.policy)).grace
    return record.state == "QUARANTINED" and record.undone_by is None and now_us >= record.since_us + int(grace * 1e6)


def _steps(journal: "Journal") -> "Iterator[tuple[JobRow, Record]]":
    for job in journal.jobs():
        if job.kind == "plan":
            for record in journal.records(job.job_id):
                if record.quarantine_fingerprint is not None and record.undone_by is None:
                    yield job, record


def _row(job: "JobRow", record: "Record") -> dict[str, Any]:
    step = record.step
    copied = record.target_fingerprint is not None and step.target_volume is not None and step.target_path is not None
    return {
        "volume": step.volume,
        "path": names.escape(step.path),
        "size_bytes": step.fingerprint.size_bytes,
        "archive_volume": step.target_volume if copied else None,
        "archive_path": names.escape(step.target_path) if copied and step.target_path is not None else None,
        "action": step.action,
        "job": job.job_id,
        "taken_at": moment(record.since_us),
        "step": step.step,
        "key": record.key,
        "kept_path": None if step.kept_path is None else names.escape(step.kept_path),
        "sha256": record.sha256,
        "of_source": _fields(record.quarantine_fingerprint),
        "of_copy": _fields(record.target_fingerprint),
        "also": [*_made(record), *(_evidence(copy) for copy in step.evidence)],
    }


def _made(record: "Record") -> Iterator[dict[str, Any]]:
    step, found = record.step, record.target_fingerprint
    if found is not None and step.target_volume is not None and step.target_path is not None:
        yield _evidence(manifest.Copy(step.target_volume, step.target_path, found, None))


def _evidence(copy: manifest.Copy) -> dict[str, Any]:
    verified: datetime.datetime | None = None if copy.verified_us is None else moment(copy.verified_us)
    return {"volume": copy.volume, "path": names.escape(copy.path), "verified_at": verified} | copy.fingerprint._asdict()


def _fields(found: Fingerprint | None) -> dict[str, Any] | None:
    """A fingerprint without what a rename or a further link changes."""
    return None if found is None else found._asdict() | {"changed_ns": None, "link_count": None}
