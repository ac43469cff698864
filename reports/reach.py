"""What a loss takes of each volume that holds assets, and of each that may hold their copies: a site, system, device, volume, admin or threat reaches it.

Three-valued numbers are 0 = no, 1 = unknown, 2 = yes, so that AND is the least and OR the greatest.
"""

import datetime
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from catalog import domains
from catalog.config import Config
from reports import cells

Lock = tuple[int, int]  # of a copy by what objects tell: whether it outlasts ransomware for the retention of its class, and whether it binds its admin now
AXES = {"site": "sites", "region": "regions", "system": "systems", "device": "devices", "admin": "admins"}

KEY = "key"  # of an encrypted volume, wherever it is kept: what is lost with it is that volume, for nobody can read it


@dataclass(frozen=True)
class Loss:
    """What is lost: pairs as ('site', 'paris'), and a threat or None. `mounted` names offline volumes that are connected now."""

    lose: tuple[tuple[str, str], ...] = ()
    threat: str | None = None
    mounted: tuple[str, ...] = ()

    def __str__(self) -> str:
        named = [f"{kind} {value}" for kind, value in self.lose]
        return cells.clean(" and ".join([*named, *([self.threat.replace("_", " ")] if self.threat else [])]))

    @property
    def title(self) -> str:
        """The loss as a headline: 'Loss of site paris', 'Loss by ransomware'."""
        named = " and ".join(f"{kind} {value}" for kind, value in self.lose)
        by = f"by {self.threat.replace('_', ' ')}" if self.threat else ""
        return cells.clean(" ".join(["Loss", *([f"of {named}"] if named else []), *([by] if by else [])]))


def reach(
    volumes: Sequence[Mapping[str, Any]],
    classes: Sequence[Mapping[str, Any]],
    config: Config,
    loss: Loss,
    as_of: datetime.datetime,
    locks: Collection[tuple[str, Lock]] = (),
) -> list[dict[str, Any]]:
    """For each volume that may hold assets, class, and volume that may hold their copies (or is the same): whether the loss removes it there.

    `locks` are those that objects of volumes tell of: there is a row for each of these, too, with its number.
    """
    known = {row["volume"]: {**_in_use(row), "lost_with": domains.lost_with(config, row["volume"]), "perhaps": _perhaps(row, volumes)} for row in volumes}
    return [
        {
            "volume": name,
            "data_class": data_class["data_class"],
            "copy_volume": other,
            "lock": number(lock),
            "removed": _shut(case.locked(other, lock), other),
            "keyless": sorted(_keyless(case, other)),
        }
        for name in known
        if known[name]["role"] in ("primary", "archive")
        for data_class in classes
        for case in [_Case(known[name], data_class, known, config, loss, as_of)]
        for other in [name, *domains.protectors(config, name)]
        for lock in [None, *(told for volume, told in locks if volume == other != name)]
    ]


def number(lock: Lock | None) -> int:
    """The number of a lock, as `alike` gives it to a copy; 0 where no object tells."""
    return 0 if lock is None else 1 + 3 * lock[0] + lock[1]


def _perhaps(volume: Mapping[str, Any], volumes: Sequence[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """The sites, systems and devices that are those of the volume too, if what is perhaps one device is one."""
    return {(kind, name) for row in volumes if row["volume"] in volume["perhaps_with"] for kind in AXES if kind != "admin" for name in row[AXES[kind]]}


def _in_use(volume: Mapping[str, Any]) -> Mapping[str, Any]:
    # A primary volume is written to every day: what it does not declare does not hold back a hand that writes.
    if volume["role"] != "primary":
        return volume
    return {**volume, "access": volume["access"] or "online", "immutability": volume["immutability"] or "none"}


@dataclass(frozen=True)
class _Case:
    """A loss as it is for the assets of a volume and class; `known` has the rows of all volumes by name."""

    asset: Mapping[str, Any]
    data_class: Mapping[str, Any]
    known: Mapping[str, Mapping[str, Any]]
    config: Config
    loss: Loss
    as_of: datetime.datetime

    @property
    def of_keys(self) -> "_Case":
        """What it does to places of keys: a user's error takes none."""
        return replace(self, loss=replace(self.loss, threat=None)) if self.loss.threat == "user_error" else self

    def locked(self, name: str, lock: Lock | None) -> "_Case":
        """What it does to copies on a volume whose objects tell of a lock."""
        return replace(self, known={**self.known, name: {**self.known[name], "lock": lock}}) if lock else self


def _shut(case: _Case, name: str) -> int:
    """Whether a loss takes a volume, or all that opens it: each place of its key is lost, or cannot be opened itself."""
    found = _removed(case.asset, case.known[name], case.data_class, case.loss, case.as_of)
    kept = [_shut(case.of_keys, place) for place in case.config.volumes[name].key_on]
    return max(found, min(kept, default=domains.NO))


def _keyless(case: _Case, name: str) -> set[str]:
    """The volumes of which nobody says where their key is kept, one of which must be opened to read a volume that a loss leaves; none if it is surely open."""
    volume = case.config.volumes[name]
    if not volume.key_on:
        return set() if volume.needs_key is False else {name}
    left = [place for place in volume.key_on if _shut(case.of_keys, place) == domains.NO]
    found = [_keyless(case.of_keys, place) for place in left]
    return set[str]().union(*found) if all(found) else set()


def _removed(asset: Mapping[str, Any], volume: Mapping[str, Any], data_class: Mapping[str, Any], loss: Loss, as_of: datetime.datetime) -> int:
    found = max([_lost_with(kind, value, volume, data_class, loss, as_of) for kind, value in loss.lose], default=0)
    if loss.threat is not None:
        found = max(found, _struck(loss.threat, asset, volume, data_class, loss, as_of))
    by_hand = Loss(tuple(pair for pair in loss.lose if pair[0] == "admin"), loss.threat if loss.threat == "ransomware" else None, loss.mounted)
    follows = volume["role"] == "replica" and volume["volume"] != asset["volume"] and (by_hand.lose or by_hand.threat)
    if follows and not _apart(volume, loss) and _locked(asset, volume, data_class, as_of + _retention(data_class)) < domains.YES:
        found = max(found, _removed(asset, asset, data_class, by_hand, as_of))
    return found


def _lost_with(kind: str, value: str, volume: Mapping[str, Any], data_class: Mapping[str, Any], loss: Loss, as_of: datetime.datetime) -> int:
    if kind == "volume":
        return domains.YES if value in volume["lost_with"] else domains.NO
    if kind == KEY:
        return domains.YES if value == volume["volume"] else domains.NO
    held = volume[AXES[kind]]
    reached = domains.YES if value in held else domains.UNKNOWN if not held or (kind, value) in volume["perhaps"] else domains.NO
    if kind != "admin" or _apart(volume, loss):
        return reached if kind != "admin" else domains.NO
    # What an admin himself may unlock, his loss unlocks: only compliance holds against him.
    if lock := volume.get("lock"):
        locked = int(lock[1])
    elif volume["immutability"] == "compliance":
        locked = _until(volume, data_class, as_of)
    else:
        locked = domains.UNKNOWN if volume["immutability"] is None else domains.NO
    return min(reached, domains.YES - locked, domains.UNKNOWN if volume["access"] is None else domains.YES)


def _struck(threat: str, asset: Mapping[str, Any], volume: Mapping[str, Any], data_class: Mapping[str, Any], loss: Loss, as_of: datetime.datetime) -> int:
    if threat == "user_error":
        return domains.YES - _keeps(volume, data_class)
    if threat == "ransomware":
        if _apart(volume, loss):
            return domains.NO
        locked = _locked(asset, volume, data_class, as_of + _retention(data_class))
        return min(domains.YES - locked, domains.UNKNOWN if volume["access"] is None else domains.YES)
    if volume["volume"] == asset["volume"] or set(volume["devices"]) & set(asset["devices"]):
        return domains.YES
    axis = "systems" if threat == "system_failure" else "sites"
    if set(volume[axis]) & set(asset[axis]):
        return domains.YES
    return domains.NO if volume[axis] and asset[axis] and asset["volume"] not in volume["perhaps_with"] else domains.UNKNOWN


def _keeps(volume: Mapping[str, Any], data_class: Mapping[str, Any]) -> int:
    days, seen = volume["keeps_versions_days"], volume["seen_to_keep_days"]
    if days is None and seen is not None:
        return domains.YES if seen >= data_class["retention_days"] else domains.UNKNOWN
    if days is None:
        return domains.NO if volume["role"] == "replica" else domains.UNKNOWN
    return domains.YES if 0 < days >= data_class["retention_days"] else domains.NO


def _apart(volume: Mapping[str, Any], loss: Loss) -> bool:
    return volume["access"] == "offline" and volume["volume"] not in loss.mounted


def _locked(asset: Mapping[str, Any], volume: Mapping[str, Any], data_class: Mapping[str, Any], needed: datetime.datetime) -> int:
    if lock := volume.get("lock"):
        return int(lock[0])
    kind = volume["immutability"]
    if kind in (None, "none"):
        return domains.UNKNOWN if kind is None else domains.NO
    if kind in ("governance", "append_only"):
        if not volume["admins"] or not asset["admins"]:
            return domains.UNKNOWN
        if set(volume["admins"]) & set(asset["admins"]):
            return domains.NO
    return _until(volume, data_class, needed)


def _until(volume: Mapping[str, Any], data_class: Mapping[str, Any], needed: datetime.datetime) -> int:
    if not data_class["accept_declared"]:
        return domains.UNKNOWN
    if volume["immutability"] == "append_only":
        return domains.YES
    if volume["immutable_until"] is None:
        return domains.UNKNOWN
    return domains.YES if volume["immutable_until"] >= needed else domains.NO


def _retention(data_class: Mapping[str, Any]) -> datetime.timedelta:
    return datetime.timedelta(days=data_class["retention_days"])
