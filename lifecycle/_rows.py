"""Steps and records as rows of the journal, and back."""

import functools
import json
from collections.abc import Mapping
from typing import Any

from lifecycle.manifest import Copy, Step
from lifecycle.records import Record
from lifecycle.stores import Fingerprint

_quoted = functools.lru_cache(64)(json.dumps)  # of file systems: few, again and again

STEP = "step, action, volume, path, fingerprint, sha256, target_volume, target_path, link_group, kept_path, of_job, of_step, reason, evidence"
_NONE = "[]"
VALUES = ("attempt", "key", "temp_inode", "sha256", "target_fingerprint", "quarantine_fingerprint", "losses", "undone_by", "retry")
RECORD = f"""
    SELECT {", ".join(f"steps.{name}" for name in STEP.split(", "))}, progress.chunk, progress.state, progress.reason, progress.retry, progress.attempt,
        progress.key, progress.temp_inode, progress.sha256, progress.target_fingerprint, progress.quarantine_fingerprint, progress.losses,
        progress.undone_by, progress.since_us
    FROM progress INNER JOIN steps ON steps.job = progress.job AND steps.step = progress.step
"""


def of_step(step: Step) -> tuple[object, ...]:
    """The values of the columns STEP."""
    return (
        step.step, step.action, step.volume, step.path, _written(step.fingerprint), step.sha256, step.target_volume, step.target_path,
        step.link_group, step.kept_path, step.of_job, step.of_step, step.reason,
        json.dumps([[copy.volume, copy.path.hex(), copy.verified_us, copy.fingerprint] for copy in step.evidence]) if step.evidence else _NONE,
    )  # fmt: skip


def record(row: tuple[Any, ...]) -> Record:
    """The record of a row of RECORD."""
    step = Step(
        row[0], row[14], row[1], row[2], row[3], _read(row[4]), row[5], row[6], row[7], row[8], row[9], row[10], row[11], row[12],
        () if row[13] == _NONE else _evidence(row[13]),
    )  # fmt: skip
    return Record(
        step=step,
        state=row[15],
        reason=row[16],
        retry=bool(row[17]),
        attempt=row[18],
        key=row[19],
        temp_inode=row[20],
        sha256=row[21] if row[21] is not None else step.sha256,
        target_fingerprint=_read(row[22]) if row[22] else None,
        quarantine_fingerprint=_read(row[23]) if row[23] else None,
        losses=tuple(json.loads(row[24])) if row[24] else (),
        undone_by=row[25],
        since_us=row[26],
    )


def stored(name: str, value: Any) -> object:  # noqa: ANN401  fields of a record are of many types
    """A field of a record as its column has it."""
    if isinstance(value, Fingerprint):
        return _written(value)
    if name == "losses":
        return json.dumps(list(value)) if value else None
    return int(value) if name == "retry" else value


def facts(values: Mapping[str, Any]) -> dict[str, object]:
    """What of a step's values is evidence, as the audit trail keeps it."""
    kept: dict[str, object] = {}
    for name, value in values.items():
        if value is None or name in ("key", "attempt", "retry") or (name == "losses" and not value):
            continue
        if isinstance(value, Fingerprint):
            kept |= {name.removesuffix("_fingerprint") + "_inode": value.inode} if value.inode is not None else {}
        else:
            kept[name] = value.hex() if isinstance(value, bytes) else list(value) if isinstance(value, tuple | list) else value
    return kept


def ranges(steps: list[int]) -> str:
    """Numbers as text: '1-128,130'."""
    found: list[list[int]] = []
    for step in sorted(steps):
        if found and step == found[-1][1] + 1:
            found[-1][1] = step
        else:
            found.append([step, step])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in found)


def _evidence(text: str) -> tuple[Copy, ...]:
    return tuple(Copy(volume, bytes.fromhex(path), Fingerprint(*fields), verified_us) for volume, path, verified_us, fields in json.loads(text))


def _written(found: Fingerprint) -> str:
    """The JSON of a fingerprint: put together by hand it takes a third of the time, and a step has three."""
    kind, size_bytes, modified_ns, fs_id, inode, created_ns, changed_ns, links = found
    if inode is None or created_ns is None or changed_ns is None:
        return json.dumps(found)
    return f'["{kind}", {size_bytes}, {modified_ns}, {_quoted(fs_id)}, {inode}, {created_ns}, {changed_ns}, {links}]'


def _read(text: str) -> Fingerprint:
    return Fingerprint(*json.loads(text))
