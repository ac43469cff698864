"""What the journal says of every step, held against what is on the disks."""

import hashlib
import json
from pathlib import Path
from typing import Any

from lifecycle.journal import Journal
from tests.lifecycle.chaos.estate import OWN, Truth

_PUBLISHED = ("PUBLISHED", "RETIRING", "GUARDED", "QUARANTINED", "PURGING")


def write(folder: Path, told: Path) -> int:
    """Write what the journal of a catalog says as JSON; runs in a child, so that no handle of the journal stays open here."""
    from catalog import config

    declared = config.load(folder / "lastcopy.toml")
    with Journal.open(declared, folder / "catalog", create=False) as journal:
        told.write_text(json.dumps([one for job in journal.jobs() for one in said(journal, job.job_id)]))
    return 0


def said(journal: Journal, job_id: str) -> list[dict[str, Any]]:
    """What a journal says of the steps of a job, as JSON has it."""
    return [
        {
            "job": job_id,
            "step": record.step.step,
            "state": record.state,
            "key": record.key,
            "source": record.step.path.hex(),
            "target": record.step.target_path.hex() if record.step.target_path is not None else None,
            "to": record.step.target_volume,
            "sha256": record.sha256.hex() if record.sha256 else None,
            "reason": record.reason,
            "of": [record.step.of_job, record.step.of_step],
        }
        for record in journal.records(job_id)
    ]


def untrue(records: list[dict[str, Any]], source: Truth, target: Truth) -> list[str]:
    """The steps of which something is said that is not so."""
    begun = {tuple(one["of"]) for one in records if one["of"][0] and one["state"] != "PLANNED"}  # on its way out of quarantine
    trees = {"data": source, "vault": target}
    wrong = []
    for one in records:
        shown = f"{one['job']} step {one['step']} {one['state']}"
        if one["state"] in _PUBLISHED and one["target"] is not None and one["to"] in trees:
            content = trees[one["to"]].get(bytes.fromhex(one["target"]))
            if content is None or hashlib.sha256(content).hexdigest() != one["sha256"]:
                wrong.append(f"{shown}: not at its target")
        if one["state"] == "QUARANTINED" and (one["job"], one["step"]) not in begun:
            content = source.get(OWN + b"/quarantine/" + one["key"].encode())
            if content is None or hashlib.sha256(content).hexdigest() != one["sha256"]:
                wrong.append(f"{shown}: not in quarantine")
    return wrong
