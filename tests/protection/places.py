"""Where volumes are: effective failure domains, who may protect whom, and where a path lies on another volume."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from catalog.config import Config, Volume
from catalog.glob import regex


@dataclass(frozen=True)
class Domains:
    """The effective failure domains of a volume; an empty set is unknown."""

    system: frozenset[str]
    site: frozenset[str]
    admin: frozenset[str]
    device: frozenset[str]


def domains(config: Config, detected: dict[str, str | None]) -> dict[str, Domains]:
    """Effective domains of all volumes, from what is declared, detected and inherited."""
    found: dict[str, dict[str, set[str]]] = {}

    def of_chain(name: str) -> dict[str, set[str]]:
        volume = config.volumes[name]
        own = {"system": volume.system, "site": volume.site, "admin": volume.admin, "device": volume.device}
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
                if not one["device"] & other["device"]:
                    continue
                for key in ("device", "system", "site"):
                    both = one[key] | other[key]
                    moved = moved or one[key] != both or other[key] != both
                    one[key], other[key] = set(both), set(both)
    return {name: Domains(*(frozenset(sets[key]) for key in ("system", "site", "admin", "device"))) for name, sets in found.items()}


def apart(one: Domains, two: Domains, axis: str) -> str:
    """Whether two volumes are in different systems, sites or admins, three-valued: one device is in one system and one site."""
    first, second = getattr(one, axis), getattr(two, axis)
    if first & second or (axis in ("system", "site") and one.device & two.device):
        return "no"
    return "yes" if first and second else "unknown"


def chained(all_domains: dict[str, Domains], volume: str, axis: str) -> frozenset[str]:
    """The values of a volume on an axis, with those of every volume that they overlap with, and so on."""
    reached: frozenset[str] = getattr(all_domains[volume], axis)
    while True:
        touching = [values for one in all_domains.values() if (values := getattr(one, axis)) & reached]
        wider = reached.union(*touching)
        if wider == reached:
            return reached
        reached = wider


def may_protect(config: Config, guard: str, ward: str) -> bool:
    """Whether a volume may protect the assets of another."""
    if guard == ward or _nested(config.volumes[guard].url, config.volumes[ward].url):
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


def _nested(one: str, two: str) -> bool:
    first, second = PurePosixPath(one), PurePosixPath(two)
    return first == second or first in second.parents or second in first.parents
