"""The power of the target is cut after the program has said that all is well, and the source's disk has committed."""

from tests.lifecycle.chaos.disks import Rack
from tests.lifecycle.chaos.programs import Program, ready
from tests.lifecycle.chaos.scorecard import Row
from tests.lifecycle.chaos.verdict import Verdict


def after(program: Program, rack: Rack, cut: tuple[str, ...] = ("D",)) -> Row:
    """One run; every original is a point, so that the row counts files."""
    row = Row("power of the target cut after success", program.name)
    truth = ready(program, rack)
    row.existing = len(truth)
    code = program.begin(rack).wait()
    for name, disk in rack.disks.items():
        if name not in cut:
            disk.commit()
    for name in cut:
        rack.disks[name].cut()
        rack.disks[name].remount()
    found = program.judge(rack, truth, settled=False)
    for path in truth:
        verdict = Verdict(lost=[name for name in found.lost if name == repr(path)], wrong=[name for name in found.wrong if name == repr(path)])
        row.note(path, verdict, fired=code == 0)
    return row
