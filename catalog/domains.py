"""Failure domains of volumes, which volumes may protect which, and what each pair can do against the threats.

Pure functions of the configuration and of what scans detected; the meaning is that of docs/protection.md.
Three-valued results are 0 = no, 1 = unknown, 2 = yes, so that AND is the least and OR the greatest.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from catalog.config import Config, DataClass
from catalog.errors import ConfigError
from catalog.volumes import Volume

NO, UNKNOWN, YES = 0, 1, 2
AXES = ("systems", "sites", "regions", "admins", "devices")
DEFAULT_RETENTION_SECONDS = 30 * 86400.0
FILE_SYSTEM = "fs:"  # begins a detected device of which the file system alone is known, not the disks: a share of a network, a pool
MAX_PROTECTORS = 60  # a signature holds four bits a volume in four 60-bit words

_PLACES = {"system_failure": "systems", "facility_outage": "sites"}  # what a threat strikes as a whole
_LOST_KEY = "key_lost"
_DECLARED = {"systems": "system", "sites": "site", "regions": "region", "admins": "admin", "devices": "device"}


@dataclass(frozen=True)
class Domain:
    """The effective failure domain of a volume: sets of names, empty = unknown, and where each axis comes from.

    `perhaps` names the volumes that may lie on the same device: what is declared for one side and detected for the other cannot be told apart, nor can a file
    system whose disks nothing tells and any other device.
    """

    systems: frozenset[str]
    sites: frozenset[str]
    admins: frozenset[str]
    devices: frozenset[str]
    sources: Mapping[str, str]  # axis -> declared | detected | inherited | unknown
    perhaps: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Pair:
    """What volume `protector` can do for assets of volume `asset` of one class, before any file is looked at."""

    asset: str
    protector: str
    data_class: str
    user_error: int
    user_error_reason: str
    ransomware: int
    ransomware_reason: str
    system_failure: int
    system_failure_reason: str
    facility_outage: int
    facility_outage_reason: str
    beside: "Beside"


@dataclass(frozen=True)
class Beside:
    """What of ransomware's condition is judged copy by copy where objects tell of their own locks, by its parts: `ransomware` above is put together of them."""

    offline: int
    locked: int  # as is declared: an object's own lock goes before it
    append_only: int  # as is declared: it is no lock of objects, and stands beside them
    other_admin: int  # may lift neither a governance lock nor a legal hold
    key: int  # what opens the volume survives
    binds: int  # as is declared: at this time not even its admin can change what is there


def effective(config: Config, detected_devices: Mapping[str, str | None]) -> dict[str, Domain]:
    """The effective domain of every volume, from what is declared, detected (device by volume) and inherited by `on`."""
    sets = {axis: {name: _own(config, axis, name, detected_devices) for name in config.volumes} for axis in AXES}
    sources = {name: {axis: _source(config, axis, name, sets[axis]) for axis in AXES} for name in config.volumes}
    for axis in AXES:
        sets[axis] = {name: frozenset().union(*(sets[axis][link] for link in _chain(config, name))) for name in config.volumes}
    _share(sets, "devices", ("systems", "sites", "regions", "devices"))  # a device is in one place
    _share(sets, "sites", ("regions",))  # and a site in one region
    perhaps = _perhaps_one_device(config, detected_devices, sets)
    return {name: Domain(**{axis: sets[axis][name] for axis in AXES}, sources=sources[name], perhaps=perhaps[name]) for name in config.volumes}


def cautious(found: Mapping[str, Domain]) -> dict[str, Domain]:
    """The same domains, in which volumes that are perhaps on one device share one: for removals, where what is unknown is never another."""

    def shared(name: str, domain: Domain) -> frozenset[str]:
        return frozenset("perhaps " + " and ".join(sorted((name, near))) for near in domain.perhaps) if domain.devices else frozenset()

    return {name: replace(domain, devices=domain.devices | shared(name, domain)) for name, domain in found.items()}


def other(one: frozenset[str], two: frozenset[str]) -> int:
    """Whether two sets of domains are known to share nothing."""
    if not one or not two:
        return UNKNOWN
    return NO if one & two else YES


def protectors(config: Config, volume: str) -> list[str]:
    """The volumes that may protect assets of a volume, in the order of the configuration. Raises ConfigError where there are too many."""
    found = [name for name in config.volumes if may_protect(config, volume, name)]
    if len(found) > MAX_PROTECTORS:
        raise ConfigError(f"volumes.{volume}: {len(found)} volumes may protect it, at most {MAX_PROTECTORS} can be judged; say with 'of' which protect what")
    return found


def pairs_of(
    config: Config, domains: Mapping[str, Domain], asset: str, classes: Sequence[str], as_of: datetime.datetime, kept: Mapping[str, float | None]
) -> list[Pair]:
    """An asset volume with itself and with each volume that may protect it, for each class. `kept`: for how many seconds backups are seen to keep versions."""
    near = [asset, *protectors(config, asset)]
    return [_pair(config, domains, asset, protector, data_class, as_of, kept.get(protector)) for protector in near for data_class in classes]


def groups(sets: Mapping[str, frozenset[str]]) -> dict[str, int | None]:
    """A number a volume, equal where sets overlap (also through third volumes); None where the set is empty."""
    merged: list[set[str]] = []
    for values in sets.values():
        together = set(values).union(*(group for group in merged if group & values))
        merged = [group for group in merged if not group & values] + ([together] if together else [])
    return {name: next((number for number, group in enumerate(merged) if group & values), None) for name, values in sets.items()}


def certain_groups(sets: Mapping[str, frozenset[str]], perhaps: Mapping[str, frozenset[str]]) -> dict[str, int | None]:
    """As `groups`, and equal also for volumes that are perhaps on one device: groups that are known to be apart."""
    numbers = groups(sets)
    for name, doubted in perhaps.items():
        same = {numbers[one] for one in doubted} - {None} if numbers[name] is not None else set()
        numbers = {one: numbers[name] if number in same else number for one, number in numbers.items()}
    return numbers


def certain_devices(found: Mapping[str, Domain]) -> dict[str, int | None]:
    """As `certain_groups` of devices, but for what is only doubted because nothing tells the disks of one: see `known_devices`."""
    lit = {name for name, domain in found.items() if not _is_dark(domain)}
    return certain_groups({name: domain.devices for name, domain in found.items()}, {name: found[name].perhaps & lit for name in lit})


def known_devices(found: Mapping[str, Domain], certain: Mapping[str, int | None], near: Sequence[str]) -> dict[str, int | None]:
    """Groups of devices among a volume and those that may protect it, `near` in this order, that are known to be apart; None adds none to them.

    What is perhaps on one device with the first is in its group. Of the others one whose disks nothing tells adds none where it is perhaps on one with any of
    them: it must not make one of two that are known to be apart.
    """
    first = near[0]
    same = {certain[name] for name in found[first].perhaps}
    dark = {name for name in near[1:] if _is_dark(found[name]) and not found[name].perhaps.isdisjoint(near)}
    return {name: None if name in dark else certain[first] if certain[name] in same else certain[name] for name in near}


def lost_with(config: Config, volume: str) -> frozenset[str]:
    """The volumes whose loss is the loss of this one: itself, what it lies `on`, and those whose root holds the root of any of these."""
    found: set[str] = set()
    waiting = [volume]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _chain(config, name)
            waiting += [outer for outer in config.volumes if holds(config, outer, name)]
    return frozenset(found)


def retention(data_class: DataClass) -> float:
    """Seconds that deleted and old versions must be kept to survive a user's error."""
    return DEFAULT_RETENTION_SECONDS if data_class.retention is None else data_class.retention


def _pair(config: Config, domains: Mapping[str, Domain], asset: str, protector: str, class_name: str, as_of: datetime.datetime, kept: float | None) -> Pair:
    volume, data_class = config.volumes[protector], config.data_class(class_name)
    user_error, reason = _survives_user_error(volume, data_class, kept)
    other_admin = other(domains[asset].admins, domains[protector].admins)
    ransomware = _survives_ransomware(volume, data_class, other_admin, as_of)
    found = {"ransomware": ransomware, **{threat: _elsewhere(domains, asset, protector, axis) for threat, axis in _PLACES.items()}}
    key = {threat: _key_survives(config, domains, asset, protector, threat, data_class, as_of) for threat in found}
    return Pair(
        asset=asset,
        protector=protector,
        data_class=class_name,
        user_error=user_error,
        user_error_reason=reason,
        ransomware=min(found["ransomware"], key["ransomware"]),
        ransomware_reason=_LOST_KEY if key["ransomware"] < found["ransomware"] else "not_immutable_or_offline",
        system_failure=min(found["system_failure"], key["system_failure"]),
        system_failure_reason=_LOST_KEY if key["system_failure"] < found["system_failure"] else "same_system_only",
        facility_outage=min(found["facility_outage"], key["facility_outage"]),
        facility_outage_reason=_LOST_KEY if key["facility_outage"] < found["facility_outage"] else "same_site_only",
        beside=Beside(
            offline=_offline(volume),
            locked=_is_immutable(volume, data_class, other_admin, as_of),
            append_only=_is_immutable(volume, data_class, other_admin, as_of) if volume.immutability == "append_only" else NO,
            other_admin=other_admin,
            key=key["ransomware"],
            binds=_binds(volume, data_class, as_of),
        ),
    )


def _elsewhere(domains: Mapping[str, Domain], asset: str, place: str, axis: str) -> int:
    """Whether a volume is on another system, or at another site, than the volume of an asset."""
    here, there = domains[asset], domains[place]
    if here.devices & there.devices:
        return NO
    return min(UNKNOWN if place in here.perhaps else YES, other(getattr(here, axis), getattr(there, axis)))


def _key_survives(
    config: Config, domains: Mapping[str, Domain], asset: str, protector: str, threat: str, data_class: DataClass, as_of: datetime.datetime
) -> int:
    """Whether what opens a volume survives a threat to an asset: in one of the places where it is kept, which can be opened itself.

    Of a volume that needs no key, or of which nobody says where its key is kept, it is YES: docs/adr/0020 says why.
    """

    def kept(place: str) -> int:
        opened = _key_survives(config, domains, asset, place, threat, data_class, as_of)
        if threat in _PLACES:
            return NO if place == asset else min(opened, _elsewhere(domains, asset, place, _PLACES[threat]))
        admins = other(domains[asset].admins, domains[place].admins)
        return min(opened, _survives_ransomware(_in_use(config.volumes[place]), data_class, admins, as_of))

    return max(map(kept, config.volumes[protector].key_on), default=YES)


def _in_use(volume: Volume) -> Volume:
    """A volume as whoever writes to it finds it: what a primary one does not declare does not hold back a hand that writes."""
    if volume.role != "primary":
        return volume
    return volume.model_copy(update={"access": volume.access or "online", "immutability": volume.immutability or "none"})


def _survives_user_error(volume: Volume, data_class: DataClass, kept: float | None) -> tuple[int, str]:
    if volume.keeps_versions is None and kept is not None:  # a backup that is young may keep versions for longer than it has any
        return (YES if kept >= retention(data_class) else UNKNOWN), "retention_too_short"
    if volume.keeps_versions is None:
        return (NO if volume.role == "replica" else UNKNOWN), "mirror_only"
    if volume.keeps_versions <= 0:
        return NO, "mirror_only"
    return (YES if volume.keeps_versions >= retention(data_class) else NO), "retention_too_short"


def _survives_ransomware(volume: Volume, data_class: DataClass, other_admin: int, as_of: datetime.datetime) -> int:
    return max(_offline(volume), _is_immutable(volume, data_class, other_admin, as_of))


def _offline(volume: Volume) -> int:
    return {"offline": YES, None: UNKNOWN}.get(volume.access, NO)


def _is_immutable(volume: Volume, data_class: DataClass, other_admin: int, as_of: datetime.datetime) -> int:
    if volume.immutability is None or volume.immutability == "none":
        return UNKNOWN if volume.immutability is None else NO
    if volume.immutability in ("governance", "append_only") and other_admin != YES:
        return other_admin
    if volume.immutability == "append_only":
        return YES if data_class.accept_declared else UNKNOWN
    return _is_locked(volume, data_class, locked_least(data_class, as_of))


def _binds(volume: Volume, data_class: DataClass, as_of: datetime.datetime) -> int:
    if volume.immutability == "compliance":
        return _is_locked(volume, data_class, as_of)
    return UNKNOWN if volume.immutability is None else NO


def _is_locked(volume: Volume, data_class: DataClass, least: datetime.datetime) -> int:
    if volume.immutable_until is None or not data_class.accept_declared:
        return UNKNOWN
    until = datetime.datetime.combine(volume.immutable_until, datetime.time())
    return YES if until >= least else NO


def locked_least(data_class: DataClass, as_of: datetime.datetime) -> datetime.datetime:
    """The least end of a lock that keeps ransomware from a copy for as long as the class asks for."""
    return as_of + datetime.timedelta(seconds=retention(data_class))


def may_protect(config: Config, asset: str, protector: str) -> bool:
    """Whether copies on one volume may count for the assets of another."""
    volume = config.volumes[protector]
    meant = asset in volume.of if volume.of is not None else volume.role != "primary"
    return meant and asset != protector and not holds(config, asset, protector) and not holds(config, protector, asset)


def holds(config: Config, outer: str, inner: str) -> bool:
    """Whether a volume is the place of another, or lies in it, as their URLs say."""
    above, below = (config.roots.get(name, config.volumes[name].url) for name in (outer, inner))
    return below == above or below.startswith(above.rstrip("/") + "/")


def _own(config: Config, axis: str, name: str, detected: Mapping[str, str | None]) -> frozenset[str]:
    declared = getattr(config.volumes[name], _DECLARED[axis])
    if declared or axis != "devices":
        return frozenset([declared]) if declared else frozenset()
    return _seen(name, detected)


def _seen(name: str, detected: Mapping[str, str | None]) -> frozenset[str]:
    return frozenset((detected.get(name) or "").split(",")) - {""}  # a file system over several disks fails with each


def _is_dark(domain: Domain) -> bool:
    return any(device.startswith(FILE_SYSTEM) for device in domain.devices)


def _source(config: Config, axis: str, name: str, own: Mapping[str, frozenset[str]]) -> str:
    if getattr(config.volumes[name], _DECLARED[axis]):
        return "declared"
    if own[name]:
        return "detected"
    return "inherited" if any(own[link] for link in _chain(config, name)) else "unknown"


def _chain(config: Config, name: str) -> list[str]:
    links = [name]
    while above := config.volumes[links[-1]].on:
        links.append(above)
    return links


def _share(sets: dict[str, dict[str, frozenset[str]]], by: str, axes: Sequence[str]) -> None:
    """Give volumes that overlap on one axis, also through third ones, all that any of them has on others."""
    members: dict[int, list[str]] = {}
    for name, number in groups(sets[by]).items():
        if number is not None:
            members.setdefault(number, []).append(name)
    for axis in axes:
        for names in members.values():
            sets[axis] |= dict.fromkeys(names, frozenset().union(*(sets[axis][name] for name in names)))


def _perhaps_one_device(config: Config, detected: Mapping[str, str | None], sets: Mapping[str, Mapping[str, frozenset[str]]]) -> dict[str, frozenset[str]]:
    """By volume, those that share no known device with it, and are perhaps on one with it.

    Either both are seen on one device while only one side declares which: its name for it may be that one. Or the disks of one are not known, and nothing
    says that they are in two systems or sites.
    """
    devices = sets["devices"]

    def doubted(one: str, two: str) -> bool:
        links = [(here, there) for here in _chain(config, one) for there in _chain(config, two)]
        if any(_seen(x, detected) & _seen(y, detected) and bool(config.volumes[x].device) != bool(config.volumes[y].device) for x, y in links):
            return True
        apart = any(other(sets[axis][one], sets[axis][two]) == YES for axis in ("systems", "sites"))
        return not apart and bool(devices[one] and devices[two]) and any(device.startswith(FILE_SYSTEM) for device in devices[one] | devices[two])

    near = {name: [other for other, held in devices.items() if other == name or held & devices[name]] for name in devices}
    direct = {name: {other for other in devices if other not in near[name] and doubted(name, other)} for name in devices}
    # Devices are united: volumes of one device have equal sets, and what is doubted of one is doubted of all.
    return {name: frozenset(far for one in near[name] for other in direct[one] for far in near[other]) for name in devices}
