"""Several engines on one journal, killed at random."""

import random
import time

from tests.lifecycle.chaos.disks import Rack
from tests.lifecycle.chaos.ours import Ours
from tests.lifecycle.chaos.programs import ready
from tests.lifecycle.chaos.scorecard import Row
from tests.lifecycle.chaos.verdict import Verdict
from tests.lifecycle.chaos.warm import Run

ENGINES = 3
_OTHERS_WORK = 4  # the exit code of an engine that leaves the rest to another
_ROUND_SECONDS = 600.0  # a job that takes longer is stuck
_MEAN_SECONDS = 0.25  # between a start and the kill


def crowd(program: Ours, rack: Rack, kills: int, seed: int = 1) -> Row:
    """Rounds of the same job: engines that are killed and started again, until so many kills hit an engine at work.

    Each round ends without kills, and is judged. A point is a kill.
    """
    row = Row(f"{ENGINES} engines on one journal, random SIGKILLs", program.name, existing=kills)
    chance = random.Random(seed)
    truth = ready(program, rack)
    while row.chosen < kills:
        rack.restore()
        hits, verdict = _round(program, rack, chance, kills - row.chosen)
        if code := program.again(rack):
            verdict.stuck.append(f"exit {code} afterwards")
        verdict.add(program.judge(rack, truth, settled=True))
        for _ in range(max(hits - 1, 0)):
            row.note("kill", Verdict())
        row.note(f"the round that ended with kill {row.chosen + 1}", verdict, fired=hits > 0)
    return row


def calm(program: Ours, rack: Rack, rounds: int) -> Row:
    """The same without kills: engines that begin at once must share the work, and no step may end otherwise than was meant. A point is a round."""
    row = Row(f"{ENGINES} engines on one journal at once", program.name, existing=rounds)
    truth = ready(program, rack)
    for number in range(rounds):
        rack.restore()
        engines = [program.begin(rack, held=True) for _ in range(ENGINES)]
        for run in engines:
            run.go()
        codes = [run.wait() for run in engines]
        verdict = program.judge(rack, truth, settled=True)
        verdict.untrue += program.claims(rack)
        verdict.stuck += program.amiss(rack)
        if 0 not in codes or not set(codes) <= {0, _OTHERS_WORK}:
            verdict.stuck.append(f"the engines ended with {codes}")
        row.note(f"round {number + 1}", verdict)
    return row


def _round(program: Ours, rack: Rack, chance: random.Random, most: int) -> tuple[int, Verdict]:
    """Kill engines until the job is through, or enough were killed. Gives how many were hit while they ran."""
    engines: list[tuple[Run, float]] = []
    hits, verdict, until = 0, Verdict(), time.monotonic() + _ROUND_SECONDS
    through = False
    while not through and hits < most:
        engines += [(program.begin(rack), time.monotonic() + chance.expovariate(1 / _MEAN_SECONDS)) for _ in range(ENGINES - len(engines))]
        run, when = min(engines, key=lambda one: one[1])
        time.sleep(max(0.0, when - time.monotonic()))
        run.kill()
        hits += run.wait() == -9
        engines.remove((run, when))
        through = any(one.ended() and one.wait() == 0 for one, _ in engines) or run.wait() == 0
        if time.monotonic() > until:
            verdict.stuck.append("the job makes no way")
            break
    for one, _ in engines:
        one.kill()
        one.wait()
    return hits, verdict
