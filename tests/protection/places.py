"""Where volumes are: effective failure domains, who may protect whom, and where a path lies on another volume."""

import itertools
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from catalog.config import Config
from catalog.glob import regex
from catalog.volumes import Volume


@dataclass(frozen=True)
class Domains:
    """The effective failure domains of a volume; an empty set is unknown."""

    system: frozenset[str]
    site: frozenset[str]
    admin: frozenset[str]
    device: frozenset[str]
    region: frozenset[str] = frozenset()
    perhaps: frozenset[str] = frozenset()  # devices that may be this volume's too


def domains(config: Config, detected: dict[str, str | None]) -> dict[str, Domains]:
    """Effective domains of all volumes, from what is declared, detected and inherited."""
    found: dict[str, dict[str, set[str]]] = {}

    def of_chain(name: str) -> dict[str, set[str]]:
        volume = config.volumes[name]
        own = {"system": volume.system, "site": volume.site, "region": volume.region, "admin": volume.admin, "device": volume.device}
        sets = {key: {value} if value else set() for key, value in own.items()}
        sets["device"] = sets["device"] or set((detected.get(name) or "").split(",")) - {""}  # several disks under one file system
        if volume.on:
            for key, values in of_chain(volume.on).items():
                sets[key] = sets[key] | values
        return sets

    for name in config.volumes:
        found[name] = of_chain(name)
    moved = True
    while moved:
        moved = False
        for one in found.values():
            for other in found.values():
                shared = ("device", "system", "site", "region") if one["device"] & other["device"] else ("region",) if one["site"] & other["site"] else ()
                for key in shared:
                    both = one[key] | other[key]
                    moved = moved or one[key] != both or other[key] != both
                    one[key], other[key] = set(both), set(both)
    doubts = _doubts(config, detected, found)
    return {name: Domains(**{key: frozenset(values) for key, values in sets.items()}, perhaps=doubts[name]) for name, sets in found.items()}


def _doubts(config: Config, detected: dict[str, str | None], places: dict[str, dict[str, set[str]]]) -> dict[str, frozenset[str]]:
    """Of each volume the devices that may be its own.

    Those of volumes seen on one disk with it, where one of the two is called by a declared name; where the disks of one of the two are not
    known, those of every other, unless both have a system, or both a site, and not the same.
    """
    devices = {name: sets["device"] for name, sets in places.items()}
    dark = {name for name, held in devices.items() if any(disk[:3] == "fs:" for disk in held)}

    def links(name: str) -> set[tuple[str, bool]]:
        volume = config.volumes[name]
        own = {(disk, volume.device is not None) for disk in (detected.get(name) or "").split(",") if disk}
        return own | (links(volume.on) if volume.on else set())

    def contradict(one: str, two: str) -> bool:
        if devices[one] & devices[two]:
            return False
        told = any(places[one][axis] and places[two][axis] and not places[one][axis] & places[two][axis] for axis in ("system", "site"))
        return any((disk, not named) in links(two) for disk, named in links(one)) or (bool({one, two} & dark) and not told)

    found: dict[str, set[str]] = {name: set() for name in devices}
    for one, two in itertools.product(devices, devices):
        if contradict(one, two):
            for name in found:
                found[name] |= devices[two] if devices[name] & devices[one] else set()
    return {name: frozenset(doubted) for name, doubted in found.items()}


def apart(one: Domains, two: Domains, axis: str) -> str:
    """Whether two volumes are in different systems, sites or admins, three-valued: one device is in one system and one site."""
    first, second = getattr(one, axis), getattr(two, axis)
    if first & second or (axis in ("system", "site") and one.device & two.device):
        return "no"
    return "yes" if first and second and (axis == "admin" or not one.perhaps & two.device) else "unknown"


def chained(all_domains: dict[str, Domains], volume: str, axis: str, doubting: bool = False) -> frozenset[str]:
    """The values of a volume on an axis, with those of every volume that they overlap with, and so on; doubting, also of those perhaps on its device."""
    reached: frozenset[str] = getattr(all_domains[volume], axis)
    if not reached:
        return reached
    while True:
        held = [one for one in all_domains.values() if getattr(one, axis) & reached]
        doubted = [two for one in held for two in all_domains.values() if doubting and one.perhaps & two.device]
        touching: list[frozenset[str]] = [getattr(one, axis) for one in (*held, *doubted)]
        wider = reached.union(*touching)
        if wider == reached:
            return reached
        reached = wider


def known_groups(config: Config, all_domains: dict[str, Domains], volume: str, ward: str) -> dict[str, frozenset[str]]:
    """The groups that a volume is in for assets of a ward, by what they count towards: those that share nothing are known to be apart."""
    near = [ward, *(name for name in config.volumes if may_protect(config, name, ward))]
    systems, sites, regions = (chained(all_domains, volume, axis, doubting=True) for axis in ("system", "site", "region"))
    admins = chained(all_domains, volume, "admin")
    return {"copies": _known_devices(all_domains, ward, near, volume), "systems": systems, "sites": sites, "regions": regions, "admins": admins}


def _known_devices(all_domains: dict[str, Domains], ward: str, near: Collection[str], volume: str) -> frozenset[str]:
    """The devices of a volume with those that may be the same; none where its disks are not known, and may be those of a volume near."""
    dark = {name for name, one in all_domains.items() if any(disk[:3] == "fs:" for disk in one.device)}
    if volume != ward and volume in dark and any(all_domains[volume].perhaps & all_domains[name].device for name in near):
        return frozenset()
    reached = all_domains[volume].device
    while reached:
        wider = reached
        for name, one in all_domains.items():
            for other, two in all_domains.items():
                doubted = one.perhaps & two.device and (ward in (name, other) or not {name, other} & dark)
                if one.device & wider and (one.device & two.device or doubted):
                    wider |= two.device
        if wider == reached:
            break
        reached = wider
    return reached


def may_protect(config: Config, guard: str, ward: str) -> bool:
    """Whether a volume may protect the assets of another."""
    if guard == ward or _nested(config, guard, ward):
        return False
    of = config.volumes[guard].of
    return config.volumes[guard].role != "primary" if of is None else ward in of


def mapped(volume: Volume, ward: str, path: str) -> str | None:
    """Where the path of a ward's asset lies on a volume; None if its path_map does not reach it."""
    if not volume.path_map:
        return path
    best: tuple[int, str] | None = None
    for here, target in volume.path_map.items():
        name, _, prefix = target.partition(":")
        prefix = prefix.strip("/")
        inside = f"{prefix}/" if prefix else ""
        if name != ward or not path.startswith(inside):
            continue
        there = "/".join(part for part in (here.strip("/"), path[len(inside) :]) if part)
        if best is None or len(prefix) > best[0]:
            best = (len(prefix), there)
    return best[1] if best else None


def excluded(volume: Volume, path: str) -> bool:
    """Whether a volume's `exclude` matches a path of it."""
    return bool(volume.exclude) and re.fullmatch(regex(list(volume.exclude)), path) is not None


def _nested(config: Config, one: str, two: str) -> bool:
    first, second = (_root(config, name) for name in (one, two))
    return first == second or first in second.parents or second in first.parents


def _root(config: Config, name: str) -> Path:
    url = config.volumes[name].url
    elsewhere = re.match("[a-z0-9+]+:(//|[a-zA-Z0-9+.@-]+:)", url)
    if elsewhere and not url.startswith("file:"):
        return Path(url)
    above = config.path.parent if config.path else Path.cwd()
    inside = re.sub("^file:(//(?=/))?", "", url) if url.startswith("file:") else re.sub("^[a-z0-9+]+:", "", url)  # an archive is a place, too
    return Path("/", os.path.realpath(above / inside).lstrip("/"))
