"""Of older scans only what later ones did not see is stored, and every scan is read as it was."""

import datetime
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import deltalake
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog import derive, expiry, former, hashes, integrity, inventory, lock, names, snapshot, table, thinning
from catalog.errors import CatalogError, LockedError
from catalog.retention import Wish
from catalog.schema import ENTRIES
from tests.catalog import kept
from tests.catalog.estates import NOON, write_scan

FILES = 2_000
DAYS = 8
LATER = datetime.datetime.now(datetime.UTC).timestamp() + 30 * 86_400
Tree = dict[str, dict[str, Any]]


def tree(files: int = FILES) -> Tree:
    return {f"d{number % 40:02}/f{number:05}": {"size_bytes": number} for number in range(files)}


def told(files: Tree) -> Tree:
    """Files with numbers and hashes of their own."""
    return {path: {"inode": place, "path_hash": place} | given for path, given in sorted(files.items()) for place in [hashes.of_path(names.unescape(path))]}


def scan(root: Path, files: Tree, day: int, volume: str = "work") -> str:
    """Publish what a scan of the day saw."""
    before = {one.volume: one.scan_id for one in snapshot.newest_scans(root).values()} if table.exists(root, "scans") else {}
    return write_scan(root, volume, told(files), NOON + datetime.timedelta(days=day), previous_scan_id=before.get(volume))


def change(files: Tree, chance: random.Random, share: int) -> None:
    """Change, remove and add one file of so many each."""
    for path in chance.sample(sorted(files), len(files) // share):
        files[path] = {"size_bytes": chance.randrange(10**6)}
    for path in chance.sample(sorted(files), len(files) // share):
        del files[path]
    for _ in range(FILES // share):
        files[f"d{chance.randrange(50):02}/n{chance.randrange(10**6)}"] = {"size_bytes": chance.randrange(10**6)}


def rows(root: Path, scan_id: str, volume: str = "work") -> list[str]:
    """The rows of a scan, as they are read."""
    names = ", ".join(f'"{name}"' for name in ENTRIES.names)
    with duckdb.connect() as connection:
        return sorted(map(str, connection.execute(f"SELECT {names} FROM {former.entries(root, {volume: scan_id})[0]}").fetchall()))


def thin(root: Path) -> list[thinning.Thinned]:
    return list(thinning.thin(root))


def whole(root: Path, volume: str = "work") -> set[str]:
    return set(former.stored(root, "entries", volume))


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, list[str]]]:
    """Some days in which one file of fifty changes, and the rows of each scan."""
    root, files, chance = tmp_path_factory.mktemp("grown") / "catalog", tree(), random.Random(1)
    seen = {}
    for day in range(DAYS):
        scan_id = scan(root, files, day)
        seen[scan_id] = rows(root, scan_id)
        change(files, chance, 50)
    return root, seen


@pytest.fixture
def root(grown: tuple[Path, Mapping[str, list[str]]], tmp_path: Path) -> Path:
    shutil.copytree(grown[0], tmp_path / "catalog")
    return tmp_path / "catalog"


def test_every_scan_is_read_as_it_was_and_only_the_newest_is_whole(root: Path, grown: tuple[Path, Mapping[str, list[str]]]) -> None:
    before = sum(file.size_bytes for file in table.state(root, "entries").files.values())
    done = thin(root)
    assert [one.stays_whole for one in done] == [None] * (DAYS - 1)
    assert whole(root) == {max(grown[1])}
    assert {scan_id: rows(root, scan_id) for scan_id in grown[1]} == grown[1]
    stored = sum(file.size_bytes for name in ("entries", "former_entries", "entry_origins", "former_scans") for file in table.state(root, name).files.values())
    assert stored < before / 2
    assert thin(root) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_whatever_happened_and_whenever_it_is_done(tmp_path: Path, seed: int) -> None:
    root, chance = tmp_path / "catalog", random.Random(seed)
    trees = {"work": tree(1_500), "copy": tree(300)}
    seen: dict[tuple[str, str], list[str]] = {}
    gone: Tree = {}
    for day in range(7):
        for volume, before in list(trees.items()):
            files = before
            event = chance.choice(("some", "some", "none", "most", "away"))
            if event == "most":
                for path in files:
                    files[path] = {"size_bytes": chance.randrange(10**6)}
            elif event == "away":  # a folder, which comes back just as it was
                gone = {path: given for path, given in files.items() if path.startswith("d03/")}
                trees[volume] = files = {path: given for path, given in files.items() if path not in gone}
            elif event == "some":
                files |= gone if volume == "work" else {}
                change(files, chance, 60)
            scan_id = scan(root, files, day, volume)
            seen[scan_id, volume] = rows(root, scan_id, volume)
        if chance.random() < 0.5:
            thin(root)
        for key, was in seen.items():
            assert rows(root, *key) == was
    found = [finding for finding in integrity.verify(root, contents=True)[0] if finding.check != "derived"]
    assert [finding for finding in found if finding.state == "error"] == []
    assert [finding.table for finding in found if finding.check == "others"] == []  # nothing was killed


def test_rows_that_come_back_as_they_were_are_of_those_scans_only(tmp_path: Path) -> None:
    files = tree()
    seen = {}
    for day in range(5):
        there = {path: given for path, given in files.items() if day != 2 or not path.startswith("d07/")}
        scan_id = scan(tmp_path, there, day)
        seen[scan_id] = rows(tmp_path, scan_id)
    thin(tmp_path)
    assert len(whole(tmp_path)) == 1
    assert {scan_id: rows(tmp_path, scan_id) for scan_id in seen} == seen


def test_ids_of_many_shards_in_any_order_are_kept(tmp_path: Path) -> None:
    chance = random.Random(1)
    seen = {}
    for day in range(3):
        shards = chance.sample(range(40), 40)
        files = {
            path: given | {"entry_id": shards[int(path[1:3])] * 2**32 + place, "size_bytes": day if place % 200 == 0 else place}
            for place, (path, given) in enumerate(sorted(tree().items()))
        }
        scan_id = scan(tmp_path, files, day)
        seen[scan_id] = rows(tmp_path, scan_id)
    thin(tmp_path)
    assert len(whole(tmp_path)) == 1
    assert {scan_id: rows(tmp_path, scan_id) for scan_id in seen} == seen


def test_a_scan_of_which_most_changed_stays_whole_and_is_not_looked_at_again(tmp_path: Path) -> None:
    first = scan(tmp_path, tree(), 0)
    second = scan(tmp_path, {path: {"size_bytes": 1} for path in tree()}, 1)
    scan(tmp_path, {path: {"size_bytes": 1} for path in tree()}, 2)
    assert [(one.scan_id, one.stays_whole) for one in thin(tmp_path)] == [(first, "changed"), (second, None)]
    assert thinning.plan(tmp_path) == thin(tmp_path) == []


def test_a_scan_with_two_rows_that_differ_in_nothing_stays_whole(tmp_path: Path) -> None:
    twins = {path: given | {"name": "same", "inode": 1, "path_hash": 1, "size_bytes": 1} if path.endswith("00001") else given for path, given in tree().items()}
    twins["d01/f00041"] = twins["d01/f00001"]
    ids = [scan(tmp_path, twins, 0), scan(tmp_path, {path: given for path, given in twins.items() if path != "d01/f00041"}, 1)]
    assert [(one.scan_id, one.stays_whole) for one in thin(tmp_path)] == [(ids[0], "alike")]


def test_small_scans_stay_whole(tmp_path: Path) -> None:
    for day in range(3):
        scan(tmp_path, tree(20) | {"new": {"size_bytes": day}}, day)
    assert {one.stays_whole for one in thin(tmp_path)} == {"small"}
    assert former.all_counts(tmp_path) == {}
    assert inventory.lying(tmp_path, "former_entries") == {}


@pytest.mark.slow
def test_what_is_needed_no_more_goes_and_every_snapshot_is_derived_as_before(tmp_path: Path) -> None:
    files, chance = tree(), random.Random(2)
    for day in range(4):
        scan(tmp_path, files, day)
        scan(tmp_path, files, day, "copy")
        derive.derive(tmp_path, kept.CONFIG, NOON + datetime.timedelta(days=day, hours=1))
        change(files, chance, 50)
    wanted = {one.snapshot_id: derived(tmp_path, one.snapshot_id) for one in snapshot.snapshots(tmp_path)}
    thin(tmp_path)
    for _ in range(2):
        expiry.expire(tmp_path, Wish(0, 0, 0, 0), LATER, 86_400)
    assert {path.split("/")[0] for path in inventory.lying(tmp_path, "entries")} == {
        f"scan_id={one.scan_id}" for one in snapshot.newest_scans(tmp_path).values()
    }
    assert not any(derived(tmp_path, one.snapshot_id)["files"] for one in snapshot.snapshots(tmp_path)[:2])
    for one in snapshot.snapshots(tmp_path):
        derive.ensure(tmp_path, one)
        assert derived(tmp_path, one.snapshot_id) == wanted[one.snapshot_id]
    assert [finding for finding in integrity.verify(tmp_path, contents=True)[0] if finding.state == "error"] == []


def derived(root: Path, snapshot_id: str) -> dict[str, list[str]]:
    return {name: sorted(map(str, table.read(root, name, snapshot_id=[snapshot_id]).to_pylist())) for name in ("files", "copies", "verdicts")}


def test_a_scan_that_does_not_come_to_the_same_stays_as_it_was(
    root: Path, grown: tuple[Path, Mapping[str, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def shifted(made: Callable[[Any, str], pa.Table]) -> Callable[[object, str], pa.Table]:
        def runs(asked: object, next_scan_id: str) -> pa.Table:
            found = made(asked, next_scan_id)
            return found.set_column(1, "first_entry_id", pa.array([value + 1 for value in found["first_entry_id"].to_pylist()]))

        return runs

    monkeypatch.setattr(thinning, "_runs", shifted(thinning._runs))
    with pytest.raises(CatalogError, match="does not come to the same rows"):
        thin(root)
    assert whole(root) == set(grown[1])
    assert {scan_id: rows(root, scan_id) for scan_id in grown[1]} == grown[1]


@pytest.mark.parametrize("name", ["former_entries", "entry_origins"])
def test_what_is_missing_is_told_and_never_read_as_less(root: Path, grown: tuple[Path, Mapping[str, list[str]]], name: str) -> None:
    thin(root)
    paths = table.files(root, name)
    table.commit(root, name, [], "lost", paths[:1])
    refused = 0
    for scan_id in sorted(grown[1])[:-1]:
        try:
            found = rows(root, scan_id)
        except CatalogError:
            refused += 1
        else:
            assert found == grown[1][scan_id]
    assert refused
    with pytest.raises(CatalogError):  # nor is a path newer than it is
        list(former.first_seen(root, "work", snapshot.scans(root)[:-1]))
    assert {finding.check for finding in integrity.verify(root)[0] if finding.state == "error"} == {"entries"}


def test_a_scan_of_another_host_that_followed_the_same_one_hides_none(root: Path, grown: tuple[Path, Mapping[str, list[str]]]) -> None:
    """It began before the newest one was published: both name the same scan as the one before them."""
    thin(root)
    ids = sorted(grown[1])
    other = write_scan(root, "work", told(tree()), NOON + datetime.timedelta(days=DAYS), previous_scan_id=ids[-2])
    last = write_scan(root, "work", told(tree()), NOON + datetime.timedelta(days=DAYS + 1), previous_scan_id=other)
    assert snapshot.newest_scans(root)["work"].scan_id == last
    assert [one.scan_id for one in thin(root)] == [other]
    assert {scan_id: rows(root, scan_id) for scan_id in ids} == grown[1]
    assert whole(root) == {ids[-1], last}
    assert [finding for finding in integrity.verify(root)[0] if finding.state == "error"] == []


def test_what_a_killed_run_held_against_another_scan_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, seen = tree(), {}
    for day in range(2):
        files["d01/f00001"] = {"size_bytes": 10**6 + day}
        scan_id = scan(tmp_path, files, day)
        seen[scan_id] = rows(tmp_path, scan_id)

    def killed(_pair: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as patched:
        patched.setattr(thinning, "_compare", killed)
        with pytest.raises(InterruptedError):
            thin(tmp_path)
    first, before = seen
    for day in (2, 3):  # of another host, which knew the first one only
        files["d02/f00002"] = {"size_bytes": 10**6 + day}
        before = write_scan(tmp_path, "work", told(files), NOON + datetime.timedelta(days=day), previous_scan_id=first if day == 2 else before)
        seen[before] = rows(tmp_path, before)
    assert [one.stays_whole for one in thin(tmp_path)] == [None, None]
    assert first not in whole(tmp_path)
    assert {scan_id: rows(tmp_path, scan_id) for scan_id in seen} == seen


def test_a_scan_is_published_while_another_one_is_taken_out(root: Path, grown: tuple[Path, Mapping[str, list[str]]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commit was begun over a version that still had that one."""
    opened, oldest = deltalake.DeltaTable, min(grown[1])

    def open_and_be_overtaken(place: str, version: int | None = None) -> deltalake.DeltaTable:
        found = opened(place, version=version)
        monkeypatch.setattr(deltalake, "DeltaTable", opened)
        table.commit(root, "entries", [], "taken-out", former.stored(root, "entries", "work")[oldest])
        return found

    monkeypatch.setattr(deltalake, "DeltaTable", open_and_be_overtaken)
    newest = scan(root, tree(), DAYS)
    assert newest in whole(root)
    assert oldest not in whole(root)


@pytest.mark.parametrize("name", ["former_entries", "entry_origins", "former_scans"])
def test_a_damaged_file_is_named_and_ends_nothing_else(root: Path, name: str) -> None:
    thin(root)
    damaged = Path(table.files(root, name)[0])
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert {(finding.table, finding.check) for finding in integrity.verify(root)[0] if finding.state == "error"} == {(name, "size")}
    with pytest.raises(CatalogError):
        [rows(root, scan_id) for scan_id in table.read(root, "scans")["scan_id"].to_pylist()]


def test_a_file_with_a_column_that_is_not_known_is_left_alone(root: Path, grown: tuple[Path, Mapping[str, list[str]]]) -> None:
    file = former.stored(root, "entries", "work")[max(grown[1])][0]
    given = pq.ParquetFile(file).read()
    pq.write_table(given.append_column("new", pa.array([1] * given.num_rows)), file)
    with pytest.raises(CatalogError, match="does not write"):
        thin(root)
    assert whole(root) == set(grown[1])


def test_one_run_at_a_time(root: Path) -> None:
    with lock.hold(root, "upkeep"), pytest.raises(LockedError):
        thin(root)


def test_a_reader_that_began_before_reads_on(root: Path, grown: tuple[Path, Mapping[str, list[str]]]) -> None:
    oldest = min(grown[1])
    files = snapshot.entry_files(root, oldest, "work")
    thin(root)
    assert all(Path(file).exists() for file in files)


@pytest.mark.slow
def test_small_files_are_written_together(tmp_path: Path) -> None:
    files, chance, seen = tree(), random.Random(3), {}
    for day in range(14):
        scan_id = scan(tmp_path, files, day)
        seen[scan_id] = rows(tmp_path, scan_id)
        change(files, chance, 50)
        thin(tmp_path)
    assert len(table.files(tmp_path, "former_entries")) < 8
    assert {scan_id: rows(tmp_path, scan_id) for scan_id in seen} == seen
