"""`lastcopy doctor` finds what is wrong, says how to mend it, and changes nothing."""

import dataclasses
import datetime
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from catalog import config, table
from catalog.schema import SCANS
from catalog.snapshot import ScanRow
from lastcopy import diagnosis, places
from lastcopy.diagnosis import Remark
from tests.lastcopy.program import run

NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
DECLARED = {"system": "nas-1", "site": "paris", "admin": "it", "media": "disk", "access": "online", "immutability": "none"}


def configured(folder: Path, **volumes: dict[str, object]) -> config.Config:
    return config.parse({"volumes": volumes}, folder / "lastcopy.toml")


def found(remarks: list[Remark], subject: str, check: str) -> Remark:
    (only,) = [remark for remark in remarks if (remark.subject, remark.check) == (subject, check)]
    return only


def contradictions(settings: config.Config) -> list[Remark]:
    wanted = ("system", "site", "device", "nested root")
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
    assert "volume two" in remark.text


def test_devices_that_are_declared_to_differ_are_believed_and_told(tmp_path: Path) -> None:
    grow(tmp_path, "one", "two")
    settings = configured(tmp_path, one={"url": "one", "device": "d1", "system": "nas-1"}, two={"url": "two", "device": "d2", "system": "nas-2"})
    (remark,) = contradictions(settings)
    assert (remark.check, remark.state) == ("device", "unknown")


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
