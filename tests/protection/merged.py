"""Many estates as one, side by side and without touching: so one derivation judges them all."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from catalog.config import Config
from tests.protection.plain import Estate, File, Read, Scan

MOST_VOLUMES = 55
_DOMAINS = ("system", "site", "region", "admin", "device")


def merge(estates: Sequence[Estate]) -> Estate:
    """One estate whose volumes, classes, domains and file systems are those of all estates, under names of their own.

    Volume `a` of the estate at place 3 is `e3-a`, its class `default` is `e3-default`. All have one as-of time. What `of` left open is said: backups and
    replicas are of all other volumes of their estate, archives of its primaries.
    """
    parts = [_renamed(estate, f"e{place}-") for place, estate in enumerate(estates)]
    config: dict[str, Any] = {"volumes": {}, "classes": {}, "labels": [], "exceptions": []}
    for part, _, _ in parts:
        for key, values in config.items():
            if isinstance(values, dict):
                values.update(part[key])
            else:
                values.extend(part[key])
    scans = {volume: found for _, some, _ in parts for volume, found in some.items()}
    reads = tuple(read for _, _, some in parts for read in some)
    checks = tuple(
        replace(check, volume=f"e{place}-{check.volume}", file=check.file and _file(check.file, f"e{place}-"), fs=check.fs and f"e{place}-{check.fs}")
        for place, estate in enumerate(estates)
        for check in estate.checks
    )
    return Estate(Config.model_validate(config), estates[0].as_of, scans, reads, checks)


def packs(estates: Sequence[Estate]) -> list[list[Estate]]:
    """The estates in runs that one derivation can judge."""
    runs: list[list[Estate]] = [[]]
    volumes = 0
    for estate in estates:
        volumes += len(estate.config.volumes)
        if volumes > MOST_VOLUMES:
            runs.append([])
            volumes = len(estate.config.volumes)
        runs[-1].append(estate)
    return runs


def _renamed(estate: Estate, mark: str) -> tuple[dict[str, Any], dict[str, tuple[Scan, ...]], list[Read]]:
    config = estate.config.model_dump(mode="json", exclude_none=True)
    config["volumes"] = {mark + name: _volume(estate.config, name, mark, declared) for name, declared in config["volumes"].items()}
    default = {**config["classes"].pop("default", {}), "select": "path LIKE '%'"}
    classes = {name: rule for name, rule in config["classes"].items() if "select" in rule} | {"default": default}
    unselected = {mark + name: rule for name, rule in config["classes"].items() if "select" not in rule}
    config["classes"] = {mark + name: {**rule, "select": _where(mark, rule["select"])} for name, rule in classes.items()} | unselected
    for label in config["labels"]:
        label["where"] = _where(mark, label["where"])
        if "data_class" in label:
            label["data_class"] = mark + label["data_class"]
    for finding in config["exceptions"]:
        finding["where"] = _where(mark, finding["where"])
    scans = {mark + name: tuple(_scan(scan, mark) for scan in some) for name, some in estate.scans.items()}
    return config, scans, [replace(read, volume=mark + read.volume, file=_file(read.file, mark)) for read in estate.reads]


def _volume(config: Config, name: str, mark: str, declared: dict[str, Any]) -> dict[str, Any]:
    of = config.volumes[name].of
    if of is None:
        role = config.volumes[name].role
        of = tuple(one for one, volume in config.volumes.items() if one != name and role != "primary" and (role != "archive" or volume.role == "primary"))
    found = declared | {"url": f"/{mark}{declared['url']}", "of": [mark + one for one in of]}
    found |= {key: mark + declared[key] for key in (*_DOMAINS, "on") if key in declared}
    found |= {"key_on": [mark + place for place in declared["key_on"]]}
    return found | {"path_map": {here: mark + there for here, there in declared["path_map"].items()}}


def _where(mark: str, where: str) -> str:
    terms = [f"volume = '{mark}{term[10:-1]}'" if term.startswith("volume = ") else term for term in where.split(" AND ")]
    return " AND ".join([f"volume LIKE '{mark}%'", *terms])


def _scan(scan: Scan, mark: str) -> Scan:
    disks = (scan.device or "").split(",") if scan.device else []
    marked = ",".join(f"fs:{mark}{one[3:]}" if one.startswith("fs:") else mark + one for one in disks)
    return replace(scan, device=scan.device and marked, files=tuple(_file(file, mark) for file in scan.files))


def _file(file: File, mark: str) -> File:
    return replace(file, fs=file.fs and mark + file.fs, stub=file.stub and replace(file.stub, volume=mark + file.stub.volume))
