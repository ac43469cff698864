"""Groups of equal content, one line each."""

import reports
from tests.reports.conftest import Estate, answer


def group(digest: bytes, size_bytes: int, *places: tuple[str, str], scope: str = "primary") -> list[dict[str, object]]:
    members = len(places)
    shared = {"scope": scope, "digest": digest, "size_bytes": size_bytes, "members": members, "reclaimable_bytes": (members - 1) * size_bytes}
    return [shared | {"volume": volume, "path": path} for volume, path in places]


def test_a_group_is_one_line_with_its_first_member_and_the_dearest_comes_first(estate: Estate) -> None:
    connection = estate(
        volumes=[{"volume": "projects"}, {"volume": "homes"}],
        duplicate_groups=[*group(b"\x0a", 5, ("projects", "b"), ("homes", "z"), ("projects", "a")), *group(b"\x0b", 50, ("projects", "c"), ("projects", "d"))],
    )
    assert answer(reports.load("duplicate-groups").run(connection)) == [("0b", 50, 2, 1, 50, "projects", "c"), ("0a", 5, 3, 2, 10, "homes", "z")]


def test_each_scope_has_its_own_groups(estate: Estate) -> None:
    connection = estate(duplicate_groups=group(b"\x0a", 5, ("projects", "a"), ("projects", "b"), scope="mirror"))
    assert answer(reports.load("duplicate-groups").run(connection)) == []
    assert answer(reports.load("duplicate-groups").run(connection, {"scope": "mirror"}), "digest") == [("0a",)]
