"""`volume prepare` and `volume check`: which volume this is, and what it can do."""

import json
import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from catalog import names
from lastcopy.exits import Exit
from lifecycle.stores import Fingerprint
from scanners import crawl
from tests.lastcopy.program import ask
from tests.lifecycle.stores.contract import KEY, look
from tests.lifecycle.stores.places import PosixPlace, mounted, tmpfs
from tests.scanners.contract import BAD_NAMES, clock, entries

DECLARED = """\
[volumes.data]
url = "data"

[volumes.vault]
url = "vault"
role = "archive"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("data", "vault"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"content")
    (tmp_path / "lastcopy.toml").write_text(DECLARED)
    return tmp_path


def marker(folder: Path, volume: str) -> str:
    found: str = json.loads((folder / volume / ".lastcopy" / "volume.json").read_text())["id"]
    return found


def remarks(folder: Path, volume: str, check: str = "marker", code: int = Exit.DONE) -> list[str]:
    done = ask("volume", "check", volume, "--format", "json", folder=folder, code=code)
    return [f"{remark['state']}: {remark['text']}" for remark in done.data if remark["check"] == check]


def test_a_volume_is_prepared_and_the_journal_and_the_audit_trail_know_it(folder: Path) -> None:
    made = ask("volume", "prepare", "data", "--format", "json", folder=folder).data
    assert made["state"] == "prepared"
    assert made["id"] == marker(folder, "data")
    assert made["capabilities"]["publish"] in ("noreplace", "link")
    assert remarks(folder, "data") == [f"ok: is prepared, marker {made['id']}"]
    assert remarks(folder, "data", "abilities")[0].startswith("ok: can: ")
    [event] = [event for event in ask("audit", "log", "--format", "json", folder=folder).data if event["kind"] == "volume_prepared"]
    assert event["subject"] == "data"
    assert sorted(os.listdir(folder / "data" / ".lastcopy")) == ["quarantine", "volume.json"]
    assert (folder / "data" / ".lastcopy").stat().st_mode & 0o777 == 0o700


def test_checking_writes_nothing(folder: Path) -> None:
    assert remarks(folder, "data") == ["ok: is not prepared: no job writes to it"]
    assert os.listdir(folder / "data") == ["file"]


def test_preparing_again_keeps_the_marker(folder: Path) -> None:
    ask("volume", "prepare", "data", folder=folder)
    before = marker(folder, "data")
    ask("volume", "prepare", "data", folder=folder)
    ask("volume", "prepare", "data", "--take-over", folder=folder)
    assert marker(folder, "data") == before


def test_a_volume_that_is_not_declared_is_not_found(folder: Path) -> None:
    assert "data, vault" in ask("volume", "prepare", "nope", folder=folder, code=Exit.NOT_FOUND).err
    shutil.rmtree(folder / "vault")
    ask("volume", "prepare", "vault", folder=folder, code=Exit.UNREACHABLE)


def test_a_marker_of_another_catalog_is_replaced_only_on_purpose(folder: Path) -> None:
    ask("volume", "prepare", "data", folder=folder)
    before = marker(folder, "data")
    assert "another catalog" in ask("volume", "prepare", "data", "--catalog", "second", folder=folder, code=Exit.REFUSED).err
    assert marker(folder, "data") == before
    ask("volume", "prepare", "data", "--catalog", "second", "--take-over", folder=folder)
    assert marker(folder, "data") != before
    assert remarks(folder, "data", code=Exit.PARTLY)[0].startswith("error: its marker is ")


def test_a_copy_of_a_volume_is_not_that_volume(folder: Path) -> None:
    ask("volume", "prepare", "data", folder=folder)
    shutil.copytree(folder / "data", folder / "copy")
    (folder / "lastcopy.toml").write_text(DECLARED.replace('"data"', '"copy"'))
    assert remarks(folder, "data", code=Exit.PARTLY)[0].startswith("error: its marker is missing")
    assert "made elsewhere" in ask("volume", "prepare", "data", folder=folder, code=Exit.REFUSED).err


def test_a_copy_on_another_file_system_is_not_that_volume(folder: Path) -> None:
    ask("volume", "prepare", "data", folder=folder)
    with tmpfs(folder / "mnt"):
        shutil.copytree(folder / "data", folder / "mnt" / "data")
        (folder / "lastcopy.toml").write_text(DECLARED.replace('"data"', '"mnt/data"'))
        assert "jobs refuse it" in remarks(folder, "data", code=Exit.PARTLY)[0]
        before = marker(folder, "data")
        ask("volume", "prepare", "data", folder=folder, code=Exit.REFUSED)
        ask("volume", "prepare", "data", "--take-over", folder=folder)
        assert marker(folder, "mnt/data") != before


@pytest.mark.parametrize("flags", [(), ("--take-over",)])
def test_one_storage_is_not_two_volumes(folder: Path, flags: tuple[str, ...]) -> None:
    ask("volume", "prepare", "data", folder=folder)
    before = marker(folder, "data")
    with mounted(folder / "vault", "--bind", folder / "data"):
        assert "data" in ask("volume", "prepare", "vault", *flags, folder=folder, code=Exit.REFUSED).err
    assert marker(folder, "data") == before
    assert remarks(folder, "data") == [f"ok: is prepared, marker {before}"]


def test_a_run_that_was_killed_while_it_prepared_stands_in_nobodys_way(folder: Path) -> None:
    ask("volume", "prepare", "data", folder=folder)
    file = folder / "data" / ".lastcopy" / "volume.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "id": "unfinished", "capabilities": None}))
    os.mkdir(folder / "data" / ".lastcopy" / "canaries", 0o700)
    (folder / "data" / ".lastcopy" / "canaries" / "left").write_bytes(b"")
    ask("volume", "prepare", "data", "--catalog", "second", folder=folder)
    assert sorted(os.listdir(folder / "data" / ".lastcopy")) == ["quarantine", "volume.json"]


def test_a_damaged_marker_is_no_marker(folder: Path) -> None:
    ask("volume", "prepare", "data", folder=folder)
    for text in (b"", b"{", b"[]", b'{"volume": 1}', b"\xff\xfe"):
        (folder / "data" / ".lastcopy" / "volume.json").write_bytes(text)
        assert remarks(folder, "data", code=Exit.PARTLY)[0].startswith("error: its marker is missing")
    assert "move it elsewhere" in ask("volume", "prepare", "data", folder=folder, code=Exit.REFUSED).err
    (folder / "data" / ".lastcopy" / "volume.json").rename(folder / "damaged")
    ask("volume", "prepare", "data", folder=folder)


def test_what_a_scan_saw_is_what_a_job_sees(tmp_path: Path) -> None:
    """The fingerprint in a plan comes from the catalog; it must equal the one that is taken at the act."""
    (tmp_path / "volume").mkdir()
    place = PosixPlace(tmp_path / "volume")
    for number, name in enumerate(BAD_NAMES):
        place.put(b"dir/" + name, b"%d" % number)
        os.utime(place.at(b"dir/" + name), ns=(number, 1_600_000_000_123_456_789 + number))
    os.symlink(b"dir", place.at(b"link"))
    result = crawl.scan(tmp_path / "catalog", place.config, "v", now=clock, workers=1)
    store = place.connect()
    rows = [row for row in entries(tmp_path / "catalog", result) if row["type"] in ("file", "symlink")]
    assert len(rows) == len(BAD_NAMES) + 1
    for row in rows:
        planned = Fingerprint(
            row["type"], row["size_bytes"], in_us(row["modified_at"]) * 1000 + row["modified_ns"], row["fs_id"], row["inode"],
            in_us(row["created_at"]) * 1000, in_us(row["changed_at"]) * 1000 + row["changed_ns"], row["link_count"],
        )  # fmt: skip
        assert look(store, names.unescape(row["dir"] + row["name"])) == planned
    place.close()


def in_us(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)


@pytest.mark.parametrize("many", [0, 40_000])
def test_scans_leave_out_what_is_ours_but_no_directory_beside_a_target(tmp_path: Path, many: int) -> None:
    (tmp_path / "volume").mkdir()
    place = PosixPlace(tmp_path / "volume")
    place.put(b"dir/file", b"content")
    store = place.connect()
    store.quarantine(b"dir/file", KEY, look(store, b"dir/file"))
    store.stage(b"dir/copy", "jtest-2-1").close()
    bad = store.stage(b"dir/copy", "jtest-3-1")
    bad.taint()
    bad.close()
    os.mkdir(place.at(b"dir/.lastcopy~jtest-4-1~.part"))
    place.put(b"dir/.lastcopy~ of a user", b"")
    for number in range(many):
        os.mknod(place.at(b"dir/%d" % number))
    result = crawl.scan(tmp_path / "catalog", place.config, "v", now=clock, workers=1)
    found = [row["name"] for row in entries(tmp_path / "catalog", result)]
    assert sorted(found) == sorted(["dir", ".lastcopy~ of a user", ".lastcopy~jtest-4-1~.part", *map(str, range(many))])
    place.close()
