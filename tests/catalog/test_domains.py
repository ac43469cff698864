"""Failure domains: what is undeclared is unknown, and one device is in one place."""

from pathlib import Path
from typing import Any

import pytest

from catalog import config, domains
from catalog.errors import ConfigError


def _config(**volumes: dict[str, Any]) -> config.Config:
    return config.parse({"volumes": {name.replace("_", "-"): {"url": f"/{name}"} | volume for name, volume in volumes.items()}})


def test_what_is_undeclared_is_unknown_and_never_another() -> None:
    effective = domains.effective(_config(a={"site": "paris"}, b={}), {})
    assert domains.other(effective["a"].sites, effective["b"].sites) == domains.UNKNOWN
    assert effective["b"].sources["sites"] == "unknown"


def test_a_volume_inherits_the_domains_of_the_one_it_lies_on() -> None:
    effective = domains.effective(_config(disk={"system": "nas", "device": "d1"}, repo={"on": "disk", "system": "vm"}), {})
    assert effective["repo"].systems == {"nas", "vm"}
    assert (effective["repo"].sources["devices"], effective["repo"].sources["systems"]) == ("inherited", "declared")


def test_volumes_on_one_detected_device_are_on_one_system_whatever_is_declared() -> None:
    effective = domains.effective(_config(a={"system": "one"}, b={"system": "two"}), {"a": "sda", "b": "sda"})
    assert domains.other(effective["a"].systems, effective["b"].systems) == domains.NO


def test_a_file_system_over_several_disks_shares_the_device_of_each() -> None:
    effective = domains.effective(_config(a={"system": "one"}, b={"system": "two"}), {"a": "sda,sdb", "b": "sdb"})
    assert domains.other(effective["a"].systems, effective["b"].systems) == domains.NO


def test_a_declared_device_goes_before_a_detected_one() -> None:
    effective = domains.effective(_config(a={"system": "one", "device": "x"}, b={"system": "two", "device": "y"}), {"a": "sda", "b": "sda"})
    assert domains.other(effective["a"].systems, effective["b"].systems) == domains.YES


def test_a_device_that_only_one_side_declares_is_perhaps_the_one_that_both_were_seen_on() -> None:
    given = _config(a={"system": "one"}, b={"system": "two", "device": "disk-2"}, c={"on": "b"}, d={"system": "three", "device": "disk-3"})
    effective = domains.effective(given, {"a": "sda", "b": "sda", "d": "sdb"})
    assert effective["a"].perhaps == {"b", "c"}
    assert effective["b"].perhaps == effective["c"].perhaps == {"a"}
    assert not effective["d"].perhaps
    cautious = domains.cautious(effective)
    assert domains.other(cautious["a"].devices, cautious["b"].devices) == domains.NO
    assert domains.other(cautious["a"].devices, cautious["d"].devices) == domains.YES


def test_a_file_system_of_unknown_disks_is_perhaps_on_those_of_any_other_unless_it_is_said_to_be_elsewhere() -> None:
    given = _config(
        a={"system": "one"}, b={"system": "two"}, c={}, d={"device": "disk"}, e={}, f={"site": "paris"}, g={"site": "lyon"}, h={"system": "one"}, i={}
    )
    seen = {"a": "fs:1", "b": "fs:2", "c": "fs:2", "d": "fs:3", "e": "sda", "f": "fs:4", "g": "fs:5", "h": "sdb"}
    effective = domains.effective(given, seen)
    assert effective["b"].devices == effective["c"].devices
    assert effective["a"].perhaps == {"d", "e", "f", "g", "h"}  # c shares the device of b, and so its system
    assert effective["f"].perhaps == {"a", "b", "c", "d", "e", "h"}
    assert effective["d"].perhaps == {"a", "b", "c", "f", "g"}  # its device is declared, and may be what holds any of them
    assert effective["h"].perhaps == {"a", "f", "g"}
    assert not effective["i"].perhaps  # of its device nothing at all is known


def test_a_file_system_of_unknown_disks_adds_no_known_device_and_makes_no_two_others_one() -> None:
    volumes = {"a": {"system": "one"}, "b": {"system": "two"}, "c": {"site": "paris"}, "d": {"site": "lyon"}, "e": {"site": "lyon"}, "f": {}}
    effective = domains.effective(_config(**volumes), {"a": "sda", "b": "sdb", "c": "fs:1", "d": "fs:2", "e": "sdc"})
    certain = domains.certain_devices(effective)

    def known(*near: str) -> list[int]:
        found = list(domains.known_devices(effective, certain, near).values())
        return [found.index(group) if group is not None else -1 for group in found]

    assert known("a", "b", "c") == [0, 1, -1]
    assert known("c", "a", "b", "d") == [0, 0, 0, -1]
    assert known("c", "d", "e") == [0, -1, 2]
    assert known("d", "c") == [0, 1]
    assert known("a", "f") == [0, -1]


def test_the_merging_of_devices_goes_through_third_volumes() -> None:
    volumes = {"a": {"device": "1", "site": "paris"}, "b": {"device": "2", "on": "a"}, "c": {"device": "2", "site": "lyon"}}
    effective = domains.effective(_config(**volumes), {})
    assert effective["a"].sites == effective["b"].sites == effective["c"].sites == {"paris", "lyon"}


def test_a_volume_inside_another_protects_nothing_of_it() -> None:
    nested = config.parse(
        {"volumes": {"all": {"url": "/data"}, "part": {"url": "/data/backup/", "role": "backup"}, "near": {"url": "/data2", "role": "backup"}}}
    )
    assert domains.protectors(nested, "all") == ["near"]


@pytest.mark.parametrize(
    "inner", ["{}/data/copy", "data/copy", "./x/../data/copy/", "file:{}/data/copy", "file://{}/data/copy", "/{}/data/copy", "link", "data"]
)
def test_a_root_inside_another_is_found_however_it_is_written(inner: str, tmp_path: Path) -> None:
    (tmp_path / "data" / "copy").mkdir(parents=True)
    (tmp_path / "link").symlink_to("data/copy")
    volumes = {"all": {"url": str(tmp_path / "data")}, "part": {"url": inner.format(tmp_path), "role": "backup"}}
    nested = config.parse({"volumes": volumes}, tmp_path / "lastcopy.toml")
    assert domains.protectors(nested, "all") == []
    assert domains.lost_with(nested, "part") == {"all", "part"}
    stored = nested.stored()
    (tmp_path / "link").unlink(missing_ok=True)
    assert domains.protectors(config.restore(stored), "all") == []


def test_only_volumes_that_are_not_primary_or_that_name_it_protect_a_volume() -> None:
    given = _config(a={}, b={}, c={"role": "replica"}, d={"role": "backup", "of": ["b"]}, e={"of": ["a"]})
    assert domains.protectors(given, "a") == ["c", "e"]


def test_too_many_protecting_volumes_are_refused_with_what_to_do() -> None:
    many = {f"r{n}": {"role": "replica"} for n in range(61)}
    with pytest.raises(ConfigError, match="'of'"):
        domains.protectors(_config(a={}, **many), "a")
    assert len(domains.protectors(_config(a={}, **dict(list(many.items())[:60])), "a")) == 60
