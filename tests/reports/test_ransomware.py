"""Reports `ransomware-signals` and `clean-copies`: an attack on real files is seen, an upgrade of real files is not taken for one by every signal."""

import datetime
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import reports
from catalog.config import parse
from tests.lastcopy.program import ask, run
from tests.protection import plain
from tests.protection.plain import File, Scan
from tests.reports.conftest import AS_OF, Estate, answer
from tests.reports.estates import opened

CONFIG = """
[volumes.work]
url = "work"
media_types = true

[volumes.mirror]
url = "mirror"
role = "replica"
of = ["work"]
"""
DAY = datetime.timedelta(days=1)
LONG_AGO = 1_600_000_000


def grow(folder: Path) -> None:
    """A tree of text and pictures, each written on another day, and a mirror of it."""
    chance = random.Random(7)
    picture = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde"
    for number in range(90):  # less than half is hit: a scan that lost more is refused, and nobody needs a report
        file = folder / "work" / ("plans" if number < 40 else "other") / f"step {number % 5}" / (f"{number}.txt" if number % 2 else f"{number}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        body = chance.randbytes(40 + number)
        file.write_bytes(f"of {number}: ".encode() + body.hex().encode() if number % 2 else picture + body)
        os.utime(file, (LONG_AGO + number * 86400,) * 2)
    shutil.copytree(folder / "work", folder / "mirror")
    (folder / "lastcopy.toml").write_text(CONFIG)


def encrypt(folder: Path, rename: bool) -> None:
    """What ransomware does to a tree: content of no kind, with or without another name, and a note in each folder."""
    chance = random.Random(11)
    for file in [one for one in folder.rglob("*") if one.is_file()]:
        file.write_bytes(chance.randbytes(file.stat().st_size + 32))
        if rename:
            file.rename(file.with_name(f"{file.name}.locked"))
        (file.parent / "HOW-TO-DECRYPT.txt").write_text("pay")


def scanned(folder: Path, change: Callable[[], object]) -> None:
    run("scan", folder=folder, code=None)
    change()
    run("scan", folder=folder, code=None)


def signals(folder: Path, level: str = "low", by: str = "folder") -> dict[tuple[str, str, str], tuple[str, int, str | None]]:
    rows: list[dict[str, Any]] = ask("report", "ransomware-signals", "--level", level, "--by", by, "--format", "json", folder=folder).data
    return {(row["volume"], row["folder"], row["signal"]): (row["level"], row["number"], row["detail"]) for row in rows}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("attacked")
    grow(folder)
    scanned(folder, lambda: encrypt(folder / "work" / "plans", rename=True))
    return folder


def test_an_attack_that_renames_is_seen_where_it_was_and_nowhere_else(attacked: Path) -> None:
    found = signals(attacked)
    assert found.pop(("mirror", "plans", "kept_once")) == ("high", 40, None), "what the mirror holds is now held by it alone"
    assert {(volume, folder) for volume, folder, _ in found} == {("work", "plans")}
    assert {signal: (level, number, detail) for (_, _, signal), (level, number, detail) in found.items()} == {
        "notes": ("high", 5, "HOW-TO-DECRYPT.txt"),
        "extended": ("high", 40, None),
        "extension": ("high", 40, "locked"),
    }
    whole = signals(attacked, "high", "volume")
    assert whole["work", "", "extended"] == ("high", 40, None)


def test_of_each_file_that_is_gone_the_newest_copy_from_before_is_told(attacked: Path) -> None:
    rows = ask("report", "clean-copies", "--volume", "work", "--folder", "plans/", "--format", "json", folder=attacked).data
    assert {row["path"] for row in rows} == {f"plans/step {n % 5}/{n}.{'txt' if n % 2 else 'png'}" for n in range(40)}
    assert {(row["change"], row["copy_volume"], row["equals_before"], row["copies"]) for row in rows} == {("gone", "mirror", "yes", 1)}
    assert all(row["copy_path"] == row["path"] and row["copy_modified_at"] == row["modified_before_at"] for row in rows)


@pytest.mark.slow
def test_an_attack_that_keeps_names_is_seen_by_the_content(tmp_path: Path) -> None:
    grow(tmp_path)
    scanned(tmp_path, lambda: encrypt(tmp_path / "work" / "plans", rename=False))
    found = signals(tmp_path)
    assert {folder for _, folder, _ in found} == {"plans"}
    assert found["work", "plans", "rewritten"] == ("high", 40, None)
    assert found["work", "plans", "unrecognized"][0] == "high"
    assert found["work", "plans", "notes"] == ("high", 5, "HOW-TO-DECRYPT.txt")


def test_where_no_kind_of_content_was_looked_for_nothing_is_known_of_it(attacked: Path) -> None:
    found = signals(attacked, "all")
    assert found["mirror", "plans", "unrecognized"][0] == "unknown"
    assert found["work", "other", "unrecognized"] == ("none", 0, None)


@pytest.mark.slow
def test_a_tree_that_was_wiped_is_seen_and_without_change_there_is_no_signal(tmp_path: Path) -> None:
    grow(tmp_path)
    scanned(tmp_path, lambda: None)
    assert signals(tmp_path) == {}
    shutil.rmtree(tmp_path / "work" / "plans")
    run("scan", folder=tmp_path, code=None)
    assert signals(tmp_path)["work", "plans", "gone"] == ("high", 40, None)


def test_a_day_like_others_is_no_burst_and_rewriting_alone_is_never_more_than_low(estate: Estate) -> None:
    def files(modified_at: datetime.datetime, size: int) -> list[dict[str, Any]]:
        return [{"path": f"a/{n}", "size_bytes": size, "modified_at": modified_at} for n in range(20)]

    for before, level in ((AS_OF - 3 * DAY, "none"), (AS_OF - 90 * DAY, "low")):
        connection = estate(before=files(before, 1), files=files(AS_OF, 2))
        [row] = answer(reports.load("ransomware-signals").run(connection, {"level": "all"}, "signal = 'rewritten'"), "level", "number", "baseline")
        assert row == (level, 20, 20 if level == "none" else 0)


@pytest.mark.parametrize(
    ("name", "is_note"),
    [
        ("HOW TO DECRYPT.hta", True), ("Restore-My-Files.txt", True), ("RECOVER-abcdefg-FILES.txt", True), ("_readme.txt", True),
        ("@Please_Read_Me@.txt", True),
        ("readme.txt", False), ("how_to_decrypt.py", False), ("recovery.txt", False), ("README_files.html", False), ("restore.txt", False),
    ],
)  # fmt: skip
def test_names_of_notes_are_known_and_common_names_are_none(estate: Estate, name: str, is_note: bool) -> None:
    extension = name.rpartition(".")[2]
    connection = estate(
        before=[{"path": "a/x", "extension": "txt"}], files=[{"path": "a/x", "extension": "txt"}, {"path": f"a/{name}", "extension": extension}]
    )
    found = answer(reports.load("ransomware-signals").run(connection, {"level": "low"}, "signal = 'notes'"), "level", "number", "detail")
    assert found == ([("low", 1, name)] if is_note else [])


def test_who_sees_a_part_is_told_signals_of_that_part(estate: Estate) -> None:
    before = [{"path": f"a/{n}", "volume": volume} for n in range(20) for volume in ("projects", "hidden")]
    connection = estate(volumes=[{"volume": "projects"}], before=[row for row in before if row["volume"] == "projects"], files=[])
    assert answer(reports.load("ransomware-signals").run(connection), "volume", "folder", "signal", "number") == [("projects", "a", "gone", 20)]


def test_each_version_of_a_backup_counts_also_where_several_are_new_at_one_path(tmp_path: Path) -> None:
    points = (AS_OF - 2 * DAY, AS_OF - DAY)
    old = File("home/kept", 10, AS_OF - 99 * DAY, point=points[0], whole=True)
    notes = [File("home/HOW-TO-DECRYPT.txt", size, AS_OF - 3 * DAY, point=point, whole=True) for size, point in zip((3, 4), points, strict=True)]
    config = parse({"volumes": {"nightly": {"url": "/n", "role": "backup"}}})
    scans: dict[str, tuple[Scan, ...]] = {
        "nightly": (Scan(AS_OF - DAY, files=(old,), points=points[:1]), Scan(AS_OF - datetime.timedelta(hours=1), files=(old, *notes), points=points))
    }
    with opened(tmp_path, plain.Estate(config, AS_OF, scans)) as connection:
        found = answer(reports.load("ransomware-signals").run(connection, {"level": "low"}), "folder", "signal", "number", "of_files", "level")
    assert found == [("home", "notes", 2, 2, "low")]
