"""Who may see a part of the estate sees nothing of the rest: not in rows, totals, names, errors; and the part as if it were all there is."""

import datetime
import io
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import reports
from catalog import config, connect, derive, table
from catalog.errors import ConfigError, NotFoundError, RefusedError
from catalog.schema import PROBLEMS
from catalog.sight import Sight
from catalog.snapshot import Snapshot
from reports import explain, find, render, simulate, state
from tests.catalog.estates import NOON, write_scan

SECRETS = ("hidden", "merger", "elsewhere-site", "secretsys", "topsecret", "confidential")
DECLARED = {
    "volumes": {
        "work": {"url": "/srv/work", "system": "nas", "site": "paris", "admin": "it", "cost_per_tib_month": 10.0},
        "spare": {"url": "/srv/spare", "role": "replica", "of": ["work"], "system": "nas-2", "site": "lyon", "admin": "it"},
        "hidden": {
            "url": "/srv/hidden",
            "role": "backup",
            "of": ["work"],
            "system": "secretsys",
            "site": "elsewhere-site",
            "admin": "topsecret",
            "keeps_versions": "90d",
        },
    },
    "classes": {"merger": {"select": "path LIKE 'merger/%'"}},
    "exceptions": [{"where": "path LIKE 'confidential/%'", "reason": "merger", "owner": "topsecret", "until": datetime.date(2027, 1, 1)}],
}
CONTENT = {name: bytes([number]) * 32 for number, name in enumerate("abcdefgh")}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Snapshot]:
    root = tmp_path_factory.mktemp("catalog")

    def files(*named: tuple[str, str]) -> dict[str, dict[str, Any]]:
        return {path: {"digest": CONTENT[content], "size_bytes": 1000 + ord(content), "extension": path.rpartition(".")[2]} for path, content in named}

    declared = config.parse(DECLARED)
    write_scan(root, "work", files(("finance/a.txt", "a"), ("finance/b.txt", "b")))
    write_scan(root, "hidden", files(("topsecret/h.bin", "h")))
    derive.derive(root, declared, NOON)
    later = NOON + datetime.timedelta(hours=1)
    write_scan(
        root, "work", files(("finance/a.txt", "a"), ("finance/a2.txt", "a"), ("finance/b.txt", "b"), ("merger/a3.txt", "a"), ("merger/c.txt", "c")), later,
        state="incomplete", problems=1,
    )  # fmt: skip
    write_scan(root, "spare", files(("finance/a.txt", "a"), ("merger/c.txt", "c")), later)
    hidden = write_scan(
        root, "hidden", files(("topsecret/a.txt", "a"), ("topsecret/b.txt", "b"), ("confidential/h.bin", "h")), later, state="incomplete", problems=1
    )
    for scan, volume, path in ((hidden, "hidden", "topsecret/locked"), (f"{later:%Y%m%dT%H%M%S}-work", "work", "merger/locked")):
        row = {"path": path, "stage": "list", "error": "permission denied", "errno": 13, "hides_below": True, "seen_at": later}
        table.append(root, "problems", pa.Table.from_pylist([row], PROBLEMS), f"p-{scan}", {"scan_id": scan, "volume": volume})
    return root, derive.derive(root, declared, later)


def opened(stored: tuple[Path, Snapshot], *parts: str) -> duckdb.DuckDBPyConnection:
    return connect.connect(*stored, sight=Sight.of(parts) if parts else None)


def everything(connection: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[Any, ...]]]:
    named = connection.execute("SELECT table_name FROM information_schema.tables").fetchall()
    return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for (name,) in named}


@pytest.mark.parametrize("parts", [(), ("work",), ("work:finance",), ("work", "spare"), ("spare:finance", "work:finance/")])
def test_every_folder_with_a_file_is_one_of_the_folders_that_are_counted(stored: tuple[Path, Snapshot], parts: tuple[str, ...]) -> None:
    with opened(stored, *parts) as connection:
        counted = """SELECT volume, "key" FROM rollup WHERE "by" = 'folder'"""
        assert connection.execute(f"SELECT volume, dir FROM files EXCEPT {counted}").fetchall() == []
        assert find.find(connection, "FINANCE").fetchall() == find.find(connection, "*finance*/*").fetchall() != []


@pytest.mark.parametrize("parts", [("work",), ("work:finance",), ("work", "spare"), ("spare:finance", "work:finance/")])
def test_no_view_holds_anything_of_another_volume(stored: tuple[Path, Snapshot], parts: tuple[str, ...]) -> None:
    secrets = [word for word in SECRETS if word != "merger" or not {"work"} & set(parts)]
    with opened(stored, *parts) as connection:
        for name, rows in everything(connection).items():
            shown = repr(rows).lower()
            assert not [word for word in secrets if word in shown], name


@pytest.mark.slow_but_first
@pytest.mark.parametrize("form", ["csv", "json", "html", "md"])
def test_no_report_tells_anything_of_another_volume(form: str, stored: tuple[Path, Snapshot]) -> None:
    with opened(stored, "work:finance", "spare") as connection:
        for name in reports.names():
            chosen = reports.load(name)
            out, talk = io.BytesIO(), io.StringIO()
            found = render.answer(chosen, chosen.run(connection), state.read(connection.cursor()))
            render.write(found, form, out, talk)
            shown = (out.getvalue().decode() + talk.getvalue()).lower()
            assert not [word for word in ("hidden volume", "hidden:", "elsewhere-site", "secretsys", "topsecret", "confidential") if word in shown], name


def test_a_whole_volume_has_the_figures_that_it_has_for_everybody(stored: tuple[Path, Snapshot]) -> None:
    with opened(stored) as everybody, opened(stored, "work") as limited:
        for question in (
            "SELECT * FROM rollup WHERE volume = 'work' ORDER BY ALL",
            "SELECT * FROM history WHERE volume = 'work' ORDER BY ALL",
            "SELECT * FROM assets WHERE volume = 'work' ORDER BY ALL",
            "SELECT * EXCLUDE (perhaps_with) FROM volumes WHERE volume = 'work'",
        ):
            assert limited.sql(question).fetchall() == everybody.sql(question).fetchall()
            assert limited.sql(question.replace(" WHERE volume = 'work'", "")).fetchall() == limited.sql(question).fetchall()


def test_totals_of_a_part_are_counted_from_its_rows(stored: tuple[Path, Snapshot]) -> None:
    with opened(stored, "work:finance") as connection:
        seen = state.read(connection)
        [(files, size)] = connection.execute("SELECT count(*), sum(counted_bytes) FROM files").fetchall()
        assert (files, seen.assets, seen.asset_bytes) == (3, 3, size)
        assert connection.execute("SELECT sum(files), sum(bytes) FROM history").fetchall() == [(files, size)]
        assert connection.execute("SELECT entries, files, bytes, problems, capacity_bytes FROM volumes").fetchall() == [(3, files, size, None, None)]
        for grouping in ("owner", "extension", "media_type", "age"):
            assert connection.execute('SELECT sum(files), sum(bytes) FROM rollup WHERE "by" = ?', [grouping]).fetchall() == [(files, size)]
        assert connection.execute("SELECT key, files FROM rollup WHERE \"by\" = 'folder'").fetchall() == [("finance/", files)]


def test_trends_are_of_whole_volumes_only(stored: tuple[Path, Snapshot]) -> None:
    for parts, snapshots in ((("work",), 2), (("work:finance",), 1)):
        with opened(stored, *parts) as connection:
            assert connection.execute("SELECT count(DISTINCT snapshot_id) FROM history").fetchall() == [(snapshots,)]


def test_duplicates_are_counted_among_what_is_seen(stored: tuple[Path, Snapshot]) -> None:
    with opened(stored) as connection:
        assert connection.execute("SELECT DISTINCT members FROM duplicate_groups WHERE scope = 'primary'").fetchall() == [(3,)]
    with opened(stored, "work:finance") as connection:
        found = connection.execute("SELECT path, members, reclaimable_bytes FROM duplicate_groups WHERE scope = 'primary' ORDER BY path").fetchall()
        assert found == [("finance/a.txt", 2, 1097), ("finance/a2.txt", 2, 1097)]
    with opened(stored, "work:merger") as connection:
        assert connection.execute("SELECT * FROM duplicate_groups").fetchall() == []


def test_foreign_copies_are_a_number(stored: tuple[Path, Snapshot]) -> None:
    with opened(stored, "work") as connection:
        [found] = explain.explain(connection, None, "work:finance/a.txt")
        assert (found.copies, found.elsewhere) == ((), 2)
        assert "Elsewhere: 2 volumes with a copy" in found.text()
    with opened(stored, "work", "spare") as connection:
        [found] = explain.explain(connection, None, "work:finance/a.txt")
        assert ([copy.volume for copy in found.copies], found.elsewhere) == (["spare"], 1)
    with opened(stored) as connection:
        [found] = explain.explain(connection, None, "work:finance/a.txt")
        assert (len(found.copies), found.elsewhere) == (2, 0)


@pytest.mark.slow
def test_how_many_files_of_a_volume_hold_a_content_is_not_told_of_a_part_of_it(tmp_path: Path) -> None:
    held: dict[str, Any] = {"digest": CONTENT["a"]}
    write_scan(tmp_path, "work", {"finance/a.txt": held})
    write_scan(tmp_path, "spare", {"finance/a.txt": held, "finance/a2.txt": held, "merger/a.txt": held})
    kept = (tmp_path, derive.derive(tmp_path, config.parse(DECLARED), NOON))
    for parts, files in (((), 3), (("work", "spare"), 3), (("work", "spare:finance"), 1)):
        with opened(kept, *parts) as connection:
            [found] = explain.explain(connection, None, "work:finance/a.txt")
            assert [copy.files for copy in found.copies] == [files]
            assert ("2 other files of the volume" in found.text()) == (files == 3)


@pytest.mark.slow
def test_where_a_stub_leads_is_not_told_to_who_may_not_see_it(tmp_path: Path) -> None:
    stub = {"storage_class": "stub", "link_target": "spare:merger/plan.pdf", "tags": '{"sha256": "00", "size_bytes": 9}'}
    write_scan(tmp_path, "work", {"finance/plan.pdf": stub})
    write_scan(tmp_path, "spare", {"finance/other": {}})
    kept = (tmp_path, derive.derive(tmp_path, config.parse(DECLARED), NOON))
    for parts, told in (((), True), (("work", "spare"), True), (("work:finance", "spare:finance"), False), (("work",), False)):
        with opened(kept, *parts) as connection:
            said = str(reports.load("problems").run(connection, where="stage = 'stub'").fetchall())
            assert ("merger" in said, "outside of what you may see" in said) == (told, not told)
            assert connection.execute("SELECT count(link_target), count(tags) FROM entries").fetchall() == [(told, told)]


def test_a_hidden_file_is_not_found_in_the_words_of_one_that_is_not_there(stored: tuple[Path, Snapshot]) -> None:
    with opened(stored, "work:finance") as connection:
        told = []
        for path in ("hidden:topsecret/a.txt", "nowhere:topsecret/a.txt", "work:merger/c.txt", "work:merger/none.txt", "work:merger/locked/x"):
            with pytest.raises(NotFoundError) as error:
                explain.explain(connection, None, path)
            told.append(str(error.value).replace(path, "PATH").replace(path.partition(":")[2], "PATH"))
        assert set(told) == {told[1]} | {told[3]}
        with pytest.raises(NotFoundError, match=r"volumes are work$"):
            explain.explain(connection, "hidden", "topsecret/a.txt")
        assert find.find(connection, "a.txt").fetchall() != []
        assert find.find(connection, "topsecret").fetchall() == []


def test_a_problem_is_seen_where_it_hides_a_part(stored: tuple[Path, Snapshot]) -> None:
    for parts, seen in ((("work:merger",), 1), (("work:merger/locked/deep",), 1), (("work:finance",), 0), (("work",), 1)):
        with opened(stored, *parts) as connection:
            assert len(connection.execute("SELECT * FROM problems").fetchall()) == seen


def test_a_loss_is_not_simulated_on_a_part(stored: tuple[Path, Snapshot]) -> None:
    with opened(stored, "work") as connection, pytest.raises(RefusedError):
        simulate.simulate(connection, stored[1].config, simulate.parse(["site=paris"]))


def test_nobody_sees_anything_by_an_empty_sight(stored: tuple[Path, Snapshot]) -> None:
    with connect.connect(*stored, sight=Sight(())) as connection:
        kept = {name for name, rows in everything(connection).items() if rows}
        assert kept <= {
            "sight",
            "classes",
            "controls",
            "preservation_levels",
            "snapshot",
            "snapshots",
            "snapshot_before",
            "stored_verdicts",
            "stored_verdicts_before",
        }
        assert connection.execute("SELECT count(*) FROM files").fetchall() == [(0,)]
        assert state.read(connection).assets == 0


def test_a_folder_is_no_prefix_of_a_name() -> None:
    with duckdb.connect() as connection:
        condition = Sight.of(["work:fin"]).files("'work'", "?")
        assert [connection.execute(f"SELECT {condition}", [folder]).fetchall() for folder in ("finance/", "fin/", "fin/x/")] == [
            [(False,)],
            [(True,)],
            [(True,)],
        ]


@pytest.mark.parametrize("part", ["", ":x", "Work", "a b", "work:../x", "work:a//b", "work:./a", "hidden'--"])
def test_a_part_that_names_no_place_is_refused(part: str) -> None:
    with pytest.raises(ConfigError, match=r"write VOLUME|a folder is written"):
        Sight.of([part])


def test_a_name_in_a_part_is_text_in_every_condition() -> None:
    sight = Sight.of(["work:it's/x'; DROP TABLE t; --"])
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (volume VARCHAR, dir VARCHAR, path VARCHAR, key VARCHAR)")
        for condition in (sight.files(), sight.folders(), sight.problems()):
            assert connection.execute(f"SELECT * FROM t WHERE {condition}").fetchall() == []


def test_what_lies_within_another_part_is_said_once() -> None:
    assert Sight.of(["work:a/b", "work:a", "spare", "spare:x"]).parts == ("spare", "work:a/")
    assert Sight.parse(str(Sight.of(["work:a", "spare"]))) == Sight.of(["spare", "work:a/"])
    assert Sight.parse("") is None
