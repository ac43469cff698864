"""`lastcopy audit pack` of the demo: it verifies where neither catalog nor volumes are, and whatever is changed in it is found."""

import contextlib
import filecmp
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from reports import sums
from tests.lastcopy.program import ask, run
from tests.sample_data.conftest import Demo
from tests.sample_data.packs import Rows, change_json, change_rows, copied, resum, wrong


@pytest.fixture(scope="session")
def pack(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pack of the demo, for tests that only read it."""
    folder = tmp_path_factory.mktemp("packs") / "the pack"
    made = run("audit", "pack", "--output", str(folder), "--format", "json", folder=demo.folder)
    assert made.envelope["schema"] == "audit-pack/1"
    assert made.data["id"] == hashlib.sha256((folder / "SHA256SUMS").read_bytes()).hexdigest()
    assert made.data["id"] in made.err
    return folder


@pytest.fixture
def mine(pack: Path, tmp_path: Path) -> Path:
    """A copy of the pack for one test to change."""
    return copied(pack, tmp_path)


@pytest.mark.slow
def test_the_pack_verifies_where_neither_the_catalog_nor_the_volumes_are(demo: Demo, mine: Path, tmp_path: Path) -> None:
    gone = demo.folder.with_name("gone")
    demo.folder.rename(gone)
    try:
        found = run("audit", "verify", "pack", "--format", "json", folder=tmp_path)
    finally:
        gone.rename(demo.folder)
    assert found.envelope["schema"] == "audit-pack-verify/1"
    told = json.loads((mine / "pack.json").read_text())
    assert found.data == {
        "id": hashlib.sha256((mine / "SHA256SUMS").read_bytes()).hexdigest(),
        "state": "verified",
        "snapshot": told["snapshot"]["snapshot_id"],
        "as_of": told["snapshot"]["as_of"],
        "made_by": told["lastcopy"],
        "files": sum(path.is_file() for path in mine.rglob("*")) - 1,
        "reports": len(told["reports"]),
        "signature": "none",
        "signer": None,
        "key": None,
        "findings": [],
    }


def _asked(query: str) -> Rows:
    """The rows of a query, in an engine that knows nothing of Lastcopy."""
    with duckdb.connect() as connection:
        found = connection.execute(query)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.mark.slow
def test_the_same_snapshot_gives_the_same_bytes(demo: Demo, pack: Path, tmp_path: Path) -> None:
    run("audit", "pack", "--output", str(tmp_path / "again"), folder=demo.folder, TMPDIR=str(tmp_path), TZ="Asia/Tokyo")
    names = [str(path.relative_to(pack)) for path in pack.rglob("*") if path.is_file()]
    assert filecmp.cmpfiles(pack, tmp_path / "again", names, shallow=False) == (names, [], [])
    assert sorted(names) == sorted(str(path.relative_to(tmp_path / "again")) for path in (tmp_path / "again").rglob("*") if path.is_file())


@pytest.mark.slow
def test_the_reports_of_the_pack_are_those_of_the_catalog(demo: Demo, pack: Path) -> None:
    told = json.loads((pack / "pack.json").read_text())
    assert {"coverage", "assets", "unprotected", "problems", "volumes"} <= {answer["report"] for answer in told["reports"]}
    for answer in told["reports"]:
        packed = _asked(f"SELECT * FROM '{pack / answer['parquet']}'")
        assert len(packed) == answer["rows"]
        for row, truth in zip(packed, demo.report(answer["report"], **answer["parameters"]), strict=True):
            assert set(row) == set(truth)
            assert all(
                str(row[name]) == str(truth[name]) for name in row if not name.endswith("_at") and name != "as_of" and not isinstance(truth[name], bytes)
            )


@pytest.mark.slow
def test_one_changed_byte_in_any_file_is_found(mine: Path) -> None:
    names = [str(path.relative_to(mine)) for path in mine.rglob("*") if path.is_file()]
    assert len(names) > 100
    for name in names:
        file = mine / name
        content = file.read_bytes()
        middle = len(content) // 2
        file.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        found = wrong(mine)
        assert found == {name: "was changed: its SHA-256 is another"} or (found and name == "SHA256SUMS"), name
        file.write_bytes(content)
    assert not wrong(mine)


def _one_more(rows: Rows, column: str, place: int = 0) -> None:
    rows[place][column] += 1


def _of_file(rows: Rows, volume: str, path: str) -> dict[str, Any]:
    [found] = [row for row in rows if row["volume"] == volume and row["dir"] + row["name"] == path]
    return found


@pytest.mark.slow
def test_a_figure_that_was_changed_in_a_report_is_found_though_the_sums_are_made_anew(mine: Path) -> None:
    change_rows(mine / "reports/coverage.by-volume.parquet", lambda rows: _one_more(rows, "covered_assets"))
    csv = mine / "reports/unprotected.csv"
    csv.write_text(csv.read_text().replace('"unprotected"', '"protected"', 1))
    change_rows(mine / "reports/assets.parquet", lambda rows: rows.pop(3))
    resum(mine)
    found = wrong(mine)
    assert found["reports/coverage.by-volume.parquet"].startswith("row 1: covered_assets is 2; computed again: 1")
    assert found["reports/unprotected.csv"] == "differs from line 2 on"
    assert set(found) == {"reports/coverage.by-volume.parquet", "reports/unprotected.csv", "reports/assets.parquet"}


@pytest.mark.slow
def test_an_entry_that_was_changed_is_found_in_every_figure_that_rests_on_it(mine: Path) -> None:
    def grow(rows: Rows) -> None:
        _of_file(rows, "projects", "contracts/2019-merger.pdf")["size_bytes"] += 1

    change_rows(mine / "evidence/entries.parquet", grow)
    resum(mine)
    assert {"reports/assets.parquet", "reports/coverage.by-class.parquet", "reports/largest.csv", "evidence/digests.parquet"} <= set(wrong(mine))


@pytest.mark.slow
def test_an_entry_that_was_added_is_found(mine: Path) -> None:
    def add(rows: Rows) -> None:
        there = _of_file(rows, "projects", "contracts/2026-nda.odt")  # was never copied
        here = max(row["entry_id"] for row in rows if row["volume"] == "mirror") + 1
        rows.append(there | {"volume": "mirror", "entry_id": here, "inode": 1})
        rows.sort(key=lambda row: (row["volume"], row["dir"], row["name"]))

    change_rows(mine / "evidence/entries.parquet", add)
    resum(mine)
    assert {"reports/unprotected.parquet", "reports/assets.csv"} <= set(wrong(mine))


@pytest.mark.slow
def test_a_digest_that_was_changed_is_found(mine: Path) -> None:
    def forge(rows: Rows) -> None:
        digests = {row["name"]: row for row in rows if row["digest"]}
        digests["logo.svg"]["digest"] = digests["2019-merger.pdf"]["digest"]

    change_rows(mine / "evidence/digests.parquet", forge)
    resum(mine)
    assert any(name.startswith("reports/") for name in wrong(mine))


@pytest.mark.slow_but_first
@pytest.mark.parametrize("column", ["digested_at", "volume"])
def test_a_digest_of_nothing_that_the_snapshot_has_is_found(mine: Path, column: str) -> None:
    change_rows(mine / "evidence/digests.parquet", lambda rows: rows.append(rows[0] | {"size_bytes": 12345, column: rows[0][column]}))
    resum(mine)
    assert "evidence/digests.parquet" in wrong(mine)


@pytest.mark.slow
def test_a_problem_that_was_taken_out_is_found(mine: Path) -> None:
    change_rows(mine / "evidence/problems.parquet", lambda rows: rows.clear())
    resum(mine)
    assert {"reports/problems.parquet", "reports/assets.parquet"} <= set(wrong(mine))


@pytest.mark.slow
def test_a_scan_that_is_said_to_be_complete_is_found(mine: Path) -> None:
    def complete(rows: Rows) -> None:
        for row in rows:
            row |= {"state": "complete", "problems": 0}

    change_rows(mine / "evidence/problems.parquet", lambda rows: rows.clear())
    change_rows(mine / "evidence/scans.parquet", complete)
    resum(mine)
    assert {"pack.json", "reports/volumes.parquet", "reports/assets.parquet"} <= set(wrong(mine))


@pytest.mark.slow_but_first
@pytest.mark.parametrize("query", ["sql/reports/coverage.sql", "sql/derivation/verdicts.sql"])
def test_a_query_that_was_changed_is_found_and_never_run(mine: Path, tmp_path: Path, query: str) -> None:
    text = (mine / query).read_text()
    (mine / query).write_text(text.replace("SELECT", f"COPY (SELECT 1) TO '{tmp_path / 'ran'}';\nSELECT", 1))
    resum(mine)
    assert list(wrong(mine)) == [query]
    assert not (tmp_path / "ran").exists()


def _class_copies(data: Any) -> None:  # noqa: ANN401  parsed JSON
    data["classes"]["core"]["copies"] = 1


@pytest.mark.slow
def test_a_configuration_value_that_was_changed_is_found(mine: Path) -> None:
    change_json(mine / "configuration.json", _class_copies)
    resum(mine)
    assert "its SHA-256 is not the config_hash" in wrong(mine)[""]
    new_hash = hashlib.sha256((mine / "configuration.json").read_bytes()).hexdigest()
    change_json(mine / "pack.json", lambda told: told["snapshot"].update(config_hash=new_hash))
    resum(mine)
    assert {"reports/assets.parquet", "reports/unprotected.csv"} <= set(wrong(mine))


@pytest.mark.slow_but_first
@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("reports", 0, "parameters"), {"days": 1}),
        (("reports", 3, "rows"), 77_777),
        (("figures", "unknown_assets"), 0),
        (("volumes", 0, "problems"), 7),
        (("warnings",), []),
        (("evidence", "entries", "rows"), 1),
        (("libraries", "duckdb"), None),
    ],
)
def test_what_the_manifest_says_is_computed_again(mine: Path, place: tuple[Any, ...], value: object) -> None:
    def change(told: Any) -> None:  # noqa: ANN401  parsed JSON
        for key in place[:-1]:
            told = told[key]
        told[place[-1]] = value

    change_json(mine / "pack.json", change)
    resum(mine)
    assert list(wrong(mine)) == ([] if place[0] == "libraries" else ["pack.json"])


@pytest.mark.slow
def test_a_pack_of_another_version_says_so(mine: Path) -> None:
    change_json(mine / "pack.json", lambda told: told.update(lastcopy="0.0.1"))
    resum(mine)
    assert wrong(mine)["pack.json"].startswith("was made by Lastcopy 0.0.1, and this is ")


@pytest.mark.slow
def test_the_time_of_a_snapshot_cannot_be_changed(mine: Path) -> None:
    def later(rows: Rows) -> None:
        rows[0]["as_of"] = rows[0]["as_of"].replace(year=2030)

    told = json.loads((mine / "pack.json").read_text())["snapshot"]["as_of"]
    change_json(mine / "pack.json", lambda data: data["snapshot"].update(as_of=told.replace(told[:4], "2030")))
    resum(mine)
    assert "evidence snapshots" in wrong(mine)[""]
    change_rows(mine / "evidence/snapshots.parquet", later)
    resum(mine)
    assert {"reports/assets.parquet", "reports/fixity.parquet"} <= set(wrong(mine))


@pytest.mark.slow
def test_a_report_that_was_taken_out_or_put_in_is_found(mine: Path) -> None:
    (mine / "reports/problems.csv").unlink()
    shutil.copy(mine / "reports/gaps.csv", mine / "reports/gains.csv")
    assert wrong(mine) == {"reports/gains.csv": "is not in SHA256SUMS", "reports/problems.csv": "is missing"}
    resum(mine)
    assert set(wrong(mine)) == {"reports/gains.csv", "reports/problems.csv"}


def test_verify_prints_what_is_wrong_and_ends_with_1(mine: Path, tmp_path: Path) -> None:
    (mine / "pack.json").write_text("{}")
    ended = ask("audit", "verify", str(mine), "--format", "json", folder=tmp_path, code=1)
    assert (ended.data["state"], ended.data["findings"]) == ("not_verified", [{"file": "pack.json", "wrong": "was changed: its SHA-256 is another"}])
    assert ended.error["message"].endswith("the pack does not verify: pack.json: was changed: its SHA-256 is another")
    assert b"pack.json" in ask("audit", "verify", str(mine), folder=tmp_path, code=1).out
    ask("audit", "verify", str(tmp_path / "nowhere"), folder=tmp_path, code=6)
    assert "is no audit pack" in ask("audit", "verify", str(tmp_path), folder=tmp_path, code=1).err
    for wrongly in (("--head", "00" * 32, str(mine)), ("--signers", "x")):
        ask("audit", "verify", *wrongly, folder=tmp_path, code=2)


def test_nothing_that_exists_is_overwritten(demo: Demo, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("full", "dangling"):
        ask("audit", "pack", "--output", str(tmp_path / name), folder=demo.folder, code=5)
    ask("audit", "pack", "--output", str(tmp_path / "no/such"), folder=demo.folder, code=2)
    ask("audit", "pack", folder=demo.folder, code=2)
    assert sorted(os.listdir(tmp_path)) == ["dangling", "full"]


def test_a_name_that_is_too_long_is_told_of_before_anything_is_made(demo: Demo, tmp_path: Path) -> None:
    assert "is longer than 200 bytes" in ask("audit", "pack", "--output", str(tmp_path / ("p" * 250)), folder=demo.folder, code=2).err
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_pack_that_could_not_be_signed_leaves_nothing_behind(demo: Demo, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("no key")
    ended = ask("audit", "pack", "--output", str(tmp_path / "pack"), "--sign", str(tmp_path / "key"), "--no-input", folder=demo.folder, code=2)
    assert "--sign" in ended.err
    assert os.listdir(tmp_path) == ["key"]


def test_the_sums_can_be_checked_without_lastcopy(mine: Path) -> None:
    listed = {line[66:]: line[:64] for line in (mine / "SHA256SUMS").read_text().splitlines()}
    assert listed == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sums.files(mine).items()}


def test_one_figure_and_one_copy_are_found_by_hand_as_the_documentation_says(pack: Path) -> None:
    page = Path(__file__).parent.parent.parent / "docs" / "audit.md"
    figure, copies = re.findall(r"^```sql\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    with contextlib.chdir(pack):
        [by_hand] = _asked(figure)
        [told] = _asked("SELECT * FROM 'reports/coverage.by-class.parquet' WHERE name = 'core' AND threat = 'user_error'")
        found = _asked(copies)
    assert by_hand == {name: told[name] for name in by_hand}
    assert by_hand["covered_assets"] > 0
    assert {"projects", "lyon"} <= {row["volume"] for row in found}
    assert len({row["sha256"] for row in found}) == 1
