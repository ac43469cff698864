"""Remarks on the places of volumes: whether they are there and readable, what they lie on, whose clock they show."""

import contextlib
import datetime
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

import scanners
from catalog import domains, glob
from catalog.config import Config
from catalog.errors import LastcopyError, RefusedError
from catalog.snapshot import ScanRow
from catalog.volumes import Volume
from lastcopy import mounts
from lastcopy.diagnosis import Remark, escaped
from reports.state import counted
from scanners import Facts, guard

_LOOKED_AT = 2000  # entries below the root whose times are compared with the host's clock
_RECENT = datetime.timedelta(hours=1)
_SKEW = datetime.timedelta(minutes=2)
_LOOKED_BACK = datetime.timedelta(days=7)
_MOST_DAYS_OFFLINE = 4  # of these, on which a volume that is declared offline may have been there


@dataclass(frozen=True)
class Look:
    """One look at the volumes: what was found, and the facts of those that could be reached, by name."""

    remarks: list[Remark]
    facts: Mapping[str, Facts]


def look(config: Config, names: Sequence[str], newest: Mapping[str, ScanRow], now: datetime.datetime) -> Look:
    """Everything about the places of some volumes. `newest` holds the newest good scan by volume; `now` is aware UTC."""
    known = mounts.table()
    seen = {name: _volume(name, config, newest.get(name), known, now) for name in names}
    facts = {name: found for name, (_, found) in seen.items() if found}
    return Look([*(remark for found, _ in seen.values() for remark in found), *_contradictions(config, facts, known)], facts)


def _volume(name: str, config: Config, scan: ScanRow | None, known: list[mounts.Mount], now: datetime.datetime) -> tuple[list[Remark], Facts | None]:
    declared = config.volumes[name]
    place = config.root(name)
    reach = _reach(name, declared, place, scan) if place is not None else None
    if reach and reach.state != "ok":
        return [reach], None
    try:
        facts = _probe(config, name)
    except LastcopyError as error:
        return [Remark(name, "reachable", "error", str(error), "correct the url or the password, mount what belongs there, or install what reads it")], None
    found = [reach or Remark(name, "reachable", "ok", "can be reached"), _same(name, scan, facts)]
    able = scanners.load(declared.kind).CAPABILITIES
    for is_so, check, part in ((able.recovery_points, guard.check_repository, "repository"), (able.told, guard.check_told, "told")):
        try:
            if is_so:
                check(config, name)
        except RefusedError as error:
            found.append(Remark(name, part, "error", str(error), "correct its role, or its place"))
    if declared.device is None and any(device.startswith(domains.FILE_SYSTEM) for device in _devices(facts)):
        found.append(_untold(name))
    mount = mounts.of(place, known) if place else None
    if place and mount:
        found += [_times(name, mount, facts), _own_reads(name, mount), _clock(name, place, now), *_mounted_over(name, declared, place, mount, known)]
    if able.protections:
        found += _protections(config, name)
    return [*found, _scanned(name, scan, now)], facts


def _protections(config: Config, name: str) -> list[Remark]:
    """What the storage says that protects it, each beside what is declared of it. It is no proof of what protects an object."""
    declared = config.volumes[name]
    with contextlib.closing(scanners.connect(config, name)) as scanner:
        told = scanner.protections()
    against = {
        "versioning": ("keeps_versions", bool(declared.keeps_versions), "enable versioning, or declare keeps_versions = '0d'"),
        "object lock": ("immutability", declared.immutability in ("governance", "compliance"), "lock its objects, or declare immutability = 'none'"),
    }
    found = []
    for one in told:
        key, is_declared, mend = against.get(one.name, ("", False, ""))
        if one.value == "no" and is_declared:
            found.append(Remark(name, one.name, "warning", f"{key} is declared, and the storage says: {one.text}", mend))
        elif one.value == "no" and one.name == "policy" and one.text != "there is none":
            found.append(Remark(name, one.name, "warning", one.text, "take the right from everybody, unless it is meant"))
        else:
            found.append(Remark(name, one.name, "unknown" if one.value == "unknown" else "ok", one.text))
    return found


def failed(names: Sequence[str], since: Mapping[str, ScanRow]) -> list[Remark]:
    """The volumes whose last scan failed; `since` holds these scans by volume."""
    return [
        Remark(name, "failed scan", "error", f"the scan of {since[name].started_at:%Y-%m-%dT%H:%M:%SZ} failed: {since[name].error}", f"lastcopy scan {name}")
        for name in names
        if name in since
    ]


def lingering(config: Config, scans: Sequence[ScanRow], now: datetime.datetime) -> list[Remark]:
    """A warning for volumes that are declared offline and are there nearly every day. `scans` are all of the catalog, `now` is aware UTC."""
    since = now.replace(tzinfo=None) - _LOOKED_BACK
    found = []
    for name, volume in config.volumes.items():
        if volume.access != "offline" or scanners.load(volume.kind).CAPABILITIES.told:  # what tells of it is there, and it need not be
            continue
        days = {scan.started_at.date() for scan in scans if scan.volume == name and scan.state != "failed" and scan.started_at > since}
        if len(days) > _MOST_DAYS_OFFLINE:
            text = f"is declared offline, and was there on {len(days)} of the last {_LOOKED_BACK.days} days: what is mounted every day is reached by ransomware"
            found.append(Remark(name, "offline", "warning", text, "unmount it after its scan, or declare access = 'online'"))
    return found


def _untold(name: str) -> Remark:
    text = "nothing tells which disks hold its file system: perhaps those of any other volume, unless both have a system or a site, and these differ"
    return Remark(name, "device", "unknown", text, "declare its 'system' and 'site', or its 'device'")


def _probe(config: Config, name: str) -> Facts:
    with contextlib.closing(scanners.connect(config, name)) as scanner:
        return scanner.probe()


def _contradictions(config: Config, facts: Mapping[str, Facts], known: list[mounts.Mount]) -> list[Remark]:
    """Remarks on volumes that are declared apart and lie together: on one device, or inside one another."""
    found: list[Remark] = []
    believed: dict[str, list[str]] = {}
    apart: dict[tuple[str, str], list[str]] = {}
    for one, two in itertools.combinations(facts, 2):
        inner, outer = _nested(config, one, two)
        inner_shown, outer_shown = _shown_again(config, one, two, known)
        if inner and not _of_other_machines(config, one, two):
            text = f"its root lies inside volume {outer}: neither can protect the other, and files are counted in both"
            found.append(Remark(inner, "nested root", "warning", text, f"exclude it from [volumes.{outer}], or scan only one of them"))
        elif inner_shown:
            found.append(_bind_mount(inner_shown, outer_shown, facts))
        elif _devices(facts[one]) & _devices(facts[two]):
            if _declare_other_devices(config, one, two):
                believed.setdefault(facts[one].device or "", []).extend([one, two])
            else:
                for subject, kind, other in _apart(config, one, two):
                    apart.setdefault((subject, kind), []).append(other)
    found += [_together(config, *key, others) for key, others in _first_of(apart).items()]
    return [*found, *(_believed(list(dict.fromkeys(names))) for names in believed.values())]


def _first_of(apart: Mapping[tuple[str, str], list[str]]) -> dict[tuple[str, str], list[str]]:
    """Of volumes that contradict each other pair by pair, the pairs of the first: what they say of one device is said once."""
    first: dict[tuple[str, str], list[str]] = {}
    for (subject, kind), others in apart.items():
        known = next((named for (_, other_kind), named in first.items() if kind == other_kind and kind in ("system", "site") and subject in named), None)
        if known is None:
            first[subject, kind] = list(others)
        else:
            known += [other for other in others if other not in known]
    return first


def _shown_again(config: Config, one: str, two: str, known: list[mounts.Mount]) -> tuple[str, str]:
    """The names of the volumes where one shows files of the other through another mount, the inner one first; else two empty texts."""
    places = [place for name in (one, two) if (place := config.root(name)) is not None]
    on = [mount for place in places if (mount := mounts.of(place, known)) is not None]
    if len(on) < 2 or on[0].point == on[1].point:
        return "", ""
    (device, here), (other_device, there) = (mounts.position(place, mount) for place, mount in zip(places, on, strict=True))
    if device != other_device:
        return "", ""
    if here.startswith(there):
        return one, two
    return (two, one) if there.startswith(here) else ("", "")


def _bind_mount(inner: str, outer: str, facts: Mapping[str, Facts]) -> Remark:
    text = f"shows files of volume {outer} through another mount"
    if facts[inner].fs_id is None or facts[outer].fs_id is None:
        text += ", and its file system has no identity: each file would be taken for a copy of itself"
    else:
        text += ": they are no copies, and files are counted in both"
    return Remark(inner, "bind mount", "warning", text, f"scan only one of them, or exclude it from [volumes.{outer}]")


def _mounted_over(name: str, declared: Volume, place: Path, mount: mounts.Mount, known: list[mounts.Mount]) -> list[Remark]:
    """A warning for directories of a volume over which its own file system is mounted again: it hides what lies there, and looks like the rest."""
    root = os.path.realpath(place)
    left_out = glob.regex(list(declared.exclude))
    over = [escaped(m.point) for m in mounts.within(place, known) if m.device == mount.device and not _is_excluded(left_out, os.path.relpath(m.point, root))]
    if not over:
        return []
    seen = "its files are seen there a second time" if declared.cross_mounts else "a scan leaves it out"
    text = f"the same file system is mounted again over {', '.join(over)}: {seen}, and what it hides is never seen"
    return [Remark(name, "bind mount", "warning", text, f"unmount it, or exclude it from [volumes.{name}]")]


def _is_excluded(left_out: str, path: str) -> bool:
    return bool(glob.excluded(left_out, pa.array([escaped(f"{path}/any")]))[0].as_py())


def _declare_other_devices(config: Config, one: str, two: str) -> bool:
    devices = {config.volumes[one].device, config.volumes[two].device}
    return None not in devices and len(devices) == 2


def _believed(names: list[str]) -> Remark:
    text = f"lies on one device with {', '.join(names[1:])}; the devices are declared to differ, and that is believed"
    return Remark(names[0], "device", "unknown", text, "leave 'device' out, and it is detected")


def _devices(facts: Facts) -> set[str]:
    return set((facts.device or "").split(",")) - {""}


def _same(name: str, scan: ScanRow | None, facts: Facts) -> Remark:
    """Whether the root is on the file system that was scanned last; another one is refused by a scan."""
    if scan is None or scan.root_fs_id is None or facts.fs_id is None:
        return Remark(name, "file system", "unknown" if facts.fs_id is None else "ok", f"its identity is {facts.fs_id or 'not told by the storage'}")
    if scan.root_fs_id == facts.fs_id:
        return Remark(name, "file system", "ok", f"the same as in the last scan, {facts.fs_id}")
    text = f"is {facts.fs_id}, and was {scan.root_fs_id} in the last scan: a scan is refused"
    return Remark(name, "file system", "error", text, f"mount the right one; if it was replaced on purpose, lastcopy scan {name} --accept-losses")


def _reach(name: str, declared: Volume, place: Path, scan: ScanRow | None) -> Remark:  # noqa: PLR0911  one answer a way of not being there
    shown = escaped(place)
    try:
        first = next(iter(os.scandir(place)), None)
    except FileNotFoundError:
        if declared.access == "offline":
            last = f"its scan of {scan.started_at:%Y-%m-%d} stays" if scan else "it was never scanned"
            return Remark(name, "reachable", "unknown", f"{shown} is not mounted; {last}", "mount the medium to scan it")
        return Remark(name, "reachable", "error", f"{shown} does not exist", "mount it, or correct the url")
    except PermissionError:
        return Remark(
            name, "reachable", "error", f"{shown} cannot be listed by user {os.geteuid()}", "grant read and search permission, or CAP_DAC_READ_SEARCH"
        )
    except OSError as error:
        return Remark(name, "reachable", "error", f"{shown}: {error.strerror}", "look at the mount and the kernel's log")
    if first is None:
        new = "" if scan else f"; a new volume that jobs are to fill: lastcopy volume prepare {name}"
        return Remark(name, "reachable", "error", f"{shown} is empty: a scan of it is refused", f"mount the file system that belongs there{new}")
    if not os.access(place, os.X_OK):
        return Remark(name, "reachable", "error", f"{shown} cannot be traversed by user {os.geteuid()}", "grant search permission, or CAP_DAC_READ_SEARCH")
    return Remark(name, "reachable", "ok", f"{shown} can be listed")


def _times(name: str, mount: mounts.Mount, facts: Facts) -> Remark:
    mode, meaning = mounts.access_times(mount)
    text = f"{escaped(mount.filesystem)} at {escaped(mount.point)}, {mode}: {meaning}; dormancy goes by the {facts.clock or 'modified'} time"
    if facts.clock == "accessed":
        return Remark(name, "access times", "ok", text)
    return Remark(name, "access times", "unknown", text, "mount it with relatime where dormancy should see reads")


def _own_reads(name: str, mount: mounts.Mount) -> Remark:
    if os.geteuid() == 0 or {"noatime", "ro"} & mount.options:
        return Remark(name, "own reads", "ok", "reading for digests leaves access times alone")
    text = "reading other users' files for digests sets their access time; dormancy leaves those accesses out"
    return Remark(name, "own reads", "ok", text)


def _clock(name: str, place: Path, now: datetime.datetime) -> Remark:
    """The newest change that is seen near the root against the host's clock: only a storage that is ahead can be told."""
    newest = _newest_change(place)
    if newest is None:
        return Remark(name, "clock", "unknown", "no time could be read", "")
    seen = datetime.datetime.fromtimestamp(newest, datetime.UTC)
    if seen - now > _SKEW:
        text = f"something was changed at {seen:%Y-%m-%dT%H:%M:%SZ}, in the future of this host"
        return Remark(name, "clock", "warning", text, "set the clocks of the storage and of this host, best by NTP")
    if now - seen < _RECENT:
        return Remark(name, "clock", "ok", f"the newest change, {seen:%Y-%m-%dT%H:%M:%SZ}, agrees with this host's clock")
    return Remark(name, "clock", "unknown", f"the newest change seen near the root is of {seen:%Y-%m-%dT%H:%M:%SZ}: too old to compare clocks", "")


def _newest_change(place: Path) -> float | None:
    newest, left, folders = None, _LOOKED_AT, [os.fspath(place)]
    while folders and left > 0:
        try:
            with os.scandir(folders.pop(0)) as entries:
                for entry in itertools.islice(entries, left):
                    left -= 1
                    newest = max(newest or 0.0, entry.stat(follow_symlinks=False).st_ctime)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except OSError:
            continue  # a scan makes a problem of it; here only the times of what can be seen are wanted
    return newest


def _scanned(name: str, scan: ScanRow | None, now: datetime.datetime) -> Remark:
    if scan is None:
        return Remark(name, "last scan", "unknown", "never scanned", f"lastcopy scan {name}")
    started = scan.known_at.replace(tzinfo=datetime.UTC)
    text = f"{scan.state}, {started:%Y-%m-%dT%H:%M:%SZ}, {counted(scan.entries, 'entry')}, {counted(scan.problems, 'problem')}"
    if started - now > _SKEW:
        return Remark(name, "last scan", "warning", f"{text}: in the future of this host's clock", "set the clock")
    if scan.state != "complete":
        return Remark(name, "last scan", "warning", text, f"lastcopy report problems --where \"volume = '{name}'\"")
    return Remark(name, "last scan", "ok", text)


def _of_other_machines(config: Config, one: str, two: str) -> bool:
    """Whether two volumes are of one repository, and of different machines that are backed up in it."""
    hosts = [set(config.volumes[name].hosts) for name in (one, two)]
    return all(hosts) and hosts[0].isdisjoint(hosts[1])


def _nested(config: Config, one: str, two: str) -> tuple[str, str]:
    """The names of the inner and the outer volume, where one root lies in the other; else two empty texts."""
    if one not in config.roots or two not in config.roots:
        return "", ""
    first, second = Path(config.roots[one]), Path(config.roots[two])
    if first.is_relative_to(second):
        return one, two
    return (two, one) if second.is_relative_to(first) else ("", "")


def _apart(config: Config, one: str, two: str) -> list[tuple[str, str, str]]:
    """What is wrong with two volumes of one device: the volume it is said of, the attribute, and the other volume.

    They declare another system or site; or one is a copy on the device of its primary volume, unless both declare their system: then it is known;
    or one is declared offline, and the other is not.
    """
    declared = domains.effective(config, {})
    found = []
    for attribute in ("systems", "sites"):
        mine, other = getattr(declared[one], attribute), getattr(declared[two], attribute)
        if mine and other and not mine & other:
            found.append((one, attribute[:-1], two))
    for copy, asset in ((one, two), (two, one)):
        told = declared[copy].systems and declared[asset].systems
        if not found and not told and config.volumes[asset].role == "primary" and _protects(config, copy, asset):
            found.append((copy, "device", asset))
        if config.volumes[copy].access == "offline" != config.volumes[asset].access:
            found.append((copy, "offline", asset))
    return found


def _together(config: Config, name: str, attribute: str, others: Sequence[str]) -> Remark:
    """A warning that a volume lies on one device with others, from which it should be apart."""
    if attribute == "device":
        named = f"volume{'s' if len(others) > 1 else ''} {', '.join(others)}"
        text = f"lies on one device with {named}, which it protects: its copies do not survive the loss of that system or its site"
        return Remark(name, "device", "warning", text, f"move it to another disk, or declare the same system for {', '.join(others)} and {name}")
    if attribute == "offline":
        text = f"is declared offline, and lies on the device of {', '.join(others)}, which is in use: ransomware reaches it, whatever reports say"
        return Remark(name, "offline", "warning", text, "move it to a medium that is taken away, or declare access = 'online'")
    declared = domains.effective(config, {})
    said = [f"{volume} ({', '.join(sorted(getattr(declared[volume], f'{attribute}s')))})" for volume in (name, *others)]
    text = f"volumes {', '.join(said)} lie on one device, and are declared in different {attribute}s"
    return Remark(name, attribute, "warning", text, "declare the same, or move some: one device is in one place")


def _protects(config: Config, copy: str, asset: str) -> bool:
    of = config.volumes[copy].of
    return asset in of if of is not None else config.volumes[copy].role != "primary"
