"""`lastcopy check`: what the newest snapshot cannot know of itself is found, too."""

from pathlib import Path

from tests.lastcopy.conftest import grow
from tests.lastcopy.program import ask, run


def test_a_volume_that_was_declared_after_the_snapshot_does_not_pass(tmp_path: Path) -> None:
    grow(tmp_path)
    file = tmp_path / "lastcopy.toml"
    file.write_text(file.read_text().partition("[volumes.vault]")[0])
    run("scan", folder=tmp_path)
    assert ask("check", folder=tmp_path).out == b"Met.\n"
    snapshot = ask("check", "--format", "json", folder=tmp_path).envelope["snapshot"]
    file.write_text(file.read_text() + '\n[volumes.later]\nurl = "/nowhere"\nrole = "backup"\n')
    assert [(f["kind"], f["name"]) for f in ask("check", "--format", "json", folder=tmp_path, code=3).data["findings"]] == [("never_scanned", "later")]
    assert ask("check", "--snapshot", snapshot, folder=tmp_path).out == b"Met.\n", "an older snapshot is judged by its own day"
