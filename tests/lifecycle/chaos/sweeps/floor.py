"""Copies that go bad or away under a removal, and two removals that rest on each other's copy."""

import os
from collections.abc import Callable
from pathlib import Path

from tests.lifecycle.chaos import estate, tracing
from tests.lifecycle.chaos.choice import Choice
from tests.lifecycle.chaos.disks import Rack
from tests.lifecycle.chaos.estate import OWN, Truth
from tests.lifecycle.chaos.ours import Ours
from tests.lifecycle.chaos.programs import ready
from tests.lifecycle.chaos.scorecard import Row
from tests.lifecycle.chaos.sweeps.kill import own_calls
from tests.lifecycle.chaos.tracing import Call
from tests.lifecycle.chaos.verdict import Verdict
from tests.lifecycle.chaos.warm import Run

COPIES_GO_BAD, COPIES_GO, QUARANTINE_CHANGES = "every copy goes bad", "every copy goes", "what is in quarantine changes"


def _flip(place: bytes) -> None:
    """One bit of a file, its times put back, as a disk does it."""
    path = Path(os.fsdecode(place))
    found, content = path.stat(), bytearray(path.read_bytes())
    if content:
        content[len(content) // 2] ^= 1
        with open(path, "r+b") as file:
            file.write(content)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


_HARM: dict[str, tuple[Callable[[bytes], None], bool]] = {COPIES_GO_BAD: (_flip, False), COPIES_GO: (os.unlink, False), QUARANTINE_CHANGES: (_flip, True)}
KINDS = tuple(_HARM)


def harm(program: Ours, rack: Rack, kind: str) -> Row:
    """Before a purge do harm to what justifies it, or to what it purges. Every original is a point: it must still be somewhere, changed or not."""
    row = Row(f"before a purge: {kind}", program.name)
    truth = ready(program, rack)
    source, target = program.roots(rack)
    act, quarantined = _HARM[kind]
    harmed = _files(source / os.fsdecode(OWN) / "quarantine") if quarantined else _files(target)
    for place in harmed if act is os.unlink else {os.stat(place).st_ino: place for place in harmed}.values():
        act(place)
    kept = {Path(os.fsdecode(place)).read_bytes() for place in harmed} if quarantined else set()
    program.begin(rack).wait()
    program.again(rack)
    left = {content for path, content in (*estate.seen(source).items(), *estate.seen(target).items())}
    found = program.judge(rack, {} if quarantined else truth, settled=True)
    row.existing = len(truth)
    for path, content in truth.items():
        verdict = Verdict(lost=[name for name in found.lost if name == repr(path)])
        if quarantined and content and not {content} <= left:
            verdict.lost.append(repr(path))
        row.note(repr(path), verdict)
    if not kept <= left:
        row.lost += 1
        row.examples.append("something that lay in quarantine is gone though it was not what it should have been")
    row.stuck += bool(found.stuck)
    row.examples += found.stuck[:1]
    return row


def droppers(program: Ours, rack: Rack, choice: Choice) -> Row:
    """Two jobs that each remove the other's copy: at each chosen call of the first the second runs to its end. At least the floor must stay."""
    row = Row("two removals at once", program.name)
    truth = ready(program, rack)
    own = own_calls(program, rack)[:-1]
    row.existing = len(own)
    for call in choice.of(own):
        rack.restore()
        fired = _both(program, rack, call)
        verdict = Verdict(lost=_below_floor(program, rack, truth))
        program.again(rack)
        verdict.add(Verdict(lost=_below_floor(program, rack, truth), stuck=program.judge(rack, {}, settled=True).stuck))
        row.note(call, verdict, fired=fired)
    return row


def _both(program: Ours, rack: Rack, call: Call) -> bool:
    """Run the one job, and the other while it stands still at a call; gives whether it did."""
    rivals: list[Run] = []
    fired, _ = tracing.halt(lambda: program.begin(rack, held=True), call, rack.folder / "strace", lambda: rivals.append(program.rival(rack)))
    for rival in rivals:
        rival.wait()
    return fired


def _below_floor(program: Ours, rack: Rack, truth: Truth) -> list[str]:
    """Contents of which fewer names are left, out of quarantine, than the floor and the original."""
    trees = [estate.seen(root, own=False) for root in program.holders(rack)]
    return [repr(path) for path, content in truth.items() if content and sum(tree.get(path) == content for tree in trees) < program.floor]


def _files(root: Path) -> list[bytes]:
    found = []
    for folder, folders, names in os.walk(os.fsencode(root)):
        folders[:] = [name for name in folders if name != OWN]
        found += [os.path.join(folder, name) for name in names if not os.path.islink(os.path.join(folder, name))]
    return found
