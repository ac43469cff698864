"""The columns of a plan's Parquet files, and a step as a value."""

import datetime
import operator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from catalog import names
from lifecycle.stores import Fingerprint

_FINGERPRINT = [
    ("type", pa.string()),
    ("size_bytes", pa.int64()),
    ("modified_ns", pa.int64()),
    ("fs_id", pa.string()),
    ("inode", pa.int64()),
    ("created_ns", pa.int64()),
    ("changed_ns", pa.int64()),
    ("link_count", pa.int32()),
]

_values = operator.itemgetter(*Fingerprint._fields)

# Another copy of a step's content that the floor may rest on, as the catalog's evidence knew it when the plan was made.
EVIDENCE = pa.struct(
    [
        ("volume", pa.string()),
        ("path", pa.string()),  # escaped
        *_FINGERPRINT,
        ("verified_at", pa.timestamp("us")),  # when its digest was read
    ]
)

STEPS = pa.schema(
    [
        ("step", pa.int64()),  # from 1, in the order of the acts
        ("chunk", pa.int64()),  # steps that are claimed and carried out together; names of one inode share a chunk
        ("action", pa.string()),
        ("volume", pa.string()),  # of the source
        ("path", pa.string()),  # escaped
        *_FINGERPRINT,
        ("sha256", pa.binary()),  # null = not known yet: the copy finds it
        ("target_volume", pa.string()),  # null where the action has no target
        ("target_path", pa.string()),
        ("link_group", pa.int64()),  # equal for the names of one inode; null = one name only
        ("kept_path", pa.string()),  # dedupe: the file of the same volume that keeps the blocks
        ("of_job", pa.string()),  # purge, undo: the job and the step whose file is in quarantine
        ("of_step", pa.int64()),
        ("reason", pa.string()),  # why the policy took it
        ("evidence", pa.list_(EVIDENCE)),
        ("cost_per_month", pa.float64()),  # of the space on the source; null = no price declared
    ]
)

REFUSALS = pa.schema(
    [
        ("volume", pa.string()),
        ("path", pa.string()),
        ("size_bytes", pa.int64()),
        ("reason", pa.string()),  # a word of REFUSAL_REASONS
        ("detail", pa.string()),
    ]
)

# Why a plan leaves a file out: the word in a row of REFUSALS, and what it means.
REFUSAL_REASONS = {
    "special_file": "it is not a regular file: nothing but files is moved, and symbolic links are only copied",
    "unreadable": "its volume did not let us look at it",
    "empty": "it is empty, so that no copy can be told from any other empty file: such a file is never taken away",
    "other_file_system": "it lies on another file system that is mounted below the volume's root",
    "changed_since_scan": "it is not what the scan saw, or is gone; scan again",
    "too_young": "it was modified or changed within the policy's quiet time",
    "on_hold": "it is under a legal hold or a retention",
    "is_ours": "it lies in a quarantine of Lastcopy, or is a copy that was not finished: no policy moves these",
    "is_original": "it is an asset and no copy of one: such a file is archived, and never deleted",
    "on_replica": "it lies on a replica, which the policy's 'where' does not name: a mirror is left to follow its primary",
    "already_there": "it lies on the volume that it would go to",
    "unknown_digest": "the content is not known by its SHA-256, which this action needs; scan with --digest all",
    "other_content": "what was read there last is not the content of the file that is to come back",
    "offline": "its volume, or the one that it goes to, is not there now; mount the medium and plan again",
    "not_prepared": "a volume was never prepared, or another one is mounted in its place",
    "not_supported": "its volume, or the one that it goes to, cannot do what this action needs",
    "name_collides": "another file goes to the same name, as the target tells names apart",
    "name_too_long": "the target does not take a name of that length or with those bytes",
    "target_exists_differs": "something else is at the target already",
    "partial_hard_link_group": "it has names that are not in the plan",
    "floor_not_reachable": "too few copies would be left even if the step succeeded",
    "no_space": "the target has not twice the largest file free beside all that goes there",
    "over_limit": "the policy's limits were reached by the files before it",
}


class Copy(NamedTuple):
    """A copy that evidence knows: where, what it was, when its digest was read (microseconds since 1970 UTC)."""

    volume: str
    path: bytes
    fingerprint: Fingerprint
    verified_us: int | None


@dataclass(frozen=True)
class Step:
    """One intended act on one entry; see STEPS."""

    step: int
    chunk: int
    action: str
    volume: str
    path: bytes
    fingerprint: Fingerprint
    sha256: bytes | None
    target_volume: str | None
    target_path: bytes | None
    link_group: int | None
    kept_path: bytes | None
    of_job: str | None
    of_step: int | None
    reason: str
    evidence: tuple[Copy, ...]


def steps(rows: pa.RecordBatch) -> list[Step]:
    """The steps in rows of STEPS, read by columns: a dictionary of each row would cost as much again."""
    read = {name: rows[name].to_pylist() for name in STEPS.names}
    fingerprints = map(Fingerprint._make, zip(*(read[name] for name in Fingerprint._fields), strict=True))
    evidence = (tuple(map(copy, found)) if found else () for found in read["evidence"])
    columns = (
        read["step"], read["chunk"], read["action"], read["volume"], map(names.unescape, read["path"]), fingerprints, read["sha256"], read["target_volume"],
        map(_raw, read["target_path"]), read["link_group"], map(_raw, read["kept_path"]), read["of_job"], read["of_step"], read["reason"], evidence,
    )  # fmt: skip
    return list(map(Step, *columns))


def _raw(path: str | None) -> bytes | None:
    return None if path is None else names.unescape(path)


def fingerprint(row: dict[str, Any]) -> Fingerprint:
    """The fingerprint in a row that has its columns."""
    return Fingerprint._make(_values(row))


def copy(row: dict[str, Any]) -> Copy:
    """A copy from a row of EVIDENCE."""
    verified = row["verified_at"]
    return Copy(row["volume"], names.unescape(row["path"]), fingerprint(row), None if verified is None else _us(verified))


def _us(moment: datetime.datetime) -> int:
    return (moment - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)
