"""`lastcopy doctor` finds what is wrong, says how to mend it, and changes nothing."""

import dataclasses
import datetime
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from catalog import config, table
from catalog.schema import SCANS
from catalog.snapshot import ScanRow
from lastcopy import diagnosis, mounts, places
from lastcopy.diagnosis import Remark
from scanners import _place
from tests.lastcopy.program import ask, run

NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
DECLARED = {"system": "nas-1", "site": "paris", "admin": "it", "media": "disk", "access": "online", "immutability": "none"}


def configured(folder: Path, **volumes: dict[str, object]) -> config.Config:
    return config.parse({"volumes": volumes}, folder / "lastcopy.toml")


def found(remarks: list[Remark], subject: str, check: str) -> Remark:
    (only,) = [remark for remark in remarks if (remark.subject, remark.check) == (subject, check)]
    return only


def contradictions(settings: config.Config) -> list[Remark]:
    wanted = ("system", "site", "device", "offline", "nested root")
    return [remark for remark in places.look(settings, list(settings.volumes), {}, NOW).remarks if remark.check in wanted]


def grow(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "file").write_text("x")


def write(folder: Path, *lines: str) -> None:
    (folder / "lastcopy.toml").write_text("\n".join(lines) + "\n")


def test_a_fully_declared_estate_has_no_warning_and_exit_0(tmp_path: Path) -> None:
    grow(tmp_path, "data", "mirror")
    declared = [f'{key} = "{value}"' for key, value in DECLARED.items()]
    write(tmp_path, "[volumes.data]", 'url = "data"', *declared, "[volumes.mirror]", 'url = "mirror"', 'role = "replica"', *declared)
    ended = run("doctor", "--format", "json", folder=tmp_path)
    assert not [remark for remark in ended.data if remark["state"] in ("warning", "error")]
    assert ended.envelope["complete"] is True
    assert not (tmp_path / "catalog").exists()


def test_a_volume_that_is_not_there_is_an_error_with_exit_4(tmp_path: Path) -> None:
    write(tmp_path, "[volumes.data]", 'url = "gone"')
    ended = run("doctor", "--format", "json", folder=tmp_path, code=4)
    (remark,) = [r for r in ended.data if r["check"] == "reachable"]
    assert (remark["subject"], remark["state"]) == ("data", "error")
    assert remark["mend"] == "mount it, or correct the url"


def test_an_offline_volume_that_is_not_there_is_no_fault(tmp_path: Path) -> None:
    settings = configured(tmp_path, vault={"url": "gone", "access": "offline"})
    assert found(places.look(settings, ["vault"], {}, NOW).remarks, "vault", "reachable").state == "unknown"


def test_an_empty_root_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    settings = configured(tmp_path, data={"url": "data"})
    assert found(places.look(settings, ["data"], {}, NOW).remarks, "data", "reachable").state == "error"


def test_every_missing_attribute_is_unknown_with_the_line_that_declares_it(tmp_path: Path) -> None:
    settings = configured(tmp_path, data={"url": "data"}, nightly={"url": "b", "role": "backup"})
    remarks = diagnosis.declarations(settings)
    assert {r.check for r in remarks if r.subject == "data"} == {"system", "site", "admin", "media"}
    assert {r.check for r in remarks if r.subject == "nightly"} == {"system", "site", "admin", "media", "access", "immutability", "keeps_versions"}
    assert {r.state for r in remarks} == {"unknown"}
    assert found(remarks, "data", "system").mend == 'add system = "nas-1" to [volumes.data]'


def test_what_lies_on_another_volume_inherits_its_domains(tmp_path: Path) -> None:
    settings = configured(tmp_path, disk={"url": "d", **DECLARED}, repo={"url": "d/r", "on": "disk", "media": "disk"})
    assert [r for r in diagnosis.declarations(settings) if r.subject == "repo"] == []


def test_a_declared_immutability_that_classes_do_not_accept_is_told(tmp_path: Path) -> None:
    locked = {"nightly": {"url": "n", "role": "backup", **DECLARED, "immutability": "append_only"}, "work": {"url": "w", **DECLARED}}

    def told(**classes: dict[str, Any]) -> list[str]:
        given = config.parse({"volumes": locked, "classes": classes}, tmp_path / "lastcopy.toml")
        return [r.mend for r in diagnosis.declarations(given) if (r.subject, r.check) == ("nightly", "immutability")]

    assert told() == ["if you believe what is declared: accept_declared = true in [classes.default]"]
    assert told(default={"accept_declared": True}) == []
    assert "[classes.core]" in told(core={"select": "path LIKE 'a%'"}, default={"accept_declared": True})[0]


@pytest.mark.parametrize("heads", [True, 0.1])
def test_of_a_bucket_whose_every_object_is_asked_for_its_lock_none_need_be_declared(tmp_path: Path, heads: bool | float) -> None:
    bucket = {"url": "s3://b", "role": "backup", **DECLARED, "heads": heads}
    given = configured(tmp_path, bare={**bucket, "immutability": None}, locked={**bucket, "immutability": "governance"})
    told = {(r.subject, r.check) for r in diagnosis.declarations(given) if r.check.startswith("immutab")}
    assert told == (set() if heads is True else {("bare", "immutability"), ("locked", "immutability"), ("locked", "immutable_until")})


def test_two_systems_on_one_file_system_are_a_contradiction(tmp_path: Path) -> None:
    grow(tmp_path, "one", "two", "three")
    settings = configured(
        tmp_path,
        one={"url": "one", "system": "nas-1", "site": "paris"},
        two={"url": "two", "system": "nas-2", "site": "paris"},
        three={"url": "three"},
    )
    (remark,) = contradictions(settings)
    assert (remark.subject, remark.check, remark.state) == ("one", "system", "warning")
    assert "volumes one (nas-1), two (nas-2) lie on one device" in remark.text


def test_what_is_said_of_many_volumes_on_one_device_is_said_once(tmp_path: Path) -> None:
    grow(tmp_path, *"abcd", "data", "home")
    apart: dict[str, dict[str, object]] = {name: {"url": name, "role": "backup", "of": ["elsewhere"], "system": f"nas-{name}"} for name in "abcd"}
    elsewhere: dict[str, dict[str, object]] = {"elsewhere": {"url": "gone"}}
    (remark,) = contradictions(configured(tmp_path, **apart, **elsewhere))
    assert "volumes a (nas-a), b (nas-b), c (nas-c), d (nas-d) lie on one device, and are declared in different systems" in remark.text
    (remark,) = contradictions(configured(tmp_path, data={"url": "data"}, home={"url": "home"}, nightly={"url": "a", "role": "backup"}))
    assert (remark.subject, remark.check) == ("nightly", "device")
    assert "lies on one device with volumes data, home, which it protects" in remark.text


def test_what_is_declared_offline_on_a_device_in_use_is_a_contradiction(tmp_path: Path) -> None:
    grow(tmp_path, "data", "home", "shelf")
    same: dict[str, object] = {"system": "nas", "site": "paris"}
    shelf: dict[str, object] = {"url": "shelf", "role": "backup", "access": "offline", **same}
    (remark,) = contradictions(configured(tmp_path, data={"url": "data", **same}, home={"url": "home", **same}, shelf=shelf))
    assert (remark.subject, remark.check, remark.state) == ("shelf", "offline", "warning")
    assert "lies on the device of data, home, which is in use: ransomware reaches it" in remark.text
    assert contradictions(configured(tmp_path, shelf=shelf, other={**shelf, "url": "home"})) == []


def test_names_of_domains_that_only_look_different_are_told(tmp_path: Path) -> None:
    settings = configured(
        tmp_path,
        one={"url": "one", "system": "nas-1", "site": "Caf\u00e9", "admin": "it paris"},
        two={"url": "two", "system": "nas-2", "site": "cafe\u0301", "admin": "it-paris"},
        three={"url": "three", "system": "NAS-1 ", "site": "Caf\u00e9", "admin": "itparis"},
    )
    remarks = [remark for remark in diagnosis.declarations(settings) if remark.state == "warning"]
    assert {remark.check for remark in remarks} == {"system names", "site names", "admin names"}
    assert "'nas-1' (one) and 'NAS-1 ' (three)" in found(remarks, "configuration", "system names").text
    assert "'Caf\\xe9' (one, three) and 'cafe\\u0301' (two)" in found(remarks, "configuration", "site names").text
    assert "two" not in found(remarks, "configuration", "admin names").text


MOUNTED = """\
21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
22 21 8:2 / {0}/disk rw,relatime - ext4 /dev/sdb1 rw
23 21 8:2 /data {0}/shown rw,relatime - ext4 /dev/sdb1 rw
24 21 8:2 /other {0}/disk/data/over rw,relatime - ext4 /dev/sdb1 rw
25 21 8:3 / {0}/disk/data/foreign rw,relatime - ext4 /dev/sdc1 rw
"""


def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fs_id: str | None, **volumes: dict[str, object]) -> list[Remark]:
    """The remarks on bind mounts, as on a machine with the mounts above whose file systems have that identity."""
    grow(tmp_path, "disk/data/over", "disk/data/foreign", "disk/other", "shown/sub")
    table, probe = mounts.table(MOUNTED.format(tmp_path)), places._probe
    monkeypatch.setattr(mounts, "table", lambda: table)
    monkeypatch.setattr(places, "_probe", lambda config, name: dataclasses.replace(probe(config, name), fs_id=fs_id))
    settings = configured(tmp_path, **volumes)
    return [remark for remark in places.look(settings, list(settings.volumes), {}, NOW).remarks if remark.check == "bind mount"]


@pytest.mark.parametrize(("fs_id", "said"), [(None, "taken for a copy of itself"), ("one", "they are no copies")])
def test_a_volume_that_shows_files_of_another_through_a_bind_mount_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fs_id: str | None, said: str
) -> None:
    other: dict[str, object] = {"url": "disk/other"}
    (remark,) = mounted(
        tmp_path, monkeypatch, fs_id, data={"url": "disk/data", "exclude": ["over/"]}, shown={"url": "shown/sub", "role": "backup"}, other=other
    )
    assert (remark.subject, remark.state) == ("shown", "warning")
    assert "files of volume data" in remark.text
    assert said in remark.text


def test_a_file_system_that_is_mounted_over_a_directory_of_its_own_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (remark,) = mounted(tmp_path, monkeypatch, "one", data={"url": "disk/data"})
    assert (remark.subject, remark.state) == ("data", "warning")
    assert f"{tmp_path}/disk/data/over: a scan leaves it out" in remark.text
    assert "foreign" not in remark.text


def test_devices_that_are_declared_to_differ_are_believed_and_told(tmp_path: Path) -> None:
    grow(tmp_path, "one", "two")
    settings = configured(tmp_path, one={"url": "one", "device": "d1", "system": "nas-1"}, two={"url": "two", "device": "d2", "system": "nas-2"})
    (remark,) = contradictions(settings)
    assert (remark.check, remark.state) == ("device", "unknown")


def test_a_volume_whose_disks_nothing_tells_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(tmp_path, "share", "named")
    monkeypatch.setattr(_place, "device", lambda _: "fs:1")
    settings = configured(tmp_path, share={"url": "share"}, named={"url": "named", "device": "lun-7"})
    remarks = places.look(settings, ["share", "named"], {}, NOW).remarks
    assert [(r.subject, r.state) for r in remarks if r.text.startswith("nothing tells which disks")] == [("share", "unknown")]


def test_an_offline_volume_that_is_there_every_day_is_a_warning(tmp_path: Path) -> None:
    settings = configured(tmp_path, tape={"url": "tape", "access": "offline"}, disk={"url": "disk", "access": "online"})
    days = {name: [NOW - datetime.timedelta(days=day) for day in range(count)] for name, count in (("tape", 5), ("disk", 7))}
    empty: dict[str, Any] = dict.fromkeys(field.name for field in dataclasses.fields(ScanRow))
    rows = [(name, day.replace(tzinfo=None)) for name, some in days.items() for day in some]
    scans = [ScanRow(**{**empty, "volume": name, "state": "complete", "started_at": day}) for name, day in rows]
    (remark,) = places.lingering(settings, scans, NOW)
    assert (remark.subject, remark.check, remark.state) == ("tape", "offline", "warning")
    assert "on 5 of the last 7 days" in remark.text
    assert places.lingering(settings, [dataclasses.replace(scan, state="failed") if scan is scans[0] else scan for scan in scans], NOW) == []
    assert places.lingering(settings, scans, NOW + datetime.timedelta(days=4)) == []


def test_a_copy_on_the_device_of_its_primary_is_a_warning_until_the_system_is_declared(tmp_path: Path) -> None:
    grow(tmp_path, "data", "nightly", "other")
    declared: dict[str, dict[str, object]] = {"data": {"url": "data"}, "nightly": {"url": "nightly", "role": "backup"}}
    (remark,) = contradictions(configured(tmp_path, **declared))
    assert (remark.subject, remark.check, remark.state) == ("nightly", "device", "warning")
    assert "volume data" in remark.text
    known: dict[str, dict[str, object]] = {name: {**volume, "system": "nas-1"} for name, volume in declared.items()}
    assert contradictions(configured(tmp_path, **known)) == []
    elsewhere: dict[str, dict[str, object]] = {
        **declared,
        "nightly": {"url": "nightly", "role": "backup", "of": ["other"]},
        "other": {"url": "other", "system": "nas-1"},
    }
    assert [(remark.subject, "volume other" in remark.text) for remark in contradictions(configured(tmp_path, **elsewhere))] == [("nightly", True)]


def test_a_root_inside_another_is_a_contradiction_also_through_a_link(tmp_path: Path) -> None:
    grow(tmp_path, "data/inner")
    (tmp_path / "link").symlink_to(tmp_path / "data" / "inner")
    settings = configured(tmp_path, outer={"url": "data"}, inner={"url": "link"})
    (remark,) = contradictions(settings)
    assert (remark.subject, remark.check) == ("inner", "nested root")


def test_a_change_in_the_future_shows_that_the_clocks_differ(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    settings = configured(tmp_path, data={"url": str(tmp_path)})
    changed = datetime.datetime.fromtimestamp((tmp_path / "file").stat().st_ctime, datetime.UTC)
    state = {
        hours: found(places.look(settings, ["data"], {}, changed + datetime.timedelta(hours=hours)).remarks, "data", "clock").state for hours in (-1, 0, 24)
    }
    assert state == {-1: "warning", 0: "ok", 24: "unknown"}


def test_another_file_system_than_in_the_last_scan_is_an_error(tmp_path: Path) -> None:
    grow(tmp_path, "data")
    settings = configured(tmp_path, data={"url": "data"})
    facts = places.look(settings, ["data"], {}, NOW).facts["data"]
    row: dict[str, Any] = {field.name: None for field in dataclasses.fields(ScanRow)}
    row |= {"volume": "data", "state": "complete", "started_at": datetime.datetime(2026, 11, 22), "entries": 2, "problems": 0}
    for fs_id, state in ((facts.fs_id, "ok"), ("another", "error")):
        scan = ScanRow(**{**row, "root_fs_id": fs_id})
        assert found(places.look(settings, ["data"], {"data": scan}, NOW).remarks, "data", "file system").state == state


def test_a_catalog_inside_a_volume_is_a_warning(tmp_path: Path) -> None:
    settings = configured(tmp_path, data={"url": "."})
    assert found(diagnosis.storage(tmp_path / "catalog", settings), "catalog", "place").state == "warning"


def test_a_lost_file_and_a_damaged_log_of_the_catalog_are_errors(tmp_path: Path) -> None:
    row = {name: None for name in SCANS.names} | {"scan_id": "s1", "volume": "data", "state": "complete"}
    table.append(tmp_path, "scans", pa.Table.from_pylist([row], SCANS), "s1")
    settings = configured(tmp_path)
    assert found(diagnosis.storage(tmp_path, settings), "catalog", "table scans").state == "ok"
    (file,) = (tmp_path / "scans").glob("*.parquet")
    file.unlink()
    lost = found(diagnosis.storage(tmp_path, settings), "catalog", "table scans")
    assert lost.state == "error"
    assert file.name in lost.text
    (log,) = (tmp_path / "scans" / "_delta_log").glob("*1.json")
    log.write_text("{")
    assert found(diagnosis.storage(tmp_path, settings), "catalog", "table scans").state == "error"


def prepared(folder: Path) -> None:
    """Two volumes that jobs may write to."""
    grow(folder, "data", "vault")
    vault = ('url = "vault"', 'role = "archive"', 'system = "vault"', 'device = "two"')
    data = ("[volumes.data]", 'url = "data"', 'system = "nas"', 'device = "one"')
    write(folder, *data, "[volumes.vault]", *vault, "[lifecycle]", "min_copies = 1")
    for name in ("data", "vault"):
        ask("volume", "prepare", name, folder=folder)


def doctored(folder: Path, check: str) -> Remark:
    (found,) = [row for row in ask("doctor", "--format", "json", folder=folder, code=None).data if row["check"] == check and row["state"] != "ok"]
    return Remark(**found)


@pytest.mark.parametrize("how", ["lost", "foreign"])
def test_a_journal_that_is_lost_or_of_another_host_is_an_error(tmp_path: Path, how: str) -> None:
    prepared(tmp_path)
    if how == "lost":
        shutil.rmtree(tmp_path / "catalog" / "journal")
    else:
        place = tmp_path / "catalog" / "journal.json"
        place.write_text(json.dumps({**json.loads(place.read_text()), "host": "another"}))
    remark = doctored(tmp_path, "journal")
    assert (remark.subject, remark.state) == ("journal", "error")
    assert "job rebuild" in remark.mend


def test_a_volume_that_was_renamed_or_left_out_is_told(tmp_path: Path) -> None:
    prepared(tmp_path)
    write(tmp_path, "[volumes.renamed]", 'url = "data"', "[volumes.vault]", 'url = "vault"', 'role = "archive"')
    remark = doctored(tmp_path, "declared")
    assert (remark.subject, remark.state) == ("data", "warning")
    assert "declared as volume renamed now" in remark.text
    write(tmp_path, "[volumes.vault]", 'url = "vault"', 'role = "archive"')
    assert "declared no more" in doctored(tmp_path, "declared").text


@pytest.mark.slow
def test_links_of_jobs_that_lead_nowhere_are_told(tmp_path: Path) -> None:
    prepared(tmp_path)
    ask("scan", folder=tmp_path, code=None)
    (tmp_path / "data" / "mine").symlink_to("nowhere")  # not of a job
    options = ("--where", "volume = 'data'", "--report", "assets", "--to", "vault", "--leave", "symlink", "--quiet-time", "0s")
    made = ask("plan", "create", "--action", "archive", *options, "--format", "json", folder=tmp_path)
    ask("plan", "approve", made.data["id"], folder=tmp_path)
    ask("job", "run", made.data["id"], folder=tmp_path)
    assert (tmp_path / "data" / "file").is_symlink()
    assert [row for row in ask("doctor", "--format", "json", folder=tmp_path, code=None).data if row["check"] == "links"] == []
    (tmp_path / "vault" / "file").rename(tmp_path / "vault" / "elsewhere")
    remark = doctored(tmp_path, "links")
    assert (remark.subject, remark.state) == ("data", "warning")
    assert "1 link of jobs" in remark.text


def test_a_predicate_that_is_none_is_an_error(tmp_path: Path) -> None:
    settings = config.parse({"classes": {"core": {"select": "path LIKE"}, "good": {"select": "size_bytes > 1"}}}, tmp_path / "lastcopy.toml")
    assert found(diagnosis.declarations(settings), "configuration", "classes.core.select").state == "error"
    assert not [r for r in diagnosis.declarations(settings) if r.check == "classes.good.select"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take rights away from itself and get them back")
def test_without_the_capability_not_everything_can_be_read() -> None:
    os.seteuid(65534)
    try:
        assert not diagnosis.reads_everything()
    finally:
        os.seteuid(0)
    assert diagnosis.reads_everything()


def test_a_hostile_root_is_printed_escaped(tmp_path: Path) -> None:
    settings = configured(tmp_path, data={"url": "a\x1b[31m\u202eb"})
    text = found(places.look(settings, ["data"], {}, NOW).remarks, "data", "reachable").text
    assert "\\x1b[31m\\xe2\\x80\\xae" in text
    assert "\x1b" not in text
