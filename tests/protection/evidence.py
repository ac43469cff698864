"""What is known of the content of files: digests, samples, hard links, duplicates."""

import datetime
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.protection import checks
from tests.protection.plain import Estate, File, Read

_Key = tuple[str, str, object]


@dataclass(frozen=True)
class Known:
    """A digest that holds: read by us at a time, or (None) attested by the storage, or by somebody else."""

    value: bytes
    read_at: datetime.datetime | None


class Evidence:
    """The digests and samples that hold for the files of an estate."""

    def __init__(self, estate: Estate) -> None:
        self._digests: dict[_Key, Known] = {}
        self._samples: dict[_Key, bytes] = {}
        self._unreadable = set(_unreadable(estate))
        for volume, file in estate.every_file():
            reads = [read for read in estate.reads if read.volume == volume and read.file.fingerprint == file.fingerprint]
            if file.identity is None:
                reads = [read for read in reads if read.file.path == file.path]
            reads.sort(key=lambda read: read.at)
            key = (volume, file.path, file.version)
            if file.aside:
                continue
            if file.attested:
                self._digests[key] = Known(file.attested, None)
            for read in reads:
                if read.digest:
                    self._digests[key] = Known(read.digest, read.at)
                if read.sample:
                    self._samples[key] = read.sample

    def digest(self, volume: str, file: File) -> Known | None:
        """The digest that holds for a file."""
        return self._digests.get((volume, file.path, file.version))

    def is_unreadable(self, volume: str, file: File) -> bool:
        """Whether the last try to read a file failed."""
        return (volume, file.identity or file.path) in self._unreadable or (volume, file.path) in self._unreadable

    def compare(self, volume: str, file: File, other_volume: str, other_file: File) -> str:
        """`equal` or `differ` by digests, `differ` by samples, else `unknown`."""
        one, two = self.digest(volume, file), self.digest(other_volume, other_file)
        if one and two:
            return "equal" if one.value == two.value and file.may_hold else "differ"
        mine, theirs = (self._samples.get((where, one.path, one.version)) for where, one in ((volume, file), (other_volume, other_file)))
        return "differ" if mine and theirs and mine != theirs else "unknown"


def _unreadable(estate: Estate) -> Iterator[tuple[str, object]]:
    """Volume and identity (else path) of files that their scan has a problem with, or whose last reading failed or surprised, and nothing was read of since."""
    for volume in estate.config.volumes:
        scan = estate.newest(volume)
        failed = {path for path, hides in scan.problems if not hides} if scan else set()
        for file in estate.files(volume):
            reads = [read for read in estate.reads if read.volume == volume and read.file.fingerprint == file.fingerprint]
            if file.identity is None:
                reads = [read for read in reads if read.file.path == file.path]
            met = (
                scan
                and (file.path in failed or (file.path, file.inode) in scan.broken)
                and not any(read.at > scan.started_at for read in reads if read.digest or read.sample)
            )
            tries = [read.at for read in estate.reads if read.volume == volume and not read.digest and not read.sample and _is_of(file, read.file)]
            tries += list(_surprises(estate, volume, file)) if file.identity else []
            whole = max((read.at for read in reads if read.digest), default=None)
            if checks.is_in_doubt(estate, volume, file, None if file.aside else whole):
                yield volume, file.path
            if met or any(not any(read.digest and read.at > at for read in reads) for at in tries):
                yield volume, file.identity or file.path


def _surprises(estate: Estate, volume: str, file: File) -> Iterator[datetime.datetime]:
    """When other volumes could not read the very file, for the first time since they last did, and when one found other content than this volume."""
    readings: dict[str, list[Read]] = defaultdict(list)
    for read in sorted(estate.reads, key=lambda read: read.at):
        if _is_of(file, read.file) and (read.digest or not read.sample):
            readings[read.volume].append(read)
    for other, some in readings.items():
        last = max((place for place, read in enumerate(some) if read.digest), default=-1)
        if other != volume and some[last + 1 :]:
            yield some[last + 1].at
    whole = [read for some in readings.values() for read in some if read.digest]
    mine = [read for read in readings[volume] if read.digest]
    if mine and (newest := max(whole, key=lambda read: read.at)).digest != mine[-1].digest:
        yield newest.at


def _is_of(file: File, tried: File) -> bool:
    """Whether a failed reading was of a file: only the time of its last change may be another now."""
    return replace(tried, changed=file.changed, changed_ns=file.changed_ns).fingerprint == file.fingerprint and (
        file.identity is not None or file.path == tried.path
    )


def first_names(estate: Estate) -> set[tuple[str, str]]:
    """The names, by volume and path, that carry the bytes of their file: the first by dir and name of its hard links."""
    firsts: dict[tuple[object, ...], tuple[tuple[str, str], tuple[str, str]]] = {}
    for volume, file in estate.every_file():
        key = (volume, file.identity or file.path)
        if key not in firsts or file.place < firsts[key][0]:
            firsts[key] = (file.place, (volume, file.path))
    return {where for _, where in firsts.values()}


def duplicates(estate: Estate) -> dict[tuple[str, bytes], tuple[int, int, frozenset[tuple[str, str]]]]:
    """Groups of equal content: (scope, digest) → number of files, reclaimable bytes, and the first name of each file on each volume.

    The scope is `primary` for all primary volumes together, else the volume.
    """
    evidence, counted = Evidence(estate), first_names(estate)
    names: dict[tuple[str, bytes], list[tuple[str, File]]] = defaultdict(list)
    for volume, file in estate.every_file():
        known = evidence.digest(volume, file)
        seen = not file.carried and not evidence.is_unreadable(volume, file)
        if known and seen and file.size and (volume, file.path) in counted:
            scope = "primary" if estate.config.volumes[volume].role == "primary" else volume
            names[scope, known.value].append((volume, file))
    groups = {}
    for key, found in names.items():
        members = len({(volume, "backup") if file.point else file.identity or (volume, file.path) for volume, file in found})
        if members > 1:
            groups[key] = (members, (members - 1) * (found[0][1].size or 0), frozenset((volume, file.path) for volume, file in found))
    return groups
