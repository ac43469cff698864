"""What others tell of volumes that are not looked at, from the scan to the answers."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lastcopy.program import ask, run
from tests.scanners.contract import Item
from tests.scanners.test_listing import ltfs
from tests.scanners.test_mhl import PROGRAM

DAY = 1_600_000_000
DATA = """\
[volumes.data]
url = "data"
system = "nas-1"
site = "paris"
admin = "it"
device = "disk-1"
"""
TOLD = """
role = "backup"
of = ["data"]
system = "shelf"
site = "lyon"
admin = "records"
device = "disk-2"
access = "offline"
keeps_versions = "1y"
"""
FILES = {"report.odt": b"the report", "deep/er/plan.pdf": b"a plan", "new.txt": b"not on the disk", "changed.txt": b"before", "empty": b""}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path, content in FILES.items():
        (tmp_path / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / path).write_bytes(content)
        os.utime(tmp_path / "data" / path, (DAY, DAY))
    return tmp_path


def declare(folder: Path, kind: str, **classes: str) -> None:
    lines = ["[classes.default]", *(f"{key} = {value}" for key, value in classes.items())] if classes else []
    (folder / "lastcopy.toml").write_text("\n".join([*lines, DATA, "[volumes.shelved]", kind, TOLD]))


def statuses(folder: Path) -> dict[str, tuple[str, str, int | None, str | None]]:
    rows = ask("report", "assets", "--format", "json", folder=folder).data
    return {row["path"]: (row["status"], row["reasons"], row["verification_level"], row["verified_at"]) for row in rows}


def checksums(folder: Path, at: int) -> None:
    (folder / "vault").mkdir()
    listed = "find . -type f ! -name new.txt -printf '%P\\0' | sort -z | xargs -0 sha256sum > ../vault/disk.sha256"
    subprocess.run(["sh", "-c", listed], cwd=folder / "data", check=True)
    os.utime(folder / "vault/disk.sha256", (at, at))
    (folder / "data/changed.txt").write_bytes(b"after, and longer")


@pytest.mark.slow
def test_a_manifest_of_a_disk_on_the_shelf_protects_what_it_names_with_its_age(folder: Path) -> None:
    checksums(folder, DAY + 86_400)
    declare(folder, 'url = "manifest:vault/disk.sha256"')
    run("scan", folder=folder)
    assert statuses(folder) == {
        "report.odt": ("protected", "", 1, "2020-09-14T12:26:40Z"),
        "deep/er/plan.pdf": ("protected", "", 1, "2020-09-14T12:26:40Z"),
        "new.txt": ("unprotected", "never_copied", None, None),
        "changed.txt": ("unprotected", "changed_since_copy", None, None),
        "empty": ("protected", "", 2, "2020-09-14T12:26:40Z"),
    }
    [row] = [row for row in ask("report", "coverage", "--format", "json", folder=folder).data if row["threat"] == "facility_outage"]
    assert (row["assets"], row["covered_assets"], row["unknown_assets"]) == (5, 3, 0)
    told = ask("explain", "data:report.odt", folder=folder).out.decode()
    assert "shelved" in told
    assert "2020-09-14" in told
    [volume] = [row for row in ask("report", "volumes", "--format", "json", folder=folder).data if row["volume"] == "shelved"]
    assert volume["scanned_at"] == "2020-09-14T12:26:40Z"
    assert ask("check", "--max-age", "48h", folder=folder, code=3).code == 3


def test_a_class_that_asks_for_a_young_reading_does_not_know_whether_a_manifest_still_holds(folder: Path) -> None:
    checksums(folder, DAY + 86_400)
    declare(folder, 'url = "manifest:vault/disk.sha256"\nread_in_place = true', min_verification_level="2", max_verification_age='"90d"')
    run("scan", folder=folder)
    assert statuses(folder)["report.odt"] == ("unknown", "verification_too_old", 2, "2020-09-14T12:26:40Z")


def test_only_a_reading_in_place_is_worth_level_2(folder: Path) -> None:
    checksums(folder, DAY + 86_400)
    declare(folder, 'url = "manifest:vault/disk.sha256"', min_verification_level="2")
    run("scan", folder=folder)
    assert statuses(folder)["report.odt"][:3] == ("unknown", "never_verified", 1)


@pytest.mark.slow
def test_no_content_that_is_told_of_can_be_read_again_and_fixity_says_so(folder: Path) -> None:
    checksums(folder, DAY + 86_400)
    declare(folder, 'url = "manifest:vault/disk.sha256"')
    run("scan", folder=folder)
    assert "nothing that it stores, or tells of, can be read here" in run("fixity", "shelved", folder=folder, code=5).err
    assert "shelved" in run("fixity", folder=folder).err


@pytest.mark.slow
def test_a_manifest_in_the_tree_that_it_would_protect_is_refused(folder: Path) -> None:
    checksums(folder, DAY + 86_400)
    os.rename(folder / "vault/disk.sha256", folder / "data/disk.sha256")
    declare(folder, 'url = "manifest:data/disk.sha256"')
    assert "lies in the tree of the primary volume data" in run("scan", folder=folder, code=5).err
    assert "keep it elsewhere" in run("volume", "check", "shelved", folder=folder, code=4).out.decode()


REPLICA = """
[volumes.mirror]
url = "mirror/tree"
role = "replica"
of = ["data"]
"""


@pytest.mark.parametrize("place", ["mirror/tree/disk.sha256", "mirror/tree", "mirror/disk.sha256", "mirror"])
def test_a_manifest_that_lies_with_a_replica_is_refused_for_both_would_count(folder: Path, place: str) -> None:
    shutil.copytree(folder / "data", folder / "mirror/tree")
    checksums(folder, DAY + 86_400)
    shutil.copy2(folder / "vault/disk.sha256", folder / place)
    declare(folder, f'url = "manifest:{place}"')
    with (folder / "lastcopy.toml").open("a") as out:
        out.write(REPLICA)
    assert "the files of that one would count as two copies" in run("scan", "shelved", folder=folder, code=5).err


@pytest.mark.slow
def test_manifests_of_several_disks_may_lie_in_one_folder_and_each_counts_once(folder: Path) -> None:
    checksums(folder, DAY + 86_400)
    shutil.copy2(folder / "vault/disk.sha256", folder / "vault/other.sha256")
    declare(folder, 'url = "manifest:vault/disk.sha256"')
    second = TOLD.replace("shelf", "safe").replace("disk-2", "disk-3")
    (folder / "lastcopy.toml").write_text(f'{(folder / "lastcopy.toml").read_text()}\n[volumes.second]\nurl = "manifest:vault/other.sha256"{second}')
    run("scan", folder=folder)
    (folder / "lastcopy.toml").write_text((folder / "lastcopy.toml").read_text().replace("vault/other.sha256", "vault"))
    assert "would count as two copies" in run("scan", "second", folder=folder, code=5).err


@pytest.mark.slow
def test_only_what_a_manifest_may_protect_is_read_for_its_names(folder: Path) -> None:
    checksums(folder, DAY + 86_400)
    (folder / "other").mkdir()
    (folder / "other/report.odt").write_bytes(b"of another volume, of no other size")
    declare(folder, 'url = "manifest:vault/disk.sha256"')
    (folder / "lastcopy.toml").write_text((folder / "lastcopy.toml").read_text() + '[volumes.other]\nurl = "other"\n')
    run("scan", folder=folder)
    rows = ask("sql", "SELECT volume, name FROM digests WHERE name = 'report.odt'", "--format", "json", folder=folder).data
    assert [row["volume"] for row in rows] == ["data"]


def mhl(folder: Path, *options: str, fails: bool = False) -> None:
    if not Path(PROGRAM).is_file():
        assert not os.environ.get("REQUIRE_SERVERS"), "ascmhl is not installed"
        pytest.skip("ascmhl is not installed: see .ci/run")
    done = subprocess.run([PROGRAM, "create", str(folder / "card"), "-h", "xxh64", *options], capture_output=True, check=False)
    assert (done.returncode != 0) == fails, done.stderr


@pytest.mark.slow
def test_a_history_of_mhl_covers_what_it_tells_of_and_what_failed_covers_nothing(folder: Path) -> None:
    shutil.copytree(folder / "data", folder / "card")
    (folder / "card/new.txt").unlink()
    mhl(folder)
    declare(folder, 'url = "manifest:card"')
    run("scan", folder=folder)
    assert {path: found[:3] for path, found in statuses(folder).items()} == {
        "report.odt": ("protected", "", 1),
        "deep/er/plan.pdf": ("protected", "", 1),
        "new.txt": ("unprotected", "never_copied", None),
        "changed.txt": ("protected", "", 1),
        "empty": ("protected", "", 2),
    }
    (folder / "card/report.odt").write_bytes(b"the rep0rt")
    os.utime(folder / "card/report.odt", (DAY, DAY))
    mhl(folder, fails=True)
    run("scan", folder=folder, code=4)
    found = statuses(folder)
    assert (found["report.odt"][:3], found["changed.txt"][:3]) == (("unknown", "scan_incomplete", None), ("protected", "", 1))
    [problem] = [row for row in ask("report", "problems", "--format", "json", folder=folder).data if row["path"] == "report.odt"]
    assert "not what it had been" in problem["error"]
    [row] = [row for row in ask("report", "coverage", "--format", "json", folder=folder).data if row["threat"] == "facility_outage"]
    assert (row["assets"], row["covered_assets"], row["unknown_assets"]) == (5, 3, 1)
    shutil.rmtree(folder / "card")  # the card is on its shelf: what was known stays, with its age
    run("scan", folder=folder)
    assert statuses(folder) == found


def tape(folder: Path, updated: str) -> None:
    """The saved index of a tape that was written before `changed.txt` changed."""
    items = [Item(path.encode(), content) for path, content in FILES.items() if path != "new.txt"]
    text = ltfs(items, updated).replace(b"2020-01-02T03:04:05.123456789Z", b"2020-09-13T12:26:40Z")
    (folder / "LTO001.xml").write_bytes(re.sub(rb"<extendedattributes>.*?</extendedattributes>", b"", text))
    (folder / "data/changed.txt").write_bytes(b"after, and longer")


@pytest.mark.slow
def test_a_tape_on_the_shelf_counts_by_its_index_of_long_ago_and_its_verification_is_overdue(folder: Path) -> None:
    tape(folder, "2020-10-01T12:00:00Z")
    declare(folder, 'url = "listing:LTO001.xml"')
    run("scan", folder=folder)
    assert statuses(folder) == {
        "report.odt": ("protected", "", 1, "2020-10-01T12:00:00Z"),
        "deep/er/plan.pdf": ("protected", "", 1, "2020-10-01T12:00:00Z"),
        "new.txt": ("unprotected", "never_copied", None, None),
        "changed.txt": ("unprotected", "changed_since_copy", None, None),
        "empty": ("protected", "", 2, "2020-10-01T12:00:00Z"),
    }
    assert "2020-10-01" in ask("explain", "data:report.odt", folder=folder).out.decode()
    [row] = [row for row in ask("report", "coverage", "--format", "json", folder=folder).data if row["threat"] == "ransomware"]
    assert (row["assets"], row["covered_assets"], row["unknown_assets"]) == (5, 3, 0)
    declare(folder, 'url = "listing:LTO001.xml"', max_verification_age='"90d"')
    run("scan", folder=folder)
    assert statuses(folder)["report.odt"] == ("unknown", "verification_too_old", 1, "2020-10-01T12:00:00Z")


@pytest.mark.slow
def test_a_listing_from_before_a_change_does_not_know_what_is_there_now(folder: Path) -> None:
    tape(folder, "2020-10-01T12:00:00Z")
    declare(folder, 'url = "listing:LTO001.xml"')
    text = (folder / "lastcopy.toml").read_text()
    (folder / "lastcopy.toml").write_text(text.replace('access = "offline"', 'access = "online"'))
    run("scan", folder=folder)
    found = statuses(folder)
    assert (found["new.txt"][1], found["changed.txt"][1]) == ("volume_not_scanned", "volume_not_scanned")


def test_what_is_only_listed_proves_no_content(folder: Path) -> None:
    done = subprocess.run(["rclone", "lsjson", "-R", str(folder / "data")], capture_output=True, check=True)
    (folder / "remote.json").write_bytes(done.stdout)
    declare(folder, 'url = "listing:remote.json"')
    run("scan", folder=folder)
    assert statuses(folder)["report.odt"][:3] == ("unknown", "metadata_match_only", 0)


@pytest.mark.slow
def test_an_archive_that_is_only_told_of_has_assets_whose_size_nobody_tells(folder: Path) -> None:
    checksums(folder, DAY + 86_400)
    (folder / "data/report.odt").unlink()
    declare(folder, 'url = "manifest:vault/disk.sha256"')
    text = (folder / "lastcopy.toml").read_text()
    (folder / "lastcopy.toml").write_text(text.replace('role = "backup"', 'role = "archive"'))
    run("scan", folder=folder)
    assert statuses(folder)["report.odt"][:3] == ("unprotected", "never_copied", None)
    assert "of a size that nobody tells" in ask("explain", "shelved:report.odt", folder=folder).out.decode()
    for report in ("assets", "coverage", "orphans", "largest", "duplicates", "costs", "dormant-copies"):
        assert ask("report", report, folder=folder).code == 0
