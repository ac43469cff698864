"""What is swept, in groups that share one preparation; each group can run in a process of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.lifecycle.chaos import estate, liar, ours
from tests.lifecycle.chaos.choice import Choice
from tests.lifecycle.chaos.disks import Rack
from tests.lifecycle.chaos.ours import Ours
from tests.lifecycle.chaos.programs import PEERS, Program, peer, ready
from tests.lifecycle.chaos.scorecard import Row
from tests.lifecycle.chaos.sweeps import after, crowd, errors, floor, kill, lies, network, races
from tests.scanners import smbd, sshd, stores

Group = Callable[[Path, bool], Iterator[Row]]
_NAMING = frozenset({"rename", "renameat", "renameat2"})
_COPYING = frozenset({"fchmod"})  # of a copy that is yet to be read back
_NEAR_NAMING = Choice(before=_NAMING)


def _some(number: int, *, short: bool, seed: int = 0) -> Choice:
    """A number of the points that can change a disk; every point there is, if there is time."""
    return Choice(changing=True, at_most=number, seed=seed) if short else Choice()


@contextmanager
def _rack(folder: Path, program: Program, kind: str = "ext4") -> Iterator[Rack]:
    rack = Rack(folder, program.disks, kind)
    try:
        yield rack
    finally:
        rack.close()


def _caught(program: Ours, mutant: str, sweep: Callable[[Ours], Row]) -> Row:
    """A sweep of an engine without one of its safeties, on the preparation of the good one."""
    assert program.command, "the good one comes first"
    row = sweep(replace(program, mutant=mutant))
    row.must = "be caught"
    return row


def kills(action: str) -> Group:
    """SIGKILL through a job of an action; on xfs where blocks are to be shared, or files cloned."""

    def group(folder: Path, short: bool) -> Iterator[Row]:
        program = ours.ours(action)
        with _rack(folder, program, "xfs" if action in ("dedupe", *ours.CLONING) else "ext4") as rack:
            yield kill.kill(program, rack, _some(7, short=short))
            if not short:
                yield from (kill.power(program, rack, Choice(changing=True), committed) for committed in ((), ("S",), ("D",)))
                yield from (errors.fail(program, rack, Choice(), errno) for errno in errors.ERRNOS)
            if action == "undo":
                yield races.race(program, rack, _some(4, short=short), races.TARGET)
                yield _caught(program, "undo overwrites", lambda bad: races.race(bad, rack, replace(_NEAR_NAMING, at_most=24), races.TARGET))
            if action in ours.CLONING:
                for seed, kind in enumerate(("overwrite", "overwrite, times put back", "replace by rename")):
                    yield races.race(program, rack, _some(4, short=short, seed=seed), kind)
                mutant = "duplicates are believed" if action == "dedupe-clones" else "stand-ins go unread"
                yield _caught(program, mutant, lambda bad: races.race(bad, rack, _some(9, short=True, seed=3), "overwrite, times put back"))

    return group


def archive(folder: Path, short: bool) -> Iterator[Row]:
    """Kills, power cuts, failing calls and a full target under an archive."""
    program = ours.ours("archive")
    with _rack(folder, program) as rack:
        yield kill.kill(program, rack, _some(12, short=short))
        for seed, committed in enumerate(((), ("S",), ("D",), ("J",))):
            yield kill.power(program, rack, replace(_some(5, short=short, seed=seed), changing=True), committed)
        for seed, errno in enumerate(errors.ERRNOS):
            yield errors.fail(program, rack, _some(4, short=short, seed=seed), errno)
        for seed, errno in enumerate(("EIO", "ENOSPC")):
            yield errors.fail(program, rack, replace(_some(4, short=short, seed=seed), changing=True), errno, onwards=True)
        yield errors.full(program, rack, (0, 100_000) if short else (0, 4096, 20_000, 50_000, 100_000, 400_000, 1_000_000, 1_500_000))
        yield after.after(program, rack)


def writers(folder: Path, short: bool) -> Iterator[Row]:
    """Other programs that change files under an archive; in the long run also with the purge that follows."""
    program = ours.ours("archive")
    with _rack(folder, program) as rack:
        for seed, kind in enumerate(races.KINDS):
            yield races.race(program, rack, _some(4, short=short, seed=seed), kind)
    if not short:
        program = ours.moved_for_good()
        with _rack(folder, program) as rack:
            yield from (races.race(program, rack, Choice(changing=True), kind) for kind in races.KINDS)


def mutants(folder: Path, short: bool) -> Iterator[Row]:
    """Archives without one of their safeties, killed and cut off."""
    del short
    program = ours.ours("archive")
    late = Choice(changing=True, at_most=9, seed=3)
    with _rack(folder, program) as rack:
        ready(program, rack)
        for mutant in ("no fsync", "no fsync of directories"):
            yield _caught(program, mutant, lambda bad: kill.power(bad, rack, late, ()))
        for mutant in ("unlink in place of quarantine", "source gone before publish"):
            yield _caught(program, mutant, lambda bad: kill.kill(bad, rack, late))
        yield _caught(program, "temporary names are kept", lambda bad: kill.kill(bad, rack, Choice(before=_COPYING, at_most=6)))
        yield _caught(program, "the journal says before the act", lambda bad: kill.kill(bad, rack, replace(_NEAR_NAMING, at_most=8)))


def raced_mutants(folder: Path, short: bool) -> Iterator[Row]:
    """Archives without one of their safeties, raced by writers."""
    del short
    program = ours.ours("archive")
    late = Choice(changing=True, at_most=9, seed=3)
    near = replace(_NEAR_NAMING, at_most=24)
    with _rack(folder, program) as rack:
        ready(program, rack)
        yield _caught(program, "clobbering publish", lambda bad: races.race(bad, rack, near, races.TARGET))
        yield _caught(program, "no lease, no last look", lambda bad: races.race(bad, rack, late, "overwrite, times put back"))
        yield _caught(program, "discard takes the target", lambda bad: races.race(bad, rack, late, races.TARGET))
        yield _caught(program, "links are followed", lambda bad: races.race(bad, rack, late, races.TARGET_PARENT))


def engines(folder: Path, short: bool) -> Iterator[Row]:
    """Three engines on one journal."""
    program = ours.ours("archive", files=estate.many(120 if short else 400))
    with _rack(folder, program) as rack:
        yield crowd.crowd(program, rack, 25 if short else 1000)
        yield crowd.calm(program, rack, 3 if short else 50)
        yield _caught(program, "no claims", lambda bad: crowd.calm(bad, rack, 3))


def removals(folder: Path, short: bool) -> Iterator[Row]:
    """Two removals that rest on each other's copy."""
    program = ours.droppers()
    with _rack(folder, program) as rack:
        yield floor.droppers(program, rack, _some(6, short=short))
        for mutant in ("the floor ignores the ledger", "check, then drop"):
            yield _caught(program, mutant, lambda bad: floor.droppers(bad, rack, replace(_NEAR_NAMING, at_most=8)))


def purges(folder: Path, short: bool) -> Iterator[Row]:
    """What a purge rests on goes bad before it."""
    del short
    program = ours.ours("purge")
    with _rack(folder, program) as rack:
        yield from (floor.harm(program, rack, kind) for kind in floor.KINDS)
        yield _caught(program, "purge without reading", lambda bad: floor.harm(bad, rack, floor.COPIES_GO_BAD))
        yield _caught(program, "no floor", lambda bad: floor.harm(bad, rack, floor.COPIES_GO))


def targets(folder: Path, short: bool) -> Iterator[Row]:
    """A target that lies."""
    program = ours.ours("archive")
    with _rack(folder, program) as rack:
        yield from (lies.lie(program, rack, mode) for mode in liar.MODES)
        yield _caught(program, "no reading back", lambda bad: lies.lie(bad, rack, "flip-write"))
    program = ours.ours("archive", files=estate.PAGES)
    with _rack(folder, program) as rack:
        yield lies.lie(program, rack, "flip-write")
        yield _caught(program, "reading back from memory", lambda bad: lies.lie(bad, rack, "flip-write"))
    if not short:
        program = ours.moved_for_good()
        with _rack(folder, program) as rack:
            yield from (lies.lie(program, rack, mode) for mode in liar.MODES)


def to_buckets(folder: Path, short: bool) -> Iterator[Row]:
    """A line to an object store that breaks."""
    for server in (stores.weed(), stores.ceph()):
        with network.bucket(server, folder / server.name) as far:
            yield from network.breaks(far, 1 if short else 20)


def to_hosts(folder: Path, short: bool) -> Iterator[Row]:
    """A line to another host that breaks."""
    folder.mkdir(parents=True)
    server = sshd.start(folder / "ssh")
    try:
        with network.host(server, folder / "estate") as far:
            yield from network.breaks(far, 1 if short else 20)
    finally:
        server.stop()


def to_shares(folder: Path, short: bool) -> Iterator[Row]:
    """A line to a share that breaks."""
    folder.mkdir(parents=True)
    server = smbd.start(folder / "smb")
    try:
        with network.share(server, "estate") as far:
            yield from network.breaks(far, 1 if short else 20)
    finally:
        server.stop()


def peers(folder: Path, short: bool) -> Iterator[Row]:
    """The same faults under the programs that people use today; and under ours, for the table."""
    files = estate.many(20, 50_000)
    contenders: list[Callable[[], Program]] = [lambda name=name: peer(name, files) for name in PEERS]  # type: ignore[misc]  # mypy: a default is no argument
    contenders.append(lambda: ours.ours("archive", files=files))
    for make in contenders:
        program = make()
        must = "hold" if isinstance(program, Ours) else "be seen"
        with _rack(folder, program) as rack:
            rows = [after.after(program, rack)]
            if not short:
                rows.append(kill.kill(program, rack, Choice(changing=True, at_most=200)))
                rows.append(kill.power(program, rack, Choice(changing=True, at_most=100), ("S",)))
        with _rack(folder, program) as rack:
            rows += [lies.lie(program, rack, mode) for mode in ("flip-write", "flip-read", "no-fsync")]
        if not short:
            small = ours.ours("archive") if isinstance(program, Ours) else peer(program.name)
            with _rack(folder, small) as rack:
                rows += [races.race(small, rack, Choice(changing=True, at_most=60), kind) for kind in races.KINDS]
        for row in rows:
            row.must = must  # type: ignore[assignment]  # one of the two above
            yield row


GROUPS: dict[str, Group] = {
    "archive": archive,
    **{action: kills(action) for action in ours.ACTIONS if action != "archive"},
    "writers": writers,
    "mutants": mutants,
    "raced-mutants": raced_mutants,
    "engines": engines,
    "removals": removals,
    "purges": purges,
    "targets": targets,
    "to-buckets": to_buckets,
    "to-hosts": to_hosts,
    "to-shares": to_shares,
    "peers": peers,
}
