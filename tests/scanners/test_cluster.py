"""Scans whose shards run on a cluster: what is published is what an ordinary scan publishes, whatever happens to workers."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pyarrow as pa
import pytest

from catalog import snapshot, spark, table
from catalog.errors import CatalogError, ConfigError, RefusedError, UnreachableError
from scanners import _elsewhere
from scanners.cluster import Work
from scanners.progress import Progress
from tests import sail
from tests.scanners import contract
from tests.scanners.contract import BAD_NAMES, Item, entries, many, scan
from tests.scanners.test_posix import Tree

Task = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with sail.running() as server:
        yield server.address


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "catalog"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree")


def test_entries_are_those_of_an_ordinary_scan_and_names_keep_their_bytes(cluster: str, tree: Tree, tmp_path: Path) -> None:
    items = [*many(), *(Item(b"in/" + name + b"/" + name, b"y") for name in BAD_NAMES)]
    declared = tree.make(items)
    here, there = tmp_path / "here", tmp_path / "there"
    near, far = scan(here, declared), scan(there, declared, cluster=cluster, workers=4)
    without = ("entry_id", "accessed_at")
    seen, known = ([{key: value for key, value in row.items() if key not in without} for row in entries(*of)] for of in ((there, far), (here, near)))
    assert seen == known
    assert len({row["entry_id"] for row in entries(there, far)}) == far.entries == near.entries
    assert (far.state, far.files, far.bytes) == ("complete", near.files, near.bytes)
    assert contract.paths(there, far) == contract.expected(items)


def test_a_shard_that_was_run_twice_counts_once(tree: Tree, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a cluster gave up a worker, ran its shards on another, and heard of both."""
    monkeypatch.setattr(spark, "connected", lambda _: nullcontext(_Twice()))
    items = many()
    result = scan(root, tree.make(items), cluster="sc://nowhere", workers=4)
    assert contract.paths(root, result) == contract.expected(items)
    assert result.entries == len(contract.expected(items))
    written = {str(path) for path in (root / "entries").rglob("*.parquet")}
    assert written == set(table.files(root, "entries"))


class _Twice:
    """A session whose tasks are run twice, the one beginning while the other is under way, and which hands back the records of both."""

    def range(self, first: int, end: int, _step: int, _partitions: int) -> "_Twice":
        self._places = list(range(first, end))
        return self

    def mapInArrow(self, task: Task, _schema: str) -> "_Twice":  # noqa: N802 - Spark's name
        self._task = task
        return self

    def toArrow(self) -> pa.Table:  # noqa: N802 - likewise
        tries = [self._task(iter([pa.RecordBatch.from_pydict({"id": [place]})])) for place in self._places for _ in range(2)]
        return pa.Table.from_batches([batch for pair in zip(tries[::2], tries[1::2], strict=True) for batch in (*pair[1], *pair[0])])


def test_a_worker_where_another_folder_is_at_the_volumes_place_fails_the_scan(cluster: str, tree: Tree, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = tree.make(many(30))
    monkeypatch.setattr(_elsewhere, "identity", lambda scanner, _: (scanner.probe().fs_id, 1))
    with pytest.raises(CatalogError, match="is another folder on this worker, or not mounted"):
        scan(root, declared, cluster=cluster)
    assert snapshot.newest_scans(root) == {}


def test_a_worker_of_another_version_fails_the_scan(cluster: str, tree: Tree, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = tree.make(many(30))
    true = Work.written
    monkeypatch.setattr(Work, "written", lambda work: json.dumps(json.loads(true(work)) | {"version": "0.0.1"}))
    with pytest.raises(CatalogError, match=r"this worker has Lastcopy .* begun by 0\.0\.1"):
        scan(root, declared, cluster=cluster)


def test_a_worker_without_the_catalogs_folder_fails_the_scan(cluster: str, tree: Tree, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = tree.make(many(30))
    true = Work.written
    monkeypatch.setattr(Work, "written", lambda work: json.dumps(json.loads(true(work)) | {"scan_id": "another"}))
    with pytest.raises(CatalogError, match="the catalog's folder must be one that all share"):
        scan(root, declared, cluster=cluster)


def test_a_scan_whose_cluster_died_is_gone_on_with_on_another_and_no_entry_is_there_twice(tree: Tree, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark, "_TRIES", 1)
    items = many()
    declared = tree.make(items)
    with sail.running() as first, pytest.warns(UserWarning, match="RETRIES"), pytest.raises(CatalogError, match=r"failed on the cluster: .*connect"):
        scan(root, declared, cluster=first.address, workers=4, progress=Killer(first, after=2))
    assert snapshot.newest_scans(root) == {}
    with sail.running() as second:
        result = scan(root, declared, cluster=second.address, workers=4, resume=True)
    assert contract.paths(root, result) == contract.expected(items)
    assert len({row["entry_id"] for row in entries(root, result)}) == result.entries == len(contract.expected(items))


class Killer:
    """A listener to progress that kills a server when it has heard enough."""

    def __init__(self, server: sail.Server, after: int) -> None:
        self._server, self.left = server, after

    def __call__(self, _: Progress) -> None:
        self.left -= 1
        if self.left == 0:
            self._server.kill()


def test_a_cluster_that_is_not_there_is_said_at_once(tree: Tree, root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UnreachableError, match=f"127.0.0.1:{port}.*SPARK_REMOTE.*refused"):
        scan(root, tree.make(many(30)), cluster=f"sc://127.0.0.1:{port}")


def test_a_cluster_that_runs_slow_tasks_twice_is_refused(cluster: str, tree: Tree, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyspark.sql.connect.conf import RuntimeConf

    asked = RuntimeConf.get
    monkeypatch.setattr(RuntimeConf, "get", lambda conf, key, *default: "true" if key == "spark.speculation" else asked(conf, key, *default))
    with pytest.raises(RefusedError, match=r"spark\.speculation"):
        scan(root, tree.make(many(30)), cluster=cluster)


@pytest.mark.parametrize("told", ["", "spark://host:7077", "sc://", "host:15002"])
def test_an_address_that_is_none_of_spark_connect_is_refused(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_REMOTE", told)
    with pytest.raises(ConfigError, match=r"SPARK_REMOTE.*sc://host:15002"):
        spark.address()
