"""Lastcopy as a program to be swept: one scenario an action, by the command line that people use."""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lifecycle.chaos import estate, mutants, records, warm
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
min_copies = {floor}

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

[volumes.third]
url = "{third}"
role = "backup"
of = ["data"]
system = "nas-3"
site = "nice"
admin = "backup-team"
device = "disk-3"
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

[policies.archive-stubs]
action = "archive"
report = "dormant-copies"
where = "volume = 'data'"
to = "vault"
quiet = "0s"
grace = "0s"
leave = "stub"

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

[policies.copy-again]
action = "copy"
report = "assets"
where = "volume = 'data'"
to = "third"
quiet = "0s"

[policies.drop]
action = "delete"
report = "dormant-copies"
where = "volume = 'vault'"
quiet = "0s"

[policies.drop-third]
action = "delete"
report = "dormant-copies"
where = "volume = 'third'"
quiet = "0s"

[policies.purge]
action = "purge"
quiet = "0s"
"""

_A_MOMENT_SECONDS = 1.0
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
    lacks: str | None = None  # what the kernel cannot do, of `mutants.LACKS`
    then: "Callable[[Ours, Rack], None]" = lambda _ours, _rack: None  # what an operator does after the job, to its end
    disks: Sequence[str] = ("S", "D", "J")
    command: Sequence[str] = ()
    second: Sequence[str] = ()  # a job of somebody else's that runs meanwhile
    floor: int = 1

    @property
    def name(self) -> str:
        """As the scorecard has it."""
        return f"lastcopy {self.action}" + (f", mutant: {self.mutant}" if self.mutant else "")

    def roots(self, rack: Rack) -> tuple[Path, Path]:
        return rack["S"] / "data", rack["D"] / "vault"

    def holders(self, rack: Rack) -> tuple[Path, Path, Path]:
        """The roots of all volumes; the third lies on a disk of its own only where it matters."""
        third = rack["B"] if "B" in rack.disks else rack["J"]
        return *self.roots(rack), third / "third"

    def rival(self, rack: Rack) -> Run:
        """Start the other job, and let it come as far as it can in a moment: a transaction that stands still keeps it waiting."""
        run = warm.start(self._altered(warm.lastcopy(*self.second)), self._place(rack))
        until = time.monotonic() + _A_MOMENT_SECONDS
        while not run.ended() and time.monotonic() < until:
            time.sleep(0.005)
        return run

    def prepare(self, rack: Rack) -> Truth:
        source, target, third = self.holders(rack)
        for root in (source, target, third):
            root.mkdir()
        truth = estate.grow(source, self.files)
        (rack["J"] / "lastcopy.toml").write_text(_DECLARED.format(source=source, target=target, third=third, floor=self.floor))
        for volume in ("data", "vault", "third"):
            self.do(rack, "volume", "prepare", volume)
        self.do(rack, "scan", "--accept-losses")
        self.command = self.ready(self, rack)
        os.sync()
        return truth

    def begin(self, rack: Rack, *, held: bool = False) -> Run:
        kind, listed = tuple(self.command[:2]), rack.folder / "begun.json"
        body: warm.Body = warm.lastcopy(*self.command)
        if kind not in _LEARNED and listed.exists():
            warm.learn(listed)
            _LEARNED.add(kind)
        if kind not in _LEARNED:
            body = warm.learning(body, listed)
        return warm.start(self._altered(body), self._place(rack), held=held)

    def again(self, rack: Rack) -> int:
        code = self._run(rack, *self.command, mutant=self.mutant)[0]
        self.then(self, rack)
        return code

    def judge(self, rack: Rack, truth: Mapping[bytes, bytes | Wanted], *, settled: bool) -> Verdict:
        source, target = map(estate.seen, self.roots(rack))
        verdict = look(truth, source, target)
        if self.action == "archive-stubs":
            verdict.wrong += [f"{path!r} has no name" for path, content in truth.items() if path not in source and _is_file(content)]
        if not settled:
            verdict.left.clear()  # a journaled temporary name is in its right until the job is gone on with
            return verdict
        verdict.stuck += self._journal(rack)
        return verdict

    def arrived(self, rack: Rack, truth: Truth) -> list[str]:
        """Names of the estate that are not where the action puts them; for runs that met no fault."""
        source, target = map(estate.seen, self.roots(rack))
        return missing(truth, target if self.moves or self.action == "copy" else source)

    def landing(self, rack: Rack) -> Path:
        return self.roots(rack)[0 if self.action in ("undo", "recall", "undo-dedupe") else 1]

    def claims(self, rack: Rack) -> list[str]:
        """Every file that the journal says was published or put into quarantine must be there, with its content."""
        return records.untrue(self._records(rack), *map(estate.seen, self.roots(rack)))

    def amiss(self, rack: Rack) -> list[str]:
        """Steps that ended otherwise than was meant."""
        return [f"step {one['step']} {one['state']}: {one['reason']}" for one in self._records(rack) if one["state"] not in ("QUARANTINED", "DONE")]

    def _records(self, rack: Rack) -> list[dict[str, Any]]:
        told = rack.folder / "records.json"
        if warm.start(lambda: records.write(rack["J"], told), self._place(rack)).wait():
            raise ScenarioError(f"the journal cannot be read: {self._said(rack)}")
        found: list[dict[str, Any]] = json.loads(told.read_text())
        return found

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

    def _run(self, rack: Rack, *arguments: str, mutant: str | None = None) -> tuple[int, Any]:
        """Run a command with no fault. Gives its exit code and the `data` of its envelope."""
        spot = self._place(rack)
        for path in (spot.out, spot.err):
            path.unlink(missing_ok=True)
        body, listed = mutants.applied(self.lacks, warm.lastcopy(*arguments, "--format", "json")), rack.folder / "modules.json"
        kind = tuple(arguments[:2])
        code = warm.start(mutants.applied(mutant, body if kind in _LEARNED else warm.learning(body, listed)), spot).wait()
        if kind not in _LEARNED:
            warm.learn(listed)
            _LEARNED.add(kind)
        try:
            return code, json.loads(spot.out.read_text())["data"]
        except (OSError, ValueError, KeyError):
            return code, None

    def _altered(self, body: warm.Body) -> warm.Body:
        return mutants.applied(self.mutant, mutants.applied(self.lacks, body))

    def _said(self, rack: Rack) -> str:
        return (rack.folder / "err").read_text(errors="replace")[-1500:]

    def _place(self, rack: Rack) -> warm.Place:
        return place(rack, LASTCOPY_CONFIG=str(rack["J"] / "lastcopy.toml"), LOGNAME="operator")


def _is_file(content: bytes | Wanted) -> bool:
    return isinstance(content, Wanted) or not content.startswith(estate.ARROW)


def _planned(policy: str) -> Callable[[Ours, Rack], Sequence[str]]:
    return lambda ours, rack: ("job", "run", ours.plan(rack, policy), "--workers", "1")


def _archived(ours: Ours, rack: Rack) -> str:
    return str(ours.do(rack, "job", "run", ours.plan(rack, "archive"), "--workers", "1")["id"])


def _undone(ours: Ours, rack: Rack) -> Sequence[str]:
    return ("job", "undo", _archived(ours, rack), "--workers", "1")


def _separated(ours: Ours, rack: Rack) -> Sequence[str]:
    return ("job", "undo", str(ours.do(rack, "job", "run", ours.plan(rack, "dedupe"), "--workers", "1")["id"]), "--workers", "1")


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
CLONING = ("dedupe-clones", "undo-dedupe")  # duplicates are replaced by clones
DEDUPES = ("dedupe", "dedupe-links", *CLONING)
ACTIONS = ("copy", "archive", "archive-stubs", "undo", "purge", "recall", *DEDUPES)


def ours(action: str, *, files: Truth | None = None, mutant: str | None = None) -> Ours:
    """The scenario of an action."""
    ready = {
        "copy": _planned("copy"),
        "archive": _planned("archive"),
        "archive-stubs": _planned("archive-stubs"),
        "undo": _undone,
        "purge": _purged,
        "recall": _recalled,
        "dedupe": _planned("dedupe"),
        "dedupe-links": _planned("dedupe"),
        "dedupe-clones": _planned("dedupe"),
        "undo-dedupe": _separated,
    }[action]
    if action in DEDUPES and files is None:
        files = DUPLICATES
    lacks = "FIDEDUPERANGE" if action in CLONING else None
    return Ours(action, ready, moves=action in ("archive", "archive-stubs", "purge"), files=files, mutant=mutant, lacks=lacks)


def moved_for_good(*, files: Truth | None = None, mutant: str | None = None) -> Ours:
    """Archive, then purge: the hardest, for nothing can be brought back afterwards."""
    return Ours("archive, then purge", _planned("archive"), moves=True, files=files, mutant=mutant, then=purge_after)


def droppers(*, mutant: str | None = None) -> Ours:
    """Two jobs that each take away a copy of the same content, of three, where two must stay."""

    def ready(ours: Ours, rack: Rack) -> Sequence[str]:
        for policy in ("copy", "copy-again"):
            ours.do(rack, "job", "run", ours.plan(rack, policy), "--workers", "1")
        ours.do(rack, "scan", "--accept-losses", "--digest", "all")
        ours.second = ("job", "run", ours.plan(rack, "drop-third"), "--workers", "1")
        return ("job", "run", ours.plan(rack, "drop"), "--workers", "1")

    few: Truth = {b"one": b"the first of two\n" * 100, b"dir/two": b"the second\n" * 100}
    return Ours("delete", ready, moves=False, files=few, mutant=mutant, disks=("S", "D", "J", "B"), floor=2)
