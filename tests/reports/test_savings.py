"""What an archive would save."""

import datetime

import reports
from tests.reports.conftest import Estate, answer

SCANNED = datetime.datetime(2026, 11, 20, 10)
OLD = SCANNED - datetime.timedelta(days=500)
TIB = 2**40
VOLUMES = [
    {"volume": "projects", "cost_per_tib_month": 25.0},
    {"volume": "vault", "role": "archive", "cost_per_tib_month": 4.0},
    {"volume": "free", "role": "archive"},
]


def test_dormant_files_of_a_primary_volume_are_priced_here_and_there(estate: Estate) -> None:
    connection = estate(
        volumes=VOLUMES,
        files=[
            {"path": "a", "size_bytes": TIB, "last_active_at": OLD},
            {"path": "b", "size_bytes": TIB, "last_active_at": OLD, "counted_bytes": 0, "is_last_copy": False},
            {"path": "c", "size_bytes": TIB, "last_active_at": SCANNED},
        ],
    )
    assert answer(reports.load("savings").run(connection)) == [
        ("projects", "vault", 2, TIB, 1, 25.0, 4.0, 21.0, "EUR"),
        ("projects", "free", 2, TIB, 1, 25.0, None, None, "EUR"),
    ]


def test_copies_are_left_where_they_are_and_what_was_not_seen_is_not_dormant(estate: Estate) -> None:
    connection = estate(
        volumes=VOLUMES,
        files=[{"path": "a", "volume": "vault", "last_active_at": OLD}, {"path": "b", "last_active_at": OLD, "carried": True}],
    )
    assert answer(reports.load("savings").run(connection)) == []
