"""SIGKILL before every system call, and a power cut at every one that can change a disk."""

from collections.abc import Iterable
from pathlib import Path

from tests.lifecycle.chaos import tracing
from tests.lifecycle.chaos.choice import Choice
from tests.lifecycle.chaos.disks import Rack
from tests.lifecycle.chaos.programs import Program, ready
from tests.lifecycle.chaos.scorecard import Row
from tests.lifecycle.chaos.tracing import Call, Fault

_TRIES = 3


def kill(program: Program, rack: Rack, choice: Choice) -> Row:
    """Kill before each chosen call; look; run again; look again."""
    return _sweep(Row("SIGKILL before every call", program.name), program, rack, choice, None)


def power(program: Program, rack: Rack, choice: Choice, committed: Iterable[str]) -> Row:
    """Kill before each chosen call and cut the power of all disks at once, but for those that commit first. They must commit apart to show anything."""
    committed = tuple(committed)
    apart = f", {' and '.join(committed)} committed" if committed else ""
    return _sweep(Row(f"power cut at every call{apart}", program.name), program, rack, choice, committed)


def own_calls(program: Program, rack: Rack) -> list[Call]:
    """The calls of an undisturbed run, that are about its disks: the points of a sweep. Raises AssertionError if the run fails."""
    code = program.begin(rack).wait()  # what is loaded once and for all is loaded by now
    rack.restore()
    found, traced = tracing.calls(lambda: program.begin(rack, held=True), rack.folder / "strace")
    if (code or traced) and not program.mutant:
        said = (rack.folder / "err").read_text(errors="replace")
        raise AssertionError(f"{program.name}: the undisturbed run ends with {code or traced}: {said[-2000:]}")
    return tracing.naming(found, rack.folder)


def strike(program: Program, rack: Rack, fault: Fault, log: Path) -> tuple[bool, int]:
    """A run with a fault on fresh disks, again if the run went another way and did not come to that call. Gives whether it fired, and how the run ended."""
    for _ in range(_TRIES):
        rack.restore()
        fired, code = tracing.inject(lambda: program.begin(rack, held=True), fault, log)
        if fired:
            break
    return fired, code


def _sweep(row: Row, program: Program, rack: Rack, choice: Choice, committed: tuple[str, ...] | None) -> Row:
    truth = ready(program, rack)
    log = rack.folder / "strace"
    own = own_calls(program, rack)
    row.existing = len(own)
    for call in choice.of(own):
        fired, _ = strike(program, rack, Fault("signal=KILL", call.name, call.number), log)
        if committed is not None:
            rack.cut(committed)
        verdict = program.judge(rack, truth, settled=False)
        verdict.untrue += program.claims(rack)
        if code := program.again(rack):
            verdict.stuck.append(f"exit {code} afterwards")
        verdict.add(program.judge(rack, truth, settled=True))
        row.note(call, verdict, fired=fired)
    return row
