"""Each system call failing once, and a target that runs full."""

from tests.lifecycle.chaos.choice import Choice
from tests.lifecycle.chaos.disks import Rack
from tests.lifecycle.chaos.programs import Program, ready
from tests.lifecycle.chaos.scorecard import Row
from tests.lifecycle.chaos.sweeps.kill import own_calls, strike
from tests.lifecycle.chaos.tracing import Fault

_IN_PART = 4  # a step that was denied something has ended for good, and says why
ERRNOS = ("EIO", "ENOSPC", "EACCES", "EINTR", "EDQUOT")


def fail(program: Program, rack: Rack, choice: Choice, errno: str, *, onwards: bool = False) -> Row:
    """Have each chosen call fail, once or from then on for ever, whatever the program makes of that; look; run again; look again."""
    row = Row(f"every call fails {'from then on' if onwards else 'once'} with {errno}", program.name)
    truth = ready(program, rack)
    own = own_calls(program, rack)
    row.existing = len(own)
    log = rack.folder / "strace"
    for call in choice.of(own):
        fired, code = strike(program, rack, Fault(f"error={errno}", call.name, call.number, onwards), log)
        verdict = program.judge(rack, truth, settled=False)
        if code < 0:
            verdict.stuck.append(f"it died of signal {-code}")
        if (code := program.again(rack)) not in (0, _IN_PART):
            verdict.stuck.append(f"exit {code} afterwards")
        verdict.add(program.judge(rack, truth, settled=True))
        row.note(call, verdict, fired=fired)
    return row


def full(program: Program, rack: Rack, rooms: tuple[int, ...]) -> Row:
    """Leave only so many bytes on the target; look; make room; run again; look again."""
    row = Row("no space left on the target", program.name, existing=len(rooms))
    truth = ready(program, rack)
    for room in rooms:
        rack.restore()
        ballast = rack.disks["D"].fill(room)
        code = program.begin(rack).wait()
        verdict = program.judge(rack, truth, settled=False)
        ballast.unlink()
        if again := program.again(rack):
            verdict.stuck.append(f"exit {again} afterwards")
        verdict.add(program.judge(rack, truth, settled=True))
        row.note(f"{room} bytes of room", verdict, fired=code != 0)
    return row
