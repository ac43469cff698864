"""A replica on another host, by SFTP or SMB: what it protects, as the commands tell it."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.lastcopy.program import ask, run

DECLARED = """
[catalog]
path = "catalog"

[volumes.data]
url = "data"
role = "primary"
system = "nas-1"
site = "paris"
device = "disk-1"

[volumes.mirror]
url = "{url}"
{keys}
role = "replica"
of = ["data"]
system = "nas-2"
site = "lyon"
device = "disk-2"
"""


@pytest.fixture(params=["ssh_server", "smb_server"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    server = request.getfixturevalue(request.param)
    mirror = tmp_path / "mirror" if request.param == "ssh_server" else server.share / tmp_path.name
    for root in (tmp_path / "data", mirror):
        (root / "d").mkdir(parents=True)
        for name, content in (("same", b"as it was"), ("rotten", b"evil" if root == mirror else b"good"), ("older", b"older" if root == mirror else b"new")):
            file = root / "d" / name
            file.write_bytes(content)
            os.utime(file, ns=(1_500_000_000_123_456_789, 1_500_000_000_123_456_789))
    (tmp_path / "data" / "d" / "never").write_bytes(b"never copied")
    declared = server.declared(mirror if request.param == "ssh_server" else mirror.name)
    keys = "\n".join(f"{key} = {json.dumps(value)}" for key, value in declared.items() if key != "url")
    (tmp_path / "lastcopy.toml").write_text(DECLARED.format(url=declared["url"], keys=keys))
    return tmp_path


def facts(folder: Path, path: str) -> tuple[Any, ...]:
    """Of an asset: what a loss of its system does to it and why, its freshness, how its copy matches, and how well that is known."""
    [row] = [row for row in ask("report", "assets", "--format", "json", folder=folder).data if row["path"] == f"d/{path}"]
    [told] = [one for one in ask("explain", f"data:d/{path}", "--format", "json", folder=folder).data if one["volume"] == "data"]
    copy = told["copies"][0] if told["copies"] else {"match": "", "verification_level": None}
    return row["system_failure"], row["reasons"] or "", row["freshness"], copy["match"], copy["verification_level"]


@pytest.mark.slow_but_first
def test_what_was_read_of_it_is_known_by_content(folder: Path) -> None:
    run("scan", folder=folder)
    assert facts(folder, "same") == ("yes", "mirror_only,not_immutable_or_offline", "current", "content", 3)
    result, reasons, _, match, _ = facts(folder, "rotten")
    assert (result, "conflict" in reasons, match) == ("no", True, "conflict")
    assert facts(folder, "older")[0] == "no"
    assert facts(folder, "never")[:2] == ("no", "never_copied")


@pytest.mark.slow_but_first
def test_only_listed_its_times_are_compared_as_exactly_as_it_tells_them(folder: Path) -> None:
    run("scan", "--digest", "off", folder=folder)
    assert facts(folder, "same")[2:] == ("current", "metadata", 1)
    assert facts(folder, "older")[0] == "no"


@pytest.mark.slow
def test_a_host_that_is_away_leaves_what_was_seen_with_its_age(folder: Path) -> None:
    run("scan", folder=folder)
    declared = (folder / "lastcopy.toml").read_text()
    (folder / "lastcopy.toml").write_text(re.sub(r":[0-9]+/", ":1/", declared))
    ended = run("scan", folder=folder, code=8)
    assert "cannot be reached" in ended.err
    assert facts(folder, "same")[3] == "content"


@pytest.mark.slow_but_first
def test_explain_offers_no_command_that_would_not_work(folder: Path) -> None:
    run("scan", folder=folder)
    assert b"cp --" not in ask("explain", "data:d/same", folder=folder).out
