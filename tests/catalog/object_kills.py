"""SIGKILL at the requests of a host that publishes into a bucket: `python -m tests.catalog.object_kills weed|ceph [POINTS]`; without a number at every PUT.

Each point is a request: the process ends before the store has it, or once the store has done it and before the answer came.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from catalog import integrity, snapshot, table
from catalog.connect import connect
from catalog.schema import DERIVED, TABLES
from tests.catalog import kept
from tests.catalog.hosts import Shared
from tests.lifecycle import proxy
from tests.lifecycle.proxy import Proxy
from tests.scanners import stores
from tests.scanners.stores import Server

_SECONDS = 300


@dataclass(frozen=True)
class Point:
    """A PUT, by its number from 1, and whether the store does it."""

    number: int
    done: bool


def main(arguments: Sequence[str]) -> int:
    """Print each point that is wrong; gives 1 if there is one."""
    if arguments[0] == "publish":
        publish(Shared(Server("", arguments[1], Path(arguments[2])), *_told(arguments[3])))
        return 0
    server = stores.weed() if arguments[0] == "weed" else stores.ceph()
    with tempfile.TemporaryDirectory(prefix="lastcopy-kills-") as folder, proxy.running(server.endpoint) as network:
        sweep = Sweep(server, Path(folder), network)
        points = sweep.points()
        chosen = points if len(arguments) == 1 else random.Random(len(points)).sample(points, min(int(arguments[1]), len(points)))
        wrong = [problem for point in chosen if (problem := sweep.wrong(point))]
        print("\n".join(wrong))
        print(f"{len(points)} points, {len(chosen)} tried, {len(wrong)} wrong")
        return int(bool(wrong))


def publish(shared: Shared) -> None:
    """Publish a second day of both volumes, and its snapshot."""
    kept.grow(shared.root("one"), 1, 1)


class Sweep:
    """A catalog with a first day, and what becomes of it where the second one is cut off."""

    def __init__(self, server: Server, folder: Path, network: Proxy) -> None:
        self._server, self._folder, self._network = server, folder, network
        self._whole = Shared(server, folder, server.bucket())
        kept.grow(self._whole.root("first"), 1)
        self._before = _rows(self._whole.root("first"))
        self._snapshot = snapshot.find(self._whole.root("first"))
        self._count = 0

    def points(self) -> list[Point]:
        """Every request of a whole second day that writes, twice."""
        self._network.seen.clear()
        shared = self._copied()
        assert self._publish(shared).wait(_SECONDS) == 0
        self._after = _rows(replace(shared, endpoint="").root("late"))
        writing = sum(one.startswith("PUT") for one in self._network.seen)
        return [Point(number, done) for number in range(1, writing + 1) for done in (False, True)]

    def wrong(self, point: Point) -> str:
        """What is wrong after the process was killed at a point, or after another run; '' where nothing is."""
        shared, network = self._copied(), self._network
        network.seen.clear()
        process: list[subprocess.Popen[bytes]] = []
        hit: list[int] = []

        def come(count: int) -> None:
            with network.lock:
                puts = [place for place, one in enumerate(network.seen, 1) if one.startswith("PUT")]
            if puts[point.number - 1 :][:1] == [count]:
                hit.append(count)
                if not point.done:
                    process[0].kill()
                    raise OSError("nobody waits for it")

        def kill(count: int) -> None:
            if count in hit:
                process[0].kill()
                process[0].wait()

        network.heard, network.answered = come, kill
        process.append(self._publish(shared))
        code = process[0].wait(_SECONDS)
        network.heard = network.answered = lambda _: None
        try:
            assert code == -signal.SIGKILL, f"it ended with {code}"
            direct = replace(shared, endpoint="")
            self._hold(direct.root("other"))
            publish(shared)
            root = direct.root("third")
            self._hold(root)
            assert _rows(root) == self._after
        except Exception as error:  # whatever it is
            return f"{point} ({network.seen[hit[0] - 1] if hit else '?'}): {type(error).__name__}: {str(error)[:500]}"
        return ""

    def _copied(self) -> Shared:
        self._count += 1
        other = replace(self._whole, folder=self._folder / str(self._count), prefix=f"{self._whole.prefix}-{self._count}", endpoint=self._network.endpoint)
        other.folder.mkdir()
        for path in self._whole.paths():
            other.put(path, self._whole.content(path))
        return other

    def _publish(self, shared: Shared) -> "subprocess.Popen[bytes]":
        told = json.dumps([str(shared.folder), shared.bucket, shared.endpoint, shared.prefix])
        command = [sys.executable, "-m", "tests.catalog.object_kills", "publish", self._server.endpoint, str(self._server.folder), told]
        return subprocess.Popen(command, env={**os.environ, "HOME": str(shared.folder)}, stderr=subprocess.DEVNULL)

    def _hold(self, root: Path) -> None:
        """What holds whenever it is looked at: nothing is damaged, every scan that is published is whole, and the first day is what it was."""
        assert [one for one in integrity.verify(root, contents=True)[0] if one.state == "error"] == []
        for scan in snapshot.scans(root):
            assert table.read(root, "entries", scan_id=[scan.scan_id]).num_rows == scan.entries
        known = snapshot.snapshots(root)
        assert known[0].snapshot_id == self._snapshot.snapshot_id
        assert [one.previous_id for one in known] == [None, *(one.snapshot_id for one in known[:-1])]
        for one in known:
            assert connect(root, one, derives=False).execute("SELECT count(*) FROM assets").fetchall()[0][0] == (1 if one is known[0] else 2)
        now = _rows(root)
        assert all(set(before) <= set(now[name]) for name, before in self._before.items())


def _told(text: str) -> tuple[Path, str, str, str]:
    folder, bucket, endpoint, prefix = json.loads(text)
    return Path(folder), bucket, endpoint, prefix


def _rows(root: Path) -> dict[str, list[str]]:
    """All that is no snapshot, and not derived of one."""
    return {name: sorted(map(str, table.read(root, name).to_pylist())) for name in TABLES if name not in (*DERIVED, "snapshots")}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
