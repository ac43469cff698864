"""`lastcopy demo` on real files: every report agrees with the truth that the estate's table states, file by file."""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from catalog.words import THREATS
from sample_data import demo as demo_estate
from sample_data import estate
from tests.lastcopy.program import run
from tests.sample_data.conftest import Demo

ROWS = estate.rows()
ASSETS = {(row.volume, row.path): row for row in ROWS if row.truth}
HARD_LINKS = {(row.volume, row.path) for row in ROWS if row.type == "hardlink"}  # later names: their bytes count on the first


def _key(row: dict[str, Any]) -> tuple[str, str]:
    return row["volume"], row["path"]


def _counted(key: tuple[str, str]) -> int:
    return 0 if key in HARD_LINKS else ASSETS[key].size_bytes


def test_the_demo_prints_coverage_dormant_copies_and_duplicates(demo: Demo) -> None:
    text = demo.ended.out.decode()
    for title in ("Coverage", "Dormant copies", "Duplicates"):
        assert title in text
    assert "unknown" in text


def test_every_asset_has_the_threats_and_reasons_of_the_table(demo: Demo) -> None:
    columns = ", ".join(f"{threat}, {threat}_reasons" for threat in THREATS)
    found = {_key(row): row for row in demo.sql(f"SELECT volume, path, {columns} FROM assets ORDER BY volume, path")}
    expected = {key: row.truth.threats for key, row in ASSETS.items() if row.truth}
    assert {key: {threat: (row[threat], row[f"{threat}_reasons"]) for threat in THREATS} for key, row in found.items()} == expected


def test_every_asset_has_the_status_class_copies_and_freshness_of_the_table(demo: Demo) -> None:
    found = demo.sql("SELECT volume, path, data_class, status, copies, freshness FROM assets ORDER BY volume, path")
    expected = {key: (row.truth.data_class, row.truth.status, row.truth.copies, row.truth.freshness) for key, row in ASSETS.items() if row.truth}
    assert {_key(row): (row["data_class"], row["status"], row["copies"], row["freshness"]) for row in found} == expected


def test_the_last_copies_are_those_of_the_table(demo: Demo) -> None:
    found = {_key(row): row["is_last_copy"] for row in demo.sql("SELECT volume, path, is_last_copy FROM assets ORDER BY volume, path")}
    expected = {key: row.truth.is_last_copy for key, row in ASSETS.items() if row.truth and row.truth.is_last_copy is not None}
    assert {key: found[key] for key in expected} == expected


def test_the_assets_report_says_the_same_in_its_columns(demo: Demo) -> None:
    for row in demo.report("assets"):
        truth = ASSETS[_key(row)].truth
        assert truth
        assert {threat: row[threat] for threat in THREATS} == {threat: result for threat, (result, _) in truth.threats.items()}
        assert (row["status"], row["copies"], row["size_bytes"], row["counted_bytes"]) == (
            truth.status,
            truth.copies,
            ASSETS[_key(row)].size_bytes,
            _counted(_key(row)),
        )
    assert len(demo.report("assets")) == len(ASSETS)


def test_unprotected_lists_all_that_is_not_known_to_be_protected(demo: Demo) -> None:
    expected = {key: row.truth.status for key, row in ASSETS.items() if row.truth and row.truth.status in ("unprotected", "partly", "unknown")}
    assert {_key(row): row["status"] for row in demo.report("unprotected")} == expected


@pytest.mark.parametrize("by", ["class", "volume"])
def test_coverage_counts_the_assets_and_bytes_of_the_table(demo: Demo, by: str) -> None:
    assets: Counter[tuple[str, str]] = Counter()
    size: Counter[tuple[str, str]] = Counter()
    results: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for key, row in ASSETS.items():
        assert row.truth
        for threat, (result, _) in row.truth.threats.items():
            group = (row.truth.data_class if by == "class" else row.volume), threat
            assets[group] += 1
            size[group] += _counted(key)
            results[group].update({f"{result}_assets": 1, f"{result}_bytes": _counted(key)})
    found = {(row["name"], row["threat"]): row for row in demo.report("coverage", by=by)}
    for group, line in found.items():
        assert (line["assets"], line["bytes"]) == (assets[group], size[group]), group
        for ours, theirs in (("yes", "covered"), ("unknown", "unknown")):
            assert line[f"{theirs}_assets"] == results[group][f"{ours}_assets"], group
            assert line[f"{theirs}_bytes"] == results[group][f"{ours}_bytes"], group
        assert line["covered_pct"] == results[group]["yes_assets"] * 1000 // assets[group] / 10, group
    assert set(found) == set(assets)


def test_dormant_copies_are_the_old_files_of_the_table_on_every_volume(demo: Demo) -> None:
    clocks = {row["volume"]: row["clock"] for row in demo.sql("SELECT volume, clock FROM volumes ORDER BY volume")}
    expected = {}
    for row in ROWS:
        for volume in (row.volume, *row.also_on):
            if row.dormant == "yes" or (row.dormant == "unread" and clocks[volume] == "modified"):
                age = row.modified_days if clocks[volume] == "modified" else min(row.modified_days, row.accessed_days)
                expected[volume, row.path] = int(age)
    found = {_key(row): row for row in demo.report("dormant-copies")}
    assert {key: row["dormant_days"] for key, row in found.items()} == expected
    for key, asset in ASSETS.items():
        if key in found and asset.truth:
            assert (found[key]["status"], found[key]["is_last_copy"]) == (asset.truth.status, asset.truth.is_last_copy)
    shelved = found["shelf", "closed/2015-harbour/plans.pdf"]
    assert (shelved["role"], shelved["status"], shelved["is_last_copy"]) == ("backup", "partly", False)


def test_duplicates_are_the_groups_of_the_table(demo: Demo) -> None:
    expected: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in ROWS:
        if row.duplicates:
            expected[row.duplicates].add((row.volume, row.path))
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for member in demo.report("duplicates"):
        found[member["digest"]].add(_key(member))
        size = ASSETS[_key(member)].size_bytes
        group = expected[ASSETS[_key(member)].duplicates]
        assert (member["size_bytes"], member["members"]) == (size, len(group))
        assert member["reclaimable_bytes"] == (len(group) - 1) * size
    assert sorted(map(sorted, found.values())) == sorted(map(sorted, expected.values()))


def test_the_one_problem_is_the_directory_that_may_not_be_listed(demo: Demo) -> None:
    closed = [(row.volume, row.path, "list") for row in ROWS if row.type == "unreadable"]
    assert [(row["volume"], row["path"], row["stage"]) for row in demo.report("problems")] == closed


def test_volumes_say_which_is_incomplete_and_which_was_never_scanned(demo: Demo) -> None:
    states = {row["volume"]: row["state"] for row in demo.report("volumes")}
    expected = dict.fromkeys(estate.volumes(ROWS), "complete") | {"lyon": "incomplete"} | dict.fromkeys(estate.ABSENT_VOLUMES, "never_scanned")
    assert states == expected


def test_owners_are_those_of_the_labels(demo: Demo) -> None:
    for row in demo.report("assets"):
        label = {"contracts/": "legal", "research/": "lab"}.get(row["path"][: row["path"].find("/") + 1])
        assert label is None or row["owner"] == label


def test_no_name_reaches_the_terminal_unescaped(demo: Demo) -> None:
    shown = demo.ended.out + run("report", "assets", folder=demo.folder).out
    assert b"two\\x0alines.txt" in shown
    assert not [byte for byte in (b"\x1b[31m", "\u202e".encode(), b"\xe9.txt") if byte in shown]


@pytest.mark.slow
def test_a_second_demo_in_the_same_folder_gives_the_same_truth(demo: Demo) -> None:
    again = run("demo", str(demo.folder), "--format", "json", folder=demo.folder.parent)
    assert json.loads(again.out)
    found = demo.sql("SELECT volume, path, status FROM assets ORDER BY volume, path")
    assert {_key(row): row["status"] for row in found} == {key: row.truth.status for key, row in ASSETS.items() if row.truth}


@pytest.mark.slow
def test_the_readme_shows_what_is_really_printed(demo: Demo) -> None:
    readme = (Path(estate.__file__).parent.parent / "README.md").read_text("utf-8")
    shown = readme.partition("```text\n")[2].partition("```")[0].split("$ lastcopy ")[1:]
    assert shown
    for command, *lines in (part.splitlines() for part in shown):
        printed = run(*command.split(), folder=demo.folder, COLUMNS="130").out.decode().splitlines()
        assert [line for line in lines if line not in ("", "…") and line not in [text.rstrip() for text in printed]] == [], command


@pytest.mark.slow
def test_a_configuration_that_was_edited_is_kept_and_that_is_said(tmp_path: Path) -> None:
    settings = demo_estate.build(tmp_path / "demo", built_at=1.7e9)
    assert demo_estate.set_aside(settings.parent) is None
    settings.write_text("# mine\n")
    said = run("demo", "demo", "--quiet", folder=tmp_path).err
    assert "demo/lastcopy.toml was edited: it is kept as demo/lastcopy.toml.edited-1" in said
    assert settings.with_name("lastcopy.toml.edited-1").read_text() == "# mine\n"
    assert "# mine" not in settings.read_text()
    settings.write_text("# again\n")
    assert demo_estate.set_aside(settings.parent) == settings.with_name("lastcopy.toml.edited-2")
