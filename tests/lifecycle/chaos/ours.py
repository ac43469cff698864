"""Lastcopy as a program to be swept: one scenario an action, by the command line that people use."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lifecycle.chaos import estate, mutants, warm
from tests.lifecycle.chaos.disks import Rack
from tests.lifecycle.chaos.estate import Truth
from tests.lifecycle.chaos.programs import place
from tests.lifecycle.chaos.verdict import Verdict, Wanted, look, missing
from tests.lifecycle.chaos.warm import Run

# Source, target and catalog lie on disks of their own, which share no failure domain; nothing needs to wait.
_DECLARED = """
[catalog]
path = "catalog"
threads = 1

[lifecycle]
min_copies = 1

[volumes.data]
url = "{source}"
system = "nas-1"
site = "paris"
admin = "it"
device = "disk-1"
media = "disk"
access = "online"

[volumes.vault]
url = "{target}"
role = "archive"
of = ["data"]
system = "nas-2"
site = "lyon"
admin = "archive-team"
device = "disk-2"
media = "disk"
access = "online"

[policies.copy]
action = "copy"
report = "assets"
where = "volume = 'data'"
to = "vault"
quiet = "0s"

[policies.archive]
action = "archive"
report = "dormant-copies"
where = "volume = 'data'"
to = "vault"
quiet = "0s"
grace = "0s"

[policies.recall]
action = "recall"
report = "assets"
where = "volume = 'vault'"
to = "data"
quiet = "0s"

[policies.dedupe]
action = "dedupe"
report = "duplicates"
where = "volume = 'data'"
quiet = "0s"
hard_links = true

[policies.purge]
action = "purge"
report = "assets"
quiet = "0s"
grace = "0s"
"""

_LEARNED: set[tuple[str, ...]] = set()  # commands whose modules are loaded here


class ScenarioError(AssertionError):
    """A command that meets no fault did not do what it should."""


@dataclass
class Ours:
    """One action of Lastcopy. `ready` brings the disks to where the faulted command begins, which `command` gives."""

    action: str
    ready: "Callable[[Ours, Rack], Sequence[str]]"
    moves: bool  # whether the content leaves the source
    files: Truth | None = None
    mutant: str | None = None
    then: "Callable[[Ours, Rack], None]" = lambda _ours, _rack: None  # what an operator does after the job, to its end
    disks: Sequence[str] = ("S", "D", "J")
    command: Sequence[str] = ()
    said: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As the scorecard has it."""
        return f"lastcopy {self.action}" + (f" without a safety: {self.mutant}" if self.mutant else "")

    def roots(self, rack: Rack) -> tuple[Path, Path]:
        return rack["S"] / "data", rack["D"] / "vault"

    def prepare(self, rack: Rack) -> Truth:
        for root in self.roots(rack):
            root.mkdir()
        truth = estate.grow(self.roots(rack)[0], self.files)
        source, target = self.roots(rack)
        (rack["J"] / "lastcopy.toml").write_text(_DECLARED.format(source=source, target=target))
        for volume in ("data", "vault"):
            self.do(rack, "volume", "prepare", volume)
        self.do(rack, "scan", "--accept-losses")
        self.command = self.ready(self, rack)
        os.sync()
        return truth

    def begin(self, rack: Rack, *, held: bool = False) -> Run:
        return warm.start(mutants.applied(self.mutant, warm.lastcopy(*self.command)), self._place(rack), held=held)

    def again(self, rack: Rack) -> int:
        code = self._run(rack, *self.command)[0]
        self.then(self, rack)
        return code

    def judge(self, rack: Rack, truth: Mapping[bytes, bytes | Wanted], *, settled: bool) -> Verdict:
        source, target = map(estate.seen, self.roots(rack))
        verdict = look(truth, source, target)
        if not settled:
            verdict.left.clear()  # a journaled temporary name is in its right until the job is gone on with
            return verdict
        verdict.stuck += self._journal(rack)
        return verdict

    def arrived(self, rack: Rack, truth: Truth) -> list[str]:
        """Names of the estate that are not where the action puts them; for runs that met no fault."""
        source, target = map(estate.seen, self.roots(rack))
        return missing(truth, target if self.moves or self.action == "copy" else source)

    def do(self, rack: Rack, *arguments: str) -> Any:  # noqa: ANN401  JSON: each caller knows its shape
        """Run a command that must succeed; gives the `data` of its envelope."""
        code, data = self._run(rack, *arguments)
        if code:
            raise ScenarioError(f"lastcopy {' '.join(arguments)}: exit {code}: {self._said(rack)}")
        return data

    def plan(self, rack: Rack, policy: str) -> str:
        """Plan by a policy and approve all of it; gives the plan's id."""
        plan = str(self.do(rack, "plan", "create", policy)["id"])
        self.do(rack, "plan", "approve", plan)
        return plan

    def _journal(self, rack: Rack) -> list[str]:
        """What is wrong with the journal after a job was gone on with."""
        code, data = self._run(rack, "audit", "verify")
        wrong = [f"audit verify: {data or self._said(rack)}"] if code else []
        for job in self.do(rack, "job", "list"):
            if job["state"] in ("open", "running", "interrupted", "suspended"):
                wrong.append(f"job {job['id']} is {job['state']}")
        return wrong

    def _run(self, rack: Rack, *arguments: str) -> tuple[int, Any]:
        """Run a command with no fault and no mutation."""
        spot = self._place(rack)
        for path in (spot.out, spot.err):
            path.unlink(missing_ok=True)
        body, listed = warm.lastcopy(*arguments, "--format", "json"), rack.folder / "modules.json"
        kind = tuple(arguments[:2])
        code = warm.start(body if kind in _LEARNED else warm.learning(body, listed), spot).wait()
        if kind not in _LEARNED:
            warm.learn(listed)
            _LEARNED.add(kind)
        try:
            return code, json.loads(spot.out.read_text())["data"]
        except (OSError, ValueError, KeyError):
            return code, None

    def _said(self, rack: Rack) -> str:
        return (rack.folder / "err").read_text(errors="replace")[-1500:]

    def _place(self, rack: Rack) -> warm.Place:
        return place(rack, LASTCOPY_CONFIG=str(rack["J"] / "lastcopy.toml"), LOGNAME="operator")


def _planned(policy: str) -> Callable[[Ours, Rack], Sequence[str]]:
    return lambda ours, rack: ("job", "run", ours.plan(rack, policy), "--workers", "1")


def _archived(ours: Ours, rack: Rack) -> str:
    return str(ours.do(rack, "job", "run", ours.plan(rack, "archive"), "--workers", "1")["id"])


def _undone(ours: Ours, rack: Rack) -> Sequence[str]:
    return ("job", "undo", _archived(ours, rack), "--workers", "1")


def _purged(ours: Ours, rack: Rack) -> Sequence[str]:
    _archived(ours, rack)
    ours.do(rack, "scan", "--accept-losses")
    return ("job", "run", ours.plan(rack, "purge"), "--workers", "1")


def _recalled(ours: Ours, rack: Rack) -> Sequence[str]:
    ours.do(rack, *_purged(ours, rack))
    ours.do(rack, "scan", "--accept-losses")
    return ("job", "run", ours.plan(rack, "recall"), "--workers", "1")


def purge_after(ours: Ours, rack: Rack) -> None:
    """Purge all that is in quarantine, as happens once the grace time is over: what survives this is safe."""
    ours._run(rack, "scan", "--accept-losses")
    code, data = ours._run(rack, "plan", "create", "purge")
    if code == 0 and data["totals"]["steps"]:
        ours._run(rack, "plan", "approve", data["id"])
        ours._run(rack, "job", "run", data["id"], "--workers", "1")


DUPLICATES: Truth = {b"one/%d" % number: b"the same content, many times\n" * 400 for number in range(4)} | {
    b"two/%d" % number: b"another content, twice\n" * 900 for number in range(2)
}
ACTIONS = ("copy", "archive", "undo", "purge", "recall", "dedupe")


def ours(action: str, *, files: Truth | None = None, mutant: str | None = None) -> Ours:
    """The scenario of an action."""
    ready = {
        "copy": _planned("copy"),
        "archive": _planned("archive"),
        "undo": _undone,
        "purge": _purged,
        "recall": _recalled,
        "dedupe": _planned("dedupe"),
    }[action]
    if action == "dedupe" and files is None:
        files = DUPLICATES
    return Ours(action, ready, moves=action in ("archive", "purge"), files=files, mutant=mutant)


def moved_for_good(*, files: Truth | None = None, mutant: str | None = None) -> Ours:
    """Archive, then purge: the hardest, for nothing can be brought back afterwards."""
    return Ours("archive, then purge", _planned("archive"), moves=True, files=files, mutant=mutant, then=purge_after)
