"""Worked cases: small rows in, the rows that each report must give."""

import datetime
from typing import Any

import pytest

import reports
from catalog.errors import ConfigError
from catalog.words import THREATS
from reports import state
from tests.reports.conftest import AS_OF, Estate, Rows, answer

SCANNED = datetime.datetime(2026, 11, 20, 10)


def ago(**span: float) -> datetime.datetime:
    return SCANNED - datetime.timedelta(**span)


def test_coverage_counts_assets_and_bytes_and_unknown_is_not_covered(estate: Estate) -> None:
    connection = estate(
        files=[
            {"path": "a", "size_bytes": 600, "user_error": "yes"},
            {"path": "b", "size_bytes": 399, "user_error": "unknown"},
            {"path": "c", "size_bytes": 1, "user_error": "no", "status": "excepted"},
            {"path": "copy", "is_asset": False, "user_error": "yes"},
        ]
    )
    [row] = answer(reports.load("coverage").run(connection, where="threat = 'user_error'"))
    assert row == ("class", "default", "user_error", 3, 1000, 1, 600, 1, 399, 33.3, 60.0, 1, 1, False, 0, 0, 1, 399)


def test_coverage_rounds_down_even_a_byte_short_of_all(estate: Estate) -> None:
    connection = estate(files=[{"path": "a", "size_bytes": 10**16, "ransomware": "yes"}, {"path": "b", "size_bytes": 1}])
    assert answer(reports.load("coverage").run(connection, where="threat = 'ransomware'"), "covered_pct", "covered_bytes_pct") == [(50.0, 99.9)]


def test_coverage_counts_hard_links_once_in_bytes(estate: Estate) -> None:
    connection = estate(files=[{"path": "a", "size_bytes": 7}, {"path": "b", "size_bytes": 7, "counted_bytes": 0}])
    assert answer(reports.load("coverage").run(connection, limit=1), "assets", "bytes") == [(2, 7)]


def test_coverage_lists_a_class_without_assets_and_says_what_is_waived(estate: Estate) -> None:
    connection = estate(files=[{"path": "a"}], classes=[{"data_class": "default"}, {"data_class": "core", "waive": ["ransomware"]}])
    rows = answer(reports.load("coverage").run(connection), "name", "threat", "assets", "covered_pct", "waived")
    assert rows[:4] == [
        ("core", "user_error", 0, None, False),
        ("core", "ransomware", 0, None, True),
        ("core", "system_failure", 0, None, False),
        ("core", "facility_outage", 0, None, False),
    ]
    assert rows[4] == ("default", "user_error", 1, 0.0, False)


@pytest.mark.parametrize(("by", "names"), [("volume", ["empty", "projects"]), ("owner", ["", "ada"]), ("folder", ["projects:", "projects:x"])])
def test_coverage_by_volume_owner_and_folder(estate: Estate, by: str, names: list[str]) -> None:
    connection = estate(volumes=[{"volume": "projects"}, {"volume": "empty"}], files=[{"path": "a", "owner": "ada"}, {"path": "x/y/b"}])
    assert sorted({name for (name,) in answer(reports.load("coverage").run(connection, {"by": by}), "name")}) == names


def test_unprotected_lists_what_is_not_met_or_unknown_and_says_which(estate: Estate) -> None:
    statuses = ("protected", "excepted", "partly", "unknown", "unprotected")
    connection = estate(files=[{"path": status, "status": status} for status in statuses])
    assert answer(reports.load("unprotected").run(connection), "path", "status") == [
        ("unprotected", "unprotected"),
        ("unknown", "unknown"),
        ("partly", "partly"),
    ]
    assert len(answer(reports.load("assets").run(connection))) == 5


def test_dormant_days_are_whole_days_before_the_scan_and_an_unknown_time_is_never_dormant(estate: Estate) -> None:
    connection = estate(
        volumes=[{"volume": "projects", "cost_per_tib_month": 1024.0, "scanned_at": SCANNED}],
        files=[
            {"path": "a-year", "last_active_at": ago(days=365), "size_bytes": 2**30},
            {"path": "a-second-less", "last_active_at": ago(days=365) + datetime.timedelta(microseconds=1)},
            {"path": "two-years-odd", "last_active_at": ago(days=730, hours=11), "size_bytes": 4, "counted_bytes": 0, "other_copies": 2, "is_last_copy": False},
            {"path": "unknown", "last_active_at": None},
            {"path": "carried", "last_active_at": ago(days=900), "carried": True},
            {"path": "tomorrow", "last_active_at": ago(days=-1)},
        ],
    )
    rows = answer(reports.load("dormant-copies").run(connection), "path", "dormant_days", "other_copies", "is_last_copy", "cost_per_month")
    assert rows == [("a-year", 365, 0, True, 1.0), ("two-years-odd", 730, 2, False, 0.0)]
    assert answer(reports.load("dormant-copies").run(connection, {"days": 364}, where="dormant_days = 364"), "path") == [("a-second-less",)]


def test_dormant_files_whose_counterpart_differs_say_how(estate: Estate) -> None:
    names = ["damaged", "same", "updated"]
    connection = estate(
        volumes=[{"volume": "projects", "scanned_at": SCANNED}],
        files=[{"path": name, "last_active_at": ago(days=400)} for name in names],
        copies=[
            {"path": name, "copy_volume": "mirror", "copy_entry_id": 9, "match": match}
            for name, match in zip(names, ["conflict", "content", "older"], strict=True)
        ],
    )
    rows = answer(reports.load("dormant-copies").run(connection), "path", "differs")
    assert sorted(rows) == [("damaged", "conflict"), ("same", None), ("updated", "older")]


@pytest.mark.parametrize("hours", [*range(0, 50), 8759, 8760, 8761])
def test_dormant_days_cut_off_and_never_round(estate: Estate, hours: int) -> None:
    connection = estate(volumes=[{"volume": "projects", "scanned_at": SCANNED}], files=[{"path": "a", "last_active_at": ago(hours=hours)}])
    assert answer(reports.load("dormant-copies").run(connection, {"days": 0}), "dormant_days") == [(hours // 24,)]


def test_a_volume_without_a_price_has_no_cost(estate: Estate) -> None:
    connection = estate(files=[{"path": "a", "last_active_at": ago(days=400)}])
    assert answer(reports.load("dormant-copies").run(connection), "cost_per_month") == [(None,)]
    assert answer(reports.load("costs").run(connection), "name", "paid_bytes", "unpriced_bytes", "cost_per_month") == [("projects", 100, 100, None)]


def test_costs_add_what_is_paid_and_its_dormant_part(estate: Estate) -> None:
    connection = estate(
        volumes=[{"volume": "projects", "cost_per_tib_month": 10.0}, {"volume": "tape", "cost_per_tib_month": 1.0}],
        files=[
            {"path": "a", "size_bytes": 2**40, "allocated_bytes": 2**39, "last_active_at": ago(days=400), "owner": "ada"},
            {"path": "b", "size_bytes": 2**40, "last_active_at": ago(days=1), "owner": "ada"},
            {"path": "b-again", "size_bytes": 2**40, "counted_bytes": 0, "owner": "ada"},
            {"path": "c", "volume": "tape", "size_bytes": 2**40, "allocated_bytes": None, "owner": "ada"},
        ],
    )
    [row] = answer(
        reports.load("costs").run(connection, {"by": "owner"}), "name", "files", "cost_per_month", "dormant_cost_per_month", "dormant_pct", "currency"
    )
    assert row == ("ada", 4, 16.0, 5.0, 20.0, "EUR")


def test_duplicates_are_ordered_by_what_they_give_back(estate: Estate) -> None:
    group = {"scope": "primary", "volume": "projects", "members": 2, "link_count": 1}
    connection = estate(
        volumes=[{"volume": "projects"}, {"volume": "offsite"}],
        duplicate_groups=[
            group | {"path": "x/b", "digest": b"\xab" * 32, "size_bytes": 5, "reclaimable_bytes": 5},
            group | {"path": "x/a", "digest": b"\xab" * 32, "size_bytes": 5, "reclaimable_bytes": 5},
            group | {"path": "big", "digest": b"\xff" * 32, "size_bytes": 9, "reclaimable_bytes": 9},
            group | {"path": "other", "digest": b"\x00" * 32, "size_bytes": 9, "reclaimable_bytes": 99, "scope": "offsite", "volume": "offsite"},
        ],
    )
    assert answer(reports.load("duplicates").run(connection), "digest", "path") == [("ff" * 32, "big"), ("ab" * 32, "x/a"), ("ab" * 32, "x/b")]
    assert answer(reports.load("duplicates").run(connection, {"scope": "offsite"}), "path") == [("other",)]


def test_ageing_shows_each_class_with_its_bounds(estate: Estate) -> None:
    def row(key: str, size: int) -> dict[str, object]:
        return {
            "by": "age",
            "volume": "projects",
            "key": key,
            "depth": 0,
            "files": 1,
            "bytes": size,
            "unprotected_assets": 0,
            "unprotected_bytes": 0,
            "unknown_assets": 0,
        }

    connection = estate(rollup=[row("0", 10), row("365", 20), row("90", 3), row("", 0)])
    assert answer(reports.load("ageing").run(connection), "age_from_days", "age_to_days", "bytes", "bytes_pct") == [
        (0, 90, 10, 30.3),
        (90, 365, 3, 9.0),
        (365, None, 20, 60.6),
        (None, None, 0, 0.0),
    ]


@pytest.mark.parametrize(
    ("name", "by", "column"), [("owners", "owner", "owner"), ("types", "extension", "type"), ("types", "media_type", "type"), ("folders", "folder", "folder")]
)
def test_sums_by_owner_type_and_folder_come_from_the_rollup(estate: Estate, name: str, by: str, column: str) -> None:
    rows = [{"by": by, "volume": "projects", "key": key, "depth": 1, "files": 1, "bytes": size} for key, size in (("small", 1), ("large", 2))]
    connection = estate(rollup=[*rows, {"by": "age", "volume": "projects", "key": "0", "depth": 1, "files": 2, "bytes": 3}])
    params = {"by": by} if name == "types" else {}
    assert answer(reports.load(name).run(connection, params), column, "bytes") == [("large", 2), ("small", 1)]


def test_largest_lists_each_content_once_by_its_first_name(estate: Estate) -> None:
    connection = estate(files=[{"path": "b", "size_bytes": 5}, {"path": "a", "size_bytes": 5}, {"path": "link", "size_bytes": 5, "counted_bytes": 0}])
    assert answer(reports.load("largest").run(connection), "path") == [("a",), ("b",)]


def test_growth_is_the_difference_to_the_snapshot_before(estate: Estate) -> None:
    def row(day: int, volume: str, size: int) -> dict[str, object]:
        return {"snapshot_id": f"s{day}", "as_of": datetime.datetime(2026, 11, day), "volume": volume, "data_class": "default", "files": 1, "bytes": size}

    connection = estate(history=[row(1, "a", 10), row(2, "a", 7), row(1, "b", 1), row(2, "b", 2)])
    assert answer(reports.load("growth").run(connection), "name", "bytes", "growth_bytes") == [("a", 10, None), ("a", 7, -3), ("b", 1, None), ("b", 2, 1)]
    assert answer(reports.load("growth").run(connection, {"by": "all"}), "name", "bytes", "growth_bytes") == [("", 11, None), ("", 9, -2)]


def test_growth_between_two_days_is_that_of_the_snapshots_of_these_days(estate: Estate) -> None:
    held = {1: 10, 2: 7, 3: 30, 4: 31}
    rows = [
        {
            "volume": "a",
            "data_class": "default",
            "snapshot_id": f"s{day}",
            "as_of": datetime.datetime(2026, 10, day, 23),
            "bytes": size,
            "files": day,
            "assets": 2 * day,
        }
        for day, size in held.items()
    ]
    connection, found = estate(history=rows), reports.load("growth")
    columns = ("snapshot_id", "growth_bytes", "since_first_bytes", "since_first_files", "since_first_assets")
    between = [("s2", -3, 0, 0, 0), ("s3", 23, 23, 1, 2)]
    assert answer(found.run(connection, {"since": "2026-10-02", "until": "2026-10-03"}), *columns) == between
    assert answer(found.run(connection, {"since": "2026-10-03"}), "snapshot_id", "since_first_bytes") == [("s3", 0), ("s4", 1)]
    assert answer(found.run(connection, {"until": "2026-10-01"}), "snapshot_id", "growth_bytes") == [("s1", None)]
    for day in ("2026-10-32", "yesterday", "20261001"):
        with pytest.raises(ConfigError, match="is no day, as 2026-10-31"):
            found.run(connection, {"since": day})


def test_changes_tell_new_gone_changed_moved_and_newly_unprotected(estate: Estate) -> None:
    def at(day: int) -> datetime.datetime:
        return datetime.datetime(2026, 1, day)

    connection = estate(
        before=[
            {"path": "same", "status": "protected"},
            {"path": "gone", "modified_at": at(2)},
            {"path": "changed", "modified_at": at(3), "status": "protected"},
            {"path": "old/home", "modified_at": at(4)},
            {"path": "lost-protection", "status": "protected"},
            {"path": "twin-1", "modified_at": at(5)},
            {"path": "weaker", "status": "protected"},
            {"path": "whose-copy-went", "is_last_copy": False},
        ],
        files=[
            {"path": "same", "status": "protected"},
            {"path": "new", "modified_at": at(6), "status": "unknown"},
            {"path": "changed", "modified_at": at(7), "status": "protected"},
            {"path": "new/home", "modified_at": at(4)},
            {"path": "lost-protection"},
            {"path": "twin-2", "modified_at": at(5)},
            {"path": "twin-3", "modified_at": at(5)},
            {"path": "weaker", "status": "partly"},
            {"path": "whose-copy-went", "is_last_copy": True},
        ],
    )
    assert answer(reports.load("changes").run(connection), "path", "change", "moved_from", "status_before", "status", "newly_unprotected") == [
        ("changed", "changed", None, "protected", "protected", False),
        ("gone", "gone", None, "unprotected", None, False),
        ("lost-protection", "protection", None, "protected", "unprotected", True),
        ("new", "new", None, None, "unknown", False),
        ("new/home", "moved", "old/home", "unprotected", "unprotected", False),
        ("twin-1", "gone", None, "unprotected", None, False),
        ("twin-2", "new", None, None, "unprotected", True),
        ("twin-3", "new", None, None, "unprotected", True),
        ("weaker", "protection", None, "protected", "partly", True),
        ("whose-copy-went", "protection", None, "unprotected", "unprotected", True),
    ]


def test_what_is_gone_keeps_the_class_and_owner_that_it_had(estate: Estate) -> None:
    before = [{"path": "docs/gone", "data_class": "core", "owner": "ada"}, {"path": "docs/kept", "owner": "ada", "status": "protected"}]
    connection = estate(before=before, files=[{"path": "docs/kept", "data_class": "core", "owner": "bob"}, {"path": "docs/new", "size_bytes": 7}])
    rows = answer(reports.load("changes").run(connection), "path", "change", "data_class", "owner")
    assert rows == [("docs/gone", "gone", "core", "ada"), ("docs/kept", "protection", "core", "bob"), ("docs/new", "new", "default", None)]


def test_the_unknown_of_the_headline_is_that_of_coverage(estate: Estate) -> None:
    connection = estate(
        volumes=[{"volume": "projects"}, {"volume": "homes"}],
        files=[
            {"path": "a", "size_bytes": 1, "status": "partly", "user_error": "yes", "ransomware": "unknown"},
            {"path": "b", "size_bytes": 20, "status": "unknown", "user_error": "unknown", "ransomware": "unknown"},
            {"path": "c", "size_bytes": 300, "status": "unknown"},
            {"path": "d", "size_bytes": 4000, "volume": "homes", "data_class": "core", "status": "protected", "facility_outage": "unknown"},
            {"path": "e", "size_bytes": 50000, "status": "unprotected"},
            {"path": "copy", "is_asset": False, "status": "unknown", "user_error": "unknown"},
        ],
        history=[{"snapshot_id": "snap-2", "assets": 5, "asset_bytes": 54321, "unknown_assets": 2, "unknown_bytes": 320}],
    )
    known = state.read(connection)
    assert (known.unknown_assets, known.unknown_bytes, known.threat_unknown_assets, known.threat_unknown_bytes) == (2, 320, 3, 4021)
    columns = [f"{kind}_unknown_{unit}" for kind in ("status", "threat") for unit in ("assets", "bytes")]
    for by in ("class", "volume", "owner", "folder"):
        rows = answer(reports.load("coverage").run(connection, {"by": by}), "threat", *columns)
        for threat in THREATS:
            lines = [row[1:] for row in rows if row[0] == threat]
            assert [sum(column) for column in zip(*lines, strict=True)] == [2, 320, 3, 4021]


def test_labels_say_who_answers_for_what(estate: Estate) -> None:
    connection = estate(
        files=[{"path": "a", "owner": "ada", "steward": "records"}, {"path": "b", "owner": "ada", "steward": "records", "status": "unknown"}, {"path": "c"}]
    )
    rows = answer(reports.load("labels").run(connection), "owner", "steward", "files", "unprotected_assets", "unknown_assets")
    assert rows == [("ada", "records", 2, 1, 1), (None, None, 1, 1, 0)]


def test_volumes_say_how_old_their_scan_is_and_what_they_cost(estate: Estate) -> None:
    connection = estate(
        volumes=[
            {"volume": "b", "scanned_at": AS_OF - datetime.timedelta(days=2, hours=13), "cost_per_tib_month": 8.0, "bytes": 2**39, "sites": []},
            {"volume": "a", "state": "never_scanned", "scanned_at": None},
        ]
    )
    rows = answer(reports.load("volumes").run(connection), "volume", "state", "scan_age_days", "cost_per_month", "sites")
    assert rows == [("a", "never_scanned", None, None, "paris"), ("b", "complete", 2, 4.0, "")]


def test_fixity_shows_levels_and_ages_and_a_volume_that_was_never_verified(estate: Estate) -> None:
    connection = estate(
        volumes=[{"volume": "projects"}, {"volume": "mirror", "role": "replica"}, {"volume": "tape", "role": "backup"}],
        files=[{"path": "a"}],
        copies=[
            {"path": "a", "copy_volume": "mirror", "verified_at": AS_OF - datetime.timedelta(days=90)},
            {"path": "b", "copy_volume": "mirror", "verified_at": AS_OF - datetime.timedelta(days=89, hours=23), "is_current": False, "usable": "no"},
            {"path": "c", "copy_volume": "mirror", "verification_level": 1},
        ],
    )
    rows = answer(
        reports.load("fixity").run(connection), "volume", "verification_level", "copies", "current_copies", "usable_copies", "old_copies", "oldest_days"
    )
    assert rows == [("mirror", 1, 1, 1, 1, 0, None), ("mirror", 2, 2, 1, 1, 1, 90), ("tape", None, 0, 0, 0, 0, None)]


def test_exceptions_live_through_their_last_day(estate: Estate) -> None:
    def until(day: int) -> dict[str, object]:
        return {"where": "TRUE", "reason": "r", "owner": "o", "position": day, "until": datetime.date(2026, 11, day)}

    connection = estate(exceptions=[until(20), until(19), until(21)])
    assert answer(reports.load("exceptions").run(connection), "days_left", "is_live") == [(-1, False), (0, True), (1, True)]


@pytest.mark.parametrize(
    ("target", "volumes", "archived", "why"),
    [
        ("gone:a", [], {}, "stands for gone:a, a volume that is not in the configuration"),
        ("vault:a", [{"role": "backup"}], {}, "stands for vault:a, whose volume is neither primary nor archive"),
        ("vault:a", [{"scanned_at": None}], {}, "stands for vault:a, whose volume was never scanned"),
        ("vault:a", [{}], {}, "stands for vault:a, whose volume was last scanned before the stub was made"),
        ("vault:a", [{"scanned_at": AS_OF}], {}, "stands for vault:a, which is not there"),
        ("vault:a:b/c", [{"scanned_at": AS_OF}], {"path": "a:b/c", "size_bytes": 8}, "stands for vault:a:b/c, which has another size now"),
        ("vault:a", [{}], {"size_bytes": 1009}, "stands for vault:a, which has another size now"),
        ("vault:a", [{}], {"size_bytes": 9}, "stands for vault:a, which nobody has read yet"),
        ("vault:a", [{}], {"size_bytes": 9, "digest": bytes(32)}, "stands for vault:a, which has another content now"),
        ("vault:read", [{}], {"path": "read", "size_bytes": 9}, "stands for vault:read, which has another content now"),
        ("vault:renamed", [{}], {"path": "renamed", "size_bytes": 9, "fs_id": "f", "inode": 7}, "stands for vault:renamed, which has another content now"),
        ("vault:read", [{}], {"path": "read", "size_bytes": 9, "changed_at": AS_OF}, "stands for vault:read, which nobody has read yet"),
        (None, [{}], {"size_bytes": 9}, "stands for what lies outside of what you may see"),
        ("vault:a", [{}], {"size_bytes": 9, "storage_class": "stub", "link_target": "x:y"}, "stands for vault:a, which is a stub itself"),
    ],
)
def test_a_stub_that_leads_nowhere_is_a_problem_with_its_reason(estate: Estate, target: str | None, volumes: Rows, archived: dict[str, Any], why: str) -> None:
    stub = {"volume": "projects", "path": "docs/s", "storage_class": "stub", "link_target": target, "tags": '{"sha256": "00", "size_bytes": 9}'}
    there = [{"volume": "vault", "path": "a"} | archived] if archived else []
    pointer = stub | {"path": "pointer"}  # a stub that leads to its content is no file
    connection = estate(
        volumes=[{"volume": "projects"}, *({"volume": "vault", "role": "archive"} | dict(one) for one in volumes)],
        entries=[stub | {"changed_at": AS_OF - datetime.timedelta(hours=1)}, pointer, *there],
        files=[{"volume": "projects", "path": "docs/s"}, {"volume": "projects", "path": "other"}],
        digests=[
            {"volume": "vault", "path": "read", "size_bytes": 9, "digest": bytes(32)},
            {"volume": "vault", "path": "before", "size_bytes": 9, "digest": bytes(32), "fs_id": "f", "inode": 7},
        ],
    )
    assert answer(reports.load("problems").run(connection), "volume", "scan_id", "path", "stage", "error") == [("projects", "s1", "docs/s", "stub", why)]


def test_problems_are_listed_with_where_and_why(estate: Estate) -> None:
    connection = estate(problems=[{"volume": "projects", "scan_id": "s", "path": "x", "stage": "list", "error": "denied", "errno": 13, "hides_below": True}])
    assert answer(reports.load("problems").run(connection))[0][:6] == ("projects", "s", "x", "list", "denied", 13)


def test_folders_say_how_long_they_are_unused_and_what_share_is_unprotected(estate: Estate) -> None:
    line = {
        "by": "folder",
        "volume": "projects",
        "depth": 1,
        "files": 3,
        "bytes": 9,
        "assets": 3,
        "unprotected_assets": 2,
        "last_active_at": ago(days=10, hours=1),
    }
    connection = estate(
        rollup=[
            line | {"key": "a/"},
            line | {"key": "b/", "bytes": 1, "assets": 0, "last_active_at": None},
            line | {"key": "c/", "bytes": 0, "last_active_at": ago(hours=-1)},
        ]
    )
    found = answer(reports.load("folders").run(connection), "folder", "dormant_days", "unprotected_pct")
    assert found == [("a/", 10, 66.6), ("b/", None, None), ("c/", 0, 66.6)]


def test_duplicates_say_what_each_members_volume_is_for_and_where_it_is(estate: Estate) -> None:
    rows = [{"scope": "primary", "digest": b"\1", "size_bytes": 1, "members": 2, "reclaimable_bytes": 1, "volume": "projects", "path": path} for path in "ab"]
    connection = estate(volumes=[{"volume": "projects", "sites": ["lyon", "paris"]}], duplicate_groups=rows)
    assert answer(reports.load("duplicates").run(connection), "path", "role", "sites") == [("a", "primary", "lyon,paris"), ("b", "primary", "lyon,paris")]


def test_growth_says_the_protected_share_rounded_down(estate: Estate) -> None:
    line = {"as_of": AS_OF, "volume": "a", "data_class": "default", "snapshot_id": "s1"}
    connection = estate(history=[line | {"assets": 3, "protected_assets": 2}])
    assert answer(reports.load("growth").run(connection), "protected_pct") == [(66.6,)]
