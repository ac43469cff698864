"""A policy over a report that lists files of several volumes: whose file each step takes."""

import os
from pathlib import Path
from typing import Any

import pytest

from catalog.config import Policy
from lifecycle import policies
from tests.lifecycle.grounds import Grounds, details, refusals, steps


@pytest.fixture
def grounds(tmp_path: Path) -> Grounds:
    """A file on the primary, a longer one of that name on the mirror, and one that only the mirror has; reports list the mirror's first."""
    made = Grounds(tmp_path)
    made.write("data", "file", b"original")
    made.write("mirror", "file", b"an older version, and longer")
    made.write("mirror", "left over", b"left over")
    return made.scanned().prepared("data", "vault", "mirror")


def sources(grounds: Grounds, action: str, **policy: Any) -> list[tuple[str, bytes]]:  # noqa: ANN401  # keys of a policy
    return [(step.volume, step.path) for step in steps(grounds.plan(action, **{"report": "largest", "to": "vault", **policy}))]


@pytest.mark.slow
def test_of_two_files_for_one_name_the_primarys_goes_whatever_the_report_lists_first(grounds: Grounds) -> None:
    expected = [("data", b"file"), ("mirror", b"left over")]
    assert sources(grounds, "copy") == sources(grounds, "restore") == expected
    made = grounds.plan("copy", report="largest", to="vault")
    assert refusals(made) == {"file": "name_collides"}
    assert "data:file, which is the original" in next(iter(details(made)))


def test_the_mirrors_file_does_not_go_in_place_of_an_original_that_cannot(grounds: Grounds) -> None:
    os.unlink(grounds.at("data", "file"))
    assert sources(grounds, "copy") == [("mirror", b"left over")]


@pytest.mark.slow
def test_nothing_is_archived_from_a_replica_that_the_policy_does_not_name(grounds: Grounds) -> None:
    assert sources(grounds, "archive") == sources(grounds, "archive", where="path <> 'mirror'") == [("data", b"file")]
    made = grounds.plan("archive", report="largest", to="vault", where="path = 'left over'")
    assert refusals(made) == {"left over": "on_replica"}
    assert "volume = 'mirror'" in next(iter(details(made)))


def test_a_replica_that_is_named_is_archived_from(grounds: Grounds) -> None:
    assert sources(grounds, "archive", where="volume = 'mirror' AND path = 'left over'") == [("mirror", b"left over")]


@pytest.mark.slow
def test_nothing_is_deleted_from_a_replica_that_the_policy_does_not_name(grounds: Grounds) -> None:
    for volume in ("data", "mirror", "far", "vault"):
        grounds.write(volume, "copied", b"copied")
    grounds.scanned().prepared("far")
    made = grounds.plan("delete", report="largest", where="path = 'copied'", min_copies=1)
    assert {step.volume for step in steps(made)} == {"far", "vault"}
    assert sorted(row["reason"] for batch in made.rows("refusals.parquet") for row in batch) == ["is_original", "on_replica"]
    named = grounds.plan("delete", report="largest", where="path = 'copied' AND volume IN ('mirror')", min_copies=1)
    assert [step.volume for step in steps(named)] == ["mirror"]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (None, set()),
        ("volume = 'mirror'", {("volume", "mirror")}),
        ("'mirror' = volume AND size_bytes = 1", {("volume", "mirror")}),
        ("VOLUME IN ('a', 'b') OR role = 'replica'", {("volume", "a"), ("volume", "b"), ("role", "replica")}),
        ("volume <> 'mirror'", set()),
        ("volume LIKE 'mir%'", set()),
        ("not a condition (", set()),
    ],
)
def test_a_volume_is_named_by_a_comparison_with_its_name(where: str | None, expected: set[tuple[str, str]]) -> None:
    assert policies.compared(Policy.model_validate({"action": "archive", "where": where})) == expected
