"""A target that does not keep what it is given."""

from pathlib import Path

from tests.lifecycle.chaos.disks import Rack
from tests.lifecycle.chaos.estate import Truth
from tests.lifecycle.chaos.liar import MODES, Liar, lying
from tests.lifecycle.chaos.programs import Program
from tests.lifecycle.chaos.scorecard import Row
from tests.lifecycle.chaos.verdict import Verdict

# Modes after which a program may still say that all is well: the content does arrive.
HARMLESS = frozenset({"honest", "short-write", "no-flags"})


def lie(program: Program, rack: Rack, mode: str) -> Row:
    """One run on a target that lies in this way; for `no-fsync` its power is cut afterwards. Every original is a point, so that the row counts files."""
    row = Row(f"a target that lies: {mode}", program.name)
    backing, mount, switch = rack.folder / "D" / "lies", rack.folder / "L", rack.folder / "mode"
    truth = _ready(program, rack, backing, mount, switch)
    row.existing = len(truth)
    rack.through["D"] = mount
    try:
        with lying(backing, mount, switch) as liar:
            _lie_once(program, rack, liar, mode)
            found = program.judge(rack, truth, settled=False)
        if mode == "no-fsync":
            rack.disks["S"].commit()
            rack.disks["D"].cut()
            rack.disks["D"].remount()
        with lying(backing, mount, switch) as liar:
            if mode == "flip-read":  # what cannot be read any more is lost
                liar.be(mode)
            found.add(program.judge(rack, truth, settled=False))
            liar.be("honest")
            program.again(rack)
            found.add(program.judge(rack, truth, settled=True))
    finally:
        del rack.through["D"]
    for path in truth:
        lost, wrong = ([name for name in names if name == repr(path)] for names in (found.lost, found.wrong))
        row.note(repr(path), Verdict(lost=lost, wrong=wrong))
    row.stuck += bool(found.stuck)
    row.examples += found.stuck[:1]
    return row


def _ready(program: Program, rack: Rack, backing: Path, mount: Path, switch: Path) -> Truth:
    """As `programs.ready`, with the target reached through the file system while it is honest."""
    if rack.truth is None:
        backing.mkdir()
        rack.through["D"] = mount
        try:
            with lying(backing, mount, switch):
                rack.truth = program.prepare(rack)
        finally:
            del rack.through["D"]
        rack.keep()
    else:
        rack.restore()
    return rack.truth


def _lie_once(program: Program, rack: Rack, liar: Liar, mode: str) -> None:
    assert mode in MODES
    liar.be(mode)
    code = program.begin(rack).wait()
    liar.be("honest")
    if mode in HARMLESS and code:
        said = (rack.folder / "err").read_text(errors="replace")
        raise AssertionError(f"{program.name} fails on a target that only writes {mode}: {said[-2000:]}")
