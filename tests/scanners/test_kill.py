"""SIGKILL at random moments of a scan: the catalog opens, shows what was published last, and the next scan completes."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog import snapshot, table
from tests.scanners import contract
from tests.scanners.contract import Item, entries, expected, paths, scan
from tests.scanners.test_posix import Tree

# A process that scans when it is told to, forked for every moment: libraries are loaded once.
SERVER = """
import os, signal, sys, time
from datetime import UTC, datetime
from pathlib import Path
import deltalake, duckdb, pyarrow.parquet, xxhash
from catalog import config, snapshot, table
from scanners import crawl, guard, journal, media, pool, posix, sink
from scanners.crawl import Budget
root, url = Path(sys.argv[1]), sys.argv[2]
declared = config.parse({"volumes": {"v": {"url": url}}})
budget = Budget(first_entries=20, first_seconds=60, entries=50, seconds=60, own_seconds=60)
for line in sys.stdin:
    how, seconds = line.split()
    until = time.monotonic() + float(seconds)
    child = os.fork()
    if not child:
        crawl.scan(root, declared, "v", now=lambda: datetime.now(UTC), workers=int(sys.argv[3]), resume=how == "resume", budget=budget)
        os._exit(0)
    ended = 0
    while not ended and time.monotonic() < until:
        time.sleep(0.001)
        ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    print(status, flush=True)
"""


class Scans:
    """Scans in processes that can be killed."""

    def __init__(self, root: Path, url: str, workers: int) -> None:
        command = [sys.executable, "-c", SERVER, str(root), url, str(workers)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])

    def run(self, how: str, kill_after_seconds: float = 300) -> int:
        """Scan, killed after that time; gives the wait status."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{how} {kill_after_seconds}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@pytest.fixture(params=[1, 2], ids=["one process", "two processes"])
def scans(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scans]:
    Tree(tmp_path / "tree").make(ITEMS)
    scans = Scans(tmp_path / "catalog", str(tmp_path / "tree"), request.param)
    yield scans
    assert scans.process.stdin
    scans.process.stdin.close()
    scans.process.wait()


ITEMS = contract.many(900)


def check(root: Path, last: str | None) -> str | None:
    """The catalog after a kill: whole, and showing the last published scan or a newer one that got through. Gives its id."""
    published = snapshot.newest_scans(root).get("v")
    if published is None:
        assert last is None
        return None
    files = snapshot.entry_files(root, published.scan_id, "v")
    assert files
    for name in ("entries", "problems", "scans"):
        assert all(Path(file).exists() for file in table.files(root, name))
    rows = sum(file.rows for file in (contract_rows(file) for file in files))
    assert rows == published.entries == len(expected(ITEMS))
    return published.scan_id


class contract_rows:  # noqa: N801 - reads as a function
    """How many rows a file has."""

    def __init__(self, file: str) -> None:
        import pyarrow.parquet as pq

        self.rows: int = pq.read_metadata(file).num_rows


def kill_at_random_moments(scans: Scans, root: Path, times: int, seed: int) -> None:
    moments = random.Random(seed)
    assert scans.run("anew") == 0
    started = time.monotonic()
    assert scans.run("anew") == 0
    whole_seconds = time.monotonic() - started
    last, killed = check(root, None), 0
    while killed < times:  # a scan that got through before its moment does not count
        killed += bool(scans.run(moments.choice(["anew", "resume"]), moments.uniform(0, whole_seconds)))
        last = check(root, last)
        assert last
    for how in ("resume", "anew"):
        assert scans.run(how) == 0
        latest = check(root, last)
        assert latest != last
        last = latest
    assert not list((root / ".scans").iterdir())


@pytest.mark.slow
def test_a_scan_killed_at_any_of_40_moments_leaves_the_catalog_whole(scans: Scans, tmp_path: Path) -> None:
    kill_at_random_moments(scans, tmp_path / "catalog", 20, seed=7)


@pytest.mark.slow
def test_a_scan_killed_at_any_of_200_moments_leaves_the_catalog_whole(scans: Scans, tmp_path: Path) -> None:
    kill_at_random_moments(scans, tmp_path / "catalog", 100, seed=11)


def test_a_scan_killed_before_the_first_was_published_leaves_an_empty_catalog(tmp_path: Path) -> None:
    Tree(tmp_path / "tree").make(ITEMS)
    scans = Scans(tmp_path / "catalog", str(tmp_path / "tree"), 2)
    for delay in (0.0, 0.02, 0.05):
        scans.run("resume", delay)
        check(tmp_path / "catalog", None)
    result = scan(tmp_path / "catalog", {"url": str(tmp_path / "tree")}, resume=True)
    assert paths(tmp_path / "catalog", result) == expected(ITEMS)
    ids = [row["entry_id"] for row in entries(tmp_path / "catalog", result)]
    assert len(set(ids)) == len(ids)
    assert scans.process.stdin
    scans.process.stdin.close()
    scans.process.wait()


def test_workers_die_with_their_driver(tmp_path: Path) -> None:
    declared = Tree(tmp_path / "tree").make([*ITEMS, Item(b"more")])
    scans = Scans(tmp_path / "catalog", declared["url"], 4)
    scans.run("anew", 0.15)
    deadline = time.monotonic() + 10
    while workers_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers_of(tmp_path) == []
    assert scans.process.stdin
    scans.process.stdin.close()
    scans.process.wait()


def workers_of(folder: Path) -> list[str]:
    """The worker processes that have something of a folder open."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            command = (process / "cmdline").read_bytes()
            if b"scanners._worker" in command and any(str(folder) in os.readlink(link) for link in (process / "fd").iterdir()):
                found.append(process.name)
        except OSError:
            continue  # it ended, or is no process
    return found
