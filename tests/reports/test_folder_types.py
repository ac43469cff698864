"""The kind of file that takes the most in each folder."""

import reports
from tests.reports.conftest import Estate, answer


def test_each_folder_at_a_place_has_its_greatest_type_with_all_that_lies_below(estate: Estate) -> None:
    connection = estate(
        files=[
            {"path": "a/b/x.jpg", "size_bytes": 10, "extension": "jpg"},
            {"path": "a/b/c/y.jpg", "size_bytes": 20, "extension": "jpg"},
            {"path": "a/b/z.txt", "size_bytes": 15, "extension": "txt"},
            {"path": "a/Makefile", "size_bytes": 3},
            {"path": "ab/x.png", "size_bytes": 99, "extension": "png"},
            {"path": "a/b/x.jpg", "size_bytes": 500, "extension": "mov", "volume": "other"},
        ]
    )
    found = answer(reports.load("folder-types").run(connection, {"volume": "projects", "folder": "a/"}))
    assert found == [("projects", "a/b/", "jpg", 2, 30, 66.6), ("projects", "a/", "", 1, 3, 100.0)]
    assert answer(reports.load("folder-types").run(connection, {"volume": "projects"}), "folder", "type") == [("ab/", "png"), ("a/", "jpg")]


def test_without_a_volume_it_is_the_type_of_each_whole_volume(estate: Estate) -> None:
    line = {"by": "extension", "volume": "projects", "depth": 0, "files": 1}
    connection = estate(rollup=[line | {"key": "jpg", "bytes": 30}, line | {"key": "txt", "bytes": 10}], files=[{"path": "a.png", "extension": "png"}])
    assert answer(reports.load("folder-types").run(connection), "volume", "type", "bytes_pct") == [("projects", "jpg", 75.0)]
