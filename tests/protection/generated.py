"""Small estates by chance, from alphabets so small that paths, sizes, times, digests and inodes collide all the time."""

import datetime
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from catalog.config import parse
from tests.protection.plain import Check, Estate, File, Read, Scan, Stub
from tests.protection.requirement import THREATS
from tests.protection.table import AS_OF, content

HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)
PATHS = ("a", "x/a", "x/b", "x/y/a", "y/a")
FOLDERS = ("x", "x/y", "y", "")
SIZES = {"one": 10, "two": 10, "three": 20, "": 0}  # by content
MODIFIED = tuple(AS_OF - age for age in (100 * DAY, 2 * DAY, 2 * DAY - HOUR, 2 * HOUR))
PART_OF_A_SECOND = datetime.timedelta(microseconds=500_000)
SCANNED = tuple(AS_OF - age for age in (HOUR, DAY, 2 * DAY, 50 * DAY))
OFTEN, SELDOM = 0.7, 0.15
T = TypeVar("T")


def estate(chance: random.Random) -> Estate:
    """An estate of two to five volumes with at most five files each. Half of them are tidy: declared, scanned and mostly copied."""
    names = "abcde"[: chance.randint(2, 5)]
    tidy = chance.random() < 0.6
    config = parse({"volumes": {name: _volume(chance, name, names, tidy) | _keys(chance, name, names) for name in names}, **_rules(chance, names)})
    model = _files(chance)
    scans = _with_stubs(chance, {name: _scans(chance, model, tidy) for name in names})
    backups = {
        name: tuple(_as_backup(chance, scan) for scan in scans[name]) for name in names[1:] if config.volumes[name].role == "backup" and chance.random() < 0.5
    }
    scans |= backups
    buckets = [name for name in names if name not in backups and chance.random() < 0.5]
    scans |= {name: tuple(_as_bucket(chance, scan, config.volumes[name].role in ("backup", "replica")) for scan in scans[name]) for name in buckets}
    checks = [check for name in backups for check in _checks(chance, name, scans[name])]
    return Estate(config, AS_OF, scans, tuple(_reads(chance, scans)), tuple(checks))


def _as_backup(chance: random.Random, scan: Scan) -> Scan:
    """The same as a repository that holds versions: some with numbers of their own at a place, of which all or not all is stored."""
    if scan.told:
        return scan
    files = tuple(file if file.stub else _version(chance, file, place) for place, file in enumerate(scan.files))
    broken = tuple((file.path, file.inode) for file in files if file.point and file.inode is not None and file.inode % 5 == 2)
    return replace(scan, files=files, broken=broken, state="incomplete" if broken else scan.state) if scan.state != "failed" else scan


def _version(chance: random.Random, file: File, place: int) -> File:
    point = AS_OF - chance.choice([70, 30, 5]) * DAY
    version = replace(file, fs=None, inode=None, created=None, changed=None, changed_ns=0, point=point, whole=chance.random() < 0.6)
    return replace(version, fs=chance.choice(["f6", "f7"]), inode=100 + place) if chance.random() < 0.6 else version


def _as_bucket(chance: random.Random, scan: Scan, is_copy: bool) -> Scan:
    """The same as a bucket, whose objects mostly tell whether they are locked, and until when; of one for copies some are versions that it shows no more."""
    return replace(scan, files=tuple(file if file.stub or file.told else _object(chance, file, is_copy) for file in scan.files))


def _object(chance: random.Random, file: File, is_copy: bool) -> File:
    until = _maybe(chance, 0.9, [AS_OF + days * DAY for days in (-5, 0, 9, 10, 30, 45, 400)])
    lock = _maybe(chance, OFTEN, ["compliance", "compliance", "governance", "governance", "none"])
    return replace(file, latest=not is_copy or chance.random() < OFTEN, lock=lock, locked_until=until, held=_maybe(chance, 0.3, [True, False, False]))


def _checks(chance: random.Random, volume: str, scans: Sequence[Scan]) -> list[Check]:
    """What a program said of a repository at some times, of which no two are the same."""
    found: list[Check] = []
    for number in range(chance.choice([0, 1, 2, 4, 6])):
        at = AS_OF - chance.choice([50, 20, 3, 2]) * DAY - number * HOUR
        files = [file for scan in scans[-1:] for file in scan.files if file.point]
        if files and chance.random() < 0.3:
            found.append(Check(volume, at, 4, chance.random() < 0.7, file=chance.choice(files)))
            continue
        part = _maybe(chance, 0.5, [1, 2])
        level = 2 if part else chance.choice([1, 2])
        found.append(Check(volume, at, level, chance.random() < 0.85, part, 2 if part else None, fs=_maybe(chance, 0.7, ["f6"])))
    return found


def _maybe(chance: random.Random, likely: float, values: Sequence[T]) -> T | None:
    return chance.choice(values) if chance.random() < likely else None


def _mostly(chance: random.Random, usual: T, others: Sequence[T], seldom: float = SELDOM) -> T:
    return chance.choice(others) if chance.random() < seldom else usual


def _volume(chance: random.Random, name: str, names: str, tidy: bool) -> dict[str, Any]:
    first, known = name == "a", 0.9 if tidy else 0.6
    earlier = [one for one in names if one < name] or [""]  # only on an earlier one: never a circle
    some = chance.sample(names, chance.randint(0, 2))
    found = {
        "url": f"/{name}" if first or chance.random() > SELDOM else f"/a/{name}",
        "role": _mostly(chance, "primary", ["archive"], 0.05) if first else chance.choice(["backup", "backup", "replica", "archive", "primary"]),
        "system": _maybe(chance, known, ["s1", "s2", "s3", "s" + name]),
        "site": _maybe(chance, known, ["p1", "p2", "p" + name]),
        "region": _maybe(chance, known, ["r1", "r2", "r" + name]),
        "admin": _maybe(chance, known, ["m1", "m2"]),
        "device": _maybe(chance, known / 2, ["d1", "d2", "d" + name, "d" + name]),
        "media": _maybe(chance, known, ["disk", "tape"]),
        "access": _maybe(chance, known, ["online", "nearline", "offline", "offline"]),
        "immutability": _maybe(chance, known, ["none", "none", "append_only", "governance", "compliance"]),
        "immutable_until": _maybe(chance, known, [(AS_OF + days * DAY).date() for days in (10, 30, 31, 90, 90)]),
        "keeps_versions": _maybe(chance, known, ["0s", "10d", "30d", "60d", "60d"]),
        "of": _maybe(chance, SELDOM if tidy else 0.3, [some]),
        "on": _maybe(chance, SELDOM, earlier) or None,
        "exclude": _maybe(chance, SELDOM, [["y/"], ["x/a"], ["b"], ["**/y/a", "x/*"]]),
        "path_map": _maybe(chance, SELDOM / 2 if tidy else 0.3, _maps(name)),
    }
    return {key: value for key, value in found.items() if value is not None}


def _keys(chance: random.Random, name: str, names: str) -> dict[str, Any]:
    others = [one for one in names if one < name]  # only on earlier ones: never a circle
    return {"key_on": sorted(chance.sample(others, min(len(others), chance.choice([1, 1, 2]))))} if others and chance.random() < SELDOM else {}


def _maps(name: str) -> list[dict[str, str]]:
    some = [{"x": "a:"}, {"": "a:x"}, {"y": "a:x", "x": "b:x"}, {"/x/y/": "a:x", "y": "a:"}, {"": "a:"}]
    return [{here: there for here, there in one.items() if not there.startswith(f"{name}:")} for one in some]  # never onto itself


def _rules(chance: random.Random, names: str) -> dict[str, Any]:
    data: dict[str, Any] = {"classes": {"default": _class(chance)}}
    if chance.random() < 0.5:
        data["classes"] = {"core": {"select": _predicate(chance, names), **_class(chance)}, **data["classes"]}
    if chance.random() < SELDOM:
        data["labels"] = [{"where": _predicate(chance, names), "data_class": chance.choice(list(data["classes"]))} for _ in range(chance.randint(1, 2))]
    if chance.random() < 0.4:
        data["exceptions"] = [_exception(chance, names) for _ in range(chance.randint(1, 2))]
    return data


def _predicate(chance: random.Random, names: str) -> str:
    return chance.choice(["path LIKE 'x/%'", "path LIKE '%'", "size_bytes > 10", f"volume = '{chance.choice(names)}'", "volume = 'a'"])


def _class(chance: random.Random) -> dict[str, Any]:
    counts = ("copies", "systems", "sites", "regions", "admins", "media", "offline_or_immutable")
    found = {
        **{count: _maybe(chance, 0.3, [1, 2, 2, 3]) for count in counts},
        "max_copy_age": _maybe(chance, 0.4, ["3h", "2d", "200d"]),
        "min_verification_level": _maybe(chance, 0.3, [0, 1, 2, 3]),
        "max_verification_age": _maybe(chance, 0.2, ["1h", "20d", "60d"]),
        "retention": _maybe(chance, 0.4, ["0s", "10d", "45d"]),
        "accept_declared": chance.random() < 0.6,
        "waive": _maybe(chance, 0.3, [chance.sample(THREATS, 1), chance.sample(THREATS, 2), list(THREATS)]),
    }
    return {key: value for key, value in found.items() if value is not None}


def _exception(chance: random.Random, names: str) -> dict[str, Any]:
    found = {"where": _predicate(chance, names), "reason": "known", "owner": "board", "until": (AS_OF + chance.randint(-1, 1) * DAY).date()}
    controls = _maybe(chance, 0.5, [chance.sample([*THREATS, "copies", "retention", "max_copy_age"], 2)])
    return found if controls is None else {**found, "controls": controls}


def _sorted(files: list[File]) -> tuple[File, ...]:
    """Files in the order of their paths, one a path; those that share an inode share all but their names."""
    alike: dict[object, File] = {}
    by_path = {file.path: file for file in files}
    linked = [replace(alike.setdefault(file.identity or file.path, file), path=file.path, carried=file.carried) for file in by_path.values()]
    return tuple(sorted(linked, key=lambda file: file.place))


def _files(chance: random.Random) -> tuple[File, ...]:
    return _sorted([_file(chance, path) for path in chance.sample(PATHS, chance.randint(1, 4))])


def _file(chance: random.Random, path: str) -> File:
    name = chance.choice(list(SIZES))
    modified = _maybe(chance, 0.95, [*MODIFIED, MODIFIED[0], MODIFIED[0]])
    return File(
        path,
        SIZES[name],
        modified,
        _mostly(chance, modified, [*MODIFIED, None], 0.3),
        modified_ns=_mostly(chance, 0, [1]),
        changed_ns=_mostly(chance, 0, [1]),
        flags=_mostly(chance, 0, [1, 2, 16, 17, 18, 32, 33, 64, 64, 65, 128, 129, 256, 320]),
        fs=_maybe(chance, 0.95, ["f1", "f2", "f3"]),
        inode=_maybe(chance, 0.95, range(1, 9)),
        created=_maybe(chance, 0.2, [MODIFIED[0]]),
        attested=_maybe(chance, SELDOM, [content(name)]),
    )


def _variant(chance: random.Random, file: File) -> File:
    """The file as another volume has it: another inode, and mostly the same size and time."""
    moved = replace(file, fs=chance.choice(["f1", "f2", "f3", None]), inode=chance.choice([*range(1, 9), None]))
    other_time = replace(moved, modified=chance.choice(MODIFIED))
    other_file = replace(_file(chance, file.path), modified=file.modified)
    near = replace(moved, modified=file.modified and file.modified + PART_OF_A_SECOND, flags=file.flags | chance.choice([0, 64, 128]))
    timeless = replace(moved, modified=None)
    return chance.choice([moved, moved, moved, moved, near, timeless, other_time, other_file, file])


def _scans(chance: random.Random, model: tuple[File, ...], tidy: bool) -> tuple[Scan, ...]:
    """No scan, one, or two; what lies below a directory that the second could not read is carried over from the first."""
    failed = [Scan(AS_OF - HOUR / 2, "failed")] if chance.random() < SELDOM else []
    if chance.random() < (0.05 if tidy else 0.2):
        return tuple(failed)
    copied = [_variant(chance, file) for file in model if chance.random() < (0.85 if tidy else 0.5)]
    files = _sorted([*_files(chance)[: chance.randint(0, 2)], *copied])
    first: list[Scan] = []
    if chance.random() < 0.4:
        known = [file for file in files if chance.random() < OFTEN]
        first = [Scan(AS_OF - 60 * DAY, files=_sorted([*_files(chance)[:1], *known]))]
    hidden = _maybe(chance, 0.1 if tidy else 0.3, FOLDERS)
    if hidden is not None:
        below = [replace(file, carried=True) for scan in first for file in scan.files if _below(file.path, hidden)]
        files = _sorted([*(file for file in files if not _below(file.path, hidden)), *below])
    unread = _maybe(chance, 0.1 if tidy else 0.3, [*FOLDERS[:3], *PATHS])
    problems = (*([] if unread is None else [(unread, False)]), *([] if hidden is None else [(hidden, True)]))
    started = _mostly(chance, SCANNED[0], SCANNED, 0.4)
    newest = Scan(started, "incomplete" if problems else "complete", files, problems, _maybe(chance, 0.5, ["d1", "d2", "d9", "d2,d8", "fs:f1", "fs:f2"]))
    return (*first, _told(chance, newest) if chance.random() < SELDOM else newest, *failed)


def _told(chance: random.Random, scan: Scan) -> Scan:
    """The same as somebody else's word of the volume: of a time, worth a level, without what only who looks can tell."""
    at = chance.choice([scan.started_at, *MODIFIED])
    files = []
    for file in scan.files:
        said = replace(
            file, fs=None, inode=None, created=None, changed=None, changed_ns=0, told=_mostly(chance, at, MODIFIED), told_level=chance.choice([0, 1, 1, 2])
        )
        said = replace(said, attested=_maybe(chance, 0.5, [content(name) for name, size in SIZES.items() if size == file.size]))
        files.append(replace(said, size=None) if file.size and chance.random() < 0.3 else said)
    return replace(scan, told=at, device=None, files=tuple(files))


def _with_stubs(chance: random.Random, scans: dict[str, tuple[Scan, ...]]) -> dict[str, tuple[Scan, ...]]:
    """Sometimes, files of the newest scans turned into stubs, that mostly tell of a file which is there."""
    if chance.random() < OFTEN:
        return scans
    there = [(volume, file) for volume, some in scans.items() for scan in some[-1:] for file in scan.files if file.size]
    found = {}
    for volume, some in scans.items():
        last = max((place for place, scan in enumerate(some) if scan.state != "failed"), default=-1)
        found[volume] = tuple(
            replace(scan, files=tuple(_stub(chance, file, place, there) for place, file in enumerate(scan.files))) if number == last else scan
            for number, scan in enumerate(some)
        )
    return found


def _stub(chance: random.Random, file: File, place: int, there: Sequence[tuple[str, File]]) -> File:
    if not there or not file.size or chance.random() < 0.6:
        return file
    volume, target = chance.choice(there)
    told = _mostly(chance, target.size or 0, [10, 20])
    names = [name for name, size in SIZES.items() if size == told]
    said = Stub(volume, _mostly(chance, target.path, PATHS), content(chance.choice(names)), told)
    return replace(file, fs="f4", inode=place, stub=said)


def _reads(chance: random.Random, scans: dict[str, tuple[Scan, ...]]) -> list[Read]:
    found: list[Read] = []
    for volume, some in scans.items():
        for file in dict.fromkeys(file for scan in some for file in scan.files if not file.told):
            for _ in range(chance.choice([0, 1, 1, 1, 2])):
                found.append(_read(chance, volume, replace(file, carried=False), len(found)))
    return found


def _read(chance: random.Random, volume: str, file: File, number: int) -> Read:
    names = [name for name, size in SIZES.items() if size == file.size]
    name = names[0] if chance.random() < OFTEN else chance.choice(names)
    what = chance.choice(["digest", "digest", "digest", "both", "sample", *_maybe_failed(chance)])
    then = replace(file, changed=AS_OF - 200 * DAY) if chance.random() < SELDOM else file
    at = AS_OF - chance.choice([40, 10]) * DAY + number * datetime.timedelta(microseconds=1)
    if what == "nothing":
        return Read(volume, then, at)
    return Read(volume, then, at, None if what == "sample" else content(name), None if what == "digest" else content("sample of " + name))


def _maybe_failed(chance: random.Random) -> list[str]:
    return ["nothing"] if chance.random() < 0.5 else []


def _below(path: str, folder: str) -> bool:
    return folder == "" or path.startswith(folder + "/")
