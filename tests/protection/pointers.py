"""Stubs that are pointers: what they stand for is where they say, and known to be that. They are no files."""

from collections.abc import Collection
from dataclasses import replace

from tests.protection.evidence import Evidence
from tests.protection.plain import Estate, File


def without(estate: Estate) -> Estate:
    """The estate whose newest scans show no pointers."""
    evidence = Evidence(estate)
    scans = dict(estate.scans)
    for volume, some in estate.scans.items():
        newest = estate.newest(volume)
        if newest is not None:
            files = tuple(file for file in newest.files if not _leads(estate, evidence, file))
            scans[volume] = tuple(replace(scan, files=files) if scan is newest else scan for scan in some)
    return replace(estate, scans=scans)


def targets(estate: Estate) -> set[tuple[str, str]]:
    """The volume and path of every file that a pointer leads to."""
    evidence = Evidence(estate)
    return {(file.stub.volume, file.stub.path) for _, file in estate.every_file() if file.stub and _leads(estate, evidence, file)}


def unproven(estate: Estate, evidence: Evidence, file: File, volume: str, own: Collection[object]) -> File | None:
    """What lies on a volume where a stub says that its content is, of that size, if nobody knows its content; none of the stub's `own` volume's files."""
    there = _there(estate, file)
    if file.stub is None or file.stub.volume != volume or there is None or there.identity in own:
        return None
    return None if evidence.digest(volume, there) else there


def _leads(estate: Estate, evidence: Evidence, file: File) -> bool:
    there = _there(estate, file)
    if file.stub is None or there is None:
        return False
    known = evidence.digest(file.stub.volume, there)
    return known is not None and known.value == file.stub.digest


def _there(estate: Estate, file: File) -> File | None:
    """What lies where a stub says that its content is, of that size, on a volume that may have it as an asset."""
    if file.stub is None or file.stub.volume not in estate.config.volumes or estate.config.volumes[file.stub.volume].role not in ("primary", "archive"):
        return None
    found = (one for one in estate.files(file.stub.volume) if one.path == file.stub.path and one.size == file.stub.size and one.stub is None)
    return next(found, None)
