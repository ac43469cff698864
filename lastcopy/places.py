"""Remarks on the places of volumes: whether they are there and readable, what they lie on, whose clock they show."""

import datetime
import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from catalog import domains
from catalog.config import Config, Volume
from catalog.snapshot import ScanRow
from lastcopy import mounts
from lastcopy.diagnosis import Remark, escaped, folder

_LOOKED_AT = 2000  # entries below the root whose times are compared with the host's clock
_RECENT = datetime.timedelta(hours=1)
_SKEW = datetime.timedelta(minutes=2)


def remarks(config: Config, names: Sequence[str], newest: Mapping[str, ScanRow], now: datetime.datetime) -> list[Remark]:
    """Everything about the places of some volumes. `newest` holds the newest good scan by volume; `now` is aware UTC."""
    known = mounts.table()
    return [remark for name in names for remark in volume(name, config, newest.get(name), known, now)]


def volume(name: str, config: Config, scan: ScanRow | None, known: list[mounts.Mount], now: datetime.datetime) -> list[Remark]:
    """Remarks on one volume's place, the first of them on whether it can be reached."""
    declared = config.volumes[name]
    place = folder(config, declared)
    if place is None:
        return [_kind(name, declared)]
    reach = _reach(name, declared, place)
    if reach.state != "ok":
        return [reach]
    found = [reach]
    mount = mounts.of(place, known)
    if mount:
        found += [_mount(name, mount), _own_reads(name, mount)]
    return [*found, _clock(name, place, now), *_scanned(name, scan, now)]


def contradictions(config: Config) -> list[Remark]:
    """Remarks on volumes that are declared apart and lie together: on one device, or inside one another."""
    places = {name: place for name, v in config.volumes.items() if (place := folder(config, v)) is not None and place.is_dir()}
    found: list[Remark] = []
    for (one, here), (two, there) in itertools.combinations(places.items(), 2):
        inner, outer = _nested(one, here, two, there)
        if inner:
            text = f"its root lies inside volume {outer}: neither can protect the other, and files are counted in both"
            found.append(Remark(inner, "nested root", "warning", text, f"exclude it from [volumes.{outer}], or scan only one of them"))
        elif here.stat().st_dev == there.stat().st_dev:
            found += _apart(config, one, two)
    return found


def _kind(name: str, declared: Volume) -> Remark:
    from catalog import extensions

    available = extensions.names("scanners", defines="class Scanner")
    if declared.kind in available:
        return Remark(name, "reachable", "unknown", f"a volume of kind {declared.kind} is looked at when it is scanned", "")
    return Remark(name, "kind", "error", f"there is no scanner for kind {declared.kind!r}", f"kinds are {', '.join(available)}; a plain path is posix")


def _reach(name: str, declared: Volume, place: Path) -> Remark:  # noqa: PLR0911  one answer a way of not being there
    shown = escaped(place)
    try:
        first = next(iter(os.scandir(place)), None)
    except FileNotFoundError:
        if declared.access == "offline":
            return Remark(name, "reachable", "unknown", f"{shown} is not mounted; its last scan stays", "mount the medium to scan it")
        return Remark(name, "reachable", "error", f"{shown} does not exist", "mount it, or correct the url")
    except PermissionError:
        return Remark(
            name, "reachable", "error", f"{shown} cannot be listed by user {os.geteuid()}", "grant read and search permission, or CAP_DAC_READ_SEARCH"
        )
    except OSError as error:
        return Remark(name, "reachable", "error", f"{shown}: {error.strerror}", "look at the mount and the kernel's log")
    if first is None:
        return Remark(name, "reachable", "error", f"{shown} is empty: a scan of it is refused", "mount the file system that belongs there")
    if not os.access(place, os.X_OK):
        return Remark(name, "reachable", "error", f"{shown} cannot be traversed by user {os.geteuid()}", "grant search permission, or CAP_DAC_READ_SEARCH")
    return Remark(name, "reachable", "ok", f"{shown} can be listed")


def _mount(name: str, mount: mounts.Mount) -> Remark:
    times = mounts.access_times(mount)
    text = f"{escaped(mount.filesystem)} at {escaped(mount.point)}, {times.mode}: {times.meaning}"
    mend = "" if times.trusted else "mount with relatime where dormancy should see reads"
    return Remark(name, "access times", "ok" if times.trusted else "unknown", text, mend)


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


def _scanned(name: str, scan: ScanRow | None, now: datetime.datetime) -> list[Remark]:
    if scan is None:
        return [Remark(name, "last scan", "unknown", "never scanned", f"lastcopy scan {name}")]
    started = scan.started_at.replace(tzinfo=datetime.UTC)
    text = f"{scan.state}, {started:%Y-%m-%dT%H:%M:%SZ}, {scan.entries} entries, {scan.problems} problems"
    if started - now > _SKEW:
        return [Remark(name, "last scan", "warning", f"{text}: in the future of this host's clock", "set the clock")]
    if scan.state != "complete":
        return [Remark(name, "last scan", "warning", text, f"lastcopy report problems --where \"volume = '{name}'\"")]
    return [Remark(name, "last scan", "ok", text)]


def _nested(one: str, here: Path, two: str, there: Path) -> tuple[str, str]:
    """The names of the inner and the outer volume, where one root lies in the other; else two empty texts."""
    first, second = Path(os.path.realpath(here)), Path(os.path.realpath(there))
    if first.is_relative_to(second):
        return one, two
    return (two, one) if second.is_relative_to(first) else ("", "")


def _apart(config: Config, one: str, two: str) -> list[Remark]:
    """A warning for each attribute that two volumes of one file system declare differently."""
    declared = domains.effective(config, {})
    devices = {config.volumes[one].device, config.volumes[two].device}
    if None not in devices and len(devices) == 2:
        text = f"lies on one file system with volume {two}; the devices are declared to differ, and that is believed"
        return [Remark(one, "device", "unknown", text, "leave 'device' out, and it is detected")]
    found = []
    for attribute in ("systems", "sites"):
        mine, other = getattr(declared[one], attribute), getattr(declared[two], attribute)
        if mine and other and not mine & other:
            text = f"lies on one file system with volume {two}, which declares another {attribute[:-1]} ({', '.join(sorted(other))})"
            found.append(Remark(one, attribute[:-1], "warning", text, "declare the same, or move one of them: one device is in one place"))
    return found
