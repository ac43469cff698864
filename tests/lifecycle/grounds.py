"""A small estate that was really scanned and prepared, to make plans over: volumes of their own systems, sites and devices."""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

from catalog import config
from catalog.config import Config, Policy
from lifecycle import job, plan
from lifecycle.journal import Journal
from lifecycle.manifest import Step
from lifecycle.plan import Plan
from tests.lastcopy.program import Ended, ask

DAY_US = 86_400_000_000
VOLUMES = {
    "data": 'role = "primary"\ncost_per_tib_month = 20.0\n',
    "vault": 'role = "archive"\nof = ["data"]\ncost_per_tib_month = 5.0\n',
    "far": 'role = "archive"\nof = ["data"]\n',
    "mirror": 'role = "replica"\nof = ["data"]\n',
}
_SAME_FOR_ALL = 'url = "{name}"\nsystem = "{name}"\nsite = "{name}"\nadmin = "{name}"\ndevice = "{name}"\nmedia = "disk"\naccess = "online"\ndigest = "all"\n'


@dataclass
class Grounds:
    """The estate in a folder. `now_us` is the time of the plans that are made: two days ahead, so that nothing is too young."""

    folder: Path
    more: str = ""  # beside the volumes

    def __post_init__(self) -> None:
        self.now_us = time.time_ns() // 1000 + 2 * DAY_US
        self.configure(self.more)
        for name in VOLUMES:
            (self.folder / name / "a folder").mkdir(parents=True)  # an empty root is refused, as that of a disk which is not mounted

    def configure(self, more: str = "", **volumes: str) -> None:
        """Write the configuration, with more lines at its end, and other lines for some volumes."""
        declared = [f"[volumes.{name}]\n{_SAME_FOR_ALL.format(name=name)}{volumes.get(name, text)}" for name, text in VOLUMES.items()]
        lifecycle = "" if "[lifecycle]" in more else "[lifecycle]\nmin_copies = 1\n"
        (self.folder / "lastcopy.toml").write_text("\n".join([*declared, lifecycle, more]))

    def configure_around(self, vault: str, more: str, *tables: str) -> None:
        """As `configure`, with the trees data and far, and whatever is declared of the vault between them."""
        same = 'system = "{0}"\nsite = "{0}"\nadmin = "{0}"\ndevice = "{0}"\naccess = "online"\ndigest = "all"\n'.format
        declared = [
            f'[volumes.data]\nurl = "data"\nrole = "primary"\n{same("data")}',
            f'[volumes.vault]\nrole = "archive"\nof = ["data"]\n{same("vault")}{vault}',
            f'[volumes.far]\nurl = "far"\nrole = "archive"\nof = ["data"]\n{same("far")}',
        ]
        (self.folder / "lastcopy.toml").write_text("\n".join([*declared, "[lifecycle]\nmin_copies = 1\n", more, *tables]))

    @property
    def config(self) -> Config:
        return config.load(self.folder / "lastcopy.toml")

    @property
    def root(self) -> Path:
        return self.folder / "catalog"

    def write(self, volume: str, path: str | bytes, content: bytes = b"content") -> bytes:
        """Write a file that was modified in 2020."""
        where = self.at(volume, path)
        os.makedirs(os.path.dirname(where), exist_ok=True)
        with open(where, "wb") as file:
            file.write(content)
        os.utime(where, (1_577_836_800, 1_577_836_800))
        return where

    def at(self, volume: str, path: str | bytes = b"") -> bytes:
        return os.path.join(os.fsencode(self.folder / volume), os.fsencode(path))

    def scanned(self) -> "Grounds":
        ask("scan", "--accept-losses", folder=self.folder)  # a job may have taken most of a volume away
        return self

    def prepared(self, *volumes: str) -> "Grounds":
        for volume in volumes or VOLUMES:
            ask("volume", "prepare", volume, folder=self.folder)
        return self

    def ask(self, *arguments: str, code: int | None = 0) -> Ended:
        return ask(*arguments, folder=self.folder, code=code)

    def approved(self, action: str, **policy: Any) -> Plan:  # noqa: ANN401  # keys of a policy
        """A plan of a policy, approved."""
        made = self.plan(action, **policy)
        with self.journal() as journal:
            plan.approve(made, journal, actor="bob", at_us=self.now_us)
        return made

    def carried_out(self, made: Plan) -> job.Outcome:
        return job.run(self.root, self.config, made.id, clock=lambda: self.now_us, actor="ada")

    def run(self, action: str, **policy: Any) -> job.Outcome:  # noqa: ANN401  # keys of a policy
        """A plan of a policy, approved and carried out."""
        return self.carried_out(self.approved(action, **policy))

    def resume(self, job_id: str, *, ask_again: bool = False) -> job.Outcome:
        return job.resume(self.root, self.config, job_id, clock=lambda: self.now_us, actor="ada", ask_again=ask_again)

    def undone(self, job_id: str) -> job.Outcome:
        return job.undo(self.root, self.config, job_id, clock=lambda: self.now_us, actor="ada")

    def begun(self, act: str, path: str) -> Callable[[], job.Outcome]:
        """What carries out an act (archive, undo, purge) on one file of the vault, all that comes before being done."""
        made = self.approved("archive", to="far", where=f"volume = 'vault' AND path = '{path}'")
        if act == "archive":
            return lambda: self.carried_out(made)
        came = self.carried_out(made)
        assert came.counts == {"QUARANTINED": 1}, self.reasons(came.job_id)
        if act == "undo":
            return lambda: self.undone(came.job_id)
        self.now_us += 40 * DAY_US
        purging = self.approved("purge", where=f"path = '{path}'")
        return lambda: self.carried_out(purging)

    def reasons(self, job_id: str) -> str:
        with self.journal() as journal:
            return "; ".join(record.reason or "" for record in journal.records(job_id))

    def losses(self, job_id: str) -> list[str]:
        with self.journal() as journal:
            return [loss for record in journal.records(job_id) for loss in record.losses]

    def journal(self) -> Journal:
        return Journal.open(self.config, self.root, create=True)

    def able(self, volume: str, **capabilities: Any) -> None:  # noqa: ANN401  # fields of Capabilities
        """Have the journal say that a volume can do other things than were found."""
        with self.journal() as journal:
            known = journal.prepared(volume)
            assert known is not None
            journal.remember_volume(changed(known, capabilities=changed(known.capabilities, **capabilities), prepared_us=known.prepared_us + 1), "test")

    def plan(self, action: str, *, now_us: int | None = None, with_effect: bool = False, **policy: object) -> Plan:
        """A plan of a policy made of those keys, without a quiet time and of all assets where nothing else is said."""
        chosen = {} if {"report", "data_class"} & set(policy) or action in ("purge", "recall", "dedupe", "delete") else {"report": "assets"}
        given = Policy.model_validate({"action": action, "quiet": 0, **chosen, **policy})
        with self.journal() as journal:
            return plan.create(self.root, self.config, given, now_us=now_us or self.now_us, actor="ada", journal=journal, with_effect=with_effect)


def steps(made: Plan) -> list[Step]:
    return [step for batch in made.steps() for step in batch]


def paths(made: Plan) -> list[bytes]:
    return [step.path for step in steps(made)]


def refusals(made: Plan) -> dict[str, str]:
    """Path -> reason."""
    return {row["path"]: row["reason"] for batch in made.rows("refusals.parquet") for row in batch}


def details(made: Plan) -> Iterable[str]:
    return [row["detail"] for batch in made.rows("refusals.parquet") for row in batch]
