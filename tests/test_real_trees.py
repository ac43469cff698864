"""Real trees of this machine: counts as `find` gives them, duplicates as rmlint finds them, every report prints."""

import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

import reports
from tests.lastcopy.program import ask, run

LIBRARY = Path(sysconfig.get_path("stdlib"))


def write_configuration(folder: Path, tree: Path) -> None:
    (folder / "lastcopy.toml").write_text(f'[volumes.tree]\nurl = "{tree}"\n')


def found_by_find(tree: Path) -> int:
    listed = subprocess.run(["find", str(tree), "-xdev", "-mindepth", "1", "-print0"], capture_output=True, check=False).stdout
    return listed.count(b"\0")


@pytest.mark.slow
def test_a_scan_of_usr_sees_what_find_sees_and_every_report_prints(tmp_path: Path) -> None:
    write_configuration(tmp_path, Path("/usr"))
    scanned = run("scan", "--digest", "off", "--format", "json", folder=tmp_path, code=None)
    assert scanned.code in (0, 4), scanned.err
    volume = ask("report", "volumes", "--format", "json", folder=tmp_path).data[0]
    unseen = ask("report", "problems", "--where", "stage = 'stat'", "--format", "json", folder=tmp_path).data
    assert volume["entries"] + len(unseen) == found_by_find(Path("/usr"))
    for name in reports.names():
        shown = ask("report", name, "--limit", "20", folder=tmp_path)
        assert shown.code == 0, (name, shown.err)
        assert b"Snapshot" in shown.out, name


def test_duplicates_of_a_python_installation_are_those_that_rmlint_finds(tmp_path: Path) -> None:
    if shutil.which("rmlint") is None:
        if os.environ.get("REQUIRE_SERVERS"):
            pytest.fail("rmlint is missing: apt-get install rmlint")
        pytest.skip("rmlint is missing: apt-get install rmlint")
    write_configuration(tmp_path, LIBRARY)
    assert run("scan", "--format", "json", folder=tmp_path, code=None).code == 0
    ours: dict[str, set[str]] = {}
    for row in ask("report", "duplicates", "--format", "json", folder=tmp_path).data:
        ours.setdefault(row["digest"], set()).add(row["path"])
    options = ["--types=duplicates", "--algorithm=sha256", "--hidden", "--no-hardlinked", "--no-crossdev", "--no-followlinks"]
    subprocess.run(["rmlint", *options, "--output", f"json:{tmp_path / 'peer.json'}", str(LIBRARY)], capture_output=True, check=True)
    theirs: dict[str, set[str]] = {}
    for row in json.loads((tmp_path / "peer.json").read_bytes()):
        if row.get("type") == "duplicate_file":
            theirs.setdefault(row["checksum"], set()).add(str(Path(row["path"]).relative_to(LIBRARY)))
    assert len(ours) > 50
    assert ours == theirs
