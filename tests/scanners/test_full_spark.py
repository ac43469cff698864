"""A scan on Apache Spark itself, one of whose executors is killed in the middle."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog import table
from scanners.progress import Progress
from tests import full_spark
from tests.full_spark import Spark
from tests.scanners import contract
from tests.scanners.contract import BAD_NAMES, Item, entries, many, scan
from tests.scanners.test_posix import Tree

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Spark]:
    (tmp_path / "spark").mkdir()
    with full_spark.running(tmp_path / "spark") as started:
        yield started


def test_a_scan_completes_when_an_executor_is_killed_in_the_middle_and_no_entry_is_there_twice(cluster: Spark, tmp_path: Path) -> None:
    tree, root = Tree(tmp_path / "tree"), tmp_path / "catalog"
    items = [*many(3000), *(Item(b"in/" + name + b"/" + name, b"y") for name in BAD_NAMES)]
    declared, killer = tree.make(items), Killer(cluster)
    result = scan(root, declared, cluster=cluster.address, workers=8, progress=killer)
    killer.thread.join()
    assert "failed because while it was being computed" in cluster.log.read_text("utf-8", "replace")
    assert result.state == "complete"
    assert contract.paths(root, result) == contract.expected(items)
    assert len({row["entry_id"] for row in entries(root, result)}) == result.entries == len(contract.expected(items))
    assert {str(path) for path in (root / "entries").rglob("*.parquet")} == set(table.files(root, "entries"))


class Killer:
    """A listener to progress that kills an executor in the round after the first one, when both have a task."""

    def __init__(self, cluster: Spark) -> None:
        self.thread = threading.Thread(target=self._kill)
        self._cluster, self._begun = cluster, 0

    def __call__(self, _: Progress) -> None:
        if not self._begun:
            self._begun = self._tasks()
            self.thread.start()

    def _tasks(self) -> int:
        return self._cluster.log.read_text("utf-8", "replace").count("Starting task")

    def _kill(self) -> None:
        while self._tasks() < self._begun + 2:
            time.sleep(0.02)
        self._cluster.kill_an_executor()
