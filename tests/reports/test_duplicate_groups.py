"""Groups of equal content, one line each."""

import pytest

import reports
from catalog.errors import NotFoundError
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
    connection = estate(volumes=[{"volume": "mirror"}], duplicate_groups=group(b"\x0a", 5, ("mirror", "a"), ("mirror", "b"), scope="mirror"))
    assert answer(reports.load("duplicate-groups").run(connection)) == []
    assert answer(reports.load("duplicate-groups").run(connection, {"scope": "mirror"}), "digest") == [("0a",)]


@pytest.mark.parametrize("report", ["duplicates", "duplicate-groups"])
def test_a_primary_volume_by_itself_has_what_it_holds_more_than_once(estate: Estate, report: str) -> None:
    both = group(b"\x0a", 5, ("projects", "a"), ("projects", "b"), ("homes", "z"))
    apart = group(b"\x0b", 50, ("projects", "c"), ("homes", "d"))
    connection = estate(volumes=[{"volume": "projects"}, {"volume": "homes"}], duplicate_groups=[*both, *apart])
    found = answer(reports.load(report).run(connection, {"scope": "projects"}), "digest", "members", "reclaimable_bytes", "volume", "path")
    assert found == [("0a", 2, 5, "projects", "a"), ("0a", 2, 5, "projects", "b")][: 2 if report == "duplicates" else 1]
    assert answer(reports.load(report).run(connection, {"scope": "homes"})) == []


@pytest.mark.parametrize("report", ["duplicates", "duplicate-groups"])
def test_the_scope_is_a_volume_that_there_is(estate: Estate, report: str) -> None:
    connection = estate(volumes=[{"volume": "projects"}])
    with pytest.raises(NotFoundError, match="there is no volume 'project'; volumes are projects"):
        reports.load(report).run(connection, {"scope": "project"})
