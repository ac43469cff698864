"""What the journal says of every step, held against what is on the disks."""

import hashlib
import json
from pathlib import Path
from typing import Any

from tests.lifecycle.chaos.estate import OWN, Truth

_PUBLISHED = ("PUBLISHED", "RETIRING", "GUARDED", "QUARANTINED", "PURGING")


def write(folder: Path, told: Path) -> int:
    """Write what the journal of a catalog says as JSON; runs in a child, so that no handle of the journal stays open here."""
    from catalog import config
    from lifecycle.journal import Journal

    declared = config.load(folder / "lastcopy.toml")
    found: list[dict[str, Any]] = []
    with Journal.open(declared, folder / "catalog", create=False) as journal:
        for job in journal.jobs():
            found += [
                {
                    "job": job.job_id,
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
                for record in journal.records(job.job_id)
            ]
    told.write_text(json.dumps(found))
    return 0


def untrue(said: list[dict[str, Any]], source: Truth, target: Truth) -> list[str]:
    """The steps of which something is said that is not so."""
    begun = {tuple(one["of"]) for one in said if one["of"][0] and one["state"] != "PLANNED"}  # on its way out of quarantine
    trees = {"data": source, "vault": target}
    wrong = []
    for one in said:
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
