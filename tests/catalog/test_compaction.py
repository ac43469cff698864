"""Small files are written together, and nothing that is read changes by that."""

import contextlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import reports
from catalog import compaction, connect, integrity, lock, log, snapshot, table
from catalog.errors import CatalogError, ConflictError, LockedError
from catalog.schema import SCANS, TABLES, VERIFICATIONS
from tests.catalog import kept

DAYS = 9


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine days, the last two with snapshots."""
    root = tmp_path_factory.mktemp("grown") / "catalog"
    kept.grow(root, DAYS - 2, derives=False)
    kept.grow(root, 2, DAYS - 2)
    return root


@pytest.fixture
def root(grown: Path, tmp_path: Path) -> Path:
    shutil.copytree(grown, tmp_path / "catalog")
    return tmp_path / "catalog"


def rows(root: Path, name: str, version: int | None = None) -> list[str]:
    return sorted(map(str, table.read(root, name, version=version).to_pylist()))


def answers(root: Path) -> list[dict[str, list[str]]]:
    """What reports say over every snapshot."""
    found = []
    for one in snapshot.snapshots(root):
        with contextlib.closing(connect.connect(root, one)) as connection:
            found.append({name: list(map(str, reports.load(name).run(connection).fetchall())) for name in ("assets", "changes", "evidence", "fixity")})
    return found


def test_rows_older_versions_and_reports_stay_what_they_were(root: Path) -> None:
    before = {name: rows(root, name) for name in TABLES}
    older = {(name, version): rows(root, name, version) for name in compaction.GROWING for version in range(table.version(root, name) + 1)}
    told = answers(root)
    done = list(compaction.compact(root))
    assert {merge.name: len(merge.files) for merge in done} == {"scans": 2 * DAYS, "digests": 2 * DAYS, "verifications": DAYS}
    assert {name: rows(root, name) for name in TABLES} == before
    assert {key: rows(root, *key) for key in older} == older
    assert answers(root) == told
    assert [len(table.files(root, name)) for name in ("scans", "digests", "verifications")] == [1, 1, 1]
    assert integrity.verify(root, contents=True)[0] == []


def test_rows_keep_the_order_in_which_they_were_added(root: Path) -> None:
    list(compaction.compact(root))
    assert table.read(root, "digests")["digested_at"].to_pylist() == sorted(table.read(root, "digests")["digested_at"].to_pylist())
    assert table.read(root, "scans")["started_at"].to_pylist() == sorted(table.read(root, "scans")["started_at"].to_pylist())


@pytest.mark.slow
def test_what_comes_later_is_derived_as_from_small_files(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "other")
    list(compaction.compact(root))
    for where in (root, tmp_path / "other"):
        kept.grow(where, 1, DAYS)
    newest = [snapshot.find(where).snapshot_id for where in (root, tmp_path / "other")]
    for name in ("files", "copies", "verdicts", "duplicate_groups"):
        one, other = (
            sorted(map(str, table.read(where, name, snapshot_id=[key]).to_pylist())) for where, key in zip((root, tmp_path / "other"), newest, strict=True)
        )
        assert one == other


def test_a_second_run_finds_nothing_to_do(root: Path) -> None:
    list(compaction.compact(root))
    assert (list(compaction.compact(root)), compaction.plan(root)) == ([], [])


def test_a_reader_that_began_before_still_finds_its_files(root: Path) -> None:
    files = [path for name in compaction.GROWING for path in table.files(root, name)]
    list(compaction.compact(root))
    assert all(Path(path).exists() for path in files)


def test_only_one_run_is_at_it(root: Path) -> None:
    with lock.hold(root, compaction.LOCK), pytest.raises(LockedError):
        list(compaction.compact(root))


def test_what_is_committed_meanwhile_is_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = table._write_commit

    def late(*given: object) -> None:
        if given[1] == "scans" and str(given[3]).startswith("compact"):
            table.append(root, "scans", pa.Table.from_pylist([{"scan_id": "meanwhile", "volume": "work"}], SCANS), "meanwhile")
        write(*given)  # type: ignore[arg-type]  # passed through

    before = rows(root, "scans")
    monkeypatch.setattr(table, "_write_commit", late)
    list(compaction.compact(root))
    assert len(table.files(root, "scans")) == 2
    assert len(rows(root, "scans")) == len(before) + 1


def test_files_that_another_host_replaced_meanwhile_are_not_in_the_table_twice(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, write = rows(root, "scans"), table._write_commit
    done: list[int] = []

    def late(*given: object) -> None:
        if given[1] == "scans" and not done:
            done.append(1)
            table.commit(root, "scans", [table.write(root, "scans", table.read(root, "scans"))], "elsewhere", table.files(root, "scans"))
        write(*given)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(table, "_write_commit", late)
    list(compaction.compact(root))
    assert rows(root, "scans") == before


def test_a_file_that_is_no_part_of_a_table_any_more_cannot_be_replaced(root: Path) -> None:
    file = table.files(root, "scans")[0]
    table.commit(root, "scans", [], "gone", [file])
    with pytest.raises(ConflictError):
        table.commit(root, "scans", [], "gone again", [file])


def test_rows_that_are_not_read_back_as_they_were_are_not_committed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, groups = table.version(root, "scans"), table.groups

    def lossy(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
        return (group.slice(1) for group in groups(batches))

    monkeypatch.setattr(table, "groups", lossy)
    with pytest.raises(CatalogError, match="not those that were written"):
        list(compaction.compact(root))
    assert table.version(root, "scans") == before


@pytest.mark.parametrize("part", ["table", "file"])
def test_columns_that_a_later_version_wrote_are_not_dropped(part: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if part == "table":
        shutil.rmtree(root / "verifications")
    with monkeypatch.context() as later:
        wide = VERIFICATIONS.append(pa.field("known_later", pa.string()))
        later.setitem(TABLES, "verifications", wide)
        if part == "table":
            table.stored_schema.cache_clear()
        for number in range(compaction.TOGETHER if part == "table" else 1):
            file = table.write(root, "verifications", pa.Table.from_pylist([{"volume": "copy", "known_later": "yes"}], wide))
            table.commit(root, "verifications", [file], f"later-{number}")
    table.stored_schema.cache_clear()
    before = {name: table.version(root, name) for name in TABLES}
    for run in (compaction.plan, lambda root: list(compaction.compact(root))):
        with pytest.raises(CatalogError, match="this version of Lastcopy does not write"):
            run(root)
    assert {name: table.version(root, name) for name in TABLES} == before


def test_scans_and_readers_run_beside_it(root: Path) -> None:
    """What each appends is kept, and every read sees all that was there before."""
    count, failed, ended = len(rows(root, "scans")), [], threading.Event()

    def read() -> None:
        while not ended.is_set():
            log._replayed.cache_clear()
            seen = table.read(root, "scans").num_rows
            if seen < count:
                failed.append(seen)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(12):
            table.append(root, "scans", pa.Table.from_pylist([{"scan_id": f"more-{number}", "volume": "work"}], SCANS), f"more-{number}")
            if number % 4 == 3:
                list(compaction.compact(root))
    finally:
        ended.set()
        reader.join()
    assert failed == []
    assert len(rows(root, "scans")) == count + 12


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [
        ([], []),
        ([5] * 7, []),
        ([5] * 8, [8]),
        ([1 << 20] * 7 + [5] * 9, [9]),
        ([5] * 8 + [1 << 20] * 8, [8, 8]),
        ([100 << 20] * 20, []),
        ([60 << 20] * 9, [2, 2, 2, 2]),
    ],
)
def test_files_of_about_one_size_are_written_together(sizes: list[int], groups: list[int]) -> None:
    found = compaction.chosen([(str(number), size) for number, size in enumerate(sizes)])
    assert [len(group) for group in found] == groups


def test_a_row_is_written_again_few_times_in_a_thousand_nights() -> None:
    files: list[tuple[str, int]] = []
    written = 0
    for night in range(1000):
        files.append((f"n{night}", 100_000))
        sizes = dict(files)
        for group in compaction.chosen(files):
            total = sum(sizes[path] for path in group)
            files = [file for file in files if file[0] not in group] + [(f"m{night}-{total}", total)]
            written += total
    assert len(files) < 40
    assert written < 5 * 1000 * 100_000
