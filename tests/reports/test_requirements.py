"""Reports `controls` and `exceptions`: by hand, and as the independent computation has them."""

import datetime
from collections import Counter
from pathlib import Path

import pytest

import reports
from catalog import requirement
from catalog.config import DataClass, parse
from tests.protection.oracle import judge
from tests.protection.plain import Estate, File, Read, Scan
from tests.protection.requirement import THREATS, holds
from tests.protection.table import AS_OF, content
from tests.reports.conftest import Estate as Made
from tests.reports.conftest import answer
from tests.reports.estates import many, opened, rows

DAY = datetime.timedelta(days=1)
CONTROLS = [{"data_class": "core", "control": "copies", "requirement": "two"}, {"data_class": "core", "control": "ransomware", "requirement": "locked"}]


def test_a_control_is_met_not_met_or_unknown_and_what_is_accepted_stays_not_met(estate: Made) -> None:
    connection = estate(
        controls=CONTROLS,
        files=[
            {"path": "a", "size_bytes": 600, "data_class": "core", "not_met": "", "unknown_controls": "", "ransomware": "yes"},
            {"path": "b", "size_bytes": 300, "data_class": "core", "not_met": "systems,copies", "ransomware": "no", "status": "excepted"},
            {"path": "c", "size_bytes": 99, "data_class": "core", "unknown_controls": "copies,sites", "ransomware": "unknown"},
            {"path": "d", "size_bytes": 1, "counted_bytes": 0, "data_class": "core", "not_met": "copies", "ransomware": "yes"},
            {"path": "e", "size_bytes": 50, "data_class": "other", "not_met": "copies"},
            {"path": "copy", "data_class": "core", "is_asset": False},
        ],
    )
    assert answer(reports.load("controls").run(connection)) == [
        ("core", "copies", "two", 4, 999, 1, 600, 2, 300, 1, 99, 1, 300, 25.0, False, "", 0),
        ("core", "ransomware", "locked", 4, 999, 2, 600, 1, 300, 1, 99, 1, 300, 50.0, False, "", 1),
    ]


def test_a_class_without_assets_has_its_lines_and_no_share_and_a_waived_threat_is_told(estate: Made) -> None:
    connection = estate(
        controls=[{"data_class": "scratch", "control": "ransomware", "requirement": "", "waived": True}, *CONTROLS],
        files=[{"path": "a", "data_class": "scratch", "ransomware": "no", "status": "excepted"}],
    )
    found = answer(reports.load("controls").run(connection), "data_class", "control", "assets", "not_met_assets", "accepted_assets", "met_pct", "waived")
    assert found == [("scratch", "ransomware", 1, 1, 0, 0.0, True), ("core", "copies", 0, 0, 0, None, False), ("core", "ransomware", 0, 0, 0, None, False)]


def test_a_requirement_is_told_in_words() -> None:
    data_class = parse({"classes": {"x": {"copies": 1, "sites": 2, "media": 2, "offline_or_immutable": 1, "max_copy_age": "90m", "retention": "1y"}}})
    told = {line.control: line.text for line in requirement.lines(data_class.data_class("x"))}
    assert told["copies"] == "at least 1 device holds it, the original included"
    assert told["sites"] == "at least 2 sites hold it, the original included"
    assert told["media"] == "at least 2 kinds of media hold it, the original included"
    assert told["offline_or_immutable"] == "at least 1 volume holds it offline or unchangeable, the original included"
    assert told["max_copy_age"] == "a copy holds what it is now, or was within the last 90 minutes"
    assert told["retention"] == "a copy keeps versions for 365 days or longer"
    assert "locked for 365 days" in told["ransomware"]


def test_a_line_tells_which_named_sets_ask_for_it() -> None:
    data_class = parse({"classes": {"x": {"requires": ["ndsa-3", "3-2-1-1-0"], "retention": "1y"}}})
    told = {line.control: line for line in requirement.lines(data_class.data_class("x"))}
    assert {name: line.sets for name, line in told.items() if name not in THREATS} == {
        "copies": ("ndsa-3", "3-2-1-1-0"),
        "sites": ("ndsa-3", "3-2-1-1-0"),
        "regions": ("ndsa-3",),
        "media": ("ndsa-3", "3-2-1-1-0"),
        "offline_or_immutable": ("3-2-1-1-0",),
        "min_verification_level": ("ndsa-3", "3-2-1-1-0"),
        "max_verification_age": ("ndsa-3", "3-2-1-1-0"),
        "retention": (),
    }
    assert told["regions"].text == "at least 2 regions hold it, the original included"


@pytest.mark.parametrize(("seconds", "words"), [(86400, "24 hours"), (172800, "2 days"), (3600, "1 hour"), (0.5, "0.5 seconds"), (0, "0 days")])
def test_a_span_is_told_in_the_unit_that_divides_it(seconds: float, words: str) -> None:
    assert requirement.span(seconds) == words


def test_every_threat_and_control_has_a_line() -> None:
    full = DataClass(
        copies=1,
        systems=1,
        sites=1,
        regions=1,
        admins=1,
        media=1,
        offline_or_immutable=1,
        max_copy_age=1,
        min_verification_level=2,
        max_verification_age=1,
        retention=1,
    )
    assert [line.control for line in requirement.lines(DataClass(waive=("ransomware",)))] == list(THREATS)
    assert [line.waived for line in requirement.lines(DataClass(waive=("ransomware",)))] == [False, True, False, False]
    assert len(requirement.lines(full)) == 15


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_controls_are_as_an_independent_computation_has_them(tmp_path: Path, seed: int) -> None:
    estate = many(seed)
    expected: Counter[tuple[str, str, str]] = Counter()
    size: Counter[tuple[str, str, str]] = Counter()
    for verdict in judge(estate).values():
        for control, result in verdict.controls.items():
            expected[verdict.data_class, control, result] += 1
            size[verdict.data_class, control, result] += verdict.counted_bytes
    with opened(tmp_path, estate) as connection:
        found = rows(connection, "controls", "NOT waived")
        waived = {(row["data_class"], row["control"]) for row in rows(connection, "controls", "waived")}
    told = {(row["data_class"], row["control"], result): row[f"{result}_assets"] for row in found for result in ("met", "not_met", "unknown")}
    assert Counter({key: number for key, number in told.items() if number}) == expected
    told_bytes = {(row["data_class"], row["control"], result): row[f"{result}_bytes"] for row in found for result in ("met", "not_met", "unknown")}
    assert {key: number for key, number in told_bytes.items() if number} == {key: number for key, number in size.items() if number}
    assert waived == {(name, threat) for name, one in estate.config.classes.items() for threat in one.waive}
    assert len({row["data_class"] for row in found}) > 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 2, 3])
def test_exceptions_are_counted_as_an_independent_computation_has_them(tmp_path: Path, seed: int) -> None:
    estate = many(seed)
    expected = []
    files = {(volume, file.path): file for volume, file in estate.every_file()}
    for finding in estate.config.exceptions:
        mine = [verdict for (volume, path), verdict in judge(estate).items() if holds(finding.where, volume, files[volume, path])]
        covers = set(finding.controls or ())
        missing = [one for one in mine for missed in [{c for c, r in one.controls.items() if r == "not_met"}] if missed and (not covers or missed & covers)]
        live = finding.until >= estate.as_of.date()
        accepted = [one for one in missing if live and one.status == "excepted"]
        expected.append(tuple(number for part in (mine, missing, accepted) for number in (len(part), sum(one.counted_bytes for one in part))))
    with opened(tmp_path, estate) as connection:
        names = [f"{part}{unit}" for part in ("", "missing_", "accepted_") for unit in ("assets", "bytes")]
        found = sorted(rows(connection, "exceptions"), key=lambda row: row["position"])
    assert [tuple(row[name] for name in names) for row in found] == expected
    assert any(row["accepted_assets"] for row in found)


def test_an_exception_says_how_much_rests_on_it_and_whether_it_ends_soon(tmp_path: Path) -> None:
    declared = {
        "volumes": {"work": {"url": "/w"}, "copy": {"url": "/c", "role": "backup", "system": "s2"}},
        "classes": {"default": {"copies": 2, "waive": ["user_error", "ransomware", "system_failure", "facility_outage"]}},
        "exceptions": [
            {"where": "path LIKE 'scratch/%'", "reason": "can be made anew", "owner": "ops", "approver": "board", "until": (AS_OF + 29 * DAY).date()},
            {"where": "path LIKE 'scratch/%'", "reason": "old", "owner": "ops", "until": (AS_OF - DAY).date()},
            {"where": "path LIKE '%'", "reason": "one site", "owner": "ops", "until": (AS_OF + 31 * DAY).date(), "controls": ["sites"]},
        ],
    }
    held = File("scratch/kept", 10, AS_OF - 9 * DAY)
    work = (held, File("scratch/lost", 5, AS_OF - 9 * DAY), File("plans/lost", 3, AS_OF - 9 * DAY))
    scans: dict[str, tuple[Scan, ...]] = {"work": (Scan(AS_OF - DAY, files=work, device="d1"),), "copy": (Scan(AS_OF - DAY, files=(held,), device="d2"),)}
    reads = tuple(Read(volume, held, AS_OF - DAY, content("one")) for volume in ("work", "copy"))
    with opened(tmp_path, Estate(parse(declared), AS_OF, scans, reads)) as connection:
        found = [tuple(row.values())[2:] for row in rows(connection, "exceptions")]
        others = [rows(connection, "exceptions", f"position = {position}", days=days)[0]["state"] for position, days in ((0, 28), (2, 31))]
    assert [row[1:] for row in found] == [
        ("ops", None, (AS_OF - DAY).date(), -1, False, 1, "ended", 2, 15, 1, 5, 0, 0),
        ("ops", "board", (AS_OF + 29 * DAY).date(), 29, True, 0, "ending", 2, 15, 1, 5, 1, 5),
        ("ops", None, (AS_OF + 31 * DAY).date(), 31, True, 2, "live", 3, 18, 0, 0, 0, 0),
    ]
    assert others == ["live", "ending"]


def test_who_sees_a_part_is_told_no_exception_and_the_controls_of_his_part(tmp_path: Path) -> None:
    declared = {
        "volumes": {"work": {"url": "/w"}, "other": {"url": "/o"}},
        "classes": {"secret": {"select": "volume = 'other'", "copies": 7}},
        "exceptions": [{"where": "volume = 'other'", "reason": "secret", "owner": "ops", "until": (AS_OF + DAY).date()}],
    }
    scans: dict[str, tuple[Scan, ...]] = {
        name: (Scan(AS_OF - DAY, files=(File("a/f", 10, AS_OF - 9 * DAY), File("b/f", 7, AS_OF - 9 * DAY))),) for name in ("work", "other")
    }
    with opened(tmp_path, Estate(parse(declared), AS_OF, scans), "work:a") as connection:
        assert rows(connection, "exceptions") == []
        told = {(row["data_class"], row["assets"], row["bytes"]) for row in rows(connection, "controls")}
    assert told == {("default", 1, 10)}
