"""`lastcopy check`: what the newest snapshot cannot know of itself is found, too."""

from pathlib import Path

import pytest

from tests.lastcopy.conftest import grow
from tests.lastcopy.program import ask, run


@pytest.mark.slow
def test_a_volume_that_was_declared_after_the_snapshot_does_not_pass(tmp_path: Path) -> None:
    grow(tmp_path)
    file = tmp_path / "lastcopy.toml"
    file.write_text(file.read_text().partition("[volumes.vault]")[0])
    run("scan", folder=tmp_path)
    assert ask("check", folder=tmp_path).out.startswith(b"Met: ")
    snapshot = ask("check", "--format", "json", folder=tmp_path).envelope["snapshot"]
    file.write_text(file.read_text() + '\n[volumes.later]\nurl = "/nowhere"\nrole = "backup"\n')
    assert [(f["kind"], f["name"]) for f in ask("check", "--format", "json", folder=tmp_path, code=3).data["findings"]] == [("never_scanned", "later")]
    assert ask("check", "--snapshot", snapshot, folder=tmp_path).out.startswith(b"Met: "), "an older snapshot is judged by its own day"


@pytest.mark.slow
def test_what_became_unprotected_in_a_scan_between_is_found_against_an_earlier_time(tmp_path: Path) -> None:
    grow(tmp_path)
    file = tmp_path / "lastcopy.toml"
    file.write_text(file.read_text().partition("[volumes.vault]")[0])
    for volume in ("data", "mirror"):
        (tmp_path / volume / "two").write_text("of which there are two")
    run("scan", folder=tmp_path, code=None)
    (tmp_path / "mirror" / "two").unlink()
    run("scan", folder=tmp_path, code=None)
    run("scan", "data", folder=tmp_path, code=None)
    lost = ("newly_unprotected", "data:two")

    def found(*options: str) -> list[tuple[str, str]]:
        return [(f["kind"], f["name"]) for f in ask("check", "--new", *options, "--format", "json", folder=tmp_path, code=None).data["findings"]]

    assert lost not in found()
    assert lost in found("--against", "24h"), "the oldest, where none is as old"
    ask("check", "--new", "--against", "yesterday", folder=tmp_path, code=6)


def test_without_any_earlier_snapshot_a_time_says_that_it_cannot_tell(tmp_path: Path) -> None:
    grow(tmp_path)
    run("scan", folder=tmp_path, code=None)
    assert "no earlier snapshot" in ask("check", "--new", "--against", "24h", folder=tmp_path, code=None).out.decode()
