"""The overview: what is stored, how assets stand, what is kept once, unused, kept twice."""

import datetime

import reports
from tests.reports.conftest import Estate, answer

SCANNED = datetime.datetime(2026, 11, 20, 10)


def test_every_kind_is_a_line_with_its_share_rounded_down(estate: Estate) -> None:
    connection = estate(
        files=[
            {"path": "a", "size_bytes": 600, "status": "protected", "is_last_copy": False},
            {"path": "b", "size_bytes": 399, "status": "unprotected"},
            {"path": "c", "size_bytes": 1, "status": "unknown", "last_active_at": SCANNED - datetime.timedelta(days=400), "is_last_copy": False},
            {"path": "copy", "size_bytes": 600, "is_asset": False, "status": "protected", "is_last_copy": False},
        ],
        duplicate_groups=[
            {"scope": "primary", "digest": b"\1", "size_bytes": 7, "members": 3, "reclaimable_bytes": 14, "volume": "projects", "path": path} for path in "xyz"
        ],
    )
    assert answer(reports.load("overview").run(connection)) == [
        ("stored", 4, 1600, 100.0, 100.0),
        ("assets", 3, 1000, 75.0, 62.5),
        ("protected", 1, 600, 33.3, 60.0),
        ("partly", 0, 0, 0.0, 0.0),
        ("unprotected", 1, 399, 33.3, 39.9),
        ("unknown", 1, 1, 33.3, 0.1),
        ("excepted", 0, 0, 0.0, 0.0),
        ("last_copies", 1, 399, 25.0, 24.9),
        ("last_copies_read", 0, 0, 0.0, 0.0),
        ("dormant", 1, 1, 25.0, 0.0),
        ("dormant_elsewhere", 0, 0, 0.0, 0.0),
        ("reclaimable", 2, 14, 50.0, 0.8),
    ]


def test_a_name_of_a_hard_linked_file_counts_and_its_bytes_do_not(estate: Estate) -> None:
    connection = estate(files=[{"path": "a", "size_bytes": 7}, {"path": "b", "size_bytes": 7, "counted_bytes": 0}])
    assert answer(reports.load("overview").run(connection, limit=1), "files", "bytes") == [(2, 7)]


def test_an_empty_catalog_has_every_line_and_no_share(estate: Estate) -> None:
    rows = answer(reports.load("overview").run(estate()))
    assert len(rows) == 12
    assert {row[1:] for row in rows} == {(0, 0, None, None)}


def test_what_could_be_moved_is_told_apart_from_copies_that_nobody_reads(estate: Estate) -> None:
    long_ago = SCANNED - datetime.timedelta(days=400)
    old = {"last_active_at": long_ago, "size_bytes": 7}
    connection = estate(
        volumes=[{"volume": "projects", "position": 0}, {"volume": "backup", "position": 1, "role": "backup"}],
        files=[old | {"path": "a"}, old | {"volume": "backup", "role": "backup", "path": "a"}, old | {"volume": "backup", "role": "backup", "path": "b"}],
    )
    assert answer(reports.load("overview").run(connection, where="name LIKE 'dormant%'"), "name", "files", "bytes") == [
        ("dormant", 1, 7),
        ("dormant_elsewhere", 2, 14),
    ]


def test_of_last_known_copies_those_are_told_that_were_ever_read(estate: Estate) -> None:
    changed = datetime.datetime(2026, 1, 1)
    read = {"volume": "projects", "size_bytes": 100, "modified_at": changed, "digest": b"1" * 32}
    connection = estate(
        files=[
            {"path": "read"},
            {"path": "read-twice"},
            {"path": "never-read", "facility_outage": "unknown"},
            {"path": "sampled"},
            {"path": "another-by-now"},
            {"path": "longer-by-now"},
            {"path": "copied", "is_last_copy": False},
        ],
        digests=[
            read | {"path": "read"},
            read | {"path": "read-twice"},
            read | {"path": "read-twice", "digest": b"2" * 32},
            read | {"path": "never-read", "volume": "other"},
            read | {"path": "sampled", "digest": None, "sample": b"1" * 32},
            read | {"path": "another-by-now", "modified_at": changed - datetime.timedelta(days=1)},
            read | {"path": "longer-by-now", "size_bytes": 99},
            read | {"path": "copied"},
        ],
    )
    rows = answer(reports.load("overview").run(connection, where="name LIKE 'last%'"), "name", "files", "bytes")
    assert rows == [("last_copies", 6, 600), ("last_copies_read", 2, 200)]


def test_what_was_not_seen_by_the_newest_scan_is_not_called_dormant(estate: Estate) -> None:
    long_ago = SCANNED - datetime.timedelta(days=4000)
    connection = estate(files=[{"path": "a", "last_active_at": long_ago, "carried": True}, {"path": "b", "last_active_at": None}])
    assert answer(reports.load("overview").run(connection, where="name = 'dormant'"), "files") == [(0,)]
