"""SIGKILL at the system calls of a run that works on a catalog: `python -m tests.catalog.kills compact [POINTS]`; without a number at every one of them.

Strace counts the calls of each thread: a point is the call of that name and number in whichever thread comes to it first.
"""

import contextlib
import datetime
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb

from catalog import compaction, expiry, former, integrity, snapshot, table, thinning
from catalog.retention import Wish
from catalog.schema import TABLES
from tests.catalog import kept
from tests.catalog.estates import NOON, write_scan
from tests.lifecycle.chaos import tracing, warm

DAYS = 4
_GRACE = 86_400.0


@dataclass(frozen=True)
class Work:
    """What is killed: `grow` makes the catalog, `run` works on it, `told` is what must be the same before and after, `ended` what holds once it got through."""

    grow: Callable[[Path], None]
    run: Callable[[Path], None]
    told: Callable[[Path], object]
    ended: Callable[[Path], bool]


def main(arguments: Sequence[str]) -> int:
    """Print each point that is wrong; gives 1 if there is one."""
    work = WORKS[arguments[0]]
    with tempfile.TemporaryDirectory(prefix="lastcopy-kills-") as folder:
        here = Path(folder)
        points = _points(work, here)
        chosen = points if len(arguments) == 1 else random.Random(len(points)).sample(points, min(int(arguments[1]), len(points)))
        fired = wrong = 0
        for number, (name, count) in enumerate(chosen):
            root = _copied(here, number)
            run, hold = partial(work.run, root), partial(_hold, work, here / "whole", root)
            fired += tracing.inject(partial(_begin, here, run, held=True), tracing.Fault("signal=KILL", name, count), here / "log")[0]
            if _begin(here, hold).wait():
                wrong += 1
                print(f"{name}#{count}: {(here / 'err').read_text('utf-8')[-2000:]}")
            shutil.rmtree(root)
        print(f"{len(points)} points, {len(chosen)} tried, {fired} fired, {wrong} wrong")
        return int(wrong > 0 or fired == 0)


def _points(work: Work, here: Path) -> list[tuple[str, int]]:
    """The calls of a whole run that change something of the catalog, by name and number."""
    listed = here / "modules.json"
    if _begin(here, lambda: work.grow(here / "whole")).wait() or _begin(here, warm.learning(lambda: work.run(_copied(here, -1)), listed)).wait():
        raise AssertionError((here / "err").read_text("utf-8"))
    warm.learn(listed)
    root = _copied(here, -2)
    found, code = tracing.calls(lambda: _begin(here, lambda: work.run(root), held=True), here / "log")
    assert code == 0, (here / "err").read_text("utf-8")
    return sorted({(call.name, call.number) for call in found if call.changing and str(root) in call.told})


def _copied(here: Path, number: int) -> Path:
    root = here / f"rack{number}" / "catalog"
    shutil.copytree(here / "whole", root)
    return root


def _begin(here: Path, body: Callable[[], object], *, held: bool = False) -> warm.Run:
    (here / "err").unlink(missing_ok=True)
    place = warm.Place(here, here / "out", here / "err", {**os.environ, "TZ": "UTC"})
    return warm.start(lambda: int(bool(body())), place, held=held)


def _hold(work: Work, whole: Path, root: Path) -> bool:
    """Whether a catalog is wrong after a kill: before the next run, or after it."""
    wanted = work.told(whole)
    for _ in range(2):
        damaged = [finding for finding in integrity.verify(root, contents=True)[0] if finding.state == "error"]
        assert not damaged, damaged
        assert work.told(root) == wanted
        work.run(root)
    assert work.ended(root)
    return False


def _grow_for_compact(root: Path) -> None:
    kept.grow(root, DAYS - 1, derives=False)
    kept.grow(root, 1, DAYS - 1)


def _compact(root: Path) -> None:
    list(compaction.compact(root))


def _rows(root: Path) -> object:
    """All rows now, and at every version that growing tables had before they were compacted."""
    now = {name: sorted(map(str, table.read(root, name).to_pylist())) for name in TABLES}
    older = {
        (name, version): sorted(map(str, table.read(root, name, version=version).to_pylist()))
        for name in ("scans", "digests")
        for version in range(2 * DAYS + 1)
    }
    return now, older


def _grow_for_expire(root: Path) -> None:
    """Two snapshots of four are dropped, what was dropped of a third one is removed, and what of `digests` was written together."""
    kept.grow(root, DAYS)
    expiry.expire(root, Wish(0, 0, 0, 0, {one.snapshot_id: "" for one in snapshot.snapshots(root)[1:]}), time.time() - 2 * _GRACE, _GRACE)
    list(compaction.compact(root))


def _expire(root: Path) -> None:
    expiry.expire(root, Wish(0, 0, 0, 0), time.time() + 2 * _GRACE, _GRACE)


def _kept(root: Path) -> object:
    """The rows that are never dropped, and those of the snapshots that are kept; and that every older version can be read."""
    now = {name: sorted(map(str, table.read(root, name).to_pylist())) for name in TABLES if name not in expiry.DROPPED}
    known = snapshot.snapshots(root)
    derived = {
        (name, one.snapshot_id): sorted(map(str, table.read(root, name, snapshot_id=[one.snapshot_id]).to_pylist()))
        for one in known[-2:]
        for name in expiry.DROPPED
    }
    older = {
        (name, one.snapshot_id): sorted(map(str, table.read(root, name, version=version).to_pylist()))
        for one in known
        for name, version in one.versions.items()
    }
    return now, derived, older


def _has_expired(root: Path) -> bool:
    """Whether nothing is left to do but to wait for the grace time of what a killed run had dropped."""
    found = expiry.plan(root, Wish(0, 0, 0, 0), time.time() + 2 * _GRACE, _GRACE)
    return not found.dropped and not found.removed


def _grow_for_thin(root: Path) -> None:
    """Four scans, of which one file of fifty changes."""
    before = None
    for day in range(DAYS):
        paths = {f"f{number:04}": {"size_bytes": day if number % 50 == 0 else number, "path_hash": number**5 % 2**48} for number in range(6_000)}
        before = write_scan(root, "work", paths, NOON + datetime.timedelta(days=day), previous_scan_id=before)
    with contextlib.closing(thinning.thin(root)) as thinned:
        assert next(thinned).stays_whole is None  # the first one was done before


def _thin(root: Path) -> None:
    list(thinning.thin(root))


def _scans(root: Path) -> object:
    """The rows of every scan, however they are stored."""
    with duckdb.connect() as connection:
        read = {scan.scan_id: former.entries(root, {scan.volume: scan.scan_id})[0] for scan in snapshot.scans(root)}
        columns = f"entry_id, {former.COLUMNS}, volume, scan_id"
        return {scan_id: sorted(map(str, connection.execute(f"SELECT {columns} FROM {entries}").fetchall())) for scan_id, entries in read.items()}


def _is_thin(root: Path) -> bool:
    return thinning.plan(root) == [] and len(table.files(root, "entries")) == len(table.files(root, "entry_origins")) == 1


WORKS = {
    "thin": Work(_grow_for_thin, _thin, _scans, _is_thin),
    "expire": Work(_grow_for_expire, _expire, _kept, _has_expired),
    "compact": Work(_grow_for_compact, _compact, _rows, lambda root: compaction.plan(root) == [] and len(table.files(root, "scans")) == 1),
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
